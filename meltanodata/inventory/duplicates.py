"""Several objects of one name, and which of them is the stack's. Pure.

DigitalOcean may carry out a request and answer it with an error, or not at all. Its provider sends the request again,
and there are two droplets, or two records, of one name. The stack's state has the one that DigitalOcean confirmed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meltanodata.engine.resource_types import Type
from meltanodata.text import listing

if TYPE_CHECKING:
    from collections.abc import Sequence

_PANEL = "https://cloud.digitalocean.com"
_KINDS = {Type.DROPLET: "droplet", Type.RECORD: "A record", Type.CLUSTER: "database"}


@dataclass(frozen=True)
class _Description:
    """One of the objects, for a person."""

    id: str
    about: str
    """What tells it from the others."""
    page: str
    """Where a person sees it."""
    delete: str
    """The command that deletes this one and no other."""


def several(type_: Type, namesakes: Sequence[Any], known: str | None, domain: str) -> str:
    """Which of two or more objects of one name is the stack's, and what to do about the others.

    `known` is the id of the stack's own; None where its state has none. Clusters may be of several teams.
    """
    what, team = f"{_KINDS[type_]}s have the name {namesakes[0].name}", "the droplet team"
    if type_ == Type.CLUSTER:
        what = "database clusters have the tenant's name"
        team = listing(sorted({f"team {it.team}" for it in namesakes if it.id != known}), "and")
    return _sentences(what, [_described(type_, it, domain) for it in namesakes], known, team)


def one(type_: Type, it: Any, domain: str) -> str:
    """An object that belongs to no tenant: what it is, where a person sees it, and how to delete it."""
    shown = _described(type_, it, domain)
    about = shown.about.removeprefix(f"{it.name}, ")
    return f"the {_KINDS[type_]} {it.name} ({shown.id}, {about}; {shown.page}; {shown.delete})"


def _described(type_: Type, it: Any, domain: str) -> _Description:
    if type_ == Type.RECORD:
        page, delete = f"networking/domains/{domain}", f"doctl compute domain records delete {domain} {it.id}"
        return _Description(str(it.id), it.address, f"{_PANEL}/{page}", delete)
    created = f"created {it.created_at or 'at an unknown time'}"
    if type_ == Type.DROPLET:
        about, page, delete = it.address or "no address yet", f"droplets/{it.id}", "doctl compute droplet delete"
    else:
        about, page, delete = f"{it.name}, team {it.team}", f"databases/{it.id}", "doctl databases delete"
    return _Description(str(it.id), f"{about}, {created}", f"{_PANEL}/{page}", f"{delete} {it.id}")


def _sentences(what: str, objects: Sequence[_Description], known: str | None, team: str) -> str:
    """What the objects are and what to do, the harmless step first."""
    own = [it for it in objects if it.id == known]
    strays = [it for it in objects if it.id != known]
    pages = " ".join(dict.fromkeys(it.page for it in strays))
    if own:
        which = (
            f"The stack's state has {own[0].id} ({own[0].about}). Not the stack's: {_listed(strays)}. Find out"
            f" whether anybody uses {'it' if len(strays) == 1 else 'them'}: {pages} (in {team}). If nobody does, delete"
            f" {'it' if len(strays) == 1 else 'each'} there, or by: {' and '.join(it.delete for it in strays)}"
        )
    else:
        which = (
            f"The stack's state has none of them: {_listed(strays)}. Find out which one is in use: {pages} (in {team})."
            " Then delete the other one there, or by its command:"
            f" {' or '.join(it.delete for it in strays)}"
        )
    return f"{len(objects)} {what}. {which}"


def _listed(objects: Sequence[_Description]) -> str:
    return listing([f"{it.id} ({it.about})" for it in objects], "and")
