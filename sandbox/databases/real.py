"""Real databases: a PostgreSQL server per cluster, in a network namespace of its own on the sandbox's bridge.

The namespace belongs to the server's process alone: it has no name, and goes with its interface when the server
stops, however that happens. The server stops when the sandbox's process dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import shlex
import shutil
import signal
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sandbox import packages
from sandbox.databases.authority import Authority
from sandbox.process import ProgramError, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox.backends import Cluster
    from sandbox.home import Home
    from sandbox.network import BridgeNetwork

_INSTALLATIONS: Final = Path("/usr/lib/postgresql")
"""Where Debian's packages put each major version."""
_NO_CLUSTER: Final = Path("/etc/postgresql-common/createcluster.d/meltanodata-sandbox.conf")
_USER: Final = "postgres"
"""The package's user: PostgreSQL refuses to run as root."""
_STOP_SECONDS: Final = 15
_ONLINE_SECONDS: Final = 120
_SHARED: Final = "/mnt"
"""Where a server's process sees its folder: the sandbox's home is closed to the user that it runs as, and its path
may be too long for a Unix socket."""

# A managed database's limits for 1 GB (25 connections, three of them DigitalOcean's own); small, quick and careless
# with a power failure, as nobody's data are in a sandbox.
_CONFIGURATION: Final = """
listen_addresses = '{address}'
port = {port}
unix_socket_directories = '/mnt'
ssl = on
ssl_cert_file = '/mnt/server.crt'
ssl_key_file = '/mnt/server.key'
ssl_min_protocol_version = 'TLSv1.2'
password_encryption = 'scram-sha-256'
max_connections = 25
superuser_reserved_connections = 3
shared_buffers = '8MB'
max_wal_size = '32MB'
min_wal_size = '4MB'
dynamic_shared_memory_type = 'mmap'
fsync = off
synchronous_commit = off
full_page_writes = off
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d %h '
"""

# Who may connect from where is the network's business (see `_routes`); over the network it takes TLS and a password.
_ACCESS: Final = """
local all postgres peer
hostssl all postgres all reject
hostssl all all 0.0.0.0/0 scram-sha-256
"""

# doadmin's rights at DigitalOcean: no superuser, but roles and databases of its own.
_FIRST_STATEMENTS: Final = """
SET log_min_error_statement = panic;
CREATE ROLE {user} LOGIN CREATEDB CREATEROLE REPLICATION BYPASSRLS PASSWORD {password};
CREATE DATABASE {database} OWNER {user};
"""

_TERMINATE: Final = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE client_addr IS NOT NULL AND NOT client_addr <<= ANY ({sources}::inet[]);
"""


def why_not_real() -> str | None:
    """Why this machine cannot run PostgreSQL servers; None if it can.

    A missing package is no reason where it can be installed (`install`).
    """
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not _installed():
        return packages.why_not_installable()
    return None


async def install(say: Callable[[str], None]) -> None:
    """Install the distribution's PostgreSQL when none is there; starts no server and makes no cluster.

    Raises:
        sandbox.packages.PackageError: it cannot be installed here.
    """
    if _installed():
        return
    _NO_CLUSTER.parent.mkdir(parents=True, exist_ok=True)
    _NO_CLUSTER.write_text("# The sandbox makes clusters of its own.\ncreate_main_cluster = false\n")
    await packages.install(("postgresql",), say)


def _installed() -> dict[str, Path]:
    """Folders of programs by major version, the newest last."""
    folders = [
        path.parent
        for path in _INSTALLATIONS.glob("*/bin/initdb")
        if all((path.parent / name).exists() for name in ("postgres", "psql"))
    ]
    return {path.parent.name: path for path in sorted(folders, key=lambda path: float(path.parent.name))}


@dataclass(frozen=True)
class _Server:
    """A running server's first process, and the interface by which the bridge knows it."""

    process: asyncio.subprocess.Process
    interface: str

    async def end(self, how: signal.Signals) -> None:
        """Stop it and wait for its end; SIGINT is a tidy shutdown, SIGQUIT an immediate one."""
        for attempt in (how, signal.SIGKILL):
            if self.process.returncode is None:
                self.process.send_signal(attempt)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_SECONDS):
                    await self.process.wait()
                    break
        await self.unplug()

    async def unplug(self) -> None:
        """Remove the interface now: the kernel does it some time after the namespace's last process has ended."""
        if Path(f"/sys/class/net/{self.interface}").exists():
            with contextlib.suppress(ProgramError):  # the kernel was quicker
                await run("ip", "link", "delete", self.interface)


