"""The command lines in the Markdown pages: those of the blocks of code, and those in backquotes.

A block is split at its blank lines. A part whose first line is a command has commands and comments alone. In a part
with lines that begin with `$ `, these are the commands and the rest is what they print. Any other part is output or a
file, which may mention commands.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).parents[1]
PAGES = sorted([*PROJECT.glob("*.md"), PROJECT / "bench" / "README.md", *(PROJECT / "docs").rglob("*.md")])
PULUMI = PROJECT / "tests" / "golden" / "pulumi-commands.json"
"""The commands of Pulumi's CLI that the pages name; `test_pulumi_commands.py` compares them with the engine's."""

PROGRAMS = (
    *("meltanodata", "pulumi", "make", "python", "git", "gh", "ssh", "ssh-copy-id", "ssh-keygen", "doctl", "curl"),
    *("cat", "cd", "eval", "export", "journalctl", "mount", "read", "sh", "systemctl"),
)
"""The programs that the pages call by name. Those called by a path are files."""
_SHELLS = frozenset(("", "bash", "sh", "console"))
_FILES = re.compile(r"\.|\.?[\w-]+(/[\w.-]+)+")
_ASSIGNMENT = re.compile(r"[A-Z_]+=\S*")
_OUTSIDE_A_COMMAND = frozenset(("|", "||", "&", "&&", ";", "(", ")"))


@dataclass(frozen=True)
class Line:
    """A command line of a page."""

    page: Path
    text: str
    block: bool
    """Whether it is one to type: a line of a block. One in backquotes may name a command without its arguments."""

    def __str__(self) -> str:
        return f"{self.page.relative_to(PROJECT)}: {self.text}"


class PulumiCommand(NamedTuple):
    """A command of Pulumi's CLI."""

    options: dict[str, bool]
    """Each of its options, with whether the next word is its value."""
    least: int
    """The least number of arguments."""
    most: int
    """The most."""


@cache
def pulumi_commands() -> dict[str, PulumiCommand]:
    """The recorded commands, by their words after `pulumi`."""
    return {name: PulumiCommand(*recorded) for name, recorded in json.loads(PULUMI.read_text()).items()}


def lines(page: Path) -> list[Line]:
    """The command lines of a page: those of its blocks, then those in backquotes."""
    typed = [Line(page, text, block=True) for block in _apart(page.read_text())[0] for text in _typed(block)]
    return typed + [Line(page, text, block=False) for text in quoted(page) if is_command(text)]


def quoted(page: Path) -> list[str]:
    """What stands in backquotes outside of blocks, each on one line."""
    return [" ".join(text.split()) for text in re.findall(r"`([^`]+)`", _apart(page.read_text())[1])]


def first_words(page: Path) -> set[str]:
    """The first word of each line of a block, and of what is in backquotes."""
    texts = [text for part in _apart(page.read_text())[0] for text in part.splitlines()]
    return {text.removeprefix("$ ").split()[0] for text in [*texts, *quoted(page)] if text.split()}


def mentions(page: Path) -> list[Line]:
    """The commands that the output in a page's blocks names, up to the end of the line or sentence."""
    found = []
    for part in _apart(page.read_text())[0]:
        typed = _typed(part)
        for text in part.splitlines():
            if text.removeprefix("$ ") not in typed:
                calls = re.findall(r"(?:^|[ (])((?:meltanodata|pulumi) [a-z][^|;>#)…]*)", text)
                found += [Line(page, re.sub(r"[.,:]? *$", "", call), block=False) for call in calls]
    return found


def is_command(text: str) -> bool:
    """Whether a text begins with a program that the pages call, after variables that are set for it."""
    words = [word for word in text.split() if not _ASSIGNMENT.fullmatch(word)]
    if not words:
        return False
    return words[0] in PROGRAMS or (bool(_FILES.fullmatch(words[0])) and len(words) > 1)


def simple_commands(text: str) -> list[list[str]]:
    """The words of each command in a line, as a shell sees them, without variables that are set and redirections.

    Raises:
        ValueError: a quotation is not closed.
    """
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    commands: list[list[str]] = [[]]
    words = iter(lexer)
    for word in words:
        if word in _OUTSIDE_A_COMMAND:
            commands.append([])
        elif set(word) <= set("<>"):
            next(words, None)
        elif commands[-1] or not _ASSIGNMENT.fullmatch(word):
            commands[-1].append(word)
        for inner in re.findall(r"\$\(([^)]*)\)", word):
            commands[:0] = simple_commands(inner)
    return [command for command in commands if command]


def _apart(text: str) -> tuple[list[str], str]:
    """The parts of the blocks of code, each line without its indentation, and the text without the blocks."""
    parts: list[list[str]] = [[]]
    prose: list[str] = []
    fence: str | None = None
    """The language of the fenced block that a line is in."""
    indented = False
    for line in text.splitlines():
        if line.startswith("```"):
            fence = line.removeprefix("```") if fence is None else None
            parts.append([])
        elif not line.strip():
            parts.append([])
            prose.append("")
        elif fence is not None:
            parts[-1] += [line.strip()] if fence in _SHELLS else []
        elif line.startswith("    ") and (indented or not prose or not prose[-1]):
            indented = True
            parts[-1].append(line.strip())
            continue
        else:
            prose.append(line)
        indented = indented and not line.strip()
    return ["\n".join(part) for part in parts if part], "\n".join(prose)


def _typed(part: str) -> list[str]:
    texts = [text for text in part.splitlines() if text != "…" and not text.startswith("# ")]
    prompted = [text.removeprefix("$ ") for text in texts if text.startswith("$ ")]
    if prompted:
        return prompted
    return texts if texts and is_command(texts[0]) else []
