"""Files and folders opened step by step, without following links: for root in folders where others may write.

Customers' pipelines run as the user meltano, who may swap any name in its folders at any moment. Root never acts by
path there: what is read, chowned or replaced is what was opened.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from meltanodata.droplet.scripts.foreign import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST = 1 << 20
"""Bytes of a file that others write to as well."""


class Refused(Exception):  # noqa: N818 - caught here
    """Why a file is not touched, and what to do."""


class Plain(NamedTuple):
    """A regular file."""

    content: bytes
    uid: int
    gid: int
    mode: int
    handle: int = -1
    """Open for reading; -1 for a file that is yet to be written."""
    links: int = 1


class Link(NamedTuple):
    """A symbolic link that root has made, since nobody else may write in its folder."""

    target: str


_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_FILE = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_MOST_LINKS = 40
"""In one path; the kernel's own limit."""


@contextlib.contextmanager
def folder(path: Path, root: Path) -> Iterator[int]:
    """A descriptor of a folder. Follows a link in its path only where root alone may write.

    Raises:
        Refused: its path has another link, or it is no folder.
    """
    at = os.open(root, _FOLDER)
    try:
        names, links = list(reversed(path.parts[1:])), 0
        while names:
            name = names.pop()
            try:
                below = os.open(name, _FOLDER, dir_fd=at)
            except OSError:
                target = link_target(name, at)
                if target is None:
                    raise Refused(f"{path} is not a folder") from None
                links += 1
                if links > _MOST_LINKS or not roots_alone(at):
                    raise Refused(
                        f"{path} is not reached: its part {name!r} is a symbolic link to {shown(target)}, and root"
                        " follows no link where others may write. Move the folder itself there, or mount it there:"
                        " mount --bind"
                    ) from None
                names += reversed(Path(target).parts)
                if not target.startswith("/"):
                    continue
                names.pop()
                below = os.open(root, _FOLDER)
            os.close(at)
            at = below
        yield at
    finally:
        os.close(at)


@contextlib.contextmanager
def regular(path: Path, at: int) -> Iterator[int | Link | None]:
    """A descriptor, for reading, of the file at a path in the open folder; None where there is nothing.

    Raises:
        Refused: it is neither a file nor a link that root has made.
    """
    try:
        handle = os.open(path.name, _FILE, dir_fd=at)
    except FileNotFoundError:
        yield None
        return
    except OSError as error:
        target = link_target(path.name, at)
        if target is None:
            raise Refused(f"{path} is not a file ({os.strerror(error.errno or 0)}). {move_away(path, at)}") from None
        if not roots_alone(at):
            raise Refused(
                f"{path} is a symbolic link to {shown(target)}, and root follows no link where others may write."
                f" {move_away(path, at)}; the next run writes a new file"
            ) from None
        yield Link(target)
        return
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise Refused(f"{path} is not a file. {move_away(path, at)}")
        yield handle
    finally:
        os.close(handle)


@contextlib.contextmanager
def look(path: Path, at: int) -> Iterator[Plain | Link | None]:
    """What is at a path in the open folder; None for nothing.

    Raises:
        Refused: it is neither a file nor a link that root has made, or it is too large.
    """
    with regular(path, at) as handle:
        if not isinstance(handle, int):
            yield handle
            return
        status = os.fstat(handle)
        with os.fdopen(os.dup(handle), "rb") as stream:
            content = stream.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise Refused(f"{path} has more than {LARGEST} bytes, too many to be read. Find out what wrote it")
        mode = stat.S_IMODE(status.st_mode)
        yield Plain(content, status.st_uid, status.st_gid, mode, handle, status.st_nlink)


def check_origin(file: Plain, path: Path, at: int) -> None:
    """Check that another owner's file was made in this folder, before the folder's user becomes its owner.

    A file of root's is mended. But a file with a second name may be a hard link to any file of the machine.

    Raises:
        Refused: it may be such a link.
    """
    if roots_alone(at) or (file.links == 1 and hard_links_are_protected()):
        return
    raise Refused(
        f"{path} belongs to user {file.uid} and may be a hard link to a file from elsewhere (names: {file.links})."
        f" {move_away(path, at)}; the next run writes a new file"
    )


def hard_links_are_protected() -> bool:
    """Whether users can make hard links only to files that they may write: a default of systemd's."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/fs/protected_hardlinks").read_text(encoding="ascii").strip() == "1"
    return False


def roots_alone(at: int) -> bool:
    """Whether only root, or the user who runs this, may change what is in a folder."""
    status = os.fstat(at)
    return status.st_uid in {0, os.geteuid()} and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def link_target(name: str, at: int) -> str | None:
    """Where a symbolic link leads; None for anything else."""
    with contextlib.suppress(OSError):
        return os.readlink(name, dir_fd=at)
    return None


def move_away(path: Path, at: int) -> str:
    """The advice to move a file away as the folder's owner: a link could lead root elsewhere."""
    uid = os.fstat(at).st_uid
    owner = f"setpriv --reuid={uid} --clear-groups"
    with contextlib.suppress(KeyError):
        owner = f"runuser -u {pwd.getpwuid(uid).pw_name} --"
    return f"On the droplet, move it away: {owner} mv --no-clobber {path} {path}.odd"


def put(name: str, at: int, file: Plain | Link) -> None:
    """Write a file or link in one step. Owner and mode are set through its descriptor, not through its name."""
    temporary = f".meltanodata-{secrets.token_hex(8)}"
    try:
        if isinstance(file, Link):
            os.symlink(file.target, temporary, dir_fd=at)
        else:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(temporary, flags, 0o600, dir_fd=at), "wb") as stream:
                stream.write(file.content)
                os.fchown(stream.fileno(), file.uid, file.gid)
                os.fchmod(stream.fileno(), file.mode)
                stream.flush()
                os.fsync(stream.fileno())
        os.replace(temporary, name, src_dir_fd=at, dst_dir_fd=at)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=at)
        raise
