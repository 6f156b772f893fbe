"""A stack that an earlier version of the program made, with the sandbox that it is on, kept in an archive.

The archive is the home of a stopped light sandbox: what the accounts hold (`api.sqlite`), the keys, the stack's
settings and its state, encrypted with the passphrase beside it. To keep the stack of the version that is checked out:

    .venv/bin/python -m tests.sandbox.kept
"""

from __future__ import annotations

import datetime as dt
import io
import json
import re
import socket
import sqlite3
import subprocess
import tarfile
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from sandbox.home import PROJECT, Home
from sandbox.keys import Keys, issue_wildcard, load_ca, write
from tests.sandbox.fleet import Fleet
from tests.sandbox.world import started

FOLDER = Path(__file__).parent
DEMO = {"database_team": "MeltanoData DBs 1", "demo": True}
TENANTS: dict[str, dict[str, Any]] = {
    "demo": {**DEMO, "wipe_database": "2026-11-20"},
    "acme": {"database_team": "MeltanoData DBs 2", "tls": "self_signed"},
    "bolt": {
        "database_team": "MeltanoData DBs 1",
        "droplet_size": "s-2vcpu-4gb",
        "database_size": "db-s-1vcpu-2gb",
        "meltano_version": "2.20.0",
        "admin_password_generation": 2,
        "rebuild": 1,
    },
}
"""The tenants of the next stack that is kept: every Command, and every option that a resource depends on."""

NETWORK = "127.32.0.0/20"
"""Outside of what sandboxes choose their addresses from, so that no other sandbox has these."""
SSH_PORT = 22
"""What the kept droplets' Commands connect to; a preview connects to none."""
_DOMAIN = "meltanodata.com"
_PARTS = ("api.sqlite", "databases", "droplets", "keys", "network", "passphrase", "project", "state", "tenants.yaml")
_STATE = "state/.pulumi/stacks"
_LEFT_OUT = ("state/.pulumi/backups", "state/.pulumi/history", ".bak", ".prepared", ".checkout.yaml")
_OF_THE_MACHINE = {"sourcePosition", "stackTrace"}
"""What a state has of each resource that names folders of the machine; no operation depends on it."""
_URL = re.compile(r"http://127\.0\.0\.1:\d+")


def archives() -> list[Path]:
    """The stacks that are kept."""
    return sorted(FOLDER.glob("stack-of-*.tar.xz"))


def keep(archive: Path) -> None:
    """Make a stack with the version that is checked out, on a sandbox of its own, and keep it."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        # What must not change from machine to machine, and a certificate that does not expire.
        (home.folder("network") / "loopback").write_text(NETWORK)
        keys = Keys.ensure(home, _DOMAIN)
        now = dt.datetime.now(dt.UTC)
        certificate, key = issue_wildcard(
            _DOMAIN, *load_ca(keys), not_before=now, not_after=now + dt.timedelta(days=36500)
        )
        write(keys.wildcard_certificate, certificate, 0o644)
        write(keys.wildcard_key, key, 0o600)
        with started(home, "light"):
            fleet = Fleet(home)
            assert fleet.world.running.ssh_port == SSH_PORT, "run this as root"
            fleet.tenants(**TENANTS | {"demo": DEMO})  # a demo may be wiped once it is deployed as one
            fleet.up()
            fleet.tenants(**TENANTS)
            fleet.up()
            fleet.unchanged()
        pack(home.path, archive)


def pack(home: Path, archive: Path) -> None:
    """Keep a stopped sandbox's home."""
    with tarfile.open(archive, "w:xz") as tar:
        for path in sorted(path for part in _PARTS for path in [home / part, *(home / part).rglob("*")]):
            name = str(path.relative_to(home))
            if not path.is_file() or any(it in name for it in _LEFT_OUT):
                continue
            content = path.read_bytes()
            if name.startswith(_STATE):
                content = json.dumps(_without_machine(json.loads(content)), indent=1).encode()
            elif name.startswith("project/"):
                content = content.replace(str(home).encode(), b"HOME")
                content = re.sub(rb"(?m)^(main|    virtualenv): .*$", rb"\1: ''", content)
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o600
            tar.addfile(entry, io.BytesIO(content))


def unpack(archive: Path, home: Home) -> None:
    """Make an empty folder the home of the sandbox that was kept; its API has another port."""
    with tarfile.open(archive) as tar:
        tar.extractall(home.path, filter="data")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with closing(sqlite3.connect(home.path / "api.sqlite")) as connection, connection:
        connection.execute("UPDATE notes SET value = ? WHERE key = 'api port'", (str(port),))
    for path in (home.path / _STATE).rglob("*.json"):
        path.write_text(_URL.sub(f"http://127.0.0.1:{port}", path.read_text()))


def _without_machine(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_machine(inner) for key, inner in value.items() if key not in _OF_THE_MACHINE}
    return [_without_machine(inner) for inner in value] if isinstance(value, list) else value


if __name__ == "__main__":
    commit = subprocess.run(
        ["git", "rev-parse", "--short=7", "HEAD"], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout.strip()
    keep(FOLDER / f"stack-of-{commit}.tar.xz")
