"""One sandbox's real databases, without the rest of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg

from sandbox.backends import Cluster
from sandbox.databases.real import RealDatabases, why_not_real

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from sandbox.home import Home
    from sandbox.network import BridgeNetwork

REASON = why_not_real()
T = TypeVar("T")
PASSWORD = "it's a 'secret\\word"


@dataclass
class World:
    """One sandbox's databases, run by an event loop in a thread of its own."""

    home: Home
    network: BridgeNetwork
    databases: RealDatabases
    loop: asyncio.AbstractEventLoop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(120)

    def trust(self, cluster: Cluster, *addresses: str) -> None:
        self.run(self.databases.set_trusted_sources(cluster, frozenset(addresses)))

    def trust_everybody(self, cluster: Cluster) -> None:
        self.run(self.databases.set_trusted_sources(cluster, None))

    def connect(self, cluster: Cluster, **options: Any) -> psycopg.Connection[tuple[Any, ...]]:
        """As the host of the sandbox, whose address on the bridge is the gateway's."""
        ca = self.home.path / "ca.pem"
        ca.write_text(self.databases.ca_pem())
        defaults = {
            "host": cluster.host,
            "hostaddr": cluster.address,
            "port": cluster.port,
            "user": cluster.user,
            "password": cluster.password,
            "dbname": cluster.database,
            "sslmode": "verify-full",
            "sslrootcert": str(ca),
            "connect_timeout": 20,
            "autocommit": True,
        }
        return psycopg.connect(**{**defaults, **options})


def a_cluster(world: World, index: int) -> Cluster:
    return Cluster(
        id=f"00000000-0000-4000-8000-{index:012d}",
        name=f"db-postgresql-nyc3-52483-tenant{index}",
        version=world.databases.versions[-1],
        address=world.network.database_address(index),
        host=f"db-postgresql-nyc3-52483-tenant{index}-do-user-1234-0.b.db.ondigitalocean.com",
        port=25060,
        user="doadmin",
        password=PASSWORD,
        database="defaultdb",
    )
