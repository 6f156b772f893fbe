"""The sandbox's authoritative DNS server: the account's domains, and the databases' host names.

It answers from what the API holds at the moment of the question, so a record is seen as soon as it is made.
Names of any other zone are refused (RFC 1034, section 4.3.1): the sandbox is nobody's resolver for the internet.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, cast

from dnslib import AAAA, CNAME, MX, NS, QTYPE, RCODE, RD, RR, SOA, TXT, A, DNSError, DNSRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

NAME_SERVERS: Final = ("ns1.digitalocean.com.", "ns2.digitalocean.com.", "ns3.digitalocean.com.")
"""What DigitalOcean names as authoritative for its customers' domains; they exist by name only here."""
DATABASE_ZONE: Final = "db.ondigitalocean.com"
"""The zone of the databases' host names."""
DATABASE_TTL: Final = 60
NEGATIVE_TTL: Final = 1800
"""Seconds that a resolver may remember a name's absence, as in the SOA of a domain at DigitalOcean."""
UDP_LIMIT: Final = 512
"""Bytes of an answer by UDP (RFC 1035, section 4.2.1); a longer one is cut and asked for again by TCP."""

_DATA: Final[Mapping[str, Callable[[DomainRecord], RD]]] = {
    "A": lambda record: A(record.data),
    "AAAA": lambda record: AAAA(record.data),
    "CNAME": lambda record: CNAME(record.data),
    "MX": lambda record: MX(record.data, record.priority or 0),
    "NS": lambda record: NS(record.data),
    "TXT": lambda record: TXT(record.data),
}
"""The types that it answers; the API keeps others (SRV, CAA) as text that nobody here resolves."""


class DomainRecord(Protocol):
    """A record as the API keeps it (GET /v2/domains/{domain}/records)."""

    @property
    def type(self) -> str:
        """Such as `A`."""

    @property
    def name(self) -> str:
        """Short, such as `acme`; the domain itself is `@`."""

    @property
    def data(self) -> str:
        """An address, a host name or a text."""

    @property
    def ttl(self) -> int:
        """Seconds."""

    @property
    def priority(self) -> int | None:
        """Of an MX record."""


@dataclass(frozen=True)
class _Host:
    """A database's address as a record."""

    data: str
    type: str = "A"
    name: str = ""
    ttl: int = DATABASE_TTL
    priority: int | None = None


@dataclass(frozen=True)
class _Zone:
    """What is known under one name: records by their full names, in lower case and without a dot at the end."""

    name: str
    records: tuple[tuple[str, DomainRecord], ...]

    @property
    def soa(self) -> RR:
        times = (int(time.time()), 10800, 3600, 604800, NEGATIVE_TTL)
        authority = SOA(NAME_SERVERS[0], f"hostmaster.{self.name}.", times)
        return RR(f"{self.name}.", QTYPE.SOA, ttl=NEGATIVE_TTL, rdata=authority)

    def knows(self, name: str) -> bool:
        """Whether the name exists, with whatever type; also as the parent of a longer one (RFC 8020)."""
        return name == self.name or any(owner == name or owner.endswith(f".{name}") for owner, _ in self.records)

    def find(self, name: str, kind: str) -> list[RR]:
        if kind == "SOA" and name == self.name:
            return [self.soa]
        wanted = {kind, "CNAME"} & _DATA.keys() if kind != "ANY" else _DATA.keys()
        return [
            RR(f"{owner}.", getattr(QTYPE, record.type), ttl=record.ttl, rdata=_DATA[record.type](record))
            for owner, record in self.records
            if owner == name and record.type in wanted
        ]


