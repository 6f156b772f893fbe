"""Set Meltano's version and its admin user, as an entry of tenants.yaml states them. Runs on the droplet, as root.

Idempotent. The next run undoes an upgrade that was killed, then begins anew.

Each step in the user's folders runs as the user, so that no link there leads to what is not the user's.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import json
import os
import pwd
import shutil
import sqlite3
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from meltanodata.droplet.layout import MELTANO_HOME, MELTANO_USER, UI_LOG
from meltanodata.droplet.scripts.foreign import shown

if TYPE_CHECKING:
    from collections.abc import Callable

HOME = Path(MELTANO_HOME)
VENV, VENV_COPY = ".venv", ".venv.before"
"""Below `HOME`. The copy, made last and put back last, says that an upgrade has not gone well."""
VENV_FAILED = ".venv.failed"
"""The virtual environment that the copy replaced, until the service has been started."""
DATABASE, DATABASE_COPY = "project/.meltano/meltano.db", "project/.meltano/meltano.db.before"
"""Meltano's own database, unless it is elsewhere."""
PATIENCE = 120
"""Seconds until the page has to answer after a restart."""
MAX_CRASHES = 3
"""Of the service, after which waiting for the page ends: the instance is down meanwhile."""
KEPT_BYTES = 1 << 16
"""Of a program's output, at its end."""


class Failed(Exception):  # noqa: N818 - a step of ours, caught here
    """A command's error message."""


def main(document: dict[str, Any]) -> None:
    """Set the version, then the admin user.

    The document has `version` (None leaves it alone), `host_name`, `admin_script` (the path of admin.py) and that
    script's `username`, `password` and `keep`.
    """
    try:
        undo()
        if document["version"] is not None:
            set_version(document["version"], document["host_name"])
    except Failed as failed:
        raise SystemExit(f"Meltano's version cannot be set: {failed}") from None
    login = json.dumps({name: document[name] for name in ("username", "password", "keep")})
    try:
        print(python(document["admin_script"], stdin=login))
    except Failed as failed:
        raise SystemExit(f"the admin user is not set: {failed}") from None


def set_version(wanted: str, host_name: str) -> None:
    """Upgrade as the guide's "Upgrade a Meltano instance" does, and undo that if the page does not come up.

    The virtual environment is changed in place, since its scripts know their path. A copy beside it is kept until the
    upgrade has gone well.
    """
    installed = python("-c", "from importlib.metadata import version; print(version('meltano'))")
    if installed == wanted:
        print("Meltano", installed, "is installed")
        return
    as_user(keep_copies)
    try:
        python("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", f"meltano=={wanted}")
        run(*as_meltano(), HOME / VENV / "bin/meltano", "upgrade", "--skip-package")
        restart(host_name)
    except Failed as failed:
        undo()
        try:
            restart(host_name)
        except Failed as again:
            raise SystemExit(f"Meltano {wanted} does not work: {failed}. Neither does {installed}: {again}") from None
        raise SystemExit(f"Meltano {wanted} does not work, {installed} is restored: {failed}") from None
    as_user(discard_copies)
    print("Meltano", wanted, "is installed, before it was", installed)


def keep_copies() -> None:
    """Copy Meltano's own database and its virtual environment."""
    database, database_copy = HOME / DATABASE, HOME / DATABASE_COPY
    database_copy.unlink(missing_ok=True)
    if database.exists():
        old, new = sqlite3.connect(database), sqlite3.connect(database_copy)
        with contextlib.closing(old), contextlib.closing(new):
            old.backup(new)
        shutil.copystat(database, database_copy)
    part = HOME / f"{VENV_COPY}.part"
    remove(part)
    run("cp", "--archive", HOME / VENV, part)
    part.rename(HOME / VENV_COPY)


def undo() -> None:
    """Put the copies back, if there are any: then an upgrade failed, or was killed."""
    if not as_user(needs_undo):
        return
    run("systemctl", "stop", "meltano")
    as_user(put_copies_back)
    run("systemctl", "start", "meltano")
    as_user(lambda: remove(HOME / VENV_FAILED))


def needs_undo() -> str:
    """Not empty if there is a copy to put back, or one was and the service may not have been started."""
    return "yes" if (HOME / VENV_COPY).exists() or (HOME / VENV_FAILED).exists() else ""


def put_copies_back() -> None:
    """Restore the database, then the virtual environment; from the beginning where an earlier run was killed."""
    venv, venv_copy, venv_failed = HOME / VENV, HOME / VENV_COPY, HOME / VENV_FAILED
    if not venv_copy.exists():
        return
    if (HOME / DATABASE_COPY).exists():
        (HOME / DATABASE_COPY).replace(HOME / DATABASE)
    remove(venv_failed)
    venv_failed.mkdir()
    move(venv, venv_failed)
    venv_copy.rename(venv)


