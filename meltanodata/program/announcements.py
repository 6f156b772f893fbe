"""The lines that a run logs about tenants: who is ready or ready again, and what a wipe dropped."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pulumi

from meltanodata import terminal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meltanodata.engine.stack_state import TenantState
    from meltanodata.program.tenant import TenantInstance


def tell(instances: Mapping[str, TenantInstance], before: Mapping[str, TenantState]) -> None:
    """Log a line for each tenant that was verified, and for each wipe, as soon as it has happened.

    Both mappings are by the tenant's key; `before` is what the stack's state had before the run.
    """
    if pulumi.runtime.is_dry_run():
        return
    for key, instance in instances.items():
        commands = before[key].resources if key in before else {}
        _tell_ready(key, instance, commands["verify"].id if "verify" in commands else None)
        if instance.wiped is not None:
            _tell_wiped(key, instance, instance.wiped, commands["wipe"].id if "wipe" in commands else None)


def _tell_ready(key: str, instance: TenantInstance, before: str | None) -> None:
    """`before` is the id of the Command that verified it last; a run that touches the droplet verifies it again."""

    def log(answers: list[str]) -> None:
        url, id_ = answers
        if before is None:
            pulumi.log.info(f"{key} is ready: {url}. The admin's login: meltanodata credentials {key}", instance)
        elif id_ != before:
            pulumi.log.info(f"{key} is ready again: {url}", instance)

    pulumi.Output.all(instance.url, instance.verified).apply(log)


def _tell_wiped(key: str, instance: TenantInstance, wiped: pulumi.Output[list[str]], before: str | None) -> None:
    def log(answers: list[str]) -> None:
        id_, stdout = answers
        if id_ != before:
            pulumi.log.info(f"{key}: its database was wiped: {dropped(stdout)}", instance)

    wiped.apply(log)


def dropped(stdout: str | None) -> str:
    """What `scripts/wipe.py` dropped, on one line: whoever has the droplet decides what it is."""
    try:
        schemas = json.loads(stdout or "")["dropped"]
        return "there was no schema but public" if schemas == [] else f"dropped {terminal.line(', '.join(schemas))}"
    except (ValueError, LookupError, TypeError, RecursionError):
        return "the schemas that it dropped are unknown"
