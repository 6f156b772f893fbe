"""Reads YAML with the place of each value, and reports every mistake of form at once.

PyYAML reads; the values are those of YAML 1.2's core schema, as editors read it: only `true` and `false` are
booleans, `no` and `2026-11-20` are text. Anchors, aliases, merge keys and tags are refused: each entry can be read,
compared and removed without looking at another one.
"""

from __future__ import annotations

import os
import re
import unicodedata
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import yaml

from meltanodata.errors import Problem
from meltanodata.text import show

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEEPEST = 20
"""Levels of nesting; our files have three, and without a limit Python's own limit of recursion applies."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_CONFLICT = re.compile(r"^(?:<{7} .*|={7}|>{7} .*)\r?$", re.MULTILINE)
"""The lines that git puts around the two sides of a merge conflict."""
_REORDERING = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""Characters that show the text after them in another order, so that a reviewer reads another text than the program."""
_INVISIBLE = frozenset({"Cf", "Zl", "Zp", "Zs"})
"""Unicode's categories of invisible characters; a plain blank is the exception."""
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")

_Event: TypeAlias = Any
"""One of PyYAML's events; its type stubs leave out their fields."""

Scalar: TypeAlias = str | int | Decimal | bool | None


class Place(NamedTuple):
    """A position in the file, both numbers from 1."""

    line: int
    column: int


class Refused:
    """Replaces a value that has a problem already, such as an alias, so that it is not reported twice."""


@dataclass(frozen=True)
class Value:
    """A node of the file: its place, its text and its meaning."""

    place: Place
    text: str
    """As written, for messages: a scalar's text, else `a mapping` or `a list`."""
    data: Scalar | dict[str, Value] | list[Value] | Refused
    start: int
    """The index of the value's first character in the file's text."""
    end: int
    """The index after its last one; equal to `start` for an empty value (`key:`)."""
    keys: dict[str, Value] = field(default_factory=dict)
    """For a mapping, each key as written."""
    read_as: str | None = None
    """What a reader of YAML 1.1 takes a text for, where it does not take it for text."""

    def shown(self) -> str:
        """As it may stand in a message."""
        return self.text if isinstance(self.data, dict | list) else show(self.text)

    @property
    def entries(self) -> dict[str, Value]:
        """Those of a mapping, by key; none of anything else."""
        return self.data if isinstance(self.data, dict) else {}

    @property
    def items(self) -> list[Value]:
        """The values in a list or a mapping; none in anything else."""
        return self.data if isinstance(self.data, list) else [*self.entries.values()]

    def was_refused(self) -> bool:
        """Whether it, or anything in it, has a problem already."""
        return isinstance(self.data, Refused) or any(value.was_refused() for value in self.items)

    def misread(self) -> Iterator[Value]:
        """The texts in it that a reader of YAML 1.1 takes for something else."""
        if self.read_as is not None:
            yield self
        for value in self.items:
            yield from value.misread()

    def plain(self) -> object:
        """The same without places: dict, list, str, int, Decimal, bool or None."""
        match self.data:
            case dict():
                return {key: value.plain() for key, value in self.data.items()}
            case list():
                return [value.plain() for value in self.data]
            case _:
                return self.data


@dataclass(frozen=True)
class Document:
    """A file as read."""

    file: str
    text: str
    root: Value | None
    """None for a file without content, or one that is not YAML; the problems say which."""
    problems: list[Problem]

    @property
    def entries(self) -> dict[str, Value]:
        """The file's, by key; none where it is no mapping."""
        return self.root.entries if self.root is not None else {}


def display(path: Path) -> str:
    """A path for messages: relative to the working directory, unless the absolute path is shorter."""
    return min(os.path.relpath(path), str(path.absolute()), key=len)


def read(path: Path) -> Document:
    """Read a YAML file in UTF-8; nothing is raised, mistakes are in the document's problems."""
    file = display(path)
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return Document(file, "", None, [Problem(file, 0, 0, "there is no such file")])
    except OSError as error:
        return Document(file, "", None, [Problem(file, 0, 0, f"cannot be read: {error.strerror}")])
    return parse(raw, file)


