"""Small changes to the fleet file as text: what is not changed stays as it is, byte by byte.

A change is an insertion at a place that the reader has marked; comments, order, quotes, indentation and line ends stay
(docs/decisions/assign-inserts-text.md). Afterwards the text is read again: a change of anything else is refused, and
nothing is written.
"""

from __future__ import annotations

import math
import os
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import yaml

from meltanodata.config import document, fleet
from meltanodata.config.options import Options
from meltanodata.errors import Problem, ProblemsError, UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from meltanodata.config.document import Document, Value

STEP = 2
"""Columns that an entry's options are indented by."""

_Change: TypeAlias = tuple[int, int, str]
"""Characters of the text that are replaced, from the first to the one after the last, and by what."""

_LINE_END = re.compile(r"\r\n|\n|\r")


def assign(source: Document, teams: Mapping[str, str]) -> str:
    """The file's text with a team for each of the tenants named, all of which have none.

    Raises:
        ProblemsError: an entry is written in a way that cannot be completed by an insertion.
    """
    text = replaced(source.text, [_insertion(source, tenant, scalar(team)) for tenant, team in teams.items()])
    return _checked(source, text, {tenant: {"database_team": team} for tenant, team in teams.items()})


def add(source: Document, entries: Mapping[str, Mapping[str, object]]) -> str:
    """The file's text with new entries at its end: the options of each tenant.

    Raises:
        ProblemsError: the file is written in a way that an entry cannot be added to at its end.
    """
    root = source.root
    text = source.text
    new = "\n".join(entry(tenant, options) for tenant, options in entries.items())
    if root is not None and root.data == {}:
        changed = text[: root.start] + new.rstrip("\n") + text[root.end :]
    else:
        eol = _eol(text)
        gap = "" if text.endswith(eol * 2) else eol
        changed = text + gap + new.replace("\n", eol)
    return _checked(source, changed, entries)


def rename(source: Document, old: str, new: str, adopt: Mapping[str, str]) -> str:
    """The file's text with another name for an entry, in its place, and with these names in its `adopt`.

    Raises:
        ProblemsError: the entry is written in a way that this cannot be written into.
    """
    key, value = _root(source).keys[old], _root(source).entries[old]
    changes = [(key.start, key.end, scalar(new))]
    stated = value.entries["adopt"].entries if "adopt" in value.entries else {}
    missing = {kind: name for kind, name in adopt.items() if kind not in stated}
    if missing:
        changes.append(_adopting(source.text, value, missing))
    text = replaced(source.text, changes)
    now = {**{kind: name.plain() for kind, name in stated.items()}, **missing}
    if not _differs_only(source, text, {new: {"adopt": now}}, {old: new}):
        message = f"{old}: cannot be renamed in a file of this form; write by hand: {scalar(new)}, and into its adopt"
        raise ProblemsError([Problem(source.file, *key.place, f"{message} {_written(missing)}")])
    return text


