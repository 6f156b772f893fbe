"""Meltano's version and its admin user, as an entry of tenants.yaml has them. Runs on the droplet, as root.

Idempotent: what is so already is not touched. A run that was broken off in the middle of an upgrade is undone by the
next one before it begins anew.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import pwd
import shutil
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import Any

HOME = Path("/var/meltano")
USER = "meltano"
PATIENCE = 120
"""Seconds until the page has to be there after a restart."""
ENDINGS = 3
"""How often the service may end by itself until nobody waits for the page any more: the instance is down meanwhile."""


class Failed(Exception):  # noqa: N818 - a step of ours, caught here
    """What a command said when it failed."""


def main(document: dict[str, Any]) -> None:
    """Set the version, if one is wanted, then the admin user.

    Args:
        document: `version` or None; `host_name`; `admin_script`, the path of admin.py, and what that is told:
            `username`, `password`, `keep`.
    """
    undo()
    if document["version"] is not None:
        set_version(document["version"], document["host_name"])
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
    keep_copies()
    try:
        python("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", f"meltano=={wanted}")
        run(*as_meltano(), HOME / ".venv/bin/meltano", "upgrade", "--skip-package")
        restart(host_name)
    except Failed as failed:
        undo()
        try:
            restart(host_name)
        except Failed as again:
            raise SystemExit(f"Meltano {wanted} does not come up: {failed}. Nor does {installed}: {again}") from None
        raise SystemExit(f"Meltano {wanted} does not come up, {installed} is back: {failed}") from None
    discard_copies()
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
        shutil.chown(database_copy, database.owner(), database.group())
    part = venv_copy.with_name(f"{venv_copy.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    run("cp", "--archive", venv, part)
    part.rename(venv_copy)


def undo() -> None:
    """Put the copies back, if there are any: then an upgrade did not go well, or nobody knows whether it did."""
    (venv, venv_copy), (database, database_copy) = copies().items()
    if not venv_copy.exists():
        return
    run("systemctl", "stop", "meltano")
    if database_copy.exists():
        database_copy.replace(database)
    shutil.rmtree(venv)
    venv_copy.rename(venv)
    run("systemctl", "start", "meltano")


def discard_copies() -> None:
    """The upgrade went well. Renamed first: half of a copy must not be put back."""
    (_, venv_copy), (_, database_copy) = copies().items()
    part = venv_copy.with_name(f"{venv_copy.name}.part")
    venv_copy.rename(part)
    shutil.rmtree(part)
    with contextlib.suppress(FileNotFoundError):
        database_copy.unlink()


def restart(host_name: str) -> None:
    """Restart the service and wait for its page, which has to know who asks."""
    run("systemctl", "restart", "meltano")
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            status = page(host_name)
        except (OSError, http.client.HTTPException) as error:
            reason = f"it does not answer ({error})"
        else:
            if status in {http.HTTPStatus.OK, http.HTTPStatus.UNAUTHORIZED}:
                return
            reason = f"it answers {status}"
        if (times := endings()) >= ENDINGS:
            reason = f"it ended {times} times"
        if times >= ENDINGS or time.monotonic() > deadline:
            raise Failed(f"{reason}. Look at: journalctl --unit meltano, {HOME}/project/.meltano/run/meltano-ui.log")
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
    """What a command prints, run in the project.

    Raises:
        Failed: the last line of what it said; before it libraries may have said anything.
    """
    done = subprocess.run(command, check=False, capture_output=True, text=True, input=told, cwd=HOME / "project")
    if done.returncode != 0:
        *_, last = [f"exit code {done.returncode}", *done.stderr.splitlines()]
        raise Failed(last)
    return done.stdout.strip()


def as_meltano() -> list[str]:
    """The guide's warning: only ever as this user, or files get the wrong owner. Without root's environment."""
    home, path = pwd.getpwnam(USER).pw_dir, f"PATH={HOME}/.venv/bin:/usr/bin:/bin"
    return ["runuser", "--user", USER, "--", "env", "-i", f"HOME={home}", path, "LANG=C.UTF-8", "NO_COLOR=1"]
