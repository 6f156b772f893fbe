"""Edits of a stack's file as text: all other lines stay, with their comments (see edit.py). Pure.

The files have no problems, see settings_loading.parse. A ProblemsError says that an entry has no lines of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meltanodata.config.config_commands import key
from meltanodata.config.edit import replaced
from meltanodata.config.settings import Settings, without_namespace
from meltanodata.config.settings_loading import config_of
from meltanodata.errors import Problem, ProblemsError

if TYPE_CHECKING:
    from meltanodata.config.document import Document, Value

_TEAMS, _TOKENS = key(("database_teams",)), key(("tokens",))


def team_entry(source: Document, team: str) -> str:
    """The lines of a team's entry with the comments right above it, not indented."""
    start, end = _entry(source, team)
    return _indented(source.text[start:end], 0)


def without_team(source: Document, team: str) -> str:
    """The file's text without a team's entry and its token."""
    spans = [_entry(source, team)]
    tokens = config_of(source).get(_TOKENS)
    if tokens is not None and team in tokens.entries:
        spans.append(_lines(source, tokens.keys[team], tokens.entries[team]))
    return replaced(source.text, [(start, end, "") for start, end in spans])


def with_team(target: Document, entry: str) -> str:
    """The file's text with a team's entry as the last one."""
    last = config_of(target)[_TEAMS].items[-1]
    start, end = _lines(target, last, last)
    columns = len(target.text[start:end]) - len(target.text[start:end].lstrip(" "))
    return target.text[:end] + _indented(entry, columns) + target.text[end:]


def new_stack(source: Document, target: Document, entry: str) -> str:
    """The text for a stack without settings: another stack's non-secret settings, with one team."""
    config = source.entries["config"]
    blocks = [
        _indented(source.text[start:end], 2)
        for name, value in without_namespace(config.entries).items()
        if name in Settings.model_fields and key((name,)) != _TEAMS
        for start, end in [_lines(source, config.keys[key((name,))], value)]
    ]
    if target.root is not None and "config" in target.root.keys:
        raise _refused(target, target.root.keys["config"])
    return f"{target.text}config:\n{''.join(blocks)}  {_TEAMS}:\n{_indented(entry, 4)}"


def _entry(source: Document, team: str) -> tuple[int, int]:
    """Where a team's entry begins and ends in the text, in whole lines."""
    (item,) = (item for item in config_of(source)[_TEAMS].items if item.entries["name"].text == team)
    return _lines(source, item, item)


def _lines(source: Document, first: Value, last: Value) -> tuple[int, int]:
    """The lines from the first value's to the last one's, with the comments right above that stand as far right."""
    text = source.text
    start = text.rfind("\n", 0, first.start) + 1
    end = text.find("\n", _end(text, last)) + 1
    head = text[start : first.start]
    if head.strip() not in {"", "-"}:
        raise _refused(source, first)
    comment = head[: len(head) - len(head.lstrip(" "))] + "#"
    for line in reversed(text[:start].splitlines(keepends=True)):
        if not line.startswith(comment):
            break
        start -= len(line)
    return start, end


def _end(text: str, value: Value) -> int:
    """Where a value ends; the reader ends a block at the next thing that is no comment."""
    match value.data:
        case dict() if text[value.start] != "{":
            return max(max(value.keys[key].end, _end(text, inner)) for key, inner in value.entries.items())
        case list() if text[value.start] != "[":
            return max(_end(text, inner) for inner in value.items)
        case _:
            return value.end


def _indented(block: str, columns: int) -> str:
    """Whole lines, moved left or right so that the first one begins after so many columns."""
    lines = block.splitlines(keepends=True)
    now = len(lines[0]) - len(lines[0].lstrip(" "))
    return "".join(" " * columns + line[now:] if line.strip() else line for line in lines)


def _refused(source: Document, value: Value) -> ProblemsError:
    message = "cannot be edited in this form; write each entry on lines of its own: - name: …"
    return ProblemsError([Problem(source.file, *value.place, message)])
