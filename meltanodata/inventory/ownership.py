"""No stack touches what another one owns, and no tenant what another tenant owns. Pure.

Stacks of one fleet share the droplet team, and a database team moves between them (`meltanodata move`). While one is
on its way, or somebody works with files older than the move, a stack's state and its settings disagree: its program
would destroy tenants that live on elsewhere, or take over the objects of another stack and give them new passwords.
Within one state it is the same when a tenant is renamed in the file alone: the old name's objects would be destroyed.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from meltanodata.engine.resource_types import CLUSTER, DROPLET, RECORD, TEAM_PROVIDER
from meltanodata.engine.stack_state import owner, resources
from meltanodata.text import listing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from meltanodata.config.fleet import Fleet
    from meltanodata.config.settings import Settings
    from meltanodata.inventory.names import Existing

_ADVICE = "If your files are older than a move of the team, get the newest ones (git pull); if the move was broken off"


def strangers(
    fleet: Fleet, stack: Settings, stacks: Sequence[Settings], state: Mapping[tuple[str, str], str]
) -> Iterator[str]:
    """The tenants that are in a stack's state although their team is another stack's: it would destroy them.

    Args:
        fleet: the whole file.
        stack: the one whose state it is.
        stacks: of the fleet.
        state: see `deployment.ids`.
    """
    owners = {team.name: owner.stack for owner in stacks for team in owner.database_teams}
    for row in fleet.rows:
        owner = owners.get(row.options.database_team or "")
        held = any((type_, f"{row.key}-{kind}") in state for type_, kind in (DROPLET, RECORD, CLUSTER))
        if held and owner not in {None, stack.stack}:
            yield (
                f"{row.key}: it is in the state of {stack.stack}, and its team {row.options.database_team} belongs to"
                f" {owner}. Nothing is done, since {stack.stack} would destroy it. {_ADVICE}, or was made in the files"
                f" only: meltanodata move {shlex.quote(row.options.database_team or '')} --to STACK"
            )


def take_over(existing: Mapping[str, Existing]) -> bool:
    """Whether anything that exists already is to be taken over, so that other stacks' states have to be asked."""
    return any(mine.import_droplet or mine.import_record or mine.import_cluster for mine in existing.values())


def shares_account(exported: Mapping[str, Any], api_url: str) -> bool:
    """Whether a state may hold objects of the accounts behind an API: ids of another one mean other objects.

    A state without a connection to any team holds none.
    """
    connections = [it.get("inputs") or {} for it in resources(exported) if it["type"] == TEAM_PROVIDER]
    return any(inputs.get("apiEndpoint") in {None, api_url} for inputs in connections)


def taken(existing: Mapping[str, Existing], states: Mapping[str, Mapping[str, Any]], own: str) -> Iterator[str]:
    """The tenants whose objects are to be taken over although a state holds them: a stack's own state as well.

    In its own state such an object is another tenant's, whose entry may be gone: it would be taken over and then
    destroyed in one run. Or it is one that an unfinished run has still to destroy.

    Args:
        existing: see `names.identify`.
        states: the exported states of all stacks that share the accounts, by the stack's name.
        own: the name of the stack that takes over.
    """
    for stack, exported in states.items():
        held = {(resource["type"], str(resource.get("id"))): resource for resource in resources(exported)}
        for key, mine in existing.items():
            wanted = [
                (DROPLET, mine.import_droplet, mine.droplet),
                (RECORD, mine.import_record, mine.record),
                (CLUSTER, mine.import_cluster, mine.cluster),
            ]
            holders: dict[tuple[str, bool], list[str]] = {}
            for (type_, kind), id_, found in wanted:
                if id_ and found and (resource := held.get((type_, str(found.id)))):
                    whose = owner(resource), bool(resource.get("delete"))
                    holders.setdefault(whose, []).append(f"the {kind} {found.id}")
            for (holder, doomed), objects in holders.items():
                is_, it_belongs = ("are", "They belong") if len(objects) > 1 else ("is", "It belongs")
                there = f"{listing(objects, 'and')} {is_} in the state of the stack {stack}"
                remedy = _remedy(key, holder, stack, own, doomed=doomed)
                yield f"{key}: {there}, and {is_} not taken over from there. {it_belongs} to {holder}{remedy}"


def _remedy(key: str, holder: str, stack: str, own: str, *, doomed: bool) -> str:
    """How to go on, behind whose the objects are."""
    if doomed:
        return (
            ", and a run that was broken off has still to destroy what it replaced. To keep it, make the state forget"
            f" it (pulumi state delete); else leave {key} out of the file until it is gone"
        )
    if holder == key:
        return f". {_ADVICE}: meltanodata move TEAM --to {stack}"
    where = "" if stack == own else f" and in a database team of {stack}"
    return (
        f". If {key} is {holder} under a new name{where}: meltanodata rename {shlex.quote(holder)} {shlex.quote(key)}."
        f" If it is another tenant, it needs objects of its own: give it another name, and leave out of its `adopt`"
        f" what is {holder}'s"
    )
