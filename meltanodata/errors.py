"""Errors that a user can correct: one base class, shown without a traceback."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class UserError(Exception):
    """An error that the user can correct; the command shows the message alone and ends with exit code 1."""


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake in a file, in the form that editors and CI logs make clickable.

    Ordered by its place, so that a list of problems reads from the top of the file to its end.
    """

    file: str
    """See `config.document.display`."""
    line: int
    """From 1; 0 for the file as a whole."""
    column: int
    """From 1; 0 for the line as a whole."""
    message: str
    """Which tenant or setting, the value, what is allowed and what to do; never a secret."""

    def __str__(self) -> str:
        place = ":".join([self.file, *(str(number) for number in (self.line, self.column) if number)])
        return f"{place}: {self.message}"


class ProblemsError(UserError):
    """All mistakes at once.

    Attributes:
        problems: in the order of their files and lines.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))


class NotReviewedError(UserError):
    """A change is about to be applied that nobody has reviewed."""


class InterruptedRunError(UserError):
    """Somebody interrupted the engine, which has ended since."""
