"""What commands print: the one place that decides what reaches a terminal or the log of a job on GitHub.

Names in an account, lines of a droplet's logs, answers of an API are other people's text. A terminal obeys the control
characters in it, rich takes its brackets for markup, and GitHub's runner obeys some of its lines. So what is printed
goes through `guard`, and what rich lays out goes to our `console`.

Whoever reads the output may go away (`| head`, a terminal that is closed), and the disk that it is written to may be
full. That ends our printing, and nothing else: what cannot be written is dropped, and the command goes on to its end.
"""

from __future__ import annotations

import errno
import json
import os
import re
import sys
from contextlib import contextmanager, suppress
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
    """Make everything `plain` that this process prints from here on: by `print`, by typer, in a traceback.

    A write that fails raises nothing from here on, see `losses`.
    """
    sys.stdin = sys.stdin or _nowhere(0)
    sys.stdout, sys.stderr = (
        stream if isinstance(stream, _Guarded) else cast("TextIO", _Guarded(_Lasting(stream or _nowhere(number))))
        for number, stream in ((1, sys.stdout), (2, sys.stderr))
    )


def _nowhere(number: int) -> TextIO:
    """A stream instead of one that was closed when we began; no other file may get its number, and be printed into."""
    opened = os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)
    os.set_inheritable(number, True)
    return os.fdopen(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False)


def unread() -> bool:
    """Whether nothing can be printed any more on the standard output."""
    return isinstance(sys.stdout, _Guarded) and sys.stdout.lasting.lost is not None


def losses() -> list[str]:
    """Write what is buffered, and say which output was lost, and why; nothing about a reader that went away."""
    lost = []
    for name, stream in (("standard output", sys.stdout), ("the standard error stream", sys.stderr)):
        stream.flush()
        error = stream.lasting.lost if isinstance(stream, _Guarded) else None
        if error is not None and error.errno != errno.EPIPE:
            lost.append(f"{name}: {error.strerror}. What was printed is lost; the command itself went on to its end")
    return lost


def pass_on(stream: TextIO, data: bytes) -> None:
    """Print what another program printed, byte by byte."""
    if isinstance(stream, _Guarded):
        stream.lasting.pass_on(data)
    else:
        stream.write(data.decode(errors="replace"))


def console(*, err: bool = False) -> Console:
    """For tables and progress, whose styles are control characters: each `str` in them is `plain`, and no markup.

    A log has no width of its own, and the usual 80 columns break most lines.
    """
    from rich.console import Console

    class Plain(Console):
        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(plain(text), **{**options, "markup": False, "emoji": False})

    stream = sys.stderr if err else sys.stdout
    lasting = cast("TextIO", stream.lasting) if isinstance(stream, _Guarded) else stream
    return Plain(file=lasting, width=None if lasting.isatty() else 160, markup=False, emoji=False, highlight=False)


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


class _Lasting:
    """A stream whose writes raise nothing: after one that failed, everything is dropped."""

    def __init__(self, bare: TextIO) -> None:
        self.bare = bare
        self.lost: OSError | None = None
        """Why nothing can be written any more."""
        self._terminal = bare.isatty()

    def write(self, text: str) -> int:
        """Like any text stream's."""
        with self._dropping():
            self.bare.write(text)
        return len(text)

    def flush(self) -> None:
        """Like any stream's."""
        with self._dropping():
            self.bare.flush()

    def pass_on(self, data: bytes) -> None:
        """Write bytes, and behind them what was written before."""
        with self._dropping():
            self.bare.flush()
            self.bare.buffer.write(data)
            self.bare.buffer.flush()

    @contextmanager
    def _dropping(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if self._terminal and error.errno == errno.EIO:  # it was closed
                error = BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
            self.lost = self.lost or error
            # What is buffered would be written again at the end, and a program that we start inherits the stream.
            with suppress(OSError, ValueError):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, self.bare.fileno())
                os.close(null)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bare, name)


class _Guarded:
    """A stream that accepts only text."""

    def __init__(self, lasting: _Lasting) -> None:
        self.lasting = lasting

    def write(self, text: str) -> int:
        """Like any text stream's; bytes raise a TypeError, by which callers recognise a text stream."""
        if not isinstance(text, str):
            raise TypeError(f"text is expected, not {type(text).__name__}")
        self.lasting.write(plain(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Like any stream's."""
        for it in lines:
            self.write(it)

    def flush(self) -> None:
        """Like any stream's."""
        self.lasting.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.lasting, name)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _on_github() -> bool:
    return os.environ.get("GITHUB_ACTIONS") == "true"
