"""The files of the sandbox's project folder: what an operator has in the repository, and can edit here without harm."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import yaml

from sandbox.home import PROJECT
from sandbox.keys import issue_wildcard, load_ca, write

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sandbox.keys import Keys

_BRANCH = "main"
_GIT_IGNORE = "/.prepared\n/.checkout.yaml\n/.certificate-*/\n/com.meltanodata.*\n/plan*\n__pycache__/\n"
_RENEWED = ("com.meltanodata.crt", "com.meltanodata.key")
"""As the MeltanoData guide names the files of the wildcard certificate."""
_VALID = dt.timedelta(days=90)


def described() -> dict[str, Any]:
    """What Pulumi.yaml says: as the checkout's, with the virtual environment by its path, which has the program."""
    description: dict[str, Any] = yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())
    return description | {"runtime": {"name": "python", "options": {"virtualenv": sys.prefix}}}


def make(folder: Path, description: Mapping[str, Any]) -> None:
    """Write Pulumi.yaml and `__main__.py`, and a first tenants.yaml, which is the checkout's."""
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump(description, sort_keys=False))
    shutil.copy(PROJECT / "__main__.py", folder)
    for name in ("tenants.yaml", "tenants.schema.json"):
        if not (folder / name).exists():
            shutil.copy(PROJECT / name, folder)


def equip(folder: Path, keys: Keys, domain: str) -> None:
    """Add what the how-to pages start from: a git repository with the branch origin/main, and a renewed certificate.

    What is there stays.
    """
    if not (folder / _RENEWED[1]).exists():
        now = dt.datetime.now(dt.UTC)
        begin = now - dt.timedelta(minutes=5)  # clocks of two machines differ
        certificate, key = issue_wildcard(domain, *load_ca(keys), not_before=begin, not_after=now + _VALID)
        write(folder / _RENEWED[0], certificate, 0o644)
        write(folder / _RENEWED[1], key, 0o600)
    if shutil.which("git") and not (folder / ".git").exists():
        (folder / ".gitignore").write_text(_GIT_IGNORE)
        _git(folder, "init", "--quiet", "--initial-branch", _BRANCH, "--template=")
        _git(folder, "add", "--all")
        _git(folder, "commit", "--quiet", "--message", "The sandbox's tenants")
        _git(folder, "update-ref", f"refs/remotes/origin/{_BRANCH}", "HEAD")


def _git(folder: Path, *arguments: str) -> None:
    settings = ("user.name=Sandbox", "user.email=sandbox@localhost", "commit.gpgsign=false", "core.hooksPath=/dev/null")
    options = [option for setting in settings for option in ("-c", setting)]
    # In a hook these variables would lead to the repository whose hook it is.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    subprocess.run(["git", *options, *arguments], cwd=folder, env=environment, check=True)
