"""Who goes when a version of the fleet file is applied, what that deletes, and what looks like a new name. Pure."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from meltanodata.config.object_names import droplet_of, record_of, tenant_of_cluster
from meltanodata.config.rules import names_of_row
from meltanodata.text import listing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meltanodata.config.fleet import Fleet, Row


def gone(fleet: Fleet, before: Fleet) -> list[Row]:
    """The entries of an older version that have none any more, in its order."""
    now = {row.key for row in fleet.rows}
    return [row for row in before.rows if row.key not in now]


def notes(fleet: Fleet, before: Fleet, domain: str) -> Iterator[str]:
    """For each tenant that goes what is deleted, and who could be the same one under a new name."""
    known = {row.key for row in before.rows}
    new = [row for row in fleet.rows if row.key not in known]
    named = successors(fleet, before, domain)
    for row in gone(fleet, before):
        successor, kinds = named.get(row.key, ("", frozenset()))
        if "database" in kinds:
            yield (
                f"{row.key} becomes {successor}, whose entry names its database. The state has to be renamed before"
                f" this is applied, or the plan is refused: meltanodata rename {row.key} {successor}"
            )
            continue
        team = row.options.database_team
        yield (
            f"{row.key} goes: to apply this deletes its droplet {droplet_of(row.key, row.options, domain)}, its record"
            f" {record_of(row.key, row.options)}, its database{f' in {team}' if team else ''} with all data and"
            " backups, and its login."
        )
        if kinds:
            objects = listing(sorted(kinds), "and")
            yield (
                f"  {successor} names its {objects}: the plan is refused. If it is {row.key} under a new name,"
                f" put the entry of {row.key} back, and run: meltanodata rename {row.key} {successor}"
            )
        elif alike := [other for other in new if _same_options(row, other)]:
            successor = max(alike, key=lambda other: SequenceMatcher(None, row.key, other.key).ratio()).key
            yield (
                f"  {successor} is new, with the same options. If it is {row.key} under a new name, its data would be"
                f" lost: put the entry of {row.key} back, and run: meltanodata rename {row.key} {successor}"
            )


def _same_options(one: Row, other: Row) -> bool:
    return one.options.model_copy(update={"adopt": None}) == other.options.model_copy(update={"adopt": None})


def successors(fleet: Fleet, before: Fleet, domain: str) -> dict[str, tuple[str, frozenset[str]]]:
    """By each tenant that goes and whose objects another entry names: that entry's name, and the kinds of objects."""
    owners = {
        (kind, found_by): row.key
        for row in gone(fleet, before)
        for kind, name in names_of_row(row, domain)
        for found_by in _found_by(kind, name)
    }
    found: dict[str, tuple[str, frozenset[str]]] = {}
    for row in fleet.rows:
        for kind, name in names_of_row(row, domain):
            owner = next((owners[kind, it] for it in _found_by(kind, name) if (kind, it) in owners), None)
            if owner is not None:
                found[owner] = row.key, found.get(owner, ("", frozenset()))[1] | {kind}
    return found


def _found_by(kind: str, name: str) -> list[str]:
    """What finds an object: a cluster that is not adopted is found by the tenant in its name."""
    tenant = tenant_of_cluster(name) if kind == "database" else None
    return [name, *([tenant] if tenant else [])]
