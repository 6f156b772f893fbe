"""Processes of this machine: what everybody on it sees of them, and their end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def process_list(pause: float = 0) -> Iterator[set[str]]:
    """Every command line that this machine shows meanwhile; it is looked at with a pause in seconds between."""
    seen: set[str] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.wait(pause):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(path.read_text(errors="replace"))
                except OSError:  # it ended
                    continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        done.set()
        watcher.join()


KILLER = """\
#!/bin/bash
n=$(( $(cat "{count}") + 1 ))
echo $n > "{count}"
"{real}" "$@"
code=$?
[ $n = "$KILL_AFTER" ] && kill -9 $PPID
exit $code
"""
"""A `pulumi` that ends whoever calls it after so many calls."""


def kill(process: subprocess.Popen[str]) -> None:
    """End a runner as a machine that goes away does: everything at once, and nothing has its say."""
    listing = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(pid): int(parent) for pid, parent in (line.split() for line in listing.splitlines())}
    doomed = {process.pid}
    while more := {pid for pid, parent in parents.items() if parent in doomed} - doomed:
        doomed |= more
    for pid in sorted(doomed):
        with contextlib.suppress(ProcessLookupError):  # it ended by itself just now
            os.kill(pid, signal.SIGKILL)
