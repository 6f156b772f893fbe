"""Text that others write, on short lines without control characters, since an operator's terminal shows it."""

from __future__ import annotations

LONGEST_LINE = 2000
"""Characters of a line that are read."""
KEPT_CHARACTERS = 300
"""Of each line."""


def printable(text: str) -> str:
    """One line that moves nobody's terminal."""
    return "".join(character if character.isprintable() else " " for character in text[:LONGEST_LINE])


def shown(text: str) -> str:
    """The beginning of such a line."""
    return printable(text).strip()[:KEPT_CHARACTERS]
