"""Pulumi's CLI as our commands run it."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

from meltanodata.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path


def preview(stack: str, folder: Path) -> dict[str, Any]:
    """What `pulumi preview --json` prints; a preview that fails says why in its diagnostics.

    Args:
        stack: the stack's name.
        folder: the one with Pulumi.yaml.

    Raises:
        UserError: there is no CLI, or it did not get as far as a preview (no such stack, no access to its state).
    """
    command = ["pulumi", "preview", "--json", "--non-interactive", "--stack", stack]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise UserError("pulumi is not on the PATH; put its folder there") from None
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise UserError(f"`{' '.join(command)}` failed: {done.stderr.strip() or done.stdout.strip()}") from None
    if done.returncode != 0 and not any(line.get("severity") == "error" for line in found.get("diagnostics") or []):
        found.setdefault("diagnostics", []).append({"severity": "error", "message": done.stderr.strip()})
    return found
