"""The sandbox's DNS, asked with dnspython as a resolver would ask it."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.resolver
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.dns import NAME_SERVERS, DnsServer

if TYPE_CHECKING:
    from collections.abc import Iterator

DOMAIN = "meltanodata.com"
DATABASE = "db-postgresql-nyc3-52483-acme-do-user-1234-0.b.db.ondigitalocean.com"


@dataclass
class Record:
    """A record as the API keeps it."""

    type: str
    name: str
    data: str
    ttl: int = 3600
    priority: int | None = None


@dataclass
class World:
    """What the API holds, and where the server listens."""

    domains: dict[str, list[Record]] = field(default_factory=dict)
    databases: dict[str, str] = field(default_factory=dict)
    address: str = "127.0.0.1"
    port: int = 0

    def ask(self, name: str, kind: str = "A", *, tcp: bool = False) -> dns.message.Message:
        query = dns.message.make_query(name, kind)
        send = dns.query.tcp if tcp else dns.query.udp
        return send(query, self.address, timeout=5, port=self.port)

    def resolver(self) -> dns.resolver.Resolver:
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port, resolver.lifetime = [self.address], self.port, 5
        return resolver


@pytest.fixture
def world() -> Iterator[World]:
    world = World(
        domains={DOMAIN: [*(Record("NS", "@", server.rstrip("."), 1800) for server in NAME_SERVERS)]},
        databases={DATABASE: "198.18.1.2"},
    )
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = DnsServer(lambda: world.domains, lambda: world.databases)
    world.address, world.port = asyncio.run_coroutine_threadsafe(server.start("127.0.0.1", 0), loop).result(5)
    yield world
    asyncio.run_coroutine_threadsafe(server.close(), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


@pytest.mark.parametrize("tcp", [False, True])
def test_a_record_is_answered_with_authority_and_its_ttl(world: World, *, tcp: bool) -> None:
    world.domains[DOMAIN].append(Record("A", "acme", "198.18.0.5"))
    answer = world.ask("ACME.meltanodata.com", tcp=tcp)
    assert answer.rcode() == dns.rcode.NOERROR
    assert answer.flags & dns.flags.AA
    assert not answer.flags & dns.flags.RA
    assert [(str(rrset[0]), rrset.ttl) for rrset in answer.answer] == [("198.18.0.5", 3600)]


def test_a_change_is_seen_at_once(world: World) -> None:
    with pytest.raises(dns.resolver.NXDOMAIN):
        world.resolver().resolve("acme.meltanodata.com")
    record = Record("A", "acme", "198.18.0.5")
    world.domains[DOMAIN].append(record)
    assert world.resolver().resolve("acme.meltanodata.com")[0].to_text() == "198.18.0.5"
    record.data = "198.18.0.6"
    assert world.resolver().resolve("acme.meltanodata.com")[0].to_text() == "198.18.0.6"
    world.domains[DOMAIN].remove(record)
    with pytest.raises(dns.resolver.NXDOMAIN):
        world.resolver().resolve("acme.meltanodata.com")


def test_the_apex_has_its_name_servers_an_address_and_an_soa(world: World) -> None:
    world.domains[DOMAIN].append(Record("A", "@", "198.18.0.9", 600))
    assert {str(server) for server in world.resolver().resolve(DOMAIN, "NS")} == set(NAME_SERVERS)
    assert world.resolver().resolve(DOMAIN, "A")[0].to_text() == "198.18.0.9"
    assert world.resolver().resolve(DOMAIN, "SOA")[0].mname.to_text() == NAME_SERVERS[0]


def test_absence_of_a_name_and_of_a_type_differ(world: World) -> None:
    world.domains[DOMAIN].append(Record("A", "www.acme", "198.18.0.5"))
    absent = world.ask("other.meltanodata.com")
    assert absent.rcode() == dns.rcode.NXDOMAIN
    for name in ("www.acme.meltanodata.com", "acme.meltanodata.com"):  # the second exists as a parent only
        answer = world.ask(name, "AAAA")
        assert (answer.rcode(), answer.answer) == (dns.rcode.NOERROR, [])
        assert [rrset.name.to_text() for rrset in answer.authority] == ["meltanodata.com."]
    assert [rrset.rdtype.name for rrset in absent.authority] == ["SOA"]


def test_aliases_are_followed_inside_the_domain_and_loops_end(world: World) -> None:
    world.domains[DOMAIN] += [
        Record("A", "acme", "198.18.0.5"),
        Record("CNAME", "www", "acme.meltanodata.com"),
        Record("CNAME", "a", "b.meltanodata.com"),
        Record("CNAME", "b", "a.meltanodata.com"),
    ]
    assert world.resolver().resolve("www.meltanodata.com")[0].to_text() == "198.18.0.5"
    assert world.ask("www.meltanodata.com", "CNAME").answer[0][0].to_text() == "acme.meltanodata.com."
    assert len(world.ask("a.meltanodata.com").answer) == 2


def test_other_types(world: World) -> None:
    world.domains[DOMAIN] += [
        Record("AAAA", "six", "2001:db8::1"),
        Record("TXT", "@", "v=spf1 -all"),
        Record("MX", "@", "mail.meltanodata.com", priority=10),
        Record("SRV", "_sip._tcp", "sip"),
    ]
    resolver = world.resolver()
    assert resolver.resolve("six.meltanodata.com", "AAAA")[0].to_text() == "2001:db8::1"
    assert resolver.resolve(DOMAIN, "TXT")[0].to_text() == '"v=spf1 -all"'
    assert resolver.resolve(DOMAIN, "MX")[0].to_text() == "10 mail.meltanodata.com."


def test_a_database_resolves_while_it_exists(world: World) -> None:
    assert world.resolver().resolve(DATABASE)[0].to_text() == "198.18.1.2"
    assert world.ask(DATABASE, "AAAA").rcode() == dns.rcode.NOERROR
    del world.databases[DATABASE]
    assert world.ask(DATABASE).rcode() == dns.rcode.NXDOMAIN


def test_a_name_that_dns_cannot_have_is_in_nobodys_way(world: World) -> None:
    world.domains[DOMAIN] += [Record("A", "x" * 64, "198.18.0.4"), Record("A", "acme", "198.18.0.5")]
    world.databases[f"{'x' * 64}.b.db.ondigitalocean.com"] = "198.18.1.3"
    assert world.resolver().resolve("acme.meltanodata.com")[0].to_text() == "198.18.0.5"
    assert world.resolver().resolve(DATABASE)[0].to_text() == "198.18.1.2"


@pytest.mark.parametrize("name", ["example.com", "com", ".", "notmeltanodata.com"])
def test_other_zones_are_refused(world: World, name: str) -> None:
    answer = world.ask(name)
    assert (answer.rcode(), answer.answer, answer.authority) == (dns.rcode.REFUSED, [], [])
    assert not answer.flags & dns.flags.AA


def test_a_domain_that_is_gone_is_refused(world: World) -> None:
    del world.domains[DOMAIN]
    assert world.ask(DOMAIN, "NS").rcode() == dns.rcode.REFUSED


def test_a_long_answer_is_cut_by_udp_and_whole_by_tcp(world: World) -> None:
    world.domains[DOMAIN] += [Record("A", "many", f"198.18.0.{index}") for index in range(100)]
    assert world.ask("many.meltanodata.com").flags & dns.flags.TC
    assert len(world.resolver().resolve("many.meltanodata.com").rrset or ()) == 100


@given(st.binary(max_size=600))
def test_no_request_breaks_the_server(request_: bytes) -> None:
    answer = DnsServer(lambda: {DOMAIN: []}, dict).answer(request_, 512)
    assert answer is None or answer[:2] == request_[:2]
