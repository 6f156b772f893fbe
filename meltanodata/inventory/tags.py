"""Tags of droplets and clusters: the program adds its own one, and leaves all others alone. Pure.

A Cloud Firewall, an alert or a bill may go by a tag that somebody else set: to remove it may open ports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

OURS = "production"
"""The guide's."""


def declared(existing: Collection[str]) -> list[str]:
    """The tags of an object that has these; none for one that does not exist yet.

    DigitalOcean's tags are the same in upper and lower case.
    """
    others = {tag for tag in existing if tag.lower() != OURS}
    return sorted({OURS, *others})


def has_ours(existing: Collection[str]) -> bool:
    """Whether an object has the program's own tag, so that nothing is left to change."""
    return OURS in {tag.lower() for tag in existing}
