"""Write a droplet's files, and restart the services that have read their old content. Runs on the droplet, as root.

Idempotent: a second run has nothing to do. The next run finishes one that was killed, since the disk notes a service as
one to restart before its file changes, and until it has been restarted.

Some of the files are in folders of the user meltano: see `descriptors`.
"""

from __future__ import annotations

import contextlib
import grp
import json
import os
import pwd
import re
import shlex
import socket
import subprocess
import time
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from meltanodata.droplet.scripts.descriptors import Link, Plain, Refused, check_origin, folder, look, put
from meltanodata.droplet.scripts.env_lines import with_lines
from meltanodata.droplet.scripts.foreign import shown

if TYPE_CHECKING:
    from collections.abc import Callable

TO_RESTART = "var/lib/meltanodata/restart"
"""A folder with an empty file for each service whose files changed since it started."""
BEFORE = "var/lib/meltanodata/before"
"""A folder with the files a service last started with, until it has started with new ones; root's alone."""
PATIENCE = 40
"""Seconds until a service has to listen after a restart."""
CHECK_SECONDS = 30
"""For a service's program to check its files."""


def main(document: dict[str, Any], root: Path = Path("/"), systemctl: str = "systemctl", port: int = 443) -> None:
    """Write what differs, then restart the services that need it; tests set the other arguments.

    The document has `files`, each a `droplet.files.File`; or `common`, the path of such a document on the disk, with
    the `values` for its templates, by name, and the names `kept`, whose lines stay as they are where there are any.
    """
    if "common" in document:
        common = json.loads((root / document["common"].lstrip("/")).read_text(encoding="utf-8"))
        files = [filled(file, document["values"]) for file in common["files"]]
    else:
        files = document["files"]
    failures: list[str] = []
    for name in dict.fromkeys(file.get("service") for file in files):
        group = [file for file in files if file.get("service") == name]
        service = Service(name, group, root, systemctl, port) if name else None
        for file in group:
            try:
                write(file, root, document.get("kept", []), service.begin if service else None)
            except Refused as refused:
                failures.append(str(refused))
            except OSError as error:
                failures.append(f"{file['path']} is not written: {os.strerror(error.errno or 0)}")
        failures += filter(None, [service.settle() if service else None])
    if failures:
        raise SystemExit("\n".join(failures))


def filled(file: dict[str, Any], values: dict[str, str]) -> dict[str, Any]:
    """A template with its values filled in; any other file as it is."""
    if not file.get("template"):
        return file
    if "lines" in file:
        return {**file, "lines": {name: Template(line).substitute(values) for name, line in file["lines"].items()}}
    return {**file, "content": Template(file["content"]).substitute(values)}


def write(file: dict[str, Any], root: Path, kept: list[str], begin: Callable[[], None] | None = None) -> None:
    """Replace the file in one step if its content differs, after calling `begin`; else mend owner and mode only.

    Raises:
        Refused: something else than a file of this owner's is in its place, or its path has a link.
    """
    path = Path(file["path"])
    owner, group = pwd.getpwnam(file["owner"]).pw_uid, grp.getgrnam(file["group"]).gr_gid
    with folder(path.parent, root) as at, look(path, at) as old:
        if isinstance(old, Plain) and old.uid != owner:
            check_origin(old, path, at)
        content = old.content if isinstance(old, Plain) else None
        new = with_lines(content or b"", file["lines"], kept, path) if "lines" in file else file["content"].encode()
        if not isinstance(old, Plain) or new != content:
            if begin is not None:
                begin()
            put(path.name, at, Plain(new, owner, group, file["mode"]))
            print("wrote", file["path"])
        elif (old.uid, old.gid, old.mode) != (owner, group, file["mode"]):
            os.fchown(old.handle, owner, group)
            os.fchmod(old.handle, file["mode"])
            print("restored owner and mode of", file["path"])


