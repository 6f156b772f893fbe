"""Several objects of one name, and which of them is the stack's. Pure.

DigitalOcean may carry out a request and answer it with an error, or not at all. Its provider sends the request again,
and there are two droplets, or two records, of one name. The stack's state has the one that DigitalOcean confirmed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meltanodata.text import listing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meltanodata.inventory.accounts import Cluster, Droplet, Record

_PANEL = "https://cloud.digitalocean.com"


@dataclass(frozen=True)
class _Object:
    """One of the objects."""

    id: str
    about: str
    """What tells it from the others."""
    page: str
    """Where a person sees it."""
    delete: str
    """The command that deletes this one and no other."""


_DROPLET_TEAM = "the droplet team"


def droplets(namesakes: Sequence[Droplet], known: str | None) -> str:
    """Which of several droplets of one name is the stack's, and what to do about the others.

    Args:
        namesakes: two or more.
        known: the id of the stack's own; None where its state has none.
    """
    return _sentences(
        f"droplets have the name {namesakes[0].name}", list(map(_droplet, namesakes)), known, _DROPLET_TEAM
    )


def records(namesakes: Sequence[Record], known: str | None, domain: str) -> str:
    """The same of A records."""
    objects = [_record(it, domain) for it in namesakes]
    return _sentences(f"A records have the name {namesakes[0].name}", objects, known, _DROPLET_TEAM)


def clusters(namesakes: Sequence[Cluster], known: str | None) -> str:
    """The same of database clusters, of whatever teams."""
    teams = sorted({f"team {it.team}" for it in namesakes if it.id != known})
    objects = list(map(_cluster, namesakes))
    return _sentences("database clusters have the tenant's name", objects, known, listing(teams, "and"))


def droplet(it: Droplet) -> str:
    """A droplet that is nobody's: what it is, where a person sees it, and how to delete it."""
    return _alone("droplet", it.name, _droplet(it))


def record(it: Record, domain: str) -> str:
    """The same of an A record."""
    return _alone("A record", it.name, _record(it, domain))


def cluster(it: Cluster) -> str:
    """The same of a database cluster."""
    return _alone("database", it.name, _cluster(it))


def _alone(kind: str, name: str, one: _Object) -> str:
    about = one.about.removeprefix(f"{name}, ")
    return f"the {kind} {name} ({one.id}, {about}; {one.page}; {one.delete})"


def _droplet(it: Droplet) -> _Object:
    return _Object(
        str(it.id),
        f"{it.address or 'no address yet'}, created {it.created_at or 'at an unknown time'}",
        f"{_PANEL}/droplets/{it.id}",
        f"doctl compute droplet delete {it.id}",
    )


def _record(it: Record, domain: str) -> _Object:
    page, delete = f"{_PANEL}/networking/domains/{domain}", f"doctl compute domain records delete {domain} {it.id}"
    return _Object(str(it.id), it.address, page, delete)


def _cluster(it: Cluster) -> _Object:
    return _Object(
        it.id,
        f"{it.name}, team {it.team}, created {it.created_at or 'at an unknown time'}",
        f"{_PANEL}/databases/{it.id}",
        f"doctl databases delete {it.id}",
    )


def _sentences(what: str, objects: Sequence[_Object], known: str | None, team: str) -> str:
    """What the objects are and what to do, the harmless step first."""
    own = [it for it in objects if it.id == known]
    strays = [it for it in objects if it.id != known]
    pages = " ".join(dict.fromkeys(it.page for it in strays))
    if own:
        which = (
            f"The stack's state has {own[0].id} ({own[0].about}). Not the stack's: {_listed(strays)}. Look whether"
            f" anybody uses {'it' if len(strays) == 1 else 'them'}: {pages} (in {team}). If nobody does, delete"
            f" {'it' if len(strays) == 1 else 'each'} there, or by: {' and '.join(it.delete for it in strays)}"
        )
    else:
        which = (
            f"The stack's state has none of them: {_listed(strays)}. Look which one is in use: {pages} (in {team})."
            " Then delete the other there, or by its own one of these commands:"
            f" {' or '.join(it.delete for it in strays)}"
        )
    return f"{len(objects)} {what}. {which}"


def _listed(objects: Sequence[_Object]) -> str:
    return listing([f"{it.id} ({it.about})" for it in objects], "and")
