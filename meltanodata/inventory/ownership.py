"""No stack touches another stack's objects, and no tenant another tenant's. Pure.

Stacks of one fleet share the droplet team, and a database team moves between them (`meltanodata move`). During a move,
or where files are older than it, a stack's state and its settings disagree: its program would delete tenants that
another stack has, or adopt another stack's objects and give them new passwords. The same holds within one state
when a tenant is renamed in the file alone: the old name's objects would be deleted.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from meltanodata.engine.resource_types import OBJECTS, ROLES, TEAM_PROVIDER
from meltanodata.text import listing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from meltanodata.config.fleet import Fleet
    from meltanodata.config.settings import Settings
    from meltanodata.engine.stack_state import Ids, StackState
    from meltanodata.inventory.names import Existing

_ADVICE = "If your files are older than a move of the team, get the newest ones (git pull); if the move was interrupted"


def strangers(fleet: Fleet, stack: Settings, stacks: Sequence[Settings], ids: Ids) -> Iterator[str]:
    """The tenants that a stack would delete: they are in its state, and their team is another stack's."""
    owners = {team.name: owner.stack for owner in stacks for team in owner.database_teams}
    for row in fleet.rows:
        owner = owners.get(row.options.database_team or "")
        has_objects = any((row.key, type_) in ids for type_ in OBJECTS)
        if has_objects and owner not in {None, stack.stack}:
            yield (
                f"{row.key}: it is in the state of {stack.stack}, and its team {row.options.database_team} belongs to"
                f" {owner}. The run stops, because {stack.stack} would destroy it. {_ADVICE}, or was made in the files"
                f" only: meltanodata move {shlex.quote(row.options.database_team or '')} --to STACK"
            )


def shares_account(state: StackState, api_url: str) -> bool:
    """Whether a state may have objects of the accounts behind an API: ids of another one mean other objects.

    A state without a team's provider has none.
    """
    providers = [resource for resource in state.resources if resource.type == TEAM_PROVIDER]
    return any(provider.inputs.get("apiEndpoint") in {None, api_url} for provider in providers)


def taken(existing: Mapping[str, Existing], states: Mapping[str, StackState], own: str) -> Iterator[str]:
    """The tenants whose objects are to be adopted although a state has them, also the stack's own.

    In its own state such an object is another tenant's, whose entry may be gone: one run would adopt it and then
    delete it. Or it is one that an unfinished run has still to delete. The states are those of all stacks that share
    the accounts, by the stack's name.
    """
    for stack, state in states.items():
        for key, its in existing.items():
            holders: dict[tuple[str, bool], list[str]] = {}
            for type_, id_ in its.imports.items():
                if resource := state.objects.get((type_, id_)):
                    holder = resource.tenant or resource.name, resource.is_replaced
                    holders.setdefault(holder, []).append(f"the {ROLES[type_]} {id_}")
            for (owner, doomed), objects in holders.items():
                is_, it_belongs = ("are", "They belong") if len(objects) > 1 else ("is", "It belongs")
                there = f"{listing(objects, 'and')} {is_} in the state of the stack {stack}"
                remedy = _remedy(key, owner, stack, own, doomed=doomed)
                yield f"{key}: {there}, and {is_} not adopted from there. {it_belongs} to {owner}{remedy}"


def _remedy(key: str, holder: str, stack: str, own: str, *, doomed: bool) -> str:
    """What to do; it follows the owner's name."""
    if doomed:
        return (
            ", and an interrupted run still has to destroy what it replaced. To keep it, remove it from the state"
            f" (pulumi state delete); otherwise leave {key} out of the file until it is gone"
        )
    if holder == key:
        return f". {_ADVICE}: meltanodata move TEAM --to {stack}"
    where = "" if stack == own else f" and in a database team of {stack}"
    return (
        f". If {key} is {holder} under a new name{where}: meltanodata rename {shlex.quote(holder)} {shlex.quote(key)}."
        f" If it is another tenant, it needs objects of its own: give it another name, and leave out of its `adopt`"
        f" what is {holder}'s"
    )
