"""The admin user of an instance: the guide's step 4, Change Login Password. Runs on the droplet, as root.

Idempotent: a password that is so already is not set again.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

PROJECT = "/var/meltano/project"
PYTHON = "/var/meltano/.venv/bin/python"


def main(document: dict[str, Any], as_meltano: tuple[str, ...] = ("runuser", "--user", "meltano", "--")) -> None:
    """Let Meltano's own code make the user, as the user meltano, in the project.

    Args:
        document: `admin_script`, the text of admin.py, and what it is told: `username`, `password`.
        as_meltano: what runs a command as that user; another one in tests.
    """
    told = json.dumps({name: document[name] for name in ("username", "password")})
    command = [*as_meltano, PYTHON, "-c", document["admin_script"]]
    done = subprocess.run(command, check=False, capture_output=True, text=True, input=told, cwd=PROJECT)
    if done.returncode != 0:
        raise SystemExit(f"the admin user is not set:\n{done.stderr.strip()}")
    print(done.stdout.strip())
