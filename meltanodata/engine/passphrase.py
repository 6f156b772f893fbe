"""What to do about a passphrase that the CLI does not have; Pulumi's own words name it last, after its layers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_FILE = "PULUMI_CONFIG_PASSPHRASE_FILE"
_UNSET = "passphrase must be set with"
_UNREADABLE = f"unable to read {_FILE}"
_WRONG = "incorrect passphrase"
"""Pulumi's words (pkg/secrets/passphrase/manager.go)."""


def advice(stderr: str, environment: Mapping[str, str]) -> str | None:
    """What is wrong with the passphrase, where the CLI failed because of it; otherwise None."""
    path = environment.get(_FILE, "")
    if _UNSET in stderr:
        return (
            f"{_FILE} is not set, so the stack's secrets cannot be read. Set it to the file with the passphrase, for"
            f" example: export {_FILE}=~/.config/meltanodata/passphrase"
        )
    if _UNREADABLE in stderr:
        why = "cannot be read" if Path(path).exists() else "does not exist"
        return (
            f"{_FILE} is {path!r}, and that file {why}. Write the stack's passphrase there, or set the variable to"
            " the file that has it"
        )
    if _WRONG in stderr:
        source = f"that {_FILE} names ({path!r})" if path else "in the environment"
        return f"The passphrase {source} is not this stack's. Set {_FILE} to the file that has it"
    return None
