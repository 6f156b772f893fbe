"""A project with two tenants, and the command as an operator meets it: what it prints, where, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

FLEET = "# the fleet\nacme:\n  database_team: DBs 1\nbolt:\n  database_team: DBs 2\n"


class Result(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Run: TypeAlias = Callable[..., Result]
