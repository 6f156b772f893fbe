"""Make a droplet's files as they should be, and restart what read their old content. Runs on the droplet, as root.

Idempotent: a second run finds nothing to do. A run killed at any moment is finished by the next one, since a service
is noted on the disk as one to restart before its file changes, and until it has been restarted.
"""

from __future__ import annotations

import contextlib
import grp
import json
import os
import pwd
import re
import subprocess
import tempfile
from pathlib import Path
from string import Template
from typing import Any

TO_RESTART = "var/lib/meltanodata/restart"
"""A folder with an empty file for each service whose files changed since it started."""


def main(document: dict[str, Any], root: Path = Path("/"), systemctl: str = "systemctl") -> None:
    """Write what differs, then restart what has to be.

    Args:
        document: `files`, each with path, owner, group, mode, service if there is one, and content or lines; or
            `common`, the path of such a document on the disk, with the `values` for its templates, by name, and the
            names `kept`, whose lines stay as they are where there are any.
        root: the machine's root folder; another one in tests.
        systemctl: the program; another one in tests.
    """
    if "common" in document:
        common = json.loads((root / document["common"].lstrip("/")).read_text(encoding="utf-8"))
        files = [filled(file, document["values"]) for file in common["files"]]
    else:
        files = document["files"]
    for file in files:
        write(file, root, document.get("kept", []))
    services = dict.fromkeys(file["service"] for file in files if "service" in file)
    failures = [restart(service, root / TO_RESTART / service, systemctl) for service in services]
    if any(failures):
        raise SystemExit("\n".join(filter(None, failures)))


def filled(file: dict[str, Any], values: dict[str, str]) -> dict[str, Any]:
    """The file with the values in the place of their names, if it is a template."""
    if not file.get("template"):
        return file
    if "lines" in file:
        return {**file, "lines": {name: Template(line).substitute(values) for name, line in file["lines"].items()}}
    return {**file, "content": Template(file["content"]).substitute(values)}


def write(file: dict[str, Any], root: Path, kept: list[str]) -> None:
    """Replace the file in one step if its content differs; else mend no more than its owner and mode."""
    path = root / file["path"].lstrip("/")
    old = read(path)
    new = with_lines(old or b"", file["lines"], kept) if "lines" in file else file["content"].encode()
    owner, group = pwd.getpwnam(file["owner"]).pw_uid, grp.getgrnam(file["group"]).gr_gid
    if new == old:
        status = path.stat()
        if (status.st_uid, status.st_gid, status.st_mode & 0o7777) != (owner, group, file["mode"]):
            os.chown(path, owner, group)
            path.chmod(file["mode"])
            print("mended owner and mode of", file["path"])
        return
    if "service" in file:
        note = root / TO_RESTART / file["service"]
        note.parent.mkdir(parents=True, exist_ok=True)
        note.touch()
    handle, temporary = tempfile.mkstemp(prefix=".meltanodata-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(new)
            os.fchown(handle, owner, group)
            os.fchmod(handle, file["mode"])
            stream.flush()
            os.fsync(handle)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
        raise
    print("wrote", file["path"])


def read(path: Path) -> bytes | None:
    """The file's content; None where there is no file. A link is none: its owner must not lead root elsewhere."""
    if path.is_symlink():
        return None
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    return None


def with_lines(old: bytes, lines: dict[str, str], kept: list[str]) -> bytes:
    """The text with one line for each name, where the first such line was, else at the end; the rest stays.

    A line that says the same in another way (quotes, a comment) stays too, so that nothing is restarted for it; and
    one whose name is among the kept ones, whatever it says.
    """
    wanted = dict(lines)
    new = []
    for line in old.decode("utf-8", "surrogateescape").splitlines():
        name = re.match(r"\s*(?:export\s+)?(\w+)\s*=", line)
        if name is None or name[1] not in lines:
            new.append(line)
        elif name[1] in wanted:
            ours = wanted.pop(name[1])
            new.append(line if name[1] in kept or value(line) == value(ours) else ours)
    return "".join(f"{line}\n" for line in [*new, *wanted.values()]).encode("utf-8", "surrogateescape")


def value(line: str) -> str:
    """What a line of a .env file sets, without quotes and comment; with escapes or variables, as it stands."""
    text = line.split("=", 1)[1].strip()
    quoted = re.fullmatch(r"""(['"])([^'"\\$]*)\1\s*(#.*)?""", text)
    if quoted:
        return quoted[2]
    return text if text[:1] in {"'", '"'} else re.sub(r"\s+#.*", "", text)


def restart(service: str, note: Path, systemctl: str) -> str | None:
    """Restart a service if it is noted, start it if it is not active; what to say if it does not come up."""

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([systemctl, *command, service], check=False, capture_output=True, text=True)

    if not note.exists() and run("is-active").returncode == 0:
        return None
    run("reset-failed")  # a service that failed too often is not started again otherwise
    done = run("restart")
    if done.returncode != 0:
        return f"{service} does not start: {done.stderr.strip()}\nLook at: journalctl --unit {service} --lines 50"
    with contextlib.suppress(FileNotFoundError):
        note.unlink()
    print("restarted", service)
    return None
