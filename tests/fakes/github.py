"""A GitHub on loopback: what the workflows ask of one repository's REST API, answered in its form.

Issues and comments, pull requests and the commits that they brought, workflow runs and their artifacts.
"""

from __future__ import annotations

import base64
import io
import json
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from tests.fakes.github_git import GitObjects
from tests.fakes.http import listening

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = "meltano/meltanodata"
TOKEN = "workflow-token"
BOT = {"login": "github-actions[bot]", "type": "Bot"}
"""Who writes with a workflow's token."""
PERSON = {"login": "mallory", "type": "User"}


@dataclass(frozen=True)
class Fault:
    """What is answered instead, once."""

    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b'{"message": "no"}'
    effective: bool = False
    """Whether the request takes effect all the same."""
    reset: bool = False
    """Whether the connection is closed instead of an answer."""


class Server:
    """What the repository holds; `url` is its API's root."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.issues: list[dict[str, Any]] = []
        self.comments: list[dict[str, Any]] = []
        self.pulls: dict[int, dict[str, Any]] = {}
        """Pull requests by number."""
        self.associated: dict[str, list[int]] = {}
        """The numbers of the pull requests that have a commit."""
        self.unknown: dict[str, int] = {}
        """How often GitHub does not know them yet."""
        self.events: dict[int, list[dict[str, Any]]] = {}
        self.runs: list[dict[str, Any]] = []
        self.artifacts: list[dict[str, Any]] = []
        self.archives: dict[int, bytes] = {}
        self.requests: list[str] = []
        """Method and path of each that changed something."""
        self.asked: list[str] = []
        """The same of each that did not."""
        self.fails_with: int | None = None
        self.faults: list[tuple[str, Fault]] = []
        """Each with how the requests begin that it happens to, as in `POST issues`; in their order."""
        self.viewer: dict[str, Any] | None = None
        """Whose the token is; None for a workflow's, which may not ask."""
        self.repository = GitObjects(Path())
        """Where its commits are, if a test has any."""
        self.refuses_merge = ""
        """Why GitHub merges nothing, if it does not."""
        self._ids = count(1)

    def pull(self, number: int, head: str, labels: list[str] | None = None, **more: Any) -> dict[str, Any]:
        """A pull request: new, or as it is from now on."""
        self.pulls[number] = {
            "number": number,
            "state": "open",
            "merged_at": None,
            "merge_commit_sha": None,
            "labels": [{"name": label} for label in labels or []],
            "head": {"sha": head, "ref": more.pop("branch", f"change-{number}"), "repo": {"full_name": REPOSITORY}},
            "base": {"sha": "0" * 40, "ref": more.pop("base", "main"), "repo": {"full_name": REPOSITORY}},
            **more,
        }
        return self.pulls[number]

    def merge(self, commit: str, number: int, labels: list[str], head: str, **more: Any) -> None:
        """A merged pull request, whose merge ended with this commit."""
        more = {"merged_at": "2026-11-23T03:00:00Z", "merge_commit_sha": commit, "state": "closed", **more}
        self.pull(number, head, labels, **more)
        self.associated.setdefault(commit, []).append(number)

    def run(self, head: str, branch: str = "change-7", **more: Any) -> int:
        """A run of the preview workflow that ended well, unless told otherwise; returns its id."""
        number = next(self._ids)
        self.runs.append(
            {
                "id": number,
                "path": ".github/workflows/preview.yml",
                "event": "pull_request",
                "status": "completed",
                "conclusion": "success",
                "head_sha": head,
                "head_branch": branch,
                "head_repository": {"full_name": REPOSITORY},
                "created_at": "2026-11-23T01:00:00Z",
                "pull_requests": [],
                **more,
            }
        )
        return number

    def upload(self, run: int, name: str, content: bytes, *, file: str | None = None, **more: Any) -> None:
        """An artifact of one file."""
        number = next(self._ids)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(file or f"{name}.json", content)
        self.archives[number] = packed.getvalue()
        self.artifacts.append(
            {
                "id": number,
                "run": run,
                "name": name,
                "expired": False,
                "size_in_bytes": len(packed.getvalue()),
                "created_at": f"2026-11-23T02:00:{number % 60:02}Z",
                **more,
            }
        )

    def answer(  # noqa: C901, PLR0911, PLR0912 - a case for each route
        self, method: str, target: str, body: dict[str, Any]
    ) -> tuple[int, Any]:
        """Status and JSON, or the bytes of an archive."""
        if self.fails_with is not None:
            return self.fails_with, {"message": "no"}
        url = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if (method, url.path) == ("GET", "/user"):
            return (200, self.viewer) if self.viewer else (403, {"message": "Resource not accessible by integration"})
        path = url.path.removeprefix(f"/repos/{REPOSITORY}/").split("/")
        (self.asked if method == "GET" else self.requests).append(f"{method} {'/'.join(path)}")
        author = self.viewer or BOT
        match method, path:
            case "POST", ["uploads"]:  # as the action that uploads an artifact does in its own way
                self.upload(body["run"], body["name"], base64.b64decode(body["content"]))
                return 201, {}
            case "GET", ["issues", number, "comments"]:
                return 200, [it for it in self.comments if it["issue"] == int(number)]
            case "POST", ["issues", number, "comments"]:
                self.comments.append({"id": next(self._ids), "issue": int(number), "user": author, **body})
                return 201, self.comments[-1]
            case "PATCH", ["issues", "comments", number]:
                next(it for it in self.comments if it["id"] == int(number)).update(body)
                return 200, {}
            case "GET", ["issues"]:
                return 200, [it for it in self.issues if it["state"] == query["state"]]
            case "POST", ["issues"]:
                new = next(self._ids)
                self.issues.append({"id": 1000 + new, "number": new, "state": "open", "user": author, **body})
                return 201, self.issues[-1]
            case "PATCH", ["issues", number]:
                next(it for it in self.issues if it["number"] == int(number)).update(body)
                return 200, {}
            case "GET", ["issues", number, "events"]:
                return 200, self.events.get(int(number), [])
            case "GET", ["pulls"]:
                owner, _, branch = query["head"].partition(":")
                mine = owner == REPOSITORY.split("/", maxsplit=1)[0]
                states = {"open", "closed"} if query["state"] == "all" else {query["state"]}
                listed = [it for it in self.pulls.values() if it["head"]["ref"] == branch and it["state"] in states]
                return 200, listed if mine else []
            case "POST", ["pulls"]:
                new = next(self._ids)
                commit = self.repository.commit(body["head"])
                self.pull(
                    new, commit or "", branch=body["head"], base=body["base"], title=body["title"], body=body["body"]
                )
                return 201, self.pulls[new]
            case "PATCH", ["pulls", number]:
                self.pulls[int(number)].update(title=body["title"], body=body["body"])
                return 200, self.pulls[int(number)]
            case "POST", ["issues", number, "labels"]:
                labels = self.pulls[int(number)]["labels"]
                labels += [{"name": name} for name in body["labels"] if {"name": name} not in labels]
                return 200, labels
            case "PUT", ["pulls", number, "merge"]:
                return self._merged(self.pulls[int(number)], body)
            case _, ["git", *rest]:
                answer = self.repository.answer(method, rest, body)
                for pull in self.pulls.values():
                    if pull["state"] == "open" and (commit := self.repository.commit(pull["head"]["ref"])):
                        pull["head"]["sha"] = commit
                return answer
            case "GET", ["pulls", number] if int(number) in self.pulls:
                return 200, self.pulls[int(number)]
            case "GET", ["commits", commit, "pulls"]:
                if self.unknown.get(commit, 0) > 0:
                    self.unknown[commit] -= 1
                    return 200, []
                return 200, [self.pulls[number] for number in self.associated.get(commit, [])]
            case "GET", ["actions", "runs"]:
                # What is asked for narrows the list down, but for what the client has to look at itself.
                return 200, {"workflow_runs": [it for it in self.runs if it["head_sha"] == query["head_sha"]]}
            case "GET", ["actions", "runs", number, "artifacts"]:
                named = [it for it in self.artifacts if it["run"] == int(number) and it["name"] == query["name"]]
                return 200, {"artifacts": named}
            case "GET", ["actions", "artifacts", number, "zip"]:
                return 200, self.archives[int(number)]
        return 404, {"message": "Not Found"}

    def _merged(self, pull: dict[str, Any], body: dict[str, Any]) -> tuple[int, Any]:
        if self.refuses_merge:
            return 405, {"message": self.refuses_merge}
        if body["sha"] != pull["head"]["sha"]:
            return 409, {"message": "Head branch was modified. Review and try the merge again."}
        merge = self.repository.merge(pull["base"]["ref"], body["sha"])
        pull.update(state="closed", merged_at="2026-11-23T03:00:00Z", merge_commit_sha=merge)
        self.associated.setdefault(merge, []).append(pull["number"])
        self.associated.setdefault(body["sha"], []).append(pull["number"])
        return 200, {"merged": True, "sha": merge}

    def fault(self, request: str) -> Fault | None:
        """What happens to a request instead of its answer, if it is its turn."""
        for index, (prefix, fault) in enumerate(self.faults):
            if request.startswith(prefix):
                del self.faults[index]
                return fault
        return None


@contextmanager
def serve() -> Iterator[Server]:  # noqa: C901 - a server, its faults and its pages
    """Run it on a free port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            if self.headers["Authorization"] != f"Bearer {TOKEN}":
                return self._send(401, {"message": "Bad credentials"}, {})
            path = urlsplit(self.path).path.removeprefix(f"/repos/{REPOSITORY}/").removeprefix("/")
            fault = state.fault(f"{self.command} {path}")
            if fault is None or fault.effective:
                status, found = state.answer(self.command, self.path, body)
            if fault is not None and fault.reset:
                self.close_connection = True
                return None
            if fault is not None:
                return self._send(fault.status, fault.body, fault.headers)
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

        do_GET = do_POST = do_PATCH = do_PUT = _do  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with listening(Handler) as url:
        state = Server(url)
        yield state
