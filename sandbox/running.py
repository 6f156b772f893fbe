"""The file `<home>/sandbox.json` by which a running sandbox tells every other program where its parts are."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.home import Home


class NotRunningError(Exception):
    """No sandbox has written its file in this home, or the file cannot be read."""


class TeamAccess(BaseModel):
    """A team's tokens at the sandbox's API."""

    model_config = ConfigDict(frozen=True)

    token: str
    """Full access, as `doctl` and the provider take it."""
    read_token: str
    """GET only, for previews of pull requests."""


class Running(BaseModel):
    """Where the parts of a running sandbox are; the file is private, for it holds tokens."""

    model_config = ConfigDict(frozen=True)

    pid: int
    """The server's process; alive as long as it holds the lock on `<home>/lock`."""
    api_url: str
    """Root URL such as `http://127.0.0.1:40123`; the same after a restart."""
    control_token: str
    """Bearer token of the endpoints under `/_sandbox/`."""
    teams: dict[str, TeamAccess]
    """By the team's name, the droplet team first."""
    domain: str
    """Such as `meltanodata.com`."""
    resolver: tuple[str, int]
    """Address and UDP/TCP port of the DNS server."""
    ssh_port: int
    """On which droplets listen."""
    droplets: Literal["real", "light"]
    databases: Literal["real", "light"]
    plugins: Literal["official", "stand-in"]
    plugin_ports: dict[str, int] = {}
    """Stand-in plugin name → port on 127.0.0.1, for PULUMI_DEBUG_PROVIDERS; empty with the official ones."""

    def save(self, home: Home) -> None:
        """Write `<home>/sandbox.json`, mode 600, whole or not at all."""
        home.folder(".")
        path = _path(home)
        draft = path.with_suffix(".new")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(self.model_dump_json(indent=2))
        draft.replace(path)

    @classmethod
    def load(cls, home: Home) -> Running:
        """What the sandbox of this home wrote.

        Raises:
            NotRunningError: there is no such file, or it is not one of this version's.
        """
        path = _path(home)
        try:
            return cls.model_validate_json(path.read_text())
        except FileNotFoundError:
            raise NotRunningError(f"no sandbox runs in {home.path}: start one with `python -m sandbox start`") from None
        except ValidationError:
            raise NotRunningError(f"{path} is of another version: run `python -m sandbox start` again") from None

    @staticmethod
    def remove(home: Home) -> None:
        """Take the file away, as the sandbox stops; nothing when there is none."""
        _path(home).unlink(missing_ok=True)


def _path(home: Home) -> Path:
    return home.path / "sandbox.json"
