"""Hands the signals that end this process on to one that it started, which then ends what it has begun.

Python runs a signal's handler between two steps of the main thread. A signal that comes just before a call that waits
would stay unnoticed until that call returns. But Python also writes the number of each signal to a file as it comes
(https://docs.python.org/3/library/signal.html#signal.set_wakeup_fd), and here a thread waits for those numbers.
"""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable, Iterator, Mapping

_APART = 0.2
"""Seconds between two signals that are handed on. A process that has not taken a signal yet merges the next one with
it: signal(7)."""


class Interrupts:
    """The signals that came, and the process that they go to.

    Attributes:
        came: whether there was one.
        handed_on: whether there was one while the process was running.
        last: the number of the last one that came; None if none did. All are final behind the block.
    """

    def __init__(self, numbers: Mapping[int, int]) -> None:
        self.came = self.handed_on = False
        self.last: int | None = None
        self._numbers = numbers
        self._process: subprocess.Popen[Any] | None = None
        self._ready, self._over = Event(), Event()

    def go_to(self, process: subprocess.Popen[Any]) -> None:
        """Hand on to this process, also what came before it was started."""
        self._process = process
        self._ready.set()

    def end(self) -> None:
        """Hand on nothing more."""
        self._over.set()
        self._ready.set()

    def read(self, pipe: int) -> None:
        """Hand on what comes through a pipe, until its end."""
        while number := os.read(pipe, 1):
            if number[0] in self._numbers:
                self.came, self.last = True, number[0]
                self._ready.wait()
                if self._process is not None and self._process.poll() is None:
                    self._process.send_signal(self._numbers[number[0]])
                    self.handed_on = True
                self._over.wait(_APART)


@contextmanager
def handed_on(numbers: Mapping[int, int]) -> Iterator[Interrupts]:
    """Hand signals on meanwhile, each once; enter it before the process is started, so that none is missed.

    Behind the block they do again what they did before, also one that comes in between.

    Args:
        numbers: the signals, with the one that each is handed on as.
    """
    interrupts = Interrupts(numbers)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)  # `set_wakeup_fd` demands it
    reader = Thread(target=interrupts.read, args=(reading,), daemon=True)
    with _held_back(numbers):
        reader.start()
        handlers = {number: signal.signal(number, _do_nothing) for number in numbers}
        wakeup = signal.set_wakeup_fd(writing)
    try:
        yield interrupts
    finally:
        try:
            with _held_back(numbers):
                signal.set_wakeup_fd(wakeup)
                for number, handler in handlers.items():
                    signal.signal(number, handler)
        finally:
            interrupts.end()
            os.close(writing)
            reader.join()
            os.close(reading)


@contextmanager
def _held_back(numbers: Iterable[int]) -> Iterator[None]:
    """Let these signals come at the end of the block only."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, numbers)  # raises what an earlier signal's handler raises
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _do_nothing(*_: object) -> None:
    """Instead of the default action."""
