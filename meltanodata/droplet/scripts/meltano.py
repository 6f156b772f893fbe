"""Meltano's version and its admin user, as an entry of tenants.yaml has them. Runs on the droplet, as root.

Idempotent: what is so already is not touched. A run that was broken off in the middle of an upgrade is undone by the
next one before it begins anew.

All that is done in the user's folders is done as the user, so that no link there leads to what is not the user's.
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
PATIENCE = 120
"""Seconds until the page has to be there after a restart."""
ENDINGS = 3
"""How often the service may end by itself until nobody waits for the page any more: the instance is down meanwhile."""

KEPT_BYTES = 1 << 16
"""Of what a program prints, at its end."""


class Failed(Exception):  # noqa: N818 - a step of ours, caught here
    """What a command said when it failed."""


def main(document: dict[str, Any]) -> None:
    """Set the version, if one is wanted, then the admin user.

    Args:
        document: `version` or None; `host_name`; `admin_script`, the path of admin.py, and what that is told:
            `username`, `password`, `keep`.
    """
    try:
        undo()
        if document["version"] is not None:
            set_version(document["version"], document["host_name"])
    except Failed as failed:
        raise SystemExit(f"Meltano's version cannot be set: {failed}") from None
    told = json.dumps({name: document[name] for name in ("username", "password", "keep")})
    try:
        print(python(document["admin_script"], told=told))
    except Failed as failed:
        raise SystemExit(f"the admin user is not set: {failed}") from None


def set_version(wanted: str, host_name: str) -> None:
    """The guide's Upgrade a Meltano instance, and back if the page does not come up.

    The virtual environment is changed where it is, since its scripts know their path, and a copy of it is kept
    beside it for as long as that is not known to have gone well.
    """
    installed = version()
    if installed == wanted:
        print("Meltano", installed, "is installed")
        return
    as_user(keep_copies)
    try:
        python("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", f"meltano=={wanted}")
        run(*as_meltano(), HOME / ".venv/bin/meltano", "upgrade", "--skip-package")
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


def copies() -> dict[Path, Path]:
    """What an upgrade changes, and where its copy is; the first one's copy, made last, stands for both."""
    return {
        HOME / ".venv": HOME / ".venv.before",
        HOME / "project/.meltano/meltano.db": HOME / "project/.meltano/meltano.db.before",
    }


def keep_copies() -> None:
    """Copy Meltano's own database, unless it is elsewhere, and its virtual environment."""
    (venv, venv_copy), (database, database_copy) = copies().items()
    with contextlib.suppress(FileNotFoundError):
        database_copy.unlink()
    if database.exists():
        old, new = sqlite3.connect(database), sqlite3.connect(database_copy)
        with contextlib.closing(old), contextlib.closing(new):
            old.backup(new)
        shutil.copystat(database, database_copy)
    part = venv_copy.with_name(f"{venv_copy.name}.part")
    remove(part)
    run("cp", "--archive", venv, part)
    part.rename(venv_copy)


def undo() -> None:
    """Put the copies back, if there are any: then an upgrade did not go well, or nobody knows whether it did."""
    if not as_user(undone_halfway):
        return
    run("systemctl", "stop", "meltano")
    as_user(put_copies_back)
    run("systemctl", "start", "meltano")
    as_user(discard_failed)


def undone_halfway() -> str:
    """Says something if there is a copy to be put back, or one that was and the service may not have been started."""
    _, venv_copy = next(iter(copies().items()))
    return "yes" if venv_copy.exists() or failed_venv().exists() else ""


def failed_venv() -> Path:
    """The virtual environment that the copy replaced."""
    return HOME / ".venv.failed"


def put_copies_back() -> None:
    """Once more from the beginning, where an earlier run was broken off."""
    (venv, venv_copy), (database, database_copy) = copies().items()
    if not venv_copy.exists():
        return
    if database_copy.exists():
        database_copy.replace(database)
    remove(failed_venv())
    failed_venv().mkdir()
    move(venv, failed_venv())
    venv_copy.rename(venv)


def discard_failed() -> None:
    """The service has been started with the copy."""
    remove(failed_venv())


def discard_copies() -> None:
    """The upgrade went well. Not in place: half of a copy must not be put back."""
    (_, venv_copy), (_, database_copy) = copies().items()
    remove(venv_copy)
    with contextlib.suppress(FileNotFoundError):
        database_copy.unlink()


