"""The machine's processes, as far as they can be seen: whether a Pulumi that took a lock is still running.

A process in a container has a number of its own there (its PID namespace's), which its lock states. From outside both
numbers can be seen (`NSpid` in proc_pid_status(5)), from inside nothing but what is inside.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

_PROC = Path("/proc")
# The numbers of the machine's own namespaces: include/linux/proc_ns.h.
_OWN_PID, _OWN_UTS = "pid:[4026531836]", "uts:[4026531838]"
_SLACK = 2.0
"""Seconds by which a clock may have been corrected."""


def runs(pid: int) -> bool:
    """Whether a process of this number, here or in a container of this machine, is a running Pulumi.

    Any process counts if its name cannot be read.
    """
    return _runs_here(pid) or any(_is_pulumi(process) for process in _inside_containers(pid))


def _runs_here(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return _is_pulumi(_PROC / str(pid), unreadable=True)


def _is_pulumi(process: Path, *, unreadable: bool = False) -> bool:
    try:
        # proc(5): number, (name), state. An ended process stays a zombie until its parent reaps it.
        name, state = (process / "stat").read_text(encoding="utf-8", errors="replace").split("(", 1)[1].rsplit(")", 1)
    except OSError:
        return unreadable and not process.exists()
    return name.startswith("pulumi") and state.split()[0] not in {"Z", "X"}


def _inside_containers(pid: int) -> list[Path]:
    """The processes that have this number in a PID namespace inside of ours."""
    inside = []
    for status in _PROC.glob("[0-9]*/status"):
        with suppress(OSError):  # it ended
            lines = status.read_text(encoding="utf-8", errors="replace").splitlines()
            numbers = next((line.split()[1:] for line in lines if line.startswith("NSpid:")), [])
            if len(numbers) > 1 and numbers[-1] == str(pid):
                inside.append(status.parent)
    return inside


def may_be_hidden(since: str) -> bool:
    """Whether a process that took a lock then (RFC 3339), and gave our host's name, may be where we cannot see it.

    That is so in a container that shares the machine's name, or is younger than the lock. Otherwise whoever has our
    host's name is in our container.
    """
    try:
        pid, uts = ((_PROC / "self/ns" / kind).readlink() for kind in ("pid", "uts"))
    except OSError:
        return False
    if str(pid) == _OWN_PID:
        return False
    return str(uts) == _OWN_UTS or _is_older(since)


def _is_older(since: str) -> bool:
    """Whether a time is before the start of our PID namespace; so is one that cannot be compared."""
    try:
        started = (_PROC / "1/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[19]  # ticks since the boot
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(started) / os.sysconf("SC_CLK_TCK")
        return datetime.fromisoformat(since[:19] + _zone(since)).timestamp() < time.time() - age - _SLACK
    except (OSError, ValueError, IndexError):
        return True


def _zone(since: str) -> str:
    """The offset that a time of RFC 3339 ends with."""
    return "+00:00" if since.endswith(("Z", "z")) else since[-6:]
