"""What commands print: the one place that decides what reaches a terminal or the log of a job on GitHub.

Names in an account, lines of a droplet's logs, answers of an API are other people's text. A terminal obeys the control
characters in it, rich takes its brackets for markup, and GitHub's runner obeys some of its lines. So what is printed
goes through `guard`, and what rich lays out goes to our `console`.
"""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rich.console import Console
    from rich.text import Text

_LAYOUT = frozenset("\n\t")
"""Control characters that only lay out text."""

# What the runner obeys: `::error::…` at the beginning of a line, and the older `##[add-mask]…` anywhere.
# https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions,
# https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs.
_COMMAND = re.compile(r"^([ \t]*)(?=::)|(?<=##)(?=\[)", re.MULTILINE)

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LONGEST_LINE = 1000


def plain(text: object) -> str:
    r"""A text, of one line or several, that is shown and not obeyed: unprintable characters are written as `\x1b`."""
    shown = "".join(it if it.isprintable() or it in _LAYOUT else _escaped(it) for it in str(text))
    return _COMMAND.sub(lambda found: f"{found[1] or ''}\\", shown) if _on_github() else shown


def line(text: object) -> str:
    """The same on one line, and bounded."""
    shown = re.sub(r"[\n\t]", " ", plain(text)).rstrip()
    return shown if len(shown) <= _LONGEST_LINE else f"{shown[:_LONGEST_LINE]}…"


def uncoloured(text: str) -> str:
    """A text without a program's colours; other control characters stay."""
    return _COLOUR.sub("", text)


def guard() -> None:
    """Make everything `plain` that this process prints from here on: by `print`, by typer, in a traceback."""
    sys.stdout, sys.stderr = (
        stream if isinstance(stream, _Guarded) else cast("TextIO", _Guarded(stream))
        for stream in (sys.stdout, sys.stderr)
    )


def console(*, err: bool = False) -> Console:
    """For tables and progress, whose styles are control characters: each `str` in them is `plain`, and no markup.

    A log has no width of its own, and the usual 80 columns break most lines.
    """
    from rich.console import Console

    class Plain(Console):
        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(plain(text), **{**options, "markup": False, "emoji": False})

    stream = sys.stderr if err else sys.stdout
    bare = stream.bare if isinstance(stream, _Guarded) else stream
    return Plain(file=bare, width=None if bare.isatty() else 160, markup=False, emoji=False, highlight=False)


@contextmanager
def progress(description: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a count on the standard error stream while the block runs, on a terminal only.

    Yields:
        What advances the count by one.
    """
    from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console(err=True), transient=True) as shown:
        task = shown.add_task(plain(description), total=total)
        yield lambda: shown.advance(task)


def as_json(value: Any, indent: int | None = None) -> str:
    """JSON for programs, which read every character as it is; a terminal and a runner see none that they obey."""
    # In JSON every `#` is in a string.
    return json.dumps(value, indent=indent).replace("##[", "#\\u0023[")


class _Guarded:
    """A stream that accepts only text."""

    def __init__(self, bare: TextIO) -> None:
        self.bare = bare

    def write(self, text: str) -> int:
        """Like any text stream's; bytes raise a TypeError, by which callers recognise a text stream."""
        if not isinstance(text, str):
            raise TypeError(f"text is expected, not {type(text).__name__}")
        self.bare.write(plain(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Like any stream's."""
        for it in lines:
            self.write(it)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bare, name)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _on_github() -> bool:
    return os.environ.get("GITHUB_ACTIONS") == "true"
