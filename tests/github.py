"""A GitHub on loopback: issues, comments, pull requests and artifacts of one repository, as its REST API gives them."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = "meltano/meltanodata"
TOKEN = "workflow-token"


class Server:
    """What the repository holds; `url` is its API's root."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.issues: list[dict[str, Any]] = []
        self.comments: list[dict[str, Any]] = []
        self.pulls: dict[str, list[dict[str, Any]]] = {}
        """By the commit of the main branch."""
        self.artifacts: list[dict[str, Any]] = []
        self.archives: dict[int, bytes] = {}
        self.requests: list[str] = []
        """Method and path of each that changed something."""
        self.fails_with: int | None = None
        self._ids = count(1)

    def merge(self, commit: str, number: int, labels: list[str], head: str) -> None:
        """A merged pull request."""
        self.pulls[commit] = [
            {
                "number": number,
                "merged_at": "2026-11-23T02:00:00Z",
                "labels": [{"name": label} for label in labels],
                "head": {"sha": head},
            }
        ]

    def upload(self, name: str, commit: str, content: bytes, *, expired: bool = False) -> None:
        """An artifact of one file."""
        number = next(self._ids)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("plan.json", content)
        self.archives[number] = packed.getvalue()
        self.artifacts.append(
            {
                "id": number,
                "name": name,
                "expired": expired,
                "created_at": f"2026-11-23T02:00:{number:02}Z",
                "workflow_run": {"head_sha": commit},
            }
        )

    def answer(  # noqa: C901, PLR0911 - a case for each route
        self, method: str, target: str, body: dict[str, Any]
    ) -> tuple[int, Any]:
        """Status and JSON, or the bytes of an archive."""
        if self.fails_with is not None:
            return self.fails_with, {"message": "no"}
        url = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        path = url.path.removeprefix(f"/repos/{REPOSITORY}/").split("/")
        if method != "GET":
            self.requests.append(f"{method} {'/'.join(path)}")
        match method, path:
            case "GET", ["issues", number, "comments"]:
                return 200, [it for it in self.comments if it["issue"] == int(number)]
            case "POST", ["issues", number, "comments"]:
                self.comments.append({"id": next(self._ids), "issue": int(number), **body})
                return 201, self.comments[-1]
            case "PATCH", ["issues", "comments", number]:
                next(it for it in self.comments if it["id"] == int(number)).update(body)
                return 200, {}
            case "GET", ["issues"]:
                return 200, [it for it in self.issues if it["state"] == query["state"]]
            case "POST", ["issues"]:
                self.issues.append({"number": next(self._ids), "state": "open", **body})
                return 201, self.issues[-1]
            case "PATCH", ["issues", number]:
                next(it for it in self.issues if it["number"] == int(number)).update(body)
                return 200, {}
            case "GET", ["commits", commit, "pulls"]:
                return 200, self.pulls.get(commit, [])
            case "GET", ["actions", "artifacts"]:
                return 200, {"artifacts": [it for it in self.artifacts if it["name"] == query["name"]]}
            case "GET", ["actions", "artifacts", number, "zip"]:
                return 200, self.archives[int(number)]
        return 404, {"message": "Not Found"}


@contextmanager
def serve() -> Iterator[Server]:
    """Run it on a free port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            if self.headers["Authorization"] != f"Bearer {TOKEN}":
                return self._send(401, {"message": "Bad credentials"}, {})
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            status, found = state.answer(self.command, self.path, body)
            links = {}
            if isinstance(found, list):
                # Two a page, so that whoever forgets the second page is found out.
                page = int(parse_qs(urlsplit(self.path).query).get("page", ["1"])[0])
                if len(found) > 2 * page:
                    links = {"Link": f'<{state.url}{self.path}>; rel="next"'}
                found = found[2 * page - 2 : 2 * page]
            return self._send(status, found, links)

        def _send(self, status: int, found: Any, headers: dict[str, str]) -> None:
            content = found if isinstance(found, bytes) else json.dumps(found).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = _do  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state = Server(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
