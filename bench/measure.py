"""What one command costs: wall time, processor time, memory of all its processes, and what they write to disk."""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

_PERIOD = 0.5
"""Seconds between two samples of the memory."""
_PR_SET_CHILD_SUBREAPER = 36
"""prctl(2)."""
_BLOCK = 512
"""Bytes in a block of getrusage(2), ru_oublock."""


class CommandError(Exception):
    """A command that is measured failed; the message has its last output."""


@dataclass(frozen=True)
class Cost:
    """Of one command, or of several one after the other."""

    seconds: float = 0.0
    """Wall time."""
    cpu_seconds: float = 0.0
    """Of all processes that were waited for."""
    peak_mib: float = 0.0
    """The most that all processes had at one moment: proportional set size, so that shared pages count once."""
    bytes_written: int = 0
    """To disk, as the kernel accounts for it, in whole pages: state, its backups, and little else."""

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.seconds + other.seconds,
            self.cpu_seconds + other.cpu_seconds,
            max(self.peak_mib, other.peak_mib),
            self.bytes_written + other.bytes_written,
        )


def adopt_orphans() -> None:
    """Adopt what a command leaves in the background, so that its memory counts too."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def run(
    argv: Sequence[str], folder: Path, environment: Mapping[str, str], log: Path, *, beside: Iterable[int] = ()
) -> Cost:
    """Run a command to its end.

    Args:
        argv: the command.
        folder: where it runs.
        environment: all of its environment.
        log: gets what it prints, at the end of the file.
        beside: other processes that work for this command, so that their memory counts.

    Raises:
        CommandError: it failed.
    """
    with log.open("ab") as output:
        output.write(f"$ {' '.join(argv)}\n".encode())
        output.flush()
        start = output.tell()
        began = time.monotonic()
        with (
            subprocess.Popen(
                argv, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            ) as process,
            _Memory({process.pid, *beside}) as memory,
        ):
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - began
    if process.returncode != 0:
        with log.open("rb") as output:
            output.seek(start)
            printed = output.read().decode(errors="replace")
        raise CommandError(f"{' '.join(argv)}: exit status {process.returncode}\n{printed[-3000:]}")
    return Cost(seconds, used.ru_utime + used.ru_stime, memory.peak / 2**20, used.ru_oublock * _BLOCK)


class _Memory:
    """Samples the memory of processes and their descendants until the context ends."""

    def __init__(self, roots: Iterable[int]) -> None:
        self._roots = tuple(roots)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.peak = 0
        """Bytes."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.is_set():
            self.peak = max(self.peak, sum(_size(process) for process in self._processes()))
            self._ended.wait(_PERIOD)

    def _processes(self) -> set[psutil.Process]:
        processes = set()
        for root in self._roots:
            try:
                process = psutil.Process(root)
                processes |= {process, *process.children(recursive=True)}
            except psutil.NoSuchProcess:
                continue
        return processes


def _size(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:  # it ended
        return 0