class RealDatabases:
    """A `sandbox.backends.DatabaseBackend`.

    A cluster's folder `<home>/databases/<id>` holds its data, certificate, log and trusted sources.
    """

    def __init__(self, home: Home, network: BridgeNetwork) -> None:
        self._folder = home.folder("databases")
        self._network = network
        self._authority = Authority(self._folder)
        self._servers: dict[str, _Server] = {}

    @property
    def versions(self) -> tuple[str, ...]:
        """What is installed on this machine, such as `("15",)` on Debian 12."""
        return tuple(_installed())

    async def create(self, cluster: Cluster) -> None:
        """Make the data directory anew, start the server, create user and database. It accepts nobody yet.

        Raises:
            ValueError: the version is not installed.
            ProgramError: PostgreSQL refuses, with its words.
        """
        if cluster.version not in self.versions:
            raise ValueError(f"PostgreSQL {cluster.version} is not installed here, only {', '.join(self.versions)}")
        await self.destroy(cluster)  # what an interrupted creation left
        folder = self._folder / cluster.id
        folder.mkdir(mode=0o700)
        shutil.chown(folder, _USER, _USER)
        await self._program(
            cluster,
            *("initdb", "--pgdata=/mnt/data", f"--username={_USER}", "--auth=peer", "--encoding=UTF8"),
            *("--locale=C.UTF-8", "--wal-segsize=1", "--no-sync", "--no-instructions"),
        )
        certificate, key = self._authority.certificate(cluster.host)
        _write(folder / "server.crt", certificate)
        _write(folder / "server.key", key.decode())
        _write(folder / "data" / "pg_hba.conf", _ACCESS)
        _write(folder / "sources", "")
        await self.start(cluster)
        await self._sql(
            cluster,
            _FIRST_STATEMENTS.format(
                user=_identifier(cluster.user),
                password=_literal(cluster.password),
                database=_identifier(cluster.database),
            ),
        )

    async def start(self, cluster: Cluster) -> None:
        """Start the server on existing data; returns when it accepts connections.

        Raises:
            ProgramError: it does not come up, with the last lines of its log.
        """
        if self._running(cluster) is not None:
            return
        folder = self._folder / cluster.id
        await _stop_leftover(folder / "data")
        _write(
            folder / "data" / "postgresql.conf",
            _CONFIGURATION.format(address=cluster.address, port=cluster.port),
        )
        with (folder / "log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *("unshare", "--mount", "--net", "--ipc", "sh", "-c"),
                # The namespace gets its interface from outside, before the server looks for its address.
                f"echo; read -r _; {_in_folder(folder)} {self._path(cluster, 'postgres')} -D {_SHARED}/data >&2",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        server = self._servers[cluster.id] = _Server(process, self._interface(cluster))
        assert process.stdin is not None  # noqa: S101 (asked for above)
        assert process.stdout is not None  # noqa: S101
        try:
            await process.stdout.readline()
            await self._plug_in(cluster, server)
            process.stdin.write(b"\n")
            await process.stdin.drain()
            await _online(folder, process)
        except BaseException:
            await self._stop(cluster, signal.SIGKILL)
            raise

    async def set_trusted_sources(self, cluster: Cluster, addresses: frozenset[str] | None) -> None:
        """Let in these addresses only, at once and for open connections too; None accepts everybody.

        As at DigitalOcean, packets of others are dropped: they see a time-out, not an answer.
        """
        kept = self._folder / cluster.id / "sources"
        if addresses is None:
            kept.unlink(missing_ok=True)
        else:
            _write(kept, "".join(f"{address}\n" for address in sorted(addresses)))
        server = self._running(cluster)
        if server is None:
            return
        await _in_namespace(server.process.pid, self._routes(cluster))
        if addresses is not None:
            await self._sql(cluster, _TERMINATE.format(sources=_literal("{" + ",".join(sorted(addresses)) + "}")))

    async def destroy(self, cluster: Cluster) -> None:
        """Stop the server and delete its data; nothing when it is gone already."""
        await self._stop(cluster, signal.SIGQUIT)
        folder = self._folder / cluster.id
        if folder.exists():
            await _stop_leftover(folder / "data")
            await asyncio.to_thread(shutil.rmtree, folder)

    async def close(self) -> None:
        """Stop every server and keep the data."""
        servers = list(self._servers.values())
        self._servers.clear()
        await asyncio.gather(*(server.end(signal.SIGINT) for server in servers))

    def ca_pem(self) -> str:
        """The certificate that signs every cluster's own, PEM."""
        return self._authority.pem

    async def _stop(self, cluster: Cluster, how: signal.Signals) -> None:
        server = self._servers.pop(cluster.id, None)
        if server is not None:
            await server.end(how)

    def _running(self, cluster: Cluster) -> _Server | None:
        server = self._servers.get(cluster.id)
        return server if server is not None and server.process.returncode is None else None

    def _interface(self, cluster: Cluster) -> str:
        """The bridge's end of the cable to a cluster's server; at most 15 characters."""
        return f"{self._network.bridge}d{int(IPv4Address(cluster.address)) & 0xFFF:03x}"

    async def _plug_in(self, cluster: Cluster, server: _Server) -> None:
        """Give the namespace an interface on the bridge, with the cluster's address."""
        address, pid = IPv4Address(cluster.address), server.process.pid
        # The hardware address follows from the cluster's, so that neighbours know a reused address at once.
        hardware = ":".join(f"{byte:02x}" for byte in (0x02, 0x0D, *address.packed))
        await server.unplug()  # what a killed sandbox's server leaves for a moment
        await run(
            *("ip", "link", "add", server.interface, "master", self._network.bridge, "type", "veth"),
            *("peer", "name", "eth0", "address", hardware, "netns", str(pid)),
        )
        await run("ip", "link", "set", server.interface, "addrgenmode", "none")
        await run("ip", "link", "set", server.interface, "up")
        interface = ["link set eth0 addrgenmode none", f"address add {address}/32 dev eth0", "link set eth0 up"]
        await _in_namespace(pid, [*interface, *self._routes(cluster)])

    def _routes(self, cluster: Cluster) -> list[str]:
        """Lines for `ip -batch`: the ways back to whom the server may answer.

        A server that has no way back to somebody drops what he sends, first packet or thousandth, and says nothing.
        """
        kept = self._folder / cluster.id / "sources"
        sources = kept.read_text().split() if kept.exists() else ["default"]
        return ["route flush table main", *(f"route add {source} dev eth0" for source in sources)]

    async def _sql(self, cluster: Cluster, statements: str) -> None:
        await self._program(
            cluster,
            *("psql", "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--set=VERBOSITY=terse", "--output=/dev/null"),
            *(f"--host={_SHARED}", f"--port={cluster.port}", f"--username={_USER}", "--dbname=postgres", "--file=-"),
            stdin=statements,
        )

    async def _program(self, cluster: Cluster, name: str, *arguments: str, stdin: str | None = None) -> None:
        """Run one of PostgreSQL's programs as its user, with the cluster's folder at /mnt."""
        command = f"{_in_folder(self._folder / cluster.id)} {shlex.join((self._path(cluster, name), *arguments))}"
        await run("unshare", "--mount", "sh", "-c", command, stdin=stdin)

    @staticmethod
    def _path(cluster: Cluster, name: str) -> str:
        return str(_installed()[cluster.version] / name)


def _in_folder(folder: Path) -> str:
    """The beginning of a shell's line, in a mount namespace of its own: as PostgreSQL's user, with the folder at /mnt.

    The program dies with the process that started it.
    """
    user = f"setpriv --reuid={_USER} --regid={_USER} --init-groups --no-new-privs --pdeathsig=INT"
    return f"mount --bind {shlex.quote(str(folder))} {_SHARED} && cd {_SHARED} && exec {user}"


async def _in_namespace(pid: int, lines: list[str]) -> None:
    """Run lines of `ip` in the network namespace of a process."""
    await run("nsenter", f"--target={pid}", "--net", "ip", "-batch", "-", stdin="\n".join([*lines, ""]))


async def _online(folder: Path, server: asyncio.subprocess.Process) -> None:
    """Wait until the server says in `postmaster.pid` that it is ready, as pg_ctl does."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_ONLINE_SECONDS):
            while server.returncode is None:
                status = _postmaster(folder / "data")
                if status[:1] == [str(server.pid)] and status[7:8] == ["ready"]:
                    return
                await asyncio.sleep(0.05)
    said = "\n".join((folder / "log").read_text(errors="replace").splitlines()[-10:])
    raise ProgramError(f"PostgreSQL does not come up in {folder}: {said}")


async def _stop_leftover(data: Path) -> None:
    """Stop the server that a killed sandbox left on these data, if it has not stopped by itself yet."""
    pid = (_postmaster(data) or [""])[0]
    if not pid.isdigit():
        return
    with contextlib.suppress(ProcessLookupError, FileNotFoundError), _handle(int(pid)) as process:
        # The number may be another process's by now: only a server of these data works in this folder.
        if Path(f"/proc/{pid}/cwd").samefile(data):
            signal.pidfd_send_signal(process, signal.SIGQUIT)
            await asyncio.to_thread(select.select, [process], [], [], _STOP_SECONDS)


@contextlib.contextmanager
def _handle(pid: int) -> Iterator[int]:
    """A process's file descriptor: readable once the process has ended."""
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _postmaster(data: Path) -> list[str]:
    """The lines of `postmaster.pid`: process, data directory, …, state; empty when there is none."""
    try:
        return [line.strip() for line in (data / "postmaster.pid").read_text().splitlines()]
    except FileNotFoundError:
        return []


def _write(path: Path, content: str) -> None:
    """Write a file of PostgreSQL's user, mode 600, whole or not at all."""
    draft = path.with_name(f"{path.name}.new")
    draft.touch(mode=0o600)
    shutil.chown(draft, _USER, _USER)
    draft.write_text(content)
    draft.replace(path)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