def parse(raw: bytes, file: str) -> Document:
    """The same from the file's bytes."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        place = _place_in(raw[: error.start].decode("utf-8"))
        message = f"byte 0x{raw[error.start]:02x} is not UTF-8; save the file in the encoding UTF-8"
        return Document(file, "", None, [Problem(file, *place, message)])
    if conflicts := [_place_in(text[: mark.start()]).line for mark in _CONFLICT.finditer(text)]:
        lines = ", ".join(map(str, conflicts))
        message = f"git has left a merge conflict here (lines {lines}); keep one side of each and remove these lines"
        return Document(file, "", None, [Problem(file, conflicts[0], 0, message)])
    problems: list[Problem] = []
    for character in _REORDERING.finditer(text):
        message = f"{_named(character[0])} changes the order in which the line is shown; remove it"
        problems.append(Problem(file, *_place_in(text[: character.start()]), message))
    if text and not text.endswith(("\n", "\r")):
        message = "the file ends in the middle of a line and looks truncated; complete it, or end its last line"
        problems.append(Problem(file, text.count("\n") + 1, 0, message))
    root = None
    try:
        root = _Composer(text, file, problems).compose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = ": ".join(part for part in (error.context, error.problem) if part)
        place = Place(mark.line + 1, mark.column + 1) if mark else Place(0, 0)
        problems.append(Problem(file, *place, f"not YAML: {reason}"))
    except yaml.reader.ReaderError as error:
        message = f"not YAML: the control character U+{ord(text[error.position]):04X}"
        problems.append(Problem(file, *_place_in(text[: error.position]), message))
    except (ValueError, OverflowError):
        # PyYAML hands the number of a \U escape to chr().
        problems.append(Problem(file, 0, 0, "not YAML: an escape \\U… for a character that does not exist"))
    return Document(file, text, root, problems)


def _place_in(before: str) -> Place:
    """The place after a beginning of the file's text."""
    return Place(before.count("\n") + 1, len(before) - before.rfind("\n"))