def discard_copies() -> None:
    """The upgrade went well. The copy goes in one step: half of it must not be put back."""
    remove(HOME / VENV_COPY)
    (HOME / DATABASE_COPY).unlink(missing_ok=True)


def remove(folder: Path) -> None:
    """Remove a folder, if it exists, by renaming it first; also what is left of earlier removals."""
    prefix = ".venv.gone-"
    if folder.exists():
        move(folder, Path(tempfile.mkdtemp(prefix=prefix, dir=HOME), folder.name))
    for gone in HOME.glob(f"{prefix}*"):
        shutil.rmtree(gone, ignore_errors=True)  # what somebody has installed as root stays


def move(folder: Path, to: Path) -> None:
    """Move a folder, if it exists, in one step; remove it where it cannot be renamed."""
    try:
        folder.rename(to)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno != errno.EXDEV:  # a mount, or of another layer of the disk
            raise
        shutil.rmtree(folder)


def restart(host_name: str) -> None:
    """Restart the service and wait until its page answers.

    Raises:
        Failed: it does not, or the service crashes again and again.
    """
    run("systemctl", "restart", "meltano")
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            status = page(host_name)
        except (OSError, http.client.HTTPException) as error:
            reason = f"it does not answer ({shown(str(error))})"
        else:
            if status in {http.HTTPStatus.OK, http.HTTPStatus.UNAUTHORIZED}:
                return
            reason = f"it answers {status}"
        crashes = int(run("systemctl", "show", "--property=NRestarts", "--value", "meltano") or 0)
        if crashes >= MAX_CRASHES:
            reason = f"it crashed {crashes} times"
        if crashes >= MAX_CRASHES or time.monotonic() > deadline:
            raise Failed(f"{reason}. Look at: journalctl --unit meltano, {UI_LOG}")
        time.sleep(0.5)


def page(host_name: str) -> int:
    """The status of Meltano's answer to a request for the host name, as Caddy sends it."""
    connection = http.client.HTTPConnection("127.0.0.1", 5000, timeout=30)
    connection.request("GET", "/api/v1/identity", headers={"Host": host_name})
    return connection.getresponse().status


def python(*arguments: str, stdin: str = "") -> str:
    """Run Python in Meltano's virtual environment, as the user meltano; see `run`."""
    return run(*as_meltano(), HOME / VENV / "bin/python", *arguments, stdin=stdin)


def run(*command: str | Path, stdin: str = "") -> str:
    """The last line that a command prints, shortened.

    Most commands are of the user's environment, and their output goes to the stack's state and to the operator's
    terminal.

    Raises:
        Failed: the last line of its standard error; libraries may have written anything before it.
    """
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, cwd="/") as process:
        assert process.stdin and process.stdout and process.stderr  # noqa: S101, PT018 - pipes
        with ThreadPoolExecutor(2) as readers:
            stdout, stderr = readers.submit(end_of, process.stdout), readers.submit(end_of, process.stderr)
            with contextlib.suppress(BrokenPipeError):  # it ended without reading
                process.stdin.write(stdin.encode())
                process.stdin.flush()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
    if process.returncode != 0:
        raise Failed(last_line(stderr.result()) or f"exit code {process.returncode}")
    return last_line(stdout.result())


def end_of(stream: IO[bytes]) -> bytes:
    """The last bytes of a stream."""
    kept = b""
    while chunk := stream.read(KEPT_BYTES):
        kept = (kept + chunk)[-KEPT_BYTES:]
    return kept


def last_line(output: bytes) -> str:
    """The last line that is not empty, for a person."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    return shown(lines[-1]) if lines else ""


def as_meltano() -> list[str]:
    """What runs a command as the user meltano, without root's environment: as root, files get a wrong owner."""
    home, path = pwd.getpwnam(MELTANO_USER).pw_dir, f"PATH={HOME / VENV}/bin:/usr/bin:/bin"
    in_project = ["env", "-i", f"--chdir={HOME}/project"]
    return ["runuser", "--user", MELTANO_USER, "--", *in_project, f"HOME={home}", path, "LANG=C.UTF-8", "NO_COLOR=1"]


def as_user(step: Callable[[], str | None]) -> str:
    """What a step returns, run as the user meltano in a process of its own.

    Raises:
        Failed: it failed.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status, answer = 1, ""
        try:
            drop_privileges()
            status, answer = 0, step() or ""
        except BaseException as error:  # noqa: BLE001 - the parent raises it; nothing of this process may go on
            answer = str(error) if isinstance(error, Failed) else f"{type(error).__name__}: {error}"
        finally:
            os.write(writing, answer.encode(errors="replace")[:1000])
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, errors="replace") as stream:
        answer = stream.read()
    if os.waitpid(child, 0)[1] != 0:
        raise Failed(shown(" ".join(answer.split())) or "the process of the user meltano was killed")
    return answer


def drop_privileges() -> None:
    """Become the user meltano."""
    user = pwd.getpwnam(MELTANO_USER)
    os.initgroups(MELTANO_USER, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
