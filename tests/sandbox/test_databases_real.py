"""Real PostgreSQL servers, reached as a tenant's droplet reaches its cluster."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from sandbox.databases.real import RealDatabases, install
from sandbox.home import Home
from sandbox.network import BridgeNetwork
from tests.sandbox.databases import PASSWORD, REASON, World, a_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.backends import Cluster

pytestmark = pytest.mark.skipif(REASON is not None, reason=f"real databases: {REASON}")
ELSEWHERE = "198.51.100.7"
"""An address that no client of these tests has."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = Home(tmp_path_factory.mktemp("home"))
    network = BridgeNetwork(home)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def begin() -> RealDatabases:
        await install(print)
        await network.up()
        return RealDatabases(home, network)

    world = World(home, network, asyncio.run_coroutine_threadsafe(begin(), loop).result(300), loop)
    yield world
    world.run(world.databases.close())
    world.run(network.down())
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


@pytest.fixture(scope="module")
def shared(world: World) -> Cluster:
    cluster = a_cluster(world, 0)
    world.run(world.databases.create(cluster))
    return cluster


@pytest.fixture
def cluster(world: World, shared: Cluster) -> Cluster:
    """The cluster that the tests share, open to everybody."""
    world.trust_everybody(shared)
    return shared


def test_it_is_reached_over_tls_with_its_name_verified(world: World, cluster: Cluster) -> None:
    with world.connect(cluster) as connection:
        row = connection.execute("SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
        assert row is not None
        assert row[0] is True
        assert row[1].startswith("TLSv1.")
    other = f"other-{cluster.host}"
    with pytest.raises(psycopg.OperationalError, match="does not match host name"):
        world.connect(cluster, host=other)


def test_doadmin_owns_the_database_and_is_no_superuser(world: World, cluster: Cluster) -> None:
    with world.connect(cluster) as connection:
        rights = connection.execute(
            "SELECT rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        assert rights == (False, True, True)
        connection.execute("CREATE TABLE public.of_the_public (id int)")
        connection.execute("CREATE SCHEMA analytics")
        connection.execute("DROP SCHEMA analytics CASCADE")
        connection.execute("DROP TABLE public.of_the_public")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT pg_read_file('/etc/passwd')")


def test_a_wrong_password_is_refused(world: World, cluster: Cluster) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        world.connect(cluster, password="wrong")


def test_no_tls_no_connection(world: World, cluster: Cluster) -> None:
    with pytest.raises(psycopg.OperationalError, match="no encryption"):
        world.connect(cluster, sslmode="disable")


def test_the_superuser_has_no_way_in_over_the_network(world: World, cluster: Cluster) -> None:
    with pytest.raises(psycopg.OperationalError, match="rejects connection"):
        world.connect(cluster, user="postgres", dbname="postgres")


@pytest.mark.parametrize("trusted", [(ELSEWHERE,), ()], ids=["another", "nobody"])
def test_who_is_no_trusted_source_gets_no_answer(world: World, cluster: Cluster, trusted: tuple[str, ...]) -> None:
    world.trust(cluster, *trusted)
    with pytest.raises(psycopg.errors.ConnectionTimeout):
        world.connect(cluster, connect_timeout=2)  # the least that libpq waits
    world.trust(cluster, ELSEWHERE, world.network.gateway)
    world.connect(cluster).close()


def test_a_new_cluster_lets_in_nobody_until_it_is_told_whom(world: World) -> None:
    cluster, made, answers = a_cluster(world, 3), threading.Event(), 0

    def knock() -> None:
        """Try to get in for as long as it is being made."""
        nonlocal answers
        while not made.is_set():
            with contextlib.suppress(OSError), socket.create_connection((cluster.address, cluster.port), timeout=0.2):
                answers += 1

    stranger = threading.Thread(target=knock)
    stranger.start()
    try:
        world.run(world.databases.create(cluster))
        with pytest.raises(psycopg.errors.ConnectionTimeout):
            world.connect(cluster, connect_timeout=2)
    finally:
        made.set()
        stranger.join()
    assert answers == 0
    world.trust_everybody(cluster)
    world.connect(cluster).close()
    world.run(world.databases.destroy(cluster))


def test_a_source_trusted_no_longer_loses_its_open_connection(world: World, cluster: Cluster) -> None:
    world.trust(cluster, world.network.gateway)
    # Without an acknowledgement the client's kernel gives up after a second, so that the test need not wait.
    connection = world.connect(cluster, tcp_user_timeout=1000)
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE client_addr IS NOT NULL AND pid <> pg_backend_pid()"
    world.trust(cluster, ELSEWHERE)
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    world.trust(cluster, world.network.gateway)
    with world.connect(cluster) as again:
        assert again.execute(sessions).fetchone() == (0,)


def test_data_and_trusted_sources_outlive_a_restart(world: World, cluster: Cluster) -> None:
    with world.connect(cluster) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS answer")
    world.trust(cluster, world.network.gateway)
    world.run(world.databases.close())
    with pytest.raises(psycopg.OperationalError):
        world.connect(cluster, connect_timeout=2)
    world.trust(cluster, ELSEWHERE)  # by the API, while the server is down
    world.run(world.databases.start(cluster))
    world.run(world.databases.start(cluster))  # nothing when it runs
    with pytest.raises(psycopg.errors.ConnectionTimeout):
        world.connect(cluster, connect_timeout=2)
    world.trust_everybody(cluster)
    with world.connect(cluster) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_a_version_that_is_not_installed_is_refused(world: World) -> None:
    cluster = replace(a_cluster(world, 1), version="7")
    with pytest.raises(ValueError, match="PostgreSQL 7 is not installed here, only"):
        world.run(world.databases.create(cluster))
    assert not (world.home.path / "databases" / cluster.id).exists()


def test_destroying_leaves_nothing_and_may_be_repeated(world: World) -> None:
    cluster, folder = a_cluster(world, 1), world.home.path / "databases"
    before = set(folder.iterdir())
    world.run(world.databases.create(cluster))
    assert len(traces(world, cluster)) == 2
    world.run(world.databases.destroy(cluster))
    world.run(world.databases.destroy(cluster))
    assert traces(world, cluster) == set()
    assert set(folder.iterdir()) == before
    world.run(world.databases.create(cluster))  # of the same name and address, at once
    world.trust_everybody(cluster)
    world.connect(cluster).close()
    world.run(world.databases.destroy(cluster))


KILLED_SANDBOX = """
import asyncio, os, pathlib, signal, sys
from sandbox.databases.real import RealDatabases
from sandbox.home import Home
from sandbox.network import BridgeNetwork
from tests.sandbox.databases import World, a_cluster

async def main():
    home = Home(pathlib.Path(sys.argv[1]))
    network = BridgeNetwork(home)
    databases = RealDatabases(home, network)
    world = World(home, network, databases, asyncio.get_running_loop())
    await databases.create(a_cluster(world, 2))
    await databases.set_trusted_sources(a_cluster(world, 2), None)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def a_sandbox_killed_with_its_cluster(world: World) -> Cluster:
    done = subprocess.run([sys.executable, "-c", KILLED_SANDBOX, str(world.home.path)], check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    return a_cluster(world, 2)


def test_data_outlive_a_killed_sandbox(world: World) -> None:
    cluster = a_sandbox_killed_with_its_cluster(world)
    world.run(world.databases.start(cluster))  # at once, while the old server may still be stopping
    world.connect(cluster).close()
    world.run(world.databases.destroy(cluster))


def test_a_server_does_not_outlive_its_sandbox(world: World) -> None:
    cluster = a_sandbox_killed_with_its_cluster(world)
    deadline = time.monotonic() + 20
    while traces(world, cluster):
        assert time.monotonic() < deadline, "the server is still there"
        time.sleep(0.05)
    world.run(world.databases.destroy(cluster))


def test_no_password_in_logs_and_every_file_private(world: World, cluster: Cluster) -> None:
    folder = world.home.path / "databases" / cluster.id
    assert PASSWORD not in (folder / "log").read_text()
    assert PASSWORD.replace("'", "''") not in (folder / "log").read_text()
    assert folder.stat().st_mode & 0o077 == 0


def traces(world: World, cluster: Cluster) -> set[str]:
    """What the machine has of a cluster: its interface on the bridge, and whatever sees its folder at /mnt."""
    interfaces = [f"{world.network.bridge}d{index:03x}" for index in [int(IPv4Address(cluster.address)) & 0xFFF]]
    found = {f"interface {name}" for name in interfaces if Path(f"/sys/class/net/{name}").exists()}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            if f"/databases/{cluster.id} /mnt " in (process / "mountinfo").read_text():
                found.add("process")
    return found
