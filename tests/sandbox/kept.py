"""A stack that an earlier version of the program made, with the sandbox that it is on, kept in an archive.

The archive is the home of a stopped light sandbox: what the accounts hold (`api.sqlite`), the keys, the stack's
settings and its state, encrypted with the passphrase beside it. To keep one of another version, run that version's
sandbox with `SANDBOX_HOME` set to an empty folder, `up` the tenants, stop it, and call `pack`. Before the start write
what must not change from machine to machine: `NETWORK` into `network/loopback`, and a certificate that does not expire.
"""

from __future__ import annotations

import io
import json
import re
import socket
import sqlite3
import tarfile
from contextlib import closing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.home import Home

NETWORK = "127.32.0.0/20"
"""Outside of what sandboxes choose their addresses from, so that no other sandbox has these."""
SSH_PORT = 22
"""What the kept droplets' Commands connect to; a preview connects to none."""
_PARTS = ("api.sqlite", "databases", "droplets", "keys", "network", "passphrase", "project", "state", "tenants.yaml")
_STATE = "state/.pulumi/stacks"
_LEFT_OUT = ("state/.pulumi/backups", "state/.pulumi/history", ".bak", ".prepared", ".checkout.yaml")
_OF_THE_MACHINE = {"sourcePosition", "stackTrace"}
"""What a state has of each resource that names folders of the machine; no operation depends on it."""
_URL = re.compile(r"http://127\.0\.0\.1:\d+")


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
