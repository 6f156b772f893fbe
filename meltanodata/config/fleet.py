"""Reads tenants.yaml: its entries, and every problem with its place in the file.

Pure but for reading that one file. Rules on several options or tenants, and on room in the teams, are in rules.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meltanodata.config import document
from meltanodata.config.document import Document, Place, Refused, Value
from meltanodata.config.options import Options, name_problem
from meltanodata.errors import Problem
from meltanodata.text import Finding, findings, show

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

EMPTY = (
    "there is no tenant in it, and applying it would remove every tenant; restore the file (git checkout), or write {}"
    " if that is intended"
)


@dataclass(frozen=True)
class Row:
    """One entry of the file and where it stands."""

    key: str
    options: Options
    """The valid ones; each other one is left out and has its problem."""
    place: Place
    places: Mapping[str, Place]
    """Of every option that the entry states, right or wrong."""

    def states_wrongly(self, option: str) -> bool:
        """Whether the entry has the option with an invalid value: rules on it would mislead."""
        return option in self.places and option not in self.options.model_fields_set

    def place_of(self, option: str) -> Place:
        """Where the option stands, or the entry where it does not."""
        return self.places.get(option, self.place)


@dataclass(frozen=True)
class Fleet:
    """The file's entries, in its order."""

    file: str
    rows: tuple[Row, ...]

    @property
    def options(self) -> dict[str, Options]:
        """By the tenant's name."""
        return {row.key: row.options for row in self.rows}

    def problem(self, row: Row, option: str, message: str) -> Problem:
        """A problem of a tenant, at the option or, where that is missing, at the entry."""
        return Problem(self.file, *row.place_of(option), f"{row.key}: {message}")


def load(path: Path) -> tuple[Fleet, list[Problem]]:
    """A fleet file as far as it can be read, and its problems; with any of them it is for further checks only."""
    return parse(document.read(path))


def parse(source: Document) -> tuple[Fleet, list[Problem]]:
    """The same for a file that is read already."""
    problems = list(source.problems)
    rows: list[Row] = []
    root = source.root
    if root is None:
        problems += [] if problems else [Problem(source.file, 1, 0, EMPTY)]
    elif root.data is None:
        problems.append(Problem(source.file, 1, 0, EMPTY))
    elif isinstance(root.data, dict):
        for key, value in root.data.items():
            if wrong := name_problem(key):
                problems.append(Problem(source.file, *root.keys[key].place, f"{show(key)}: {wrong}"))
            row = _row(source.file, key, root.keys[key].place, value, problems)
            if row is not None:
                rows.append(row)
    elif not isinstance(root.data, Refused):
        message = f"{root.shown()} is not a mapping of tenants; write {_ENTRY}"
        problems.append(Problem(source.file, *root.place, message))
    return Fleet(source.file, tuple(rows)), problems


_ENTRY = "an entry like this: `acme:`, and in the next line `  database_team: MeltanoData DBs 1`"


def _row(file: str, key: str, place: Place, value: Value, problems: list[Problem]) -> Row | None:
    if isinstance(value.data, Refused):
        return None
    if value.data is not None and not isinstance(value.data, dict):
        problems.append(
            Problem(file, *value.place, f"{key}: {value.shown()} is not a mapping of options; write {_ENTRY}")
        )
        return None
    given = {name: option for name, option in value.entries.items() if not option.was_refused()}
    plain = {name: option.plain() for name, option in given.items()}
    wrong = set()
    for finding in findings(Options, plain, "option"):
        wrong.add(str(finding.path[0]))
        where = _place_at(given[str(finding.path[0])], value.keys[str(finding.path[0])].place, finding)
        path = ".".join(map(str, finding.path))
        message = f"{show(path)} {finding.message}" if finding.field is None else f"{path}: {finding.message}"
        problems.append(Problem(file, *where, f"{key}: {message}"))
    for name, option in given.items():
        # A date needs no quotes: every reader takes it for that day.
        for text in () if name in wrong or name == "wipe_database" else option.misread():
            message = f"{name}: other YAML parsers read {text.text} as {text.read_as}; {document.quoted(text.text)}"
            problems.append(Problem(file, *text.place, f"{key}: {message}"))
    options = Options.model_validate({name: option for name, option in plain.items() if name not in wrong})
    return Row(key, options, place, {name: written.place for name, written in value.keys.items()})


def _place_at(option: Value, name: Place, finding: Finding) -> Place:
    """Where a finding is: at the wrong value, or at an unknown name."""
    for part in finding.path[1:]:
        if isinstance(option.data, dict):
            name, option = option.keys[str(part)].place, option.data[str(part)]
    return name if finding.field is None else option.place
