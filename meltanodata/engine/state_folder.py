"""The folder that Pulumi keeps states in, where the backend is a folder: whether it can be written, and what is left.

On a full disk Pulumi copies the state to its backup and then writes it again, and cuts off both.
"""

from __future__ import annotations

import errno
import gzip
import json
import os
import shlex
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

_COPIES = 6
"""How often a run writes the state at the same time: it, its backup, its history, each with room to grow."""
_ROOM = 4 << 20
"""Bytes that a run may need besides."""
_LOST = '"The state is damaged or lost"'
"""The section that says how."""


def path(url: str) -> Path | None:
    """The folder `.pulumi` of a backend; None for one that is no folder."""
    parts = urlsplit(url)
    return Path(unquote(parts.netloc + parts.path)).expanduser() / ".pulumi" if parts.scheme == "file" else None


def unwritable(backend: Path, project: str, stack: str) -> str | None:
    """Why a run could not write the state to its end, and what to do; Pulumi itself would try for minutes.

    Args:
        backend: see `path`.
        project: its name.
        stack: its name.
    """
    size = max((file.stat().st_size for file in _states(backend, project, stack)), default=0)
    needed = _COPIES * size + _ROOM
    below = (f"stacks/{project}", f"locks/organization/{project}/{stack}", f"history/{project}/{stack}")
    folders = dict.fromkeys(_existing(backend / name) for name in (*below, f"backups/{project}/{stack}"))
    for number, folder in enumerate(folders):
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                if number == 0:
                    _take(file.fileno(), needed)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
                room = f"a run needs {-(-needed >> 20)} MiB, or it cuts the state off. Make room"
            else:
                room = "Pulumi keeps the state there. Make it writable for you"
            return f"{folder}: {error.strerror}: {room}, and run this again. Nothing was changed"
    return None


def _take(number: int, size: int) -> None:
    if not hasattr(os, "posix_fallocate"):  # macOS
        return
    try:
        os.posix_fallocate(number, 0, size)
    except OSError as error:
        if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL}:
            raise


def _existing(folder: Path) -> Path:
    """The folder, or the one above it that it would be made in."""
    return next((each for each in (folder, *folder.parents) if each.is_dir()), folder)


def damage(backend: Path, project: str, stack: str) -> str | None:
    """What is wrong with a state's file, and how to restore it; None if it is whole or missing."""
    for state in _states(backend, project, stack):
        if not _is_whole(state):
            what = "cut off" if state.stat().st_size else "empty"
            return (
                f"{state} is {what}, as a full disk or a machine that went away leaves it. It is the state of {stack};"
                f" at DigitalOcean everything still exists. {_way_out(backend, project, stack, state)}"
            )
    return None


def _way_out(backend: Path, project: str, stack: str, state: Path) -> str:
    copies = [
        *state.parent.glob(f"{stack}.json*.bak"),
        *(backend / "backups" / project / stack).glob(f"{stack}.*.json*"),
        *(backend / "history" / project / stack).glob(f"{stack}-*.checkpoint.json*"),
    ]
    whole = [copy for copy in copies if copy.suffix != ".attrs" and copy.suffix == _suffix(copy, state)]
    for copy in sorted(whole, key=lambda each: each.stat().st_mtime, reverse=True):
        if _is_whole(copy):
            return (
                "Make room. Then put the newest whole copy back, and let up find what was made since, by its name:\n"
                f"  {shlex.join(['cp', '--', str(copy), str(state)])}\n"
                f"  meltanodata up --stack {stack}"
            )
    return (
        "No whole copy of it is left. Begin with an empty state, and the next run adopts what exists:"
        f" docs/how-to/interrupted.md, {_LOST}"
    )


def _suffix(copy: Path, state: Path) -> str:
    """The suffix of a copy in the state's own form."""
    return ".bak" if copy.suffix == ".bak" else state.suffix


def _states(backend: Path, project: str, stack: str) -> Iterator[Path]:
    """The state's file, of which there is one, in one of Pulumi's forms."""
    for suffix in ("", ".gz", ".zst"):
        file = backend / "stacks" / project / f"{stack}.json{suffix}"
        if file.is_file():
            yield file


def _is_whole(file: Path) -> bool:
    return file.stat().st_size > 0 if ".zst" in file.suffixes else is_json(file)


def is_json(file: Path) -> bool:
    """Whether a file is whole JSON, packed or not."""
    content = file.read_bytes()
    try:
        json.loads(gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content)
    except (ValueError, EOFError, OSError, zlib.error):
        return False
    return True