class Service:
    """A systemd service, which reads its files at its start only.

    Where one of the files has a check, the service's program checks the new files before the restart. If the check or
    the restart fails, the files that the service last started with are restored.
    """

    def __init__(self, name: str, files: list[dict[str, Any]], root: Path, systemctl: str, port: int) -> None:
        self.name, self.root, self.systemctl, self.port = name, root, systemctl, port
        self.paths = [Path(file["path"]) for file in files]
        self.check: list[str] | None = next((file["check"] for file in files if "check" in file), None)
        self.note, self.before = root / TO_RESTART / name, root / BEFORE / f"{name}.json"
        self.unknown = self.note.exists()
        """Whether an earlier run was killed, and the service may have started with any of the files."""

    def begin(self) -> None:
        """Note the restart, before the first of the service's files changes."""
        if self.check is not None and not self.before.exists():
            self.before.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            kept = json.dumps({str(path): self._kept(path) for path in self.paths})
            with folder(Path("/", BEFORE), self.root) as at:
                put(self.before.name, at, Plain(kept.encode(), os.geteuid(), os.getegid(), 0o600))
        self.note.parent.mkdir(parents=True, exist_ok=True)
        self.note.touch()

    def _kept(self, path: Path) -> list[Any] | str | None:
        with folder(path.parent, self.root) as at, look(path, at) as file:
            if isinstance(file, Plain):
                return [file.content.decode("latin-1"), file.uid, file.gid, file.mode]
            return file.target if file else None

    def settle(self) -> str | None:
        """Restart the service if that is noted, or start it if it is not active; what is wrong if that fails."""
        changed = self.note.exists()
        if not changed and self._systemctl("is-active").returncode == 0:
            self._forget()
            return None
        look_at = f"Look at: journalctl --unit {self.name} --lines 50"
        if not self.before.exists():
            wrong = self._restart()
            if wrong is None:
                self._forget()
            return wrong and f"{self.name} does not start: {wrong}\n{look_at}"
        rejected = self._rejected()
        wrong = rejected or self._restart()
        if wrong is None:
            self._forget()
            return None
        failure = f"{self.name} {'rejects' if rejected else 'does not start with'} its new files: {wrong}"
        try:
            self._restore()
        except (Refused, OSError) as error:
            return f"{failure}\nNot all of its old files are restored: {error}. The next run tries again. {look_at}"
        still_runs = rejected and not self.unknown and self._systemctl("is-active").returncode == 0
        wrong = None if still_runs else self._restart()
        if wrong is not None:
            return f"{failure}\nThe old files are restored, but it does not start with them either: {wrong}\n{look_at}"
        self._forget()
        return (
            f"{failure}\nThe old files are restored, and {self.name} runs with them. All other files are written."
            f" Correct what it complains about, such as the certificate, and run this again. {look_at}"
        )

    def _rejected(self) -> str | None:
        """Why the service's program rejects its files; None if it accepts them, or has no such check."""
        unit: dict[str, list[str]] = {}
        shows = "--property=ExecStart,User,Environment,EnvironmentFiles"
        for line in self._systemctl("show", shows).stdout.splitlines():
            key, _, value = line.partition("=")
            unit.setdefault(key, []).append(value)
        program = re.search(r"\bpath=([^ ;]+)", "".join(unit.get("ExecStart", [])))
        if program is None or self.check is None:
            return None  # the restart shows it
        user = "".join(unit.get("User", []))
        environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        if user:
            environment["HOME"] = pwd.getpwnam(user).pw_dir
        assignments = shlex.split(" ".join(unit.get("Environment", [])))
        for listed in unit.get("EnvironmentFiles", []):
            with contextlib.suppress(OSError):
                assignments += (self.root / listed.rpartition(" (")[0].lstrip("/")).read_text().splitlines()
        for line in assignments:
            key, equals, value = line.partition("=")
            if equals and not key.startswith(("#", ";")):
                environment[key] = value
        as_user = ["runuser", "--user", user, "--"] if user else []
        done = subprocess.run(
            ["timeout", "--kill-after=5", str(CHECK_SECONDS), *as_user, program[1], *self.check],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd="/",
            env=environment,
        )
        if done.returncode == 0 or "flag provided but not defined" in done.stdout:  # too old to check
            return None
        if done.returncode in {124, 137}:  # timeout's
            return f"its check of them timed out after {CHECK_SECONDS} seconds"
        *_, last = [f"exit code {done.returncode}", *filter(str.strip, done.stdout.splitlines())]
        return shown(last)

    def _restart(self) -> str | None:
        """Why the service does not come up; None if it does."""
        self._systemctl("reset-failed")  # a service that failed too often is not started again otherwise
        done = self._systemctl("restart")
        if done.returncode != 0:
            return shown(done.stderr)
        deadline = time.monotonic() + PATIENCE
        # systemctl may be back before the program has read its files.
        while self.check is not None and not self._listens():
            state = self._systemctl("is-active").stdout.strip()
            if state in {"failed", "inactive"}:
                return f"it is {state} right after its start"
            if time.monotonic() > deadline:
                return f"nothing listens at port {self.port} {PATIENCE} seconds after its start"
            time.sleep(0.2)
        print("restarted", self.name)
        return None

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5):
            return True
        return False

    def _restore(self) -> None:
        for name, kept in json.loads(self.before.read_text(encoding="utf-8")).items():
            path = Path(name)
            with folder(path.parent, self.root) as at:
                if kept is None:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(path.name, dir_fd=at)
                elif isinstance(kept, str):
                    put(path.name, at, Link(kept))
                else:
                    content, uid, gid, mode = kept
                    put(path.name, at, Plain(content.encode("latin-1"), uid, gid, mode))

    def _forget(self) -> None:
        """Remove the old files, then the note: without it they would count as those that the service runs with."""
        self.before.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    def _systemctl(self, *command: str) -> subprocess.CompletedProcess[str]:
        command = (self.systemctl, *command, self.name)
        return subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
