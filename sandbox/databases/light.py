"""Light databases: the API's answers alone, for fleets of hundreds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar, Final

from sandbox.databases.authority import Authority

if TYPE_CHECKING:
    from sandbox.backends import Cluster
    from sandbox.home import Home


class LightDatabases:
    """A `sandbox.backends.DatabaseBackend` with nothing behind it: no server listens at a cluster's address."""

    versions: Final = ("13", "14", "15", "16", "17", "18")
    seconds: ClassVar = 12.0
    """That a cluster takes to come online. DigitalOcean takes minutes; its provider looks after 15 seconds first."""

    def __init__(self, home: Home) -> None:
        self._authority = Authority(home.folder("databases"))

    async def create(self, cluster: Cluster) -> None:
        """Nothing but the time that it takes."""
        del cluster
        await asyncio.sleep(self.seconds)

    async def start(self, cluster: Cluster) -> None:
        """Online at once."""

    async def set_trusted_sources(self, cluster: Cluster, addresses: frozenset[str] | None) -> None:
        """Nothing to open or close; the API keeps the rules."""

    async def destroy(self, cluster: Cluster) -> None:
        """Nothing to delete."""

    async def close(self) -> None:
        """Nothing to stop."""

    def ca_pem(self) -> str:
        """A certificate that has signed nothing yet, PEM."""
        return self._authority.pem
