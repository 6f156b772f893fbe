"""Make a droplet's files as they should be, and restart what read their old content. Runs on the droplet, as root.

Idempotent: a second run finds nothing to do. A run killed at any moment is finished by the next one, since a service
is noted on the disk as one to restart before its file changes, and until it has been restarted.

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
"""For a service's program to say whether it takes its files."""


def main(document: dict[str, Any], root: Path = Path("/"), systemctl: str = "systemctl", port: int = 443) -> None:
    """Write what differs, then restart what has to be.

    Args:
        document: `files`, each with path, owner, group, mode, service and check if there are any, and content or lines;
            or `common`, the path of such a document on the disk, with the `values` for its templates, by name, and the
            names `kept`, whose lines stay as they are where there are any.
        root: the machine's root folder; another one in tests.
        systemctl: the program; another one in tests.
        port: where a service listens whose files are checked; another one in tests.
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
    """The file with the values in the place of their names, if it is a template."""
    if not file.get("template"):
        return file
    if "lines" in file:
        return {**file, "lines": {name: Template(line).substitute(values) for name, line in file["lines"].items()}}
    return {**file, "content": Template(file["content"]).substitute(values)}


def write(file: dict[str, Any], root: Path, kept: list[str], begin: Callable[[], None] | None = None) -> None:
    """Replace the file in one step if its content differs; else mend no more than its owner and mode.

    Args:
        file: see `main`.
        root: see there.
        kept: see there.
        begin: is called before the content changes.

    Raises:
        Refused: something else than a file of this owner's is in its place, or a link on the way to it.
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
            put(path.name, at, Plain(None, new, owner, group, file["mode"], 1))
            print("wrote", file["path"])
        elif (old.uid, old.gid, old.mode) != (owner, group, file["mode"]):
            assert old.handle is not None  # noqa: S101 - it was opened
            os.fchown(old.handle, owner, group)
            os.fchmod(old.handle, file["mode"])
            print("mended owner and mode of", file["path"])


class Service:
    """What reads its files at its start only.

    Where one of the files has a check, its program is asked whether it takes the new files before it is restarted. If
    it does not, or does not start with them, those that it last started with are put back.
    """

    def __init__(self, name: str, files: list[dict[str, Any]], root: Path, systemctl: str, port: int) -> None:
        self.name, self.root, self.systemctl, self.port = name, root, systemctl, port
        self.paths = [Path(file["path"]) for file in files]
        self.check: list[str] | None = next((file["check"] for file in files if "check" in file), None)
        self.note, self.before = root / TO_RESTART / name, root / BEFORE / f"{name}.json"
        self.unknown = self.note.exists()
        """Whether an earlier run was broken off, and the service may have started with any of the files."""

    def begin(self) -> None:
        """Note that it is to be restarted, before the first of its files changes."""
        if self.check is not None and not self.before.exists():
            self.before.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            kept = json.dumps({str(path): self._kept(path) for path in self.paths})
            with folder(Path("/", BEFORE), self.root) as at:
                put(self.before.name, at, Plain(None, kept.encode(), os.geteuid(), os.getegid(), 0o600, 1))
        self.note.parent.mkdir(parents=True, exist_ok=True)
        self.note.touch()

    def _kept(self, path: Path) -> list[Any] | str | None:
        with folder(path.parent, self.root) as at, look(path, at) as file:
            if isinstance(file, Plain):
                return [file.content.decode("latin-1"), file.uid, file.gid, file.mode]
            return file.target if file else None

    def settle(self) -> str | None:
        """Restart it if it is noted, start it if it is not active; what to say if it does not come up."""
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
        refused = self._refused()
        wrong = refused or self._restart()
        if wrong is None:
            self._forget()
            return None
        said = f"{self.name} {'rejects' if refused else 'does not start with'} its new files: {wrong}"
        try:
            self._put_back()
        except (Refused, OSError) as error:
            return f"{said}\nNot all of its old files are restored: {error}. The next run tries again. {look_at}"
        goes_on = refused and not self.unknown and self._systemctl("is-active").returncode == 0
        again = None if goes_on else self._restart()
        if again is not None:
            return f"{said}\nThe old files are restored, but it does not start with them either: {again}\n{look_at}"
        self._forget()
        return (
            f"{said}\nThe old files are restored, and {self.name} runs with them. All other files are written. Correct"
            f" what it complains about, such as the certificate, and run this again. {look_at}"
        )

    def _refused(self) -> str | None:
        """What its program has against the files; None if nothing, or if it cannot be asked."""
        unit: dict[str, list[str]] = {}
        shows = "--property=ExecStart,User,Environment,EnvironmentFiles"
        for line in self._systemctl("show", shows).stdout.splitlines():
            key, _, value = line.partition("=")
            unit.setdefault(key, []).append(value)
        program = re.search(r"\bpath=([^ ;]+)", "".join(unit.get("ExecStart", [])))
        if program is None or self.check is None:
            return None  # the restart will tell
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
        if done.returncode == 0 or "flag provided but not defined" in done.stdout:  # too old to be asked
            return None
        if done.returncode in {124, 137}:  # timeout's
            return f"its check of them timed out after {CHECK_SECONDS} seconds"
        *_, last = [f"exit code {done.returncode}", *filter(str.strip, done.stdout.splitlines())]
        return shown(last)

    def _restart(self) -> str | None:
        """Why it does not come up; None if it does."""
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

    def _put_back(self) -> None:
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
                    put(path.name, at, Plain(None, content.encode("latin-1"), uid, gid, mode, 1))

    def _forget(self) -> None:
        """It runs with its files. Their old ones go first: without the note they would count as those it runs with."""
        for path in (self.before, self.note):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    def _systemctl(self, *command: str) -> subprocess.CompletedProcess[str]:
        command = (self.systemctl, *command, self.name)
        return subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
