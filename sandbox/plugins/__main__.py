"""Serve the stand-in plugins until stdin is closed.

Prints one line, the value for PULUMI_DEBUG_PROVIDERS, such as `digitalocean:41001,random:41002,command:41003`.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from sandbox.plugins import command, digitalocean, random
from sandbox.plugins.server import serve

if TYPE_CHECKING:
    from sandbox.plugins.package import Package

PACKAGES: tuple[Package[Any], ...] = (digitalocean.PACKAGE, random.PACKAGE, command.PACKAGE)


async def main() -> None:
    """Serve; the parent ends it by closing stdin, also when it is killed."""
    servers, attach = await serve(PACKAGES)
    print(attach, flush=True)
    await asyncio.to_thread(sys.stdin.buffer.read)
    await asyncio.gather(*(server.stop(grace=0) for server in servers))


if __name__ == "__main__":
    asyncio.run(main())
