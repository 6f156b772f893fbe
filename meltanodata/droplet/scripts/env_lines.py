"""Lines of a .env file, read as python-dotenv reads them, and set without a change of what others wrote."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from meltanodata.droplet.scripts.descriptors import Refused

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path


class Binding(NamedTuple):
    """A statement of a .env file."""

    begin: int
    """Where its first line begins."""
    end: int
    """Where its last line ends, without the line break."""
    after: int
    """Where the next line begins."""
    name: str | None
    """None for a comment, and for what cannot be read."""
    value: str | None
    """Without quotes and escapes, with `${…}` as it stands; None where there is no `=`."""


_EXPORT = re.compile(r"(?:export[^\S\r\n]+)?")
_NAME = re.compile(r"'([^']+)'|(?!')([^=#\s]+)")
_BLANK = re.compile(r"[^\S\r\n]*")
_LINE = re.compile(r"[^\r\n]*")
_COMMENT = re.compile(r"(?:[^\S\r\n]*#[^\r\n]*)?[^\S\r\n]*")
_LINE_END = re.compile(r"\r\n|\n|\r|\Z")
_ESCAPES = {"'": re.compile(r"\\([\\'])"), '"': re.compile(r"\\([\\'\"abfnrtv])")}
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class Reader(NamedTuple):
    """Where versions of python-dotenv differ."""

    quoted: dict[str, re.Pattern[str]]
    """The pattern of a quoted value, by quote."""
    empty_before_comment: bool
    """Whether `A= # b` is an empty value."""
    byte_order_mark: bool
    """Whether a byte order mark is no part of the first name."""


READERS = (
    # 0.21, which Meltano 2 installs: a backslash before a quote always escapes it, unless no other quote follows.
    Reader({quote: re.compile(rf"{quote}((?:\\{quote}|[^{quote}])*){quote}") for quote in "'\""}, False, False),
    # 1.2, in case something else reads the file.
    Reader({quote: re.compile(rf"{quote}((?:\\.|[^{quote}\\])*){quote}", re.DOTALL) for quote in "'\""}, True, True),
)


def bindings(text: str, reader: Reader) -> Iterator[Binding]:
    """The statements of a .env file, in their order. Only CR and LF end a line, and quotes may hold several."""
    at = 1 if reader.byte_order_mark and text.startswith("\ufeff") else 0
    while at < len(text):
        start = at
        while at < len(text) and text[at].isspace():
            at += 1
        if at == len(text):
            return
        begin = max(start, text.rfind("\n", start, at) + 1, text.rfind("\r", start, at) + 1)
        name_and_value, at = statement(text, at, reader)
        line_end = _LINE_END.match(text, _COMMENT.match(text, at).end()) if name_and_value else None  # type: ignore[union-attr]  # matches always
        if name_and_value is None or line_end is None:
            # The rest of the line is unreadable, too.
            line_end = _LINE_END.match(text, _LINE.match(text, at).end())  # type: ignore[union-attr]  # matches always
            name_and_value = (None, None)
        assert line_end is not None  # noqa: S101 - behind the rest of a line
        at = line_end.end()
        yield Binding(begin, line_end.start(), at, *name_and_value)


def statement(text: str, at: int, reader: Reader) -> tuple[tuple[str | None, str | None] | None, int]:
    """A statement's name and value, None if it is unreadable; and where it ends, or where reading failed."""
    at = _EXPORT.match(text, at).end()  # type: ignore[union-attr]  # matches always
    name = None
    if not text.startswith("#", at):
        key = _NAME.match(text, at)
        if key is None:
            return None, at
        name, at = key[1] or key[2], key.end()
    at = _BLANK.match(text, at).end()  # type: ignore[union-attr]  # matches always
    if not text.startswith("=", at):
        return (name, None), at
    begin = _BLANK.match(text, at + 1).end()  # type: ignore[union-attr]  # matches always
    if reader.empty_before_comment and begin > at + 1 and text.startswith("#", begin):
        return (name, ""), begin
    quote = text[begin : begin + 1]
    if quote in reader.quoted:
        inner = reader.quoted[quote].match(text, begin)
        if inner is None:
            return None, begin
        value = _ESCAPES[quote].sub(lambda escape: _ESCAPED.get(escape[1], escape[1]), inner[1])
        return (name, value), inner.end()
    line = _LINE.match(text, begin)
    assert line is not None  # noqa: S101 - matches always
    return (name, re.sub(r"\s+#.*", "", line[0]).rstrip()), line.end()


def env_values(text: str, reader: Reader) -> dict[str, str | None]:
    """The values of a .env file; of several statements with one name the last counts."""
    return {binding.name: binding.value for binding in bindings(text, reader) if binding.name is not None}


def with_lines(old: bytes, lines: dict[str, str], kept: Collection[str], path: Path) -> bytes:
    """The text with these names set, each where it was first set, else at the end; every other byte stays.

    A line with the same value in another form (quotes, a comment) stays too, so that nothing is restarted for it; and
    so does a `kept` name, whatever its value. The result is read again: it must set these names, and the others as
    before.

    Raises:
        Refused: no text does.
    """
    text = old.decode("utf-8", "surrogateescape")
    before = [env_values(text, reader) for reader in READERS]
    lines = {name: line for name, line in lines.items() if name not in kept or name not in before[0]}
    wanted = [{name: env_values(line, reader).get(name) for name, line in lines.items()} for reader in READERS]
    wrong = {
        name: line
        for name, line in lines.items()
        if any(name not in had or had[name] != ours[name] for had, ours in zip(before, wanted))  # noqa: B905 - 3.8
    }
    if not wrong:
        return old
    for new in (replaced(text, wrong, in_front=False), replaced(text, wrong, in_front=True)):
        after = [env_values(new, reader) for reader in READERS]
        if after == [{**had, **ours} for had, ours in zip(before, wanted)]:  # noqa: B905 - 3.8
            return new.encode("utf-8", "surrogateescape")
    raise Refused(f"{path} has a quote that is not closed, so that {' '.join(wrong)} cannot be set in it. Close it")


def replaced(text: str, lines: dict[str, str], *, in_front: bool) -> str:
    """The text with a line for each name: where it was first set or at the end, or all in front."""
    missing, parts, at = dict(lines), [], 0
    for binding in bindings(text, READERS[0]):
        if binding.name not in lines:
            continue
        parts.append(text[at : binding.begin])
        at = binding.after
        if binding.name in missing and not in_front:
            parts += [missing.pop(binding.name), text[binding.end : binding.after]]
    rest = "".join([*parts, text[at:]])
    more = "".join(f"{line}\n" for line in missing.values())
    if in_front:
        return more + rest
    return rest + ("\n" if more and rest and not rest.endswith(("\n", "\r")) else "") + more
