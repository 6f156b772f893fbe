"""The lines that a run logs about tenants: who is ready, and what a wipe dropped."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING

import pulumi

from meltanodata import terminal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meltanodata.engine.stack_state import TenantState
    from meltanodata.program.tenant import TenantInstance


def tell(instances: Mapping[str, TenantInstance], before: Mapping[str, TenantState]) -> None:
    """Log a line for each tenant that becomes ready for the first time, and for each wipe, as soon as it has happened.

    Both mappings are by the tenant's key; `before` is what the stack's state had before the run.
    """
    if pulumi.runtime.is_dry_run():
        return
    for key, instance in instances.items():
        commands = before[key].resources if key in before else {}
        last_verify = commands["verify"].id if "verify" in commands else None
        instance.verified.apply(functools.partial(_log_ready, key, instance, last_verify))
        if instance.wiped is not None:
            last_wipe = commands["wipe"].id if "wipe" in commands else None
            instance.wiped.apply(functools.partial(_log_wiped, key, instance, last_wipe))


def _log_ready(key: str, instance: TenantInstance, last_verify: str | None, verified: str) -> None:
    """A run that changes something on the droplet verifies it again, by another Command."""
    if last_verify is None:
        login = (
            "The admin's login stays as it was"
            if instance.keeps_login
            else f"The admin's login: meltanodata credentials {key}"
        )
        pulumi.log.info(f"{key} is ready: {instance.url}. {login}", instance)
    elif verified != last_verify:
        pulumi.log.info(f"{key} is ready again: {instance.url}", instance)


def _log_wiped(key: str, instance: TenantInstance, last_wipe: str | None, answers: list[str]) -> None:
    id_, stdout = answers
    if id_ != last_wipe:
        pulumi.log.info(f"{key}: its database was wiped: {dropped(stdout)}", instance)


def dropped(stdout: str | None) -> str:
    """What `scripts/wipe.py` dropped, on one line; whoever has the droplet can print anything."""
    try:
        schemas = json.loads(stdout or "")["dropped"]
        return "there was no schema but public" if schemas == [] else f"dropped {terminal.line(', '.join(schemas))}"
    except (ValueError, LookupError, TypeError, RecursionError):
        return "the schemas that it dropped are unknown"
