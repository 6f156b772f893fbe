"""What a droplet's disk holds over its snapshot, changed from outside.

Whoever is root on a droplet decides what stands in it, so no name in it is followed: neither a link nor a device leads
out of the disk.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

from sandbox.process import ProgramError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LONGEST = 1 << 20
"""Characters read of a file at most."""


def write(upper: Path, path: str, text: str, *, private: bool = False) -> None:
    """Write a file anew; folders on the way that are not there are made.

    Args:
        upper: the upper layer of the droplet's disk.
        path: such as `etc/hostname`.
        text: all that it will hold.
        private: only root may read it, and look into the folders made for it.

    Raises:
        ProgramError: what stands on the way is no folder, or a folder stands where the file goes.
    """
    *folders, name = path.split("/")
    with _folder(upper, folders, mode=0o700 if private else 0o755) as folder:
        try:
            os.unlink(name, dir_fd=folder)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise ProgramError(f"/{path} of the droplet's disk is not a file") from error
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with open(os.open(name, flags, 0o600 if private else 0o644, dir_fd=folder), "w") as file:  # noqa: PTH123 -- of an open folder
            file.write(text)


def read(upper: Path, path: str) -> str:
    """What a file holds, as far as it is short; empty when the disk has none of this name."""
    *folders, name = path.split("/")
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    with contextlib.suppress(FileNotFoundError, ProgramError), _folder(upper, folders) as folder:
        try:
            descriptor = os.open(name, flags, dir_fd=folder)
        except OSError:  # a link, or the mark of a file that was deleted
            return ""
        with open(descriptor, errors="replace") as file:  # noqa: PTH123 -- of an open folder
            return file.read(_LONGEST) if stat.S_ISREG(os.fstat(descriptor).st_mode) else ""
    return ""


def remove(upper: Path, folder: str, prefix: str) -> None:
    """Remove the files of a folder whose names begin so; nothing when there is no such folder."""
    with contextlib.suppress(FileNotFoundError, ProgramError), _folder(upper, folder.split("/")) as opened:
        for name in os.listdir(opened):  # noqa: PTH208 -- of an open folder
            if name.startswith(prefix):
                os.unlink(name, dir_fd=opened)


def size(tree: Path) -> int:
    """Bytes that a tree takes up."""
    return sum(
        os.lstat(os.path.join(folder, name)).st_blocks * 512  # noqa: PTH118 -- half the time, over many files
        for folder, folders, files in os.walk(tree)
        for name in (*folders, *files)
    )


@contextlib.contextmanager
def _folder(upper: Path, names: list[str], mode: int | None = None) -> Iterator[int]:
    """A folder's descriptor.

    Args:
        upper: where it begins.
        names: from there, a folder each.
        mode: of folders that are made; None to make none.

    Raises:
        FileNotFoundError: there is none, and none is to be made.
        ProgramError: something else has one of the names.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    descriptor = os.open(upper, flags)
    try:
        for number, name in enumerate(names):
            if mode is not None:
                _make(descriptor, name, mode)
            try:
                inner = os.open(name, flags, dir_fd=descriptor)
            except FileNotFoundError:
                raise
            except OSError as error:
                raise ProgramError(f"/{'/'.join(names[: number + 1])} of the droplet's disk is not a folder") from error
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def _make(parent: int, name: str, mode: int) -> None:
    """Make a folder where there is none, or the overlay's mark of one that was deleted."""
    try:
        os.mkdir(name, mode, dir_fd=parent)
    except FileExistsError:
        there = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if stat.S_ISCHR(there.st_mode) and there.st_rdev == 0:
            os.unlink(name, dir_fd=parent)
            os.mkdir(name, mode, dir_fd=parent)
