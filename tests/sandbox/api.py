"""A light sandbox in this process, and its API as a team's token sees it."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import requests

from sandbox.server import Modes, sandbox
from tests.sandbox.contract import violations
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from sandbox.home import Home
    from sandbox.running import Running

MODES = Modes(droplets="light", databases="light", plugins="official")


class Background:
    """A sandbox without plugins, in a thread of its own; light, unless it is told otherwise."""

    def __init__(self, home: Home, modes: Modes = MODES) -> None:
        self._home, self._modes = home, modes
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._up = threading.Event()
        self._running: Running | None = None

    def __enter__(self) -> Running:
        self._thread.start()
        self._up.wait()
        assert self._running is not None, "the sandbox did not start"
        return self._running

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with sandbox(self._home, self._modes, lambda _: None) as self._running:
                self._up.set()
                await self._stop.wait()
        finally:
            self._up.set()


class Client:
    """A token's view of the API. Every answer is checked against DigitalOcean's specification."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {token}"

    def request(self, method: str, path: str, json: object = None, timeout: float = PATIENCE) -> requests.Response:
        """Call a path such as `/v2/droplets`."""
        response = self._session.request(method, self.url + path, json=json, timeout=timeout)
        assert violations(response) == [], f"{method} {path} answered {response.status_code}: {response.text}"
        return response

    def get(self, path: str, status: int = 200) -> Any:
        """The JSON of a GET that answers with this status."""
        return self._expect(status, "GET", path)

    def post(self, path: str, json: object, status: int = 201) -> Any:
        """The JSON of a POST; None for 204."""
        return self._expect(status, "POST", path, json)

    def put(self, path: str, json: object, status: int = 200) -> Any:
        """The JSON of a PUT; None for 202 and 204."""
        return self._expect(status, "PUT", path, json)

    def patch(self, path: str, json: object, status: int = 200) -> Any:
        """The JSON of a PATCH."""
        return self._expect(status, "PATCH", path, json)

    def delete(self, path: str, status: int = 204, json: object = None) -> Any:
        """None, or the error's JSON."""
        return self._expect(status, "DELETE", path, json)

    def _expect(self, status: int, method: str, path: str, json: object = None) -> Any:
        response = self.request(method, path, json)
        assert response.status_code == status, f"{method} {path} answered {response.status_code}: {response.text}"
        return response.json() if response.content else None


def new_droplet(client: Client, **changes: object) -> dict[str, Any]:
    """A body for POST /v2/droplets that is valid but for the changes."""
    return {
        "name": "acme.meltanodata.com",
        "region": "nyc3",
        "size": "s-2vcpu-2gb",
        "image": int(client.get("/v2/snapshots")["snapshots"][0]["id"]),
        "tags": ["production"],
        **changes,
    }


def new_database(**changes: object) -> dict[str, Any]:
    """A body for POST /v2/databases as the provider sends it, valid but for the changes."""
    return {
        "name": "db-postgresql-nyc3-52483-acme",
        "engine": "pg",
        "version": "16",
        "size": "db-s-1vcpu-1gb",
        "region": "nyc3",
        "num_nodes": 1,
        "tags": ["production"],
        "private_network_uuid": "",
        "project_id": "",
        "rules": None,
        **changes,
    }