class _Composer:
    """From PyYAML's events to values."""

    def __init__(self, text: str, file: str, problems: list[Problem]) -> None:
        self._events: Iterator[_Event] = iter(yaml.parse(text, Loader=yaml.BaseLoader))
        self._file, self._problems = file, problems

    def compose(self) -> Value | None:
        """The one document of the stream; None for a stream without any."""
        root = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    self._refuse(
                        event, "a second YAML document begins here; a file has only one, so remove the line ---"
                    )
                    break
                root = self._value(next(self._events), 0)
        return root

    def _value(self, event: _Event, depth: int) -> Value:
        place, start, end = _place(event), *_span(event)
        if depth > DEEPEST:
            raise yaml.MarkedYAMLError(problem=f"more than {DEEPEST} levels deep", problem_mark=event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            self._refuse(event, f"the alias *{event.anchor} is not allowed here; write out the value that it refers to")
            return Value(place, f"*{event.anchor}", Refused(), start, end)
        if event.anchor is not None:
            self._refuse(
                event, f"the anchor &{event.anchor} is not allowed here (each entry is complete in itself); remove it"
            )
        if event.tag is not None:
            self._refuse(event, f"the tag {event.tag} is not allowed here; remove it")
        if isinstance(event, yaml.ScalarEvent) and _SURROGATE.search(event.value):
            self._refuse(event, "an escape here is half a character (a surrogate); write the character itself")
            return Value(place, "", Refused(), start, end)
        if isinstance(event, yaml.ScalarEvent) and (hidden := _hidden(event.value)):
            self._refuse(event, f"{_named(hidden)} is invisible in this text; remove it")
            return Value(place, event.value, Refused(), start, end)
        if isinstance(event, yaml.ScalarEvent):
            meaning = _scalar(event)
            read_as = _in_yaml_1_1(event) if isinstance(meaning, str) else None
            return Value(place, event.value, meaning, start, end, read_as=read_as)
        if isinstance(event, yaml.SequenceStartEvent):
            items = []
            while not isinstance(item := next(self._events), yaml.SequenceEndEvent):
                items.append(self._value(item, depth + 1))
            return Value(place, "a list", items, start, _span(item)[1])
        return self._mapping(event, depth)

    def _mapping(self, event: _Event, depth: int) -> Value:
        data: dict[str, Value] = {}
        keys: dict[str, Value] = {}
        while not isinstance(item := next(self._events), yaml.MappingEndEvent):
            key = self._value(item, depth + 1)
            value = self._value(next(self._events), depth + 1)
            if isinstance(key.data, Refused):
                continue
            if isinstance(key.data, dict | list):
                self._refuse(item, f"{key.text} cannot be a name here; write a plain word before the colon")
            elif key.text == "<<":
                self._refuse(item, "merge keys (<<) are not allowed here; write out what they would add")
            elif key.text in data:
                first = keys[key.text].place.line
                self._refuse(item, f"{show(key.text)} is repeated; it is already in line {first}. Keep one")
            elif read_as := _NO_TEXTS.get(type(key.data), key.read_as):
                self._refuse(
                    item, f"other YAML parsers read the name {key.text or '(empty)'} as {read_as}; {quoted(key.text)}"
                )
            else:
                data[key.text], keys[key.text] = value, key
        return Value(_place(event), "a mapping", data, _span(event)[0], _span(item)[1], keys)

    def _refuse(self, event: _Event, message: str) -> None:
        self._problems.append(Problem(self._file, *_place(event), message))


def _place(event: _Event) -> Place:
    return Place(event.start_mark.line + 1, event.start_mark.column + 1)


def _span(event: _Event) -> tuple[int, int]:
    return event.start_mark.index, event.end_mark.index


def quoted(text: str) -> str:
    """The remedy for a text that other readers take for something else."""
    return f'write it in quotes: "{text}"'


def _named(character: str) -> str:
    """Such as `U+FEFF (zero width no-break space)`."""
    return f"U+{ord(character):04X} ({unicodedata.name(character, 'a character without a name').lower()})"


def _hidden(text: str) -> str | None:
    """The first invisible character of a text; None where there is none."""
    return next((letter for letter in text if letter != " " and unicodedata.category(letter) in _INVISIBLE), None)


_YAML_1_1: Any = yaml.SafeLoader("")
"""PyYAML's own reader, which follows YAML 1.1 (https://yaml.org/type/), but for `y` and `n`."""
_KINDS = {"bool": "true or false", "int": "a number", "float": "a number", "timestamp": "a date", "null": "no value"}
_NO_TEXTS = {bool: _KINDS["bool"], int: _KINDS["int"], Decimal: _KINDS["int"], type(None): _KINDS["null"]}
"""What readers of either version take a value for, by what it means here."""


def _in_yaml_1_1(event: _Event) -> str | None:
    """What a plain scalar is in YAML 1.1, in words; None for a text, and for one in quotes."""
    if event.style is not None:
        return None
    if event.value in {"y", "Y", "n", "N"}:
        return _KINDS["bool"]
    tag: str = _YAML_1_1.resolve(yaml.ScalarNode, event.value, (True, False))
    return _KINDS.get(tag.removeprefix("tag:yaml.org,2002:"))


def _scalar(event: _Event) -> Scalar:
    """What a scalar means in YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema).

    Octal and hexadecimal numbers (`010` is 8 to some readers and 10 to others) and infinities stay text: nothing of
    ours is one.
    """
    text: str = event.value
    if event.style is not None:
        return text
    if text in {"", "~", "null", "Null", "NULL"}:
        return None
    if text in {"true", "True", "TRUE", "false", "False", "FALSE"}:
        return text.lower() == "true"
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return Decimal(text)  # keeps what is written: 2.20 is not 2.2
    return text
