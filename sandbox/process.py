"""Programs of the machine, run to their end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class ProgramError(Exception):
    """A program ended with another status than 0; the message has its name, arguments and what it said."""


async def run(
    *argv: str,
    stdin: str | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> str:
    """Run a program and return its standard output.

    Args:
        argv: The program and its arguments; never a secret, for arguments are public on the machine.
        stdin: What it reads; nothing by default.
        environment: The whole environment, this process's own by default.
        folder: Where it runs.

    Raises:
        ProgramError: It ended with another status than 0, or is not installed.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            cwd=folder,
        )
    except FileNotFoundError as error:
        raise ProgramError(f"{argv[0]}: not installed") from error
    try:
        output, errors = await process.communicate(None if stdin is None else stdin.encode())
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        said = (output + errors).decode(errors="replace").strip()
        raise ProgramError(f"{' '.join(argv)}: status {process.returncode}: {said}")
    return output.decode(errors="replace")
