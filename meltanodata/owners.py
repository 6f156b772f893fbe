"""No stack touches what another one owns. Pure.

Stacks of one fleet share the droplet team, and a database team moves between them (`meltanodata move`). While one is
on its way, or somebody works with files older than the move, a stack's state and its settings disagree: its program
would destroy tenants that live on elsewhere, or take over the objects of another stack and give them new passwords.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from meltanodata.deployment import resources
from meltanodata.names import CLUSTER, DROPLET, RECORD

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from meltanodata.fleet import Fleet
    from meltanodata.names import Existing
    from meltanodata.settings import Settings

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


def taken(existing: Mapping[str, Existing], states: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """The tenants whose objects are to be taken over although another stack's state holds them.

    Args:
        existing: see `names.identify`.
        states: the other stacks' exported states, by the stack's name.
    """
    for other, exported in states.items():
        held = {(resource["type"], str(resource.get("id"))) for resource in resources(exported)}
        for key, mine in existing.items():
            wanted = [
                (DROPLET, mine.import_droplet, mine.droplet),
                (RECORD, mine.import_record, mine.record),
                (CLUSTER, mine.import_cluster, mine.cluster),
            ]
            for (type_, kind), id_, found in wanted:
                if id_ and found and (type_, str(found.id)) in held:
                    yield (
                        f"{key}: the {kind} {found.id} is in the state of the stack {other}, and is not taken over from"
                        f" there. {_ADVICE}: meltanodata move TEAM --to {other}"
                    )
                    break
