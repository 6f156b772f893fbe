"""Installs the Debian packages that the sandbox needs and this machine lacks."""

from __future__ import annotations

import asyncio
import os
import shutil
from typing import TYPE_CHECKING

from sandbox.process import ProgramError, run

if TYPE_CHECKING:
    from collections.abc import Callable

_LOCK = asyncio.Lock()
"""One installation at a time; dpkg's own lock makes other processes wait."""


class PackageError(Exception):
    """Packages are missing and cannot be installed; the message says which."""


def why_not_installable() -> str | None:
    """Why packages cannot be installed on this machine; None if they can."""
    if shutil.which("apt-get") is None:
        return "this is neither Debian nor Ubuntu (no apt-get)"
    if os.geteuid() != 0:
        return "only root can install packages"
    return None


async def install(packages: tuple[str, ...], say: Callable[[str], None]) -> None:
    """Install Debian packages without those that they merely recommend.

    Args:
        packages: their names.
        say: called with a line that names what is installed.

    Raises:
        PackageError: they cannot be installed here.
    """
    names = " ".join(packages)
    reason = why_not_installable()
    if reason is not None:
        raise PackageError(f"missing on this machine: {names}; {reason}")
    say(f"installing Debian's packages {names}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # Wait for another apt (unattended upgrades, a second sandbox) instead of failing.
    apt = ("apt-get", "--quiet", "--quiet", "-o", "DPkg::Lock::Timeout=300")
    async with _LOCK:
        try:
            await run(*apt, "update", environment=environment)
            await run(*apt, "install", "--yes", "--no-install-recommends", *packages, environment=environment)
        except ProgramError as error:
            raise PackageError(f"{names} cannot be installed: {error}") from error
