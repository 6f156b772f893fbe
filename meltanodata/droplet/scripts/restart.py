"""The guide's restart of Caddy, and of Meltano. Runs on the droplet, as root; changes no file."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import time
from pathlib import Path
from typing import Any, Literal

from meltanodata.droplet.scripts.foreign import shown
from meltanodata.droplet.scripts.health import ask, page_problem, service_state

RestartCode = Literal["restarted", "rejected", "not_started"]
"""What came of a service: `rejected` still runs as it did, since its program would not take its files again."""
CHECK_SECONDS = 30
"""For a service's program to check its files."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Of a service without one."""


def main(document: dict[str, Any], systemctl: str = "systemctl", caddy: tuple[str, int] = ("127.0.0.1", 443)) -> None:
    """Restart services, wait for the page, and print what came of it, as JSON: `services` and `page`.

    Args:
        document: `host_name`; `services`, each with `name` and `check`, the arguments with which its program checks its
            files, or None; `seconds` to wait for the page at most.
        systemctl: the program; another one in tests.
        caddy: where it listens; elsewhere in tests.
    """
    outcomes = {service["name"]: restarted(systemctl, **service) for service in document["services"]}
    deadline = time.monotonic() + document["seconds"]
    while (page := page_problem(document["host_name"], None, caddy)) is not None and time.monotonic() < deadline:
        if any(service_state(systemctl, name) in {"failed", "inactive"} for name in outcomes):
            break
        time.sleep(0.5)
    for name, outcome in outcomes.items():
        # systemctl may be back before the program has read its files.
        if outcome["code"] == "restarted" and (state := service_state(systemctl, name)) != "active":
            outcomes[name] = {"code": "not_started", "detail": f"it is {state or 'silent'}"}
    print(json.dumps({"services": outcomes, "page": page and page._asdict()}))


def restarted(systemctl: str, name: str, check: list[str] | None) -> dict[str, str]:
    """What came of a service, `code` and `detail`; one that runs is not stopped if it would not start again."""
    rejection = rejected_by_its_program(systemctl, name, check) if check else None
    if rejection is not None:
        return {"code": "rejected", "detail": rejection}
    subprocess.run([systemctl, "reset-failed", name], check=False, capture_output=True)  # or it may not start again
    done = subprocess.run([systemctl, "restart", name], check=False, capture_output=True, text=True, errors="replace")
    return {"code": "not_started" if done.returncode else "restarted", "detail": shown(done.stderr)}


def rejected_by_its_program(systemctl: str, name: str, check: list[str]) -> str | None:
    """Why a running service's program rejects its files, asked as it runs; None if it accepts them, or cannot check.

    `write_files` reads the answer alike, and shares no part with this: its text is an input of every tenant's Commands.
    """
    process = Path("/proc", ask(systemctl, "show", "--property=MainPID", "--value", name) or "0")
    try:
        program = os.readlink(process / "exe")  # noqa: PTH115 - Python 3.8
        user = pwd.getpwuid(process.stat().st_uid).pw_name
        lines = (process / "environ").read_text(errors="replace").split("\0")
    except (OSError, KeyError):
        return None  # it does not run: the restart shows it
    as_user = [] if os.geteuid() else ["runuser", "--user", user, "--"]
    done = subprocess.run(
        ["timeout", "--kill-after=5", str(CHECK_SECONDS), *as_user, program, *check],
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd="/",
        env={"PATH": PATH, **dict(line.split("=", 1) for line in lines if "=" in line)},
    )
    # Too old to check, or its file was replaced since its start.
    if done.returncode in {0, 126, 127} or "flag provided but not defined" in done.stdout:
        return None
    if done.returncode in {124, 137}:  # timeout's
        return f"its check of them timed out after {CHECK_SECONDS} seconds"
    *_, last = [f"exit code {done.returncode}", *filter(str.strip, done.stdout.splitlines())]
    return shown(last)
