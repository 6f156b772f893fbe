"""Text that others write, made into short lines without control characters for an operator's terminal."""

from __future__ import annotations

LONGEST_LINE = 2000
"""Characters of a line that are read."""
KEPT_CHARACTERS = 300
"""Of each line."""


def printable(text: str) -> str:
    """One line without control characters."""
    return "".join(character if character.isprintable() else " " for character in text[:LONGEST_LINE])


def shown(text: str) -> str:
    """The beginning of a line, without control characters."""
    return printable(text).strip()[:KEPT_CHARACTERS]
