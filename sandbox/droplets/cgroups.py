"""Control groups of the sandbox's own, in every hierarchy that the machine has.

On an ordinary machine there is one hierarchy (cgroup v2); older ones have one per controller, and may have both. A
process has its place in each of them. The groups stand at the top, next to the machine's own, so that nothing that
ends with a login or a service takes droplets along.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_GONE_SECONDS = 10
"""How long the kernel may take to end killed processes, and to stop or start those that are frozen."""


def hierarchies() -> list[Path]:
    """Where the machine's hierarchies are mounted."""
    found = []
    for line in _MOUNTS.read_text().splitlines():
        before, _, after = line.partition(" - ")
        if after.split()[0] in {"cgroup", "cgroup2"}:
            found.append(Path(before.split()[4]))
    return found


@dataclass(frozen=True)
class Cgroup:
    """A group of this path in each hierarchy."""

    path: str
    """Relative, such as `md1a2b3c4d` or `md1a2b3c4d/412345678`."""

    def child(self, name: str) -> Cgroup:
        """A group inside this one."""
        return Cgroup(f"{self.path}/{name}")

    def make(self) -> list[Path]:
        """Make it; returns the files that a process writes 0 to in order to join.

        Raises:
            OSError: This machine does not allow it.
        """
        folders = self._folders()
        for hierarchy, folder in folders.items():
            folder.mkdir(parents=True, exist_ok=True)
            if (hierarchy / "cpuset.mems").exists() and not (folder / "cpuset.mems").read_text().strip():
                # Nothing can join a group of the first version that has no processors.
                for group in reversed([folder, *folder.relative_to(hierarchy).parents[:-1]]):
                    for kind in ("cpuset.cpus", "cpuset.mems"):
                        (hierarchy / group / kind).write_text((hierarchy / kind).read_text())
        return [folder / "cgroup.procs" for folder in folders.values()]

    def processes(self) -> set[int]:
        """The processes in it and in the groups inside it."""
        return {pid for folder in self._folders().values() for pid in _processes(folder)}

    def has_payload(self) -> bool:
        """Whether systemd-nspawn, running in it, has started the machine's own first process."""
        return any(_processes(folder / "payload") for folder in self._folders().values())

    def freeze(self) -> None:
        """Let no process in it run, until `thaw`; returns when all stand still.

        Raises:
            OSError: They do not, or this machine cannot do it.
        """
        freezer = self._freezer()
        if freezer is None:
            raise OSError(errno.ENOTSUP, "this machine has no freezer for control groups", self.path)
        freezer.freeze()
        until = time.monotonic() + _GONE_SECONDS
        while not freezer.is_frozen():
            if time.monotonic() > until:
                raise OSError(errno.EBUSY, "processes go on after they were frozen", self.path)
            time.sleep(0.01)

    def thaw(self) -> None:
        """Let the processes in it and in the groups inside it go on; nothing when they run."""
        freezer = self._freezer()
        if freezer is not None:
            with contextlib.suppress(FileNotFoundError):
                freezer.thaw()

    def _freezer(self) -> _Freezer | None:
        """Version 1 has a hierarchy for it, version 2 a file of each group.

        One of them where a machine has both: what the first has stopped never reports to the second.
        """
        kinds = (("freezer.state", "FROZEN", "THAWED"), ("cgroup.freeze", "1", "0"))
        there = (
            _Freezer(folder, *kind)
            for kind in kinds
            for folder in self._folders().values()
            if (folder / kind[0]).exists()
        )
        return next(there, None)

    def kill(self) -> None:
        """Kill every process in it and remove it; nothing when it is not there.

        Raises:
            OSError: The kernel does not let go of it.
        """
        self.thaw()  # what is frozen dies only when it goes on
        until = time.monotonic() + _GONE_SECONDS
        while (pids := self.processes()) and time.monotonic() < until:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
        self.remove()

    def remove(self) -> None:
        """Remove it, empty of processes as it is, with the groups inside it.

        Raises:
            OSError: A process is in it still.
        """
        until = time.monotonic() + _GONE_SECONDS
        for folder in self._folders().values():
            for group in (Path(path) for path, _, _ in os.walk(folder, topdown=False)):
                while True:
                    try:
                        group.rmdir()
                    except FileNotFoundError:
                        break
                    except OSError as error:
                        # A dead process leaves its group a moment after it is seen to be dead.
                        if error.errno != errno.EBUSY or time.monotonic() > until:
                            raise
                        time.sleep(0.01)
                    else:
                        break

    def _folders(self) -> dict[Path, Path]:
        return {hierarchy: hierarchy / self.path for hierarchy in hierarchies()}


@dataclass(frozen=True)
class _Freezer:
    """The file that stops a group's processes."""

    folder: Path
    name: str
    frozen: str
    thawed: str

    def freeze(self) -> None:
        (self.folder / self.name).write_text(self.frozen)

    def thaw(self) -> None:
        for group, _, files in os.walk(self.folder):  # one that was frozen itself does not go on with those around it
            if self.name in files:
                Path(group, self.name).write_text(self.thawed)

    def is_frozen(self) -> bool:
        if self.name == "freezer.state":
            return (self.folder / self.name).read_text().strip() == self.frozen
        return "frozen 1" in (self.folder / "cgroup.events").read_text().splitlines()


def _processes(folder: Path) -> set[int]:
    pids: set[int] = set()
    for path, _, _ in os.walk(folder):
        with contextlib.suppress(FileNotFoundError, OSError):
            pids |= {int(line) for line in Path(path, "cgroup.procs").read_text().split()}
    return pids
