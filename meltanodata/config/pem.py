"""PEM as people have it and as Go's programs, Caddy among them, read it. Pure.

Go silently skips a block that does not have exactly the form it expects. Caddy then serves fewer certificates than the
file has, or does not start. So a text is read in two ways: leniently, and as strictly as Go does
(https://pkg.go.dev/encoding/pem#Decode). Where the results differ, the text is written in the strict form.
"""

from __future__ import annotations

import base64
import binascii
import re
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Block:
    """The content between two lines of dashes."""

    label: str
    """Such as `CERTIFICATE`."""
    der: bytes

    def __str__(self) -> str:
        """In the form that every reader accepts; ends with a line break."""
        lines = textwrap.wrap(base64.b64encode(self.der).decode(), 64)
        return "\n".join([f"-----BEGIN {self.label}-----", *lines, f"-----END {self.label}-----", ""])


class Damaged(ValueError):  # noqa: N818 - says what it is
    """A block that cannot be read; the message says which, and quotes nothing."""


_INVISIBLE = re.compile("[\ufeff\u200b-\u200d\u2060]")
"""Byte order marks, and what word processors leave."""
_HEADERS = re.compile(r"\A\n(?:[^\n:]*:[^\n]*\n)*")
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)


def blocks(text: str) -> list[Block]:
    """All blocks of a text in their order, in whatever layout.

    It accepts byte order marks, any white space (indentation, blanks, none between two blocks), any kind of line
    break, also one written as `\\n`, and any text around the blocks. It skips headers.

    Raises:
        Damaged: a block is cut off, or holds something else than base64.
    """
    # One kind of space within a line; line breaks stay, since headers end with them.
    tidy = re.sub(r"[^\S\n]", " ", re.sub(r"\r\n?|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]|\\r|\\n", "\n", text))
    tidy = re.sub(r"(-----(?:BEGIN|END)) +", r"\1 ", _INVISIBLE.sub("", tidy))
    tidy = re.sub(r" *-----(?=\s|-----|$)", "-----", tidy)
    complete = []
    for number, block in enumerate(_BLOCK.finditer(tidy), 1):
        body = _HEADERS.sub("", block[2])
        der = _decoded("".join(body.split()).encode(errors="replace"))
        if not der:
            raise Damaged(f"block {number} ({block[1].strip()}) is damaged")
        complete.append(Block(block[1].strip(), der))
    if re.search(r"-----(BEGIN|END) ", _BLOCK.sub("", tidy)):
        raise Damaged(f"a block is cut off, beside {len(complete)} that {'is' if len(complete) == 1 else 'are'} whole")
    return complete


_BEGIN = re.compile(rb"^-----BEGIN ", re.MULTILINE)


def as_go_has_it(text: str) -> Iterator[Block]:
    """The blocks that Go's reader finds in a text, in their order; it skips the others without an error.

    Its rules: a block begins and ends with a line of its own from the first column.
    """
    data, at = text.encode(errors="surrogateescape"), 0
    while begin := _BEGIN.search(data, at):
        title, at = _line(data, begin.end())
        if not title.endswith(b"-----"):
            continue
        label = title.removesuffix(b"-----")
        body = at
        headers = False
        while body < len(data) and b":" in (line := _line(data, body))[0]:
            headers, body = True, line[1]
        if body >= len(data):
            return
        at = body
        if not headers and data.startswith(b"-----END ", body):
            end, trailer = body, body + len(b"-----END ")
        else:
            end = data.find(b"\n-----END ", body)
            trailer = end + len(b"\n-----END ")
        if end < 0 or not data.startswith(title, trailer):
            continue
        rest, after = _line(data, trailer + len(title))
        der = _decoded(data[body:end].translate(None, b" \t\r\n"))
        if rest or der is None:
            continue
        yield Block(label.decode(errors="replace"), der)
        at = after


def _line(data: bytes, at: int) -> tuple[bytes, int]:
    """A line without its break and the blanks before that, and where the next line begins."""
    end = data.find(b"\n", at)
    if end < 0:
        return data[at:].rstrip(b" \t"), len(data)
    return data[at:end].removesuffix(b"\r").rstrip(b" \t"), end + 1


def _decoded(encoded: bytes) -> bytes | None:
    """Decodes base64 that has its padding and no other characters."""
    try:
        return None if len(encoded) % 4 else base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return None