def replaced(text: str, changes: Iterable[_Change]) -> str:
    """The text with all changes, whose places do not overlap."""
    for start, end, new in sorted(changes, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _root(source: Document) -> Value:
    """The mapping of a file that has a tenant."""
    if source.root is None:
        raise TypeError("a tenant comes from a mapping")
    return source.root


def _adopting(text: str, value: Value, names: Mapping[str, str]) -> _Change:
    """Puts names into an entry: into its `adopt` if it has one, else into a line of their own below the team's."""
    lines = [f"{kind}: {scalar(name)}" for kind, name in names.items()]
    adopt = value.entries.get("adopt")
    if adopt is not None and text[adopt.start] == "{":
        return adopt.start + 1, adopt.start + 1, "".join(f"{line}, " for line in lines)
    if adopt is not None:
        first = next(iter(adopt.keys.values()))
        start, indent = first.start - (first.place.column - 1), " " * (first.place.column - 1)
        return start, start, "".join(f"{indent}{line}{_eol(text)}" for line in lines)
    option = f"adopt: {{{', '.join(lines)}}}"
    team = value.entries["database_team"]
    if text[value.start] == "{":
        return team.end, team.end, f", {option}"
    start, indent = _next_line(text, team.end), " " * (value.keys["database_team"].place.column - 1)
    return start, start, f"{indent}{option}{_eol(text)}"


def entry(tenant: str, options: Mapping[str, object]) -> str:
    """A whole entry, as short as it can be."""
    lines = [f"{' ' * STEP}{name}: {_written(value)}\n" for name, value in options.items()]
    return "".join([f"{scalar(tenant)}:\n", *lines])


def _written(value: object) -> str:
    """A text, or a mapping of texts in one line."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {_written(inner)}' for name, inner in value.items())}}}"
    return scalar(str(value))


def scalar(text: str) -> str:
    """Text as a YAML scalar, quoted where any reader would take it for something else."""
    plain = re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9 _-]*[A-Za-z0-9])?", text) and yaml.safe_load(text) == text
    return text if plain else yaml.safe_dump(text, default_style='"', width=math.inf).strip()


def write(path: Path, text: str) -> None:
    """Replace the file's content in one step; its mode stays, and a link stays a link. Makes a file that is missing.

    Raises:
        UserError: it cannot be written: no permission, a full or read-only disk. It is as it was, then.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.exists() and not target.is_file():  # /dev/stdout, a pipe: nothing there can be replaced
            target.write_text(text, encoding="utf-8")
        else:
            _replace(target, text.encode())
    except OSError as error:
        raise UserError(
            f"{document.display(path)}: cannot be written: {error.strerror}. The file is unchanged. Mend that, then run"
            " this again"
        ) from None


def _replace(target: Path, content: bytes) -> None:
    mode = target.stat().st_mode & 0o7777 if target.exists() else None
    new = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        number = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else mode)
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(number)  # some file systems tell only now that they are full
        if mode is not None:  # whatever the umask takes away
            new.chmod(mode)
        new.replace(target)
    finally:
        new.unlink(missing_ok=True)


def _insertion(source: Document, tenant: str, team: str) -> _Change:
    """Puts a tenant's team into its entry."""
    text, root, option = source.text, _root(source), f"database_team: {team}"
    key, value = root.keys[tenant], root.entries[tenant]
    if "database_team" in value.entries:
        return _instead_of(value.entries["database_team"], team)
    if isinstance(value.data, dict) and text[value.start] == "{":
        return value.start + 1, value.start + 1, option + (", " if value.data else "")
    if value.data is None and (text[root.start] == "{" or value.end > value.start):
        return _instead_of(value, f"{{{option}}}")
    # A block: the option gets a line of its own, right below the name and above any comment of the next option.
    first = next(iter(value.keys.values()), None)
    column = first.place.column if first is not None else key.place.column + STEP
    start = _next_line(text, key.end)
    return start, start, " " * (column - 1) + option + _eol(text)


def _instead_of(value: Value, new: str) -> _Change:
    """Replaces a value; an empty one gets a blank before it, after the colon."""
    return value.start, value.end, new if value.end > value.start else f" {new}"


def _eol(text: str) -> str:
    """The line end that the file uses."""
    first = _LINE_END.search(text)
    return first[0] if first else "\n"


def _next_line(text: str, position: int) -> int:
    """Where the line after a position begins."""
    line_end = _LINE_END.search(text, position)
    return line_end.end() if line_end else len(text)


def _differs_only(
    source: Document, text: str, changes: Mapping[str, Mapping[str, object]], names: Mapping[str, str]
) -> bool:
    """Whether a text has the same entries but for these options, and for these names instead of others."""
    before, _ = fleet.parse(source)
    after, problems = fleet.parse(document.parse(text.encode(), source.file))
    if problems:
        return False
    wanted = {names.get(key, key): options for key, options in before.options.items()}
    for tenant, options in changes.items():
        stated = Options.model_validate(options)
        update = {name: getattr(stated, name) for name in options}
        wanted[tenant] = wanted.get(tenant, Options()).model_copy(update=update)
    return [*after.options.items()] == [*wanted.items()]


def _checked(source: Document, text: str, changes: Mapping[str, Mapping[str, object]]) -> str:
    """The text, which must not differ in anything but these options."""
    if _differs_only(source, text, changes, {}):
        return text
    places = {row.key: row.place for row in fleet.parse(source)[0].rows}
    raise ProblemsError(
        [
            Problem(
                source.file,
                *places.get(tenant, (0, 0)),
                f"{tenant}: cannot be written into a file of this form; write by hand: "
                + ", ".join(f"{name}: {_written(value)}" for name, value in options.items()),
            )
            for tenant, options in changes.items()
        ]
    )
