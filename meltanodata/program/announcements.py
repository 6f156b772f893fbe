"""What a run tells people about tenants once it is done with them: who is ready, and what a wipe dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meltanodata.engine.stack_state import TenantState
    from meltanodata.program.tenant import TenantInstance

_LONGEST = 1000
"""Characters of what a droplet says."""


def tell(instances: Mapping[str, TenantInstance], before: Mapping[str, TenantState]) -> None:
    """Log a line for each tenant that becomes ready for the first time, and for each wipe, as soon as it has happened.

    Args:
        instances: what the program declared, by the tenant's key.
        before: what the stack's state had before, by the tenant's key.
    """
    if pulumi.runtime.is_dry_run():
        return
    for key, instance in instances.items():
        commands = before[key].resources if key in before else {}
        if "verify" not in commands:
            _tell_ready(key, instance)
        if instance.wiped is not None:
            _tell_wiped(key, instance, instance.wiped, commands["wipe"].id if "wipe" in commands else None)


def _tell_ready(key: str, instance: TenantInstance) -> None:
    def tell_(known: list[str]) -> None:
        pulumi.log.info(f"{key} is ready: {known[0]}. The admin's login: meltanodata credentials {key}", instance)

    pulumi.Output.all(instance.url, instance.verified).apply(tell_)


def _tell_wiped(key: str, instance: TenantInstance, wiped: pulumi.Output[list[str]], before: str | None) -> None:
    def tell_(known: list[str]) -> None:
        id_, said = known
        if id_ != before:
            pulumi.log.info(f"{key}: its database was wiped: {dropped(said)}", instance)

    wiped.apply(tell_)


def dropped(said: str | None) -> str:
    """What the script says that it dropped, on one line, printable and bounded: the names are other people's."""
    line = "".join(letter if letter.isprintable() else "?" for letter in (said or "").strip())
    if not line.startswith("dropped "):
        return "it does not say which schemas went"
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} … ({len(line)} characters)"
