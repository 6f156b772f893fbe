"""The admin user of an instance: the guide's step 4, Change Login Password. Runs on the droplet, as root.

Idempotent: a password that is so already is not set again.
"""

from __future__ import annotations

import json
import pwd
import subprocess
from typing import Any

USER = "meltano"
PROJECT = "/var/meltano/project"
PYTHON = "/var/meltano/.venv/bin/python"


def main(document: dict[str, Any], become: list[str] | None = None) -> None:
    """Let Meltano's own code make the admin, as the user meltano, in the project.

    Args:
        document: `admin_script`, the text of admin.py, and what it is told: `username`, `password`.
        become: what runs a command as the user meltano; another one in tests.
    """
    told = json.dumps({name: document[name] for name in ("username", "password")})
    command = [*(become or as_meltano()), PYTHON, "-c", document["admin_script"]]
    done = subprocess.run(command, check=False, capture_output=True, text=True, input=told, cwd=PROJECT)
    if done.returncode != 0:
        # The last line is the script's own; before it Meltano's libraries may have said anything.
        *_, last = [f"exit code {done.returncode}", *done.stderr.splitlines()]
        raise SystemExit(f"the admin user is not set: {last}")
    print(done.stdout.strip())


def as_meltano() -> list[str]:
    """The guide's warning: only ever as this user, or files get the wrong owner. Without root's environment."""
    home = pwd.getpwnam(USER).pw_dir
    path = f"PATH={PYTHON.rsplit('/', 1)[0]}:/usr/bin:/bin"
    return ["runuser", "--user", USER, "--", "env", "-i", f"HOME={home}", path, "LANG=C.UTF-8", "NO_COLOR=1"]
