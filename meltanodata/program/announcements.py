"""The lines that a run logs about tenants: who is ready, and what a wipe dropped."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pulumi

from meltanodata import terminal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meltanodata.program.tenant import TenantInstance

_COMMAND = "command:remote:Command"


def tell(instances: Mapping[str, TenantInstance], state: Mapping[tuple[str, str], str]) -> None:
    """Log a line for each tenant that becomes ready for the first time, and for each wipe, as soon as it has happened.

    `state` has the ids that the stack's state knew before, see `stack_state.ids`.
    """
    if pulumi.runtime.is_dry_run():
        return
    for key, instance in instances.items():
        if (_COMMAND, f"{key}-verify") not in state:
            _tell_ready(key, instance)
        if instance.wiped is not None:
            _tell_wiped(key, instance, instance.wiped, state.get((_COMMAND, f"{key}-wipe")))


def _tell_ready(key: str, instance: TenantInstance) -> None:
    def log(answers: list[str]) -> None:
        pulumi.log.info(f"{key} is ready: {answers[0]}. The admin's login: meltanodata credentials {key}", instance)

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
