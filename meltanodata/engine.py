"""Pulumi's CLI as our commands run it."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any, NoReturn

from meltanodata.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def preview(stack: str, folder: Path) -> dict[str, Any]:
    """What `pulumi preview --json` prints; a preview that fails says why in its diagnostics.

    Args:
        stack: the stack's name.
        folder: the one with Pulumi.yaml.

    Raises:
        UserError: there is no CLI, or it did not get as far as a preview (no such stack, no access to its state).
    """
    command = ["preview", "--json", "--non-interactive", "--stack", stack]
    done = _run(command, folder)
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise _failed(command, done) from None
    if done.returncode != 0 and not any(line.get("severity") == "error" for line in found.get("diagnostics") or []):
        found.setdefault("diagnostics", []).append({"severity": "error", "message": done.stderr.strip()})
    return found


def export(stack: str, folder: Path) -> dict[str, Any]:
    """The stack's state as `pulumi stack export` prints it, secrets encrypted; needs neither lock nor passphrase.

    Raises:
        UserError: there is no CLI, no such stack, or no access to its state.
    """
    found: dict[str, Any] = json.loads(_call(["stack", "export", "--stack", stack], folder))
    return found


def replace_state(stack: str, folder: Path, exported: Mapping[str, Any]) -> None:
    """Put a state in the place of the stack's, as `pulumi stack import` does.

    Raises:
        UserError: as for `export`, and when the stack is locked.
    """
    _call(["stack", "import", "--stack", stack], folder, stdin=json.dumps(exported))


def refresh(stack: str, folder: Path, urns: Sequence[str]) -> None:
    """Let the state forget those of these resources that are gone.

    Raises:
        UserError: as for `replace_state`, and when an account cannot be asked.
    """
    targets = [argument for urn in urns for argument in ("--target", urn)]
    _call(["refresh", "--yes", "--skip-preview", "--non-interactive", "--stack", stack, *targets], folder)


def backend(folder: Path) -> str:
    """Where the states are: the URL that somebody logged in to, or that PULUMI_BACKEND_URL names."""
    url: str = json.loads(_call(["whoami", "--verbose", "--json"], folder))["url"]
    return url


def cancel(stack: str, folder: Path) -> None:
    """Remove the stack's locks."""
    _call(["cancel", "--yes", "--stack", stack], folder)


def become_up(stack: str, folder: Path, args: Sequence[str]) -> NoReturn:
    """Go on as `pulumi up`: terminal, signals and exit code are its own from here on."""
    os.chdir(folder)
    os.execvp("pulumi", ["pulumi", "up", "--stack", stack, *args])  # noqa: S606 - nothing in it needs a shell


def _call(command: Sequence[str], folder: Path, stdin: str | None = None) -> str:
    done = _run(command, folder, stdin)
    if done.returncode != 0:
        raise _failed(command, done)
    return done.stdout


def _run(command: Sequence[str], folder: Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["pulumi", *command], cwd=folder, input=stdin, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise UserError("pulumi is not on the PATH; put its folder there") from None


def _failed(command: Sequence[str], done: subprocess.CompletedProcess[str]) -> UserError:
    return UserError(f"`pulumi {' '.join(command)}` failed: {done.stderr.strip() or done.stdout.strip()}")
