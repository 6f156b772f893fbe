"""A 1Password Connect server on loopback: the vaults and items of its REST API, version 1.8.

https://developer.1password.com/docs/connect/api-reference/. What was written shows in reads after a moment only, since
the server's own copy of a vault follows 1Password's.
"""

from __future__ import annotations

import copy
import json
import re
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from tests.fakes.http import listening

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "eyJhbGciOiJFUzI1NiJ9.read-and-write"
READ_ONLY = "eyJhbGciOiJFUzI1NiJ9.read-only"
HAND_MADE = "0ldPassw0rd"
UUID = re.compile(r"[\da-z]{26}")
CATEGORIES = {"LOGIN", "PASSWORD", "SECURE_NOTE", "SERVER", "DATABASE", "API_CREDENTIAL"}
TYPES = {"STRING", "EMAIL", "CONCEALED", "URL", "TOTP", "DATE", "MONTH_YEAR", "MENU"}
PURPOSES = {"", "USERNAME", "PASSWORD", "NOTES"}


class _Answer(Exception):  # noqa: N818 - some are successes
    def __init__(self, status: int, body: Any) -> None:
        self.status, self.body = status, body


def _error(status: int, message: str) -> _Answer:
    return _Answer(status, {"status": status, "message": message})


class Server:
    """What the vaults hold; `url` is the server's root."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.vaults: dict[str, str] = {}
        """Names by id."""
        self.out_of_scope: set[str] = set()
        """Vaults that exist and no token may see."""
        self.requests: list[str] = []
        """Method and path of each that changed something."""
        self.lag = 0
        """How many reads of an item show what was before, after it was written."""
        self.fails: dict[tuple[str, str], tuple[int, bytes]] = {}
        """Method and the end of a path: status and body to answer with, once."""
        self._items: dict[str, list[dict[str, Any]]] = {}
        """By vault, as 1Password has them."""
        self._before: dict[str, tuple[int, dict[str, Any] | None]] = {}
        """By item: reads left, and what they show."""
        self._numbers = count(1)

    def add_vault(self, name: str, *, in_scope: bool = True) -> str:
        """A vault's id."""
        id_ = self._uuid("v")
        self.vaults[id_], self._items[id_] = name, []
        if not in_scope:
            self.out_of_scope.add(id_)
        return id_

    def by_hand(self, vault: str, title: str, **more: Any) -> dict[str, Any]:
        """An item as 1Password's app makes it."""
        fields = [
            {"id": "username", "type": "STRING", "purpose": "USERNAME", "label": "username", "value": "meltano"},
            {"id": "password", "type": "CONCEALED", "purpose": "PASSWORD", "label": "password", "value": HAND_MADE},
            {"id": "notesPlain", "type": "STRING", "purpose": "NOTES", "label": "notesPlain", "value": "call Ann"},
        ]
        item = {"title": title, "vault": {"id": vault}, "category": "LOGIN", "fields": fields, **more}
        return self._keep(vault, self._uuid("i"), item, 1)

    def items(self, vault: str) -> dict[str, dict[str, Any]]:
        """What 1Password has, by title; one that is there twice fails."""
        found = [(item["title"], item) for item in self._items[vault]]
        assert len(dict(found)) == len(found)
        return dict(found)

    def edit(self, vault: str, title: str, **changes: Any) -> None:
        """A person's edit."""
        item = self.items(vault)[title]
        item.update(changes, version=item["version"] + 1)

    def answer(self, method: str, target: str, token: str | None, body: Any) -> _Answer:
        """Status and JSON."""
        url = urlsplit(target)
        filters = parse_qs(url.query).get("filter")
        try:
            if token not in {f"Bearer {TOKEN}", f"Bearer {READ_ONLY}"}:
                return _error(401, "Invalid token signature")
            for (wanted, end), (status, content) in list(self.fails.items()):
                if wanted == method and url.path.endswith(end):
                    del self.fails[wanted, end]
                    return _Answer(status, content)
            if method != "GET":
                if token == f"Bearer {READ_ONLY}":
                    return _error(403, "Authorization: token does not have permission to perform this action")
                self.requests.append(f"{method} {url.path}")
            return self._route(method, url.path.removeprefix("/v1/").split("/"), filters, body)
        except _Answer as answer:
            return answer

    def _route(self, method: str, path: list[str], filters: list[str] | None, body: Any) -> _Answer:
        match method, path:
            case "GET", ["vaults"]:
                visible = [self._vault(id_) for id_ in self.vaults if id_ not in self.out_of_scope]
                return _Answer(200, _filtered(visible, filters, {"name"}))
            case "GET", ["vaults", vault]:
                self._in_scope(vault)
                return _Answer(200, self._vault(vault))
            case "GET", ["vaults", vault, "items"]:
                self._in_scope(vault)
                shown = [found for item in self._items[vault] if (found := self._shown(item["id"], item))]
                gone = [before for _, before in self._before.values() if before and before["vault"]["id"] == vault]
                ids = {item["id"] for item in shown}
                shown += [item for item in gone if item["id"] not in ids]
                hidden = ("fields", "sections")
                summaries = [{name: it for name, it in item.items() if name not in hidden} for item in shown]
                return _Answer(200, _filtered(summaries, filters, {"title", "tag"}))
            case "POST", ["vaults", vault, "items"]:
                self._in_scope(vault)
                _check(body, vault)
                id_ = self._uuid("i")
                self._behind(id_, None)
                return _Answer(200, copy.deepcopy(self._keep(vault, id_, body, 1)))
            case _, ["vaults", vault, "items", id_]:
                self._in_scope(vault)
                return self._one(method, vault, id_, body)
        return _error(404, "Not Found")

    def _one(self, method: str, vault: str, id_: str, body: Any) -> _Answer:
        item = next((it for it in self._items[vault] if it["id"] == id_), None)
        if method == "GET":
            shown = self._shown(id_, item)
            if id_ in self._before:
                reads, before = self._before.pop(id_)
                if reads > 1:
                    self._before[id_] = (reads - 1, before)
            if shown is None:
                raise _error(404, f"item {id_} not found")
            return _Answer(200, copy.deepcopy(shown))
        if item is None:
            raise _error(404, f"item {id_} not found")
        self._behind(id_, item)
        if method == "DELETE":
            self._items[vault].remove(item)
            return _Answer(204, None)
        if method == "PUT":
            _check(body, vault)
            if body.get("id") != id_:
                raise _error(400, "The item's ID does not match the one in the path.")
            self._items[vault].remove(item)
            return _Answer(200, copy.deepcopy(self._keep(vault, id_, body, item["version"] + 1)))
        return _error(405, "Method Not Allowed")

    def _behind(self, id_: str, before: dict[str, Any] | None) -> None:
        if self.lag:
            self._before[id_] = (self.lag, copy.deepcopy(before))

    def _shown(self, id_: str, item: dict[str, Any] | None) -> dict[str, Any] | None:
        return self._before[id_][1] if id_ in self._before else item

    def _keep(self, vault: str, id_: str, item: dict[str, Any], version: int) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        kept = {"createdAt": now, **copy.deepcopy(item), "id": id_, "vault": {"id": vault}, "version": version}
        kept |= {"updatedAt": now, "lastEditedBy": "LKJ5XQ3EYJHC5H4LG6LW2IZQHI"}
        kept.pop("trashed", None)
        for field in kept.get("fields", []):
            field.pop("generate", None)
            if field.get("purpose") == "PASSWORD":
                field["entropy"] = 160.0
        self._items[vault].append(kept)
        return kept

    def _vault(self, id_: str) -> dict[str, Any]:
        version = 1 + sum(item["version"] for item in self._items[id_])
        counts = {"attributeVersion": 1, "contentVersion": version, "items": len(self._items[id_])}
        return {"id": id_, "name": self.vaults[id_], "type": "USER_CREATED", **counts}

    def _in_scope(self, vault: str) -> None:
        if not UUID.fullmatch(vault):
            raise _error(400, "Invalid Vault UUID")
        if vault in self.out_of_scope:
            raise _error(403, f"vault {vault} is not in scope")
        if vault not in self.vaults:
            raise _error(404, f"vault {vault} not found")

    def _uuid(self, kind: str) -> str:
        return f"{kind}{next(self._numbers):025}"


