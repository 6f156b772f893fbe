"""DigitalOcean's API on loopback, which answers with what a test says; see sandbox/ for one that behaves."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from tests.program.builders import TEAM_1, TEAM_2

if TYPE_CHECKING:
    from collections.abc import Iterator

HOME = "Meltano"
TOKENS = {HOME: "dop_v1_home", TEAM_1: "dop_v1_one", TEAM_2: "dop_v1_two"}
LAYOUTS = [{"num_nodes": 1, "sizes": ["db-s-1vcpu-1gb"]}, {"num_nodes": 2, "sizes": ["db-s-2vcpu-4gb"]}]
PG = {"versions": ["15", "16"], "regions": ["nyc3", "fra1"], "layouts": LAYOUTS}


def droplet(id_: int = 7, **more: Any) -> dict[str, Any]:
    made = {"id": id_, "name": "acme.meltanodata.com", "status": "active", "region": {"slug": "nyc3"}}
    networks: dict[str, list[dict[str, str]]] = {
        "v4": [{"ip_address": "10.0.0.7", "type": "private"}, {"ip_address": "203.0.113.7", "type": "public"}]
    }
    return {**made, "size_slug": "s-2vcpu-2gb", "disk": 60, "networks": networks, **more}


def database(id_: str = "c0ffee", **more: Any) -> dict[str, Any]:
    made = {"id": id_, "name": "db-postgresql-nyc3-1-acme", "engine": "pg", "version": "16", "status": "online"}
    return {**made, "region": "nyc3", "size": "db-s-1vcpu-1gb", **more}


@dataclass
class DigitalOcean:
    """Lists by token and path; one page each unless `per_page` is made smaller."""

    lists: dict[tuple[str, str], list[Any]] = field(default_factory=dict)
    faults: dict[tuple[str, str], list[tuple[int, dict[str, str], bytes]]] = field(default_factory=dict)
    """Answers to give first."""
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    queries: dict[str, dict[str, str]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    """What teams are called that are called otherwise than in the settings."""
    per_page: int = 200
    shifts: dict[str, list[int]] = field(default_factory=dict)
    """By path: for each page asked for in turn, how many objects come in front of the list before it."""
    url: str = ""

    def answer(self, method: str, target: str, token: str) -> tuple[int, dict[str, str], bytes]:
        path, query = urlsplit(target).path, dict(parse_qsl(urlsplit(target).query))
        team = next((team for team, known in TOKENS.items() if token == f"Bearer {known}"), "?")
        self.asked[team, path] += 1
        self.queries[path] = query
        assert method == "GET"
        if faults := self.faults.get((team, path)):
            return faults.pop(0)
        if path == "/v2/account":
            return (
                200,
                {},
                json.dumps({"account": {"team": {"name": self.names.get(team, team), "uuid": "u"}}}).encode(),
            )
        if path == "/v2/databases/options":
            return 200, {}, json.dumps({"options": {"pg": PG, "redis": {}}}).encode()
        keys = {"/v2/account/keys": "ssh_keys", "/v2/domains/meltanodata.com/records": "domain_records"}
        if self.shifts.get(path):
            self._shift(team, path, self.shifts[path].pop(0))
        items = self.lists.get((team, path), [])
        page = int(query["page"])
        key = keys.get(path, path.rsplit("/", 1)[1])
        body: dict[str, Any] = {key: items[(page - 1) * self.per_page :][: self.per_page]}
        if key != "databases":
            body["meta"] = {"total": len(items)}
        if page * self.per_page < len(items):
            body["links"] = {"pages": {"next": f"http://elsewhere.invalid/v2?page={page + 1}"}}
        return 200, {}, json.dumps(body).encode()

    def _shift(self, team: str, path: str, by: int) -> None:
        items = self.lists[team, path]
        new = [droplet(100 + len(items) + number, name=f"new-{number}") for number in range(by)]
        self.lists[team, path] = [*new, *items] if by >= 0 else items[-by:]


@contextlib.contextmanager
def serve() -> Iterator[DigitalOcean]:
    """The API on a port of its own."""
    fake = DigitalOcean()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = fake.answer(self.command, self.path, self.headers.get("Authorization", ""))
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        fake.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield fake
        server.shutdown()
        thread.join()
