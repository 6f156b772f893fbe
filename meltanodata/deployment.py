"""What `pulumi stack export` tells: the stack's state as the engine keeps it.

Its form is Pulumi's own, version 3: https://www.pulumi.com/docs/iac/cli/commands/pulumi_stack_export/.
"""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

from meltanodata.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

NEEDED = "The program asks it for the stack's state, to know what has to be imported"


def export(stack: str) -> dict[str, Any]:
    """The state of a stack, its secrets encrypted; takes no lock and needs no passphrase.

    Args:
        stack: the stack's name, alone or with organization and project.

    Raises:
        UserError: when there is no CLI, no stack, or no access to the backend.
    """
    command = ["pulumi", "stack", "export", "--stack", stack]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    except FileNotFoundError:
        raise UserError("pulumi is not on the PATH; put its folder there") from None
    if done.returncode != 0:
        raise UserError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
    exported: dict[str, Any] = json.loads(done.stdout)
    return exported


def resources(exported: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The state's resources, in its order; none for a stack that was never applied."""
    found: list[dict[str, Any]] = exported["deployment"].get("resources") or []
    return found


def name(urn: str) -> str:
    """A resource's name: https://www.pulumi.com/docs/iac/concepts/resources/names/#urns."""
    return urn.rsplit("::", 1)[1]


def ids(exported: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """The ids that the state knows, by Pulumi's type and the resource's name; without what is only to be deleted."""
    return {
        (resource["type"], name(resource["urn"])): resource["id"]
        for resource in resources(exported)
        if resource.get("id") and not resource.get("delete")
    }
