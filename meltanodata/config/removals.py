"""Which tenants a change of the fleet file removes or renames, and what a removal deletes. Pure."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from meltanodata.config.object_names import objects_of, tenant_of_cluster
from meltanodata.text import listing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meltanodata.config.fleet import Fleet, Row


def removed(fleet: Fleet, before: Fleet) -> list[Row]:
    """The entries of an older version that have none any more, in its order."""
    keys = {row.key for row in fleet.rows}
    return [row for row in before.rows if row.key not in keys]


def successors(fleet: Fleet, before: Fleet, domain: str) -> dict[str, dict[str, str]]:
    """The entries that name objects of a removed tenant: by that tenant, then by the kind of object."""
    owners = {
        (kind, alias): row.key
        for row in removed(fleet, before)
        for kind, name in objects_of(row.key, row.options, domain)
        for alias in _aliases(kind, name)
    }
    heirs: dict[str, dict[str, str]] = {}
    for row in fleet.rows:
        for kind, name in objects_of(row.key, row.options, domain):
            owner = next((owners[kind, alias] for alias in _aliases(kind, name) if (kind, alias) in owners), None)
            if owner is not None:
                heirs.setdefault(owner, {})[kind] = row.key
    return heirs


def renamed(fleet: Fleet, before: Fleet, domain: str) -> dict[str, str]:
    """The old name of each tenant that an older version has under another one: the new entry names its database."""
    heirs = {named["database"]: key for key, named in successors(fleet, before, domain).items() if "database" in named}
    keys = {row.key for row in before.rows}
    return {new: old for new, old in heirs.items() if new not in keys}


def _aliases(kind: str, name: str) -> list[str]:
    """What finds an object: a cluster that is not adopted is found by the tenant in its name."""
    tenant = tenant_of_cluster(name) if kind == "database" else None
    return [name, *([tenant] if tenant else [])]


def notes(fleet: Fleet, before: Fleet, domain: str) -> Iterator[str]:
    """For each removed tenant what is deleted, and which entry may be the same tenant under a new name."""
    keys = {row.key for row in before.rows}
    new = [row for row in fleet.rows if row.key not in keys]
    heirs = successors(fleet, before, domain)
    for row in removed(fleet, before):
        named = heirs.get(row.key, {})
        if successor := named.get("database"):
            yield (
                f"{row.key} becomes {successor}, whose entry names its database. The state has to be renamed before"
                f" this is applied, or the plan is refused: meltanodata rename {row.key} {successor}"
            )
            continue
        team = row.options.database_team
        objects = dict(objects_of(row.key, row.options, domain))
        yield (
            f"{row.key} is removed: applying this deletes its droplet {objects['droplet']}, its record"
            f" {objects['record']}, its database{f' in {team}' if team else ''} with all data and backups, and its"
            " login."
        )
        undo = f"put the entry of {row.key} back, and run: meltanodata rename {row.key}"
        for successor in dict.fromkeys(named.values()):
            kinds = listing(sorted(kind for kind, heir in named.items() if heir == successor), "and")
            yield (
                f"  {successor} names its {kinds}: the plan is refused. If it is {row.key} under a new name,"
                f" {undo} {successor}"
            )
        similar = [other for other in new if _same_options(row, other)]
        if similar and not named:
            nearest = max(similar, key=lambda other: SequenceMatcher(None, row.key, other.key).ratio()).key
            yield (
                f"  {nearest} is new, with the same options. If it is {row.key} under a new name, its data would be"
                f" lost: {undo} {nearest}"
            )


def _same_options(one: Row, other: Row) -> bool:
    return one.options.model_copy(update={"adopt": None}) == other.options.model_copy(update={"adopt": None})
