"""What the sandbox's API asks of the machines and databases behind it.

The API owns every decision (ids, addresses, names, states); a backend only makes them real. Each protocol
has two implementations, `real` and `light`, chosen at `python -m sandbox start`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Machine:
    """A droplet as its backend sees it."""

    id: int
    """The droplet's id; also what its files, interface and cgroup are named after."""
    name: str
    """The host name, a FQDN such as `acme.meltanodata.com`."""
    address: str
    """The public IPv4 address, given out by the API from the sandbox's `Network`."""
    image: str
    """The snapshot's name, such as `Ubuntu meltano-123456789`."""
    ssh_keys: tuple[str, ...]
    """Public keys in OpenSSH's format, one line each; root's authorized_keys at first boot."""
    public: bool = True
    """Whether it answers at `address`."""
    address6: str | None = None
    """The IPv6 address that it sets up, in a network of 64 bits."""
    snapshot: int | None = None
    """What was taken of a droplet under this id is what the disk begins as; None for the sandbox's own snapshot."""


class DropletBackend(Protocol):
    """Droplets: systemd machines, or SSH servers that record what they are told."""

    @property
    def cannot(self) -> frozenset[str]:
        """Which of `ipv6` and `user_data` no machine can have here: a request for one is refused."""

    async def create(self, machine: Machine) -> None:
        """Lay out the disk from the snapshot and power on; returns when the machine is powered on, not booted."""

    async def power_on(self, machine: Machine) -> None:
        """Boot an existing disk; nothing when it runs."""

    async def power_off(self, machine: Machine) -> None:
        """Stop the machine, keep the disk; nothing when it is off."""

    async def destroy(self, machine: Machine) -> None:
        """Stop the machine and delete its disk; nothing when it is gone already."""

    async def take_snapshot(self, machine: Machine, snapshot: int) -> int:
        """Keep the disk as it is at this moment, whether the machine runs or not; returns its size in bytes.

        Not counted is what the disk has from the sandbox's own snapshot.
        """

    async def delete_snapshot(self, snapshot: int) -> None:
        """Forget a disk that was kept, nothing when there is none; droplets made of it stay."""

    async def delete_other_snapshots(self, kept: frozenset[int]) -> None:
        """Forget the disks of all other ids, and those that were never finished, as the sandbox starts."""

    async def close(self) -> None:
        """Stop every machine and keep the disks, as the sandbox stops."""


@dataclass(frozen=True)
class Cluster:
    """A PostgreSQL cluster as its backend sees it."""

    id: str
    """The cluster's UUID."""
    name: str
    """Such as `db-postgresql-nyc3-52483-acme`."""
    version: str
    """PostgreSQL's major version, such as `15`."""
    address: str
    """The IPv4 address that its host name resolves to, from the sandbox's `Network`."""
    host: str
    """The public host name, the subject of its TLS certificate."""
    port: int
    """25060, as at DigitalOcean."""
    user: str
    """`doadmin`."""
    password: str
    database: str
    """`defaultdb`."""


class DatabaseBackend(Protocol):
    """Database clusters: PostgreSQL servers, or nothing but the API's answers."""

    @property
    def versions(self) -> tuple[str, ...]:
        """PostgreSQL's major versions that can be created, the newest last; what GET /v2/databases/options offers."""

    async def create(self, cluster: Cluster) -> None:
        """Make the data directory, start the server, create user and database; returns when it is online.

        It lets in nobody until it is told whom (`set_trusted_sources`).
        """

    async def start(self, cluster: Cluster) -> None:
        """Start the server on existing data; nothing when it runs."""

    async def set_trusted_sources(self, cluster: Cluster, addresses: frozenset[str] | None) -> None:
        """Let in these addresses only, at once and for open connections too; None lets in everybody."""

    async def destroy(self, cluster: Cluster) -> None:
        """Stop the server and delete its data; nothing when it is gone already."""

    async def close(self) -> None:
        """Stop every server and keep the data, as the sandbox stops."""

    def ca_pem(self) -> str:
        """The certificate that signs every cluster's own, PEM."""


class Network(Protocol):
    """Where droplets and databases have their addresses: a bridge of the sandbox's own, or loopback."""

    async def up(self) -> None:
        """Make it; nothing when it is up."""

    async def down(self) -> None:
        """Remove it with all that it made; nothing when it is down."""

    async def assign(self, address: str) -> None:
        """Let this machine answer at a database's address; nothing when it does."""

    async def release(self, address: str) -> None:
        """Take the address back; nothing when it is gone."""

    @property
    def gateway(self) -> str:
        """This machine's own address in the network."""

    @property
    def resolver(self) -> tuple[str, int]:
        """Address and port on which the sandbox's DNS server listens."""

    def droplet_address(self, index: int) -> str:
        """The address of the index-th droplet (from 0); the API never gives an index to two living droplets."""

    def database_address(self, index: int) -> str:
        """The address of the index-th database (from 0)."""