def remove(folder: Path) -> None:
    """Remove a folder, if it is there, and what is left of earlier ones; at once under its name."""
    prefix = ".venv.gone-"
    if folder.exists():
        move(folder, Path(tempfile.mkdtemp(prefix=prefix, dir=HOME), folder.name))
    for gone in HOME.glob(f"{prefix}*"):
        shutil.rmtree(gone, ignore_errors=True)  # somebody may have installed something as root: that stays


def move(folder: Path, to: Path) -> None:
    """Away with a folder, if it is there, in one step; by removing it where it cannot be renamed."""
    try:
        folder.rename(to)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno != errno.EXDEV:  # a mount, or of another layer of the disk
            raise
        shutil.rmtree(folder)


def restart(host_name: str) -> None:
    """Restart the service and wait for its page, which has to know who asks."""
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
        if (times := endings()) >= ENDINGS:
            reason = f"it crashed {times} times"
        if times >= ENDINGS or time.monotonic() > deadline:
            raise Failed(f"{reason}. Look at: journalctl --unit meltano, {UI_LOG}")
        time.sleep(0.5)


def endings() -> int:
    """How often the service has ended by itself and been started again since it was started by somebody."""
    return int(run("systemctl", "show", "--property=NRestarts", "--value", "meltano") or 0)


def page(host_name: str) -> int:
    """The status of what Meltano says of who we are, asked as Caddy asks it."""
    connection = http.client.HTTPConnection("127.0.0.1", 5000, timeout=30)
    connection.request("GET", "/api/v1/identity", headers={"Host": host_name})
    return connection.getresponse().status


def version() -> str:
    """Of the Meltano that is installed."""
    return python("-c", "from importlib.metadata import version; print(version('meltano'))")


def python(*arguments: str, told: str = "") -> str:
    """Run Python in Meltano's virtual environment, as the user meltano; what it prints."""
    return run(*as_meltano(), HOME / ".venv/bin/python", *arguments, told=told)


def run(*command: str | Path, told: str = "") -> str:
    """What a command prints.

    Only the last line, and not a long one: most of what is run is in the user's environment, and what it prints goes to
    the stack's state and to the operator's terminal.

    Raises:
        Failed: the last line of what it said; before it libraries may have said anything.
    """
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, cwd="/") as process:
        assert process.stdin and process.stdout and process.stderr  # noqa: S101, PT018 - pipes
        with ThreadPoolExecutor(2) as readers:
            printed, said = readers.submit(end_of, process.stdout), readers.submit(end_of, process.stderr)
            with contextlib.suppress(BrokenPipeError):  # it ended without being told
                process.stdin.write(told.encode())
                process.stdin.flush()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
    if process.returncode != 0:
        raise Failed(last_line(said.result()) or f"exit code {process.returncode}")
    return last_line(printed.result())


def end_of(stream: IO[bytes]) -> bytes:
    """The last bytes of a stream, however many it has."""
    kept = b""
    while chunk := stream.read(KEPT_BYTES):
        kept = (kept + chunk)[-KEPT_BYTES:]
    return kept


def last_line(output: bytes) -> str:
    """The last line that says something, for a person; empty if there is none."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    return shown(lines[-1]) if lines else ""


def as_meltano() -> list[str]:
    """The guide's warning: only ever as this user, or files get the wrong owner. Without root's environment."""
    home, path = pwd.getpwnam(MELTANO_USER).pw_dir, f"PATH={HOME}/.venv/bin:/usr/bin:/bin"
    in_project = ["env", "-i", f"--chdir={HOME}/project"]
    return ["runuser", "--user", MELTANO_USER, "--", *in_project, f"HOME={home}", path, "LANG=C.UTF-8", "NO_COLOR=1"]


def as_user(step: Callable[[], str | None]) -> str:
    """What a step returns, taken as the user meltano in a process of its own.

    Raises:
        Failed: it failed.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status, said = 1, ""
        try:
            drop_privileges()
            status, said = 0, step() or ""
        except BaseException as error:  # noqa: BLE001 - told below, since nothing of this process may go on
            said = str(error) if isinstance(error, Failed) else f"{type(error).__name__}: {error}"
        finally:
            os.write(writing, said.encode(errors="replace")[:1000])
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, errors="replace") as stream:
        answer = stream.read()
    if os.waitpid(child, 0)[1] != 0:
        raise Failed(shown(" ".join(answer.split())) or "what was done as the user meltano was ended")
    return answer


def drop_privileges() -> None:
    """Be the user meltano from now on."""
    user = pwd.getpwnam(MELTANO_USER)
    os.initgroups(MELTANO_USER, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
