"""Where commands print: the one place that decides what a terminal, or the log of a job on GitHub, is given.

Names in an account, lines of a droplet's logs, answers of an API are other people's text. A terminal obeys the control
characters in it, rich takes its brackets for markup, and GitHub's runner obeys some of its lines. So what is printed
goes through `guard`, and what rich lays out goes to a `console` of ours.
"""

from __future__ import annotations

import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console
    from rich.text import Text

_LAYOUT = frozenset("\n\t")
"""Control characters that do no more than lay text out."""

# What the runner obeys: `::error::…` where a line begins, and the older `##[add-mask]…` wherever it stands.
# https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions,
# https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs.
_COMMAND = re.compile(r"^([ \t]*)(?=::)|(?<=##)(?=\[)", re.MULTILINE)

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LONGEST_LINE = 1000


def plain(text: object) -> str:
    r"""A text, of one line or several, that is shown and not obeyed: what cannot be printed is as in `\x1b`."""
    shown = "".join(it if it.isprintable() or it in _LAYOUT else _escaped(it) for it in str(text))
    return _COMMAND.sub(lambda found: f"{found[1] or ''}\\", shown) if _on_github() else shown


def line(text: object) -> str:
    """The same on one line, and not endless."""
    shown = re.sub(r"[\n\t]", " ", plain(text)).rstrip()
    return shown if len(shown) <= _LONGEST_LINE else f"{shown[:_LONGEST_LINE]}…"


def uncoloured(text: str) -> str:
    """A text without the colours that a program gave it; other control characters stay."""
    return _COLOUR.sub("", text)


def guard() -> None:
    """Let everything that this process prints from here on be `plain`: by `print`, by typer, in a traceback."""
    sys.stdout, sys.stderr = (
        stream if isinstance(stream, _Guarded) else cast("TextIO", _Guarded(stream))
        for stream in (sys.stdout, sys.stderr)
    )


def console(*, err: bool = False) -> Console:
    """For tables and progress, whose styles are control characters: each `str` in them is `plain`, and no markup.

    A log has no width of its own, and the usual 80 columns break most lines.
    """
    from rich.console import Console  # noqa: PLC0415 - most commands need not wait for it

    class Plain(Console):
        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(plain(text), **{**options, "markup": False, "emoji": False})

    stream = sys.stderr if err else sys.stdout
    bare = stream.bare if isinstance(stream, _Guarded) else stream
    return Plain(file=bare, width=None if bare.isatty() else 160, markup=False, emoji=False, highlight=False)


def as_json(value: Any, indent: int | None = None) -> str:
    """A value for programs: they get every character as it is, a terminal and a runner none that they would obey."""
    # Every `#` in JSON stands in a string.
    return json.dumps(value, indent=indent).replace("##[", "#\\u0023[")


class _Guarded:
    """A stream that takes text alone."""

    def __init__(self, bare: TextIO) -> None:
        self.bare = bare

    def write(self, text: str) -> int:
        """As of any stream of text; those who ask by bytes whether it is one get an error, as there."""
        if not isinstance(text, str):
            raise TypeError(f"text is wanted, not {type(text).__name__}")
        self.bare.write(plain(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """As of any stream."""
        for it in lines:
            self.write(it)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bare, name)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _on_github() -> bool:
    return os.environ.get("GITHUB_ACTIONS") == "true"
