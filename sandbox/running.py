"""The file `<home>/sandbox.json` by which a running sandbox tells every other program where its parts are."""

from __future__ import annotations

import fcntl
import os
import time
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from sandbox.acme.pebble import Pebble  # noqa: TC001 (pydantic reads the annotation)

if TYPE_CHECKING:
    from io import TextIOWrapper
    from pathlib import Path

    from sandbox.home import Home

_NONE = "no sandbox runs in {}: start one with `python -m sandbox start`"
Kind = Literal["real", "light"]
"""Real machines and servers, or light stand-ins for them."""
PluginKind = Literal["official", "stand-in"]

_ATTEMPTS = 20
_NONE = "no sandbox runs in {}: start one with `python -m sandbox start`"


class AlreadyRunningError(Exception):
    """A sandbox runs in this home."""


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
    """The server's process."""
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
    droplets: Kind
    databases: Kind
    plugins: PluginKind
    database_versions: tuple[str, ...]
    """PostgreSQL's major versions that can be created, the newest last."""
    acme: Pebble | None = None
    """The ACME server; None without one."""
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
            NotRunningError: none runs there, whatever a killed one left behind, or it is of another version.
        """
        path = _path(home)
        if lock_holder(home) is None:
            raise NotRunningError(_NONE.format(home.path))
        try:
            return cls.model_validate_json(path.read_text())
        except FileNotFoundError:
            raise NotRunningError(_NONE.format(home.path)) from None
        except ValidationError:
            raise NotRunningError(
                f"{path} is of another version: run `python -m sandbox stop` with that one, then start again"
            ) from None

    @staticmethod
    def remove(home: Home) -> None:
        """Take the file away, as the sandbox stops; nothing when there is none."""
        _path(home).unlink(missing_ok=True)


def take_lock(home: Home) -> TextIOWrapper:
    """Hold the home's lock until the file is closed, or the process ends however it does.

    Raises:
        AlreadyRunningError: another process holds it.
    """
    file = (home.folder(".") / "lock").open("a+")
    for _ in range(_ATTEMPTS):  # someone may just be looking whether it is held
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)
        else:
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            return file
    file.close()
    raise AlreadyRunningError(f"a sandbox already runs in {home.path}: see `python -m sandbox status`")


def lock_holder(home: Home) -> int | None:
    """The process that is this home's sandbox, also while it starts or stops; None when there is none."""
    try:
        with (home.path / "lock").open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                while not (text := file.read()):  # it holds the lock and writes its number next
                    time.sleep(0.01)
                return int(text)
    except FileNotFoundError:
        pass
    return None


def _path(home: Home) -> Path:
    return home.path / "sandbox.json"