def _filtered(objects: list[Any], filters: list[str] | None, names: set[str]) -> list[Any]:
    """SCIM's `name eq "value"`, the only form that there is."""
    if filters is None:
        return objects
    match = re.fullmatch(r'(\w+) eq "([^"]*)"', filters[0])
    if match is None or match[1] not in names:
        raise _error(400, "Invalid filter")
    if match[1] == "tag":
        return [it for it in objects if match[2] in it.get("tags", [])]
    return [it for it in objects if it[match[1]] == match[2]]


def _check(body: Any, vault: str) -> None:
    """Refuse what is no full item."""
    if not isinstance(body, dict) or (body.get("vault") or {}).get("id") != vault:
        raise _error(400, "The item's vault does not match the one in the path.")
    if body.get("category") not in CATEGORIES:
        raise _error(400, "Invalid item category")
    for field in body.get("fields", []):
        if field.get("type") not in TYPES or field.get("purpose", "") not in PURPOSES:
            raise _error(400, "Invalid field")
    if body["category"] == "LOGIN":
        purposes = [field.get("purpose") for field in body.get("fields", [])]
        for name in ("USERNAME", "PASSWORD"):
            if purposes.count(name) != 1:
                raise _error(400, f"The item doesn't have a {name.lower()} field.")
    if sum(bool(url.get("primary")) for url in body.get("urls", [])) > 1 or any(
        not url.get("href") for url in body.get("urls", [])
    ):
        raise _error(400, "Invalid URLs")


@contextmanager
def serve() -> Iterator[Server]:
    """Run it on a free port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            token = self.headers.get("Authorization")
            answer = state.answer(self.command, self.path, token, json.loads(content) if content else None)
            body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            if answer.status != 204:
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if answer.status != 204:
                self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _do  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with listening(Handler) as url:
        state = Server(url)
        yield state