class DnsServer:
    """Serves UDP and TCP on one address, in the sandbox's event loop.

    Args:
        domains: gives the account's domains and their records, such as `{"meltanodata.com": [...]}`.
        databases: gives the databases' host names and addresses.
    """

    def __init__(
        self,
        domains: Callable[[], Mapping[str, Iterable[DomainRecord]]],
        databases: Callable[[], Mapping[str, str]],
    ) -> None:
        self._domains = domains
        self._databases = databases
        self._stack = contextlib.AsyncExitStack()

    async def start(self, address: str, port: int) -> tuple[str, int]:
        """Listen; returns address and port, which is one that was free when `port` is 0.

        Raises:
            OSError: the address is not this machine's, or the port is taken.
        """
        loop = asyncio.get_running_loop()
        tcp = await asyncio.start_server(self._serve_tcp, address, port)
        await self._stack.enter_async_context(tcp)
        bound: tuple[str, int] = tcp.sockets[0].getsockname()
        udp, _ = await loop.create_datagram_endpoint(lambda: _Udp(self.answer), local_addr=bound, family=socket.AF_INET)
        self._stack.callback(udp.close)
        return bound

    async def close(self) -> None:
        """Stop listening."""
        await self._stack.aclose()

    def answer(self, request: bytes, limit: int | None = None) -> bytes | None:
        """The answer to a request, cut to `limit` bytes; None for what is no request, as it gets no answer."""
        try:
            query = DNSRecord.parse(request)
        except DNSError:
            return None
        if query.header.qr:
            return None
        reply = query.reply(ra=0, aa=0)
        reply.header.rcode, zone = RCODE.REFUSED, None
        if len(query.questions) == 1:
            name = str(query.q.qname).rstrip(".").lower()
            zone = self._zone_of(name)
        if zone is not None:
            _fill(reply, zone, name, QTYPE.get(query.q.qtype))
        packed: bytes = reply.pack()
        if limit is not None and len(packed) > limit:
            reply.rr.clear()
            reply.header.tc = 1
            packed = reply.pack()
        return packed

    def _zone_of(self, name: str) -> _Zone | None:
        """The longest of the zones served that holds the name."""
        domains = self._domains()
        for zone in sorted((*domains, DATABASE_ZONE), key=len, reverse=True):
            if name == zone or name.endswith(f".{zone}"):
                return self._database_zone() if zone == DATABASE_ZONE else _domain_zone(zone, domains[zone])
        return None

    def _database_zone(self) -> _Zone:
        return _Zone(DATABASE_ZONE, tuple((host, _Host(address)) for host, address in self._databases().items()))

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer each request of a connection (RFC 1035, section 4.2.2: two bytes of length before each message)."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            while True:
                async with asyncio.timeout(10):
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                    request = await reader.readexactly(length)
                answer = self.answer(request)
                if answer is None:
                    break
                writer.write(struct.pack("!H", len(answer)) + answer)
                await writer.drain()
        writer.close()


class _Udp(asyncio.DatagramProtocol):
    """A datagram is a request; its answer is a datagram."""

    def __init__(self, answer: Callable[[bytes, int], bytes | None]) -> None:
        self._answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self._answer(data, UDP_LIMIT)
        if answer is not None:
            self._transport.sendto(answer, addr)


def _domain_zone(name: str, records: Iterable[DomainRecord]) -> _Zone:
    names = ((name if record.name == "@" else f"{record.name}.{name}".lower(), record) for record in records)
    return _Zone(name, tuple(names))


def _fill(reply: DNSRecord, zone: _Zone, name: str, kind: str) -> None:
    """Answer for a name of the zone, following aliases inside it."""
    reply.header.aa = 1
    reply.header.rcode = RCODE.NOERROR if zone.knows(name) else RCODE.NXDOMAIN
    seen: set[str] = set()
    while name not in seen:
        seen.add(name)
        found = zone.find(name, kind)
        reply.add_answer(*found)
        if kind in {"CNAME", "ANY"} or not found or QTYPE.get(found[0].rtype) != "CNAME":
            break
        name = str(found[0].rdata.label).rstrip(".").lower()
    if not reply.rr:
        reply.add_auth(zone.soa)
