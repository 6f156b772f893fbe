"""Whether all authoritative name servers of a domain serve a TXT record."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rdatatype
import dns.resolver

from meltanodata.errors import UserError
from meltanodata.text import listing

if TYPE_CHECKING:
    from collections.abc import Callable

_PORT = 53
_ANSWER = 5.0
"""Seconds for one answer."""
_PAUSE = 2.0
"""Seconds between two rounds of questions."""
_TELL = 60.0
"""Seconds between two lines about the wait."""


class NameServer(NamedTuple):
    """An address of an authoritative name server."""

    name: str
    address: str
    port: int = _PORT


def of(domain: str, resolver: str | None) -> list[NameServer]:
    """All addresses of the domain's authoritative name servers.

    `resolver` is the setting; where that server is authoritative itself, as the sandbox's is, it is the only one.

    Raises:
        UserError: the lookup fails, or a server has no address.
    """
    asked = _resolver(resolver)
    try:
        answer = asked.resolve(domain, "NS", search=False)
    except (dns.exception.DNSException, OSError) as error:
        raise UserError(f"DNS lookup for the name servers of {domain} failed: {_on_one_line(error)}") from None
    if resolver is not None and answer.response.flags & dns.flags.AA:
        return [NameServer(resolver, str(asked.nameservers[0]), asked.port)]
    servers = [server for record in answer for server in _addresses(asked, str(record.target).rstrip("."))]
    if not servers:
        raise UserError(f"DNS lookup for the name servers of {domain} failed: none of them has an address")
    return servers


def wait(
    servers: list[NameServer],
    name: str,
    value: str,
    seconds: float,
    *,
    pause: Callable[[float], None],
    say: Callable[[str], None],
) -> None:
    """Wait until every server has a TXT record with this value; says every minute for which it waits.

    Raises:
        UserError: one does not within the time, with its name.
    """
    begun = told = time.monotonic()
    missing = servers
    while missing := [server for server in missing if value not in texts(server, name)]:
        names = listing(sorted({f"{server.name} ({server.address})" for server in missing}), "and")
        now = time.monotonic()
        if now - begun > seconds:
            raise UserError(
                f"{names}: did not serve the TXT record {name} within {seconds:g} seconds. See status.digitalocean.com,"
                " whether the domain's registrar names DigitalOcean's name servers, and whether this machine may ask"
                " name servers (port 53), then run this again"
            )
        if now - told > _TELL:
            told = now
            say(f"still waiting for {names}")
        pause(_PAUSE)


def texts(server: NameServer, name: str) -> set[str]:
    """The TXT records that a server has of this very name; none where it does not answer."""
    query = dns.message.make_query(name, "TXT")
    asked = dns.name.from_text(name)
    try:
        response, _ = dns.query.udp_with_fallback(query, server.address, _ANSWER, server.port)
    except (dns.exception.DNSException, OSError):
        return set()
    return {
        b"".join(record.strings).decode(errors="replace")
        for rrset in response.answer
        if (rrset.name, rrset.rdtype) == (asked, dns.rdatatype.TXT)
        for record in rrset
    }


def _resolver(setting: str | None) -> dns.resolver.Resolver:
    resolver = dns.resolver.Resolver(configure=setting is None)
    if setting is not None:
        address, _, port = setting.partition(":")
        resolver.nameservers, resolver.port = [address], int(port or _PORT)
    resolver.lifetime = _ANSWER * 2
    return resolver


def _addresses(resolver: dns.resolver.Resolver, name: str) -> list[NameServer]:
    """A name server's IPv4 addresses: its IPv6 ones serve the same zone, and many machines cannot reach them."""
    try:
        return [NameServer(name, str(record)) for record in resolver.resolve(name, "A", search=False)]
    except (dns.exception.DNSException, OSError) as error:
        raise UserError(f"DNS lookup for the name server {name} failed: {_on_one_line(error)}") from None


def _on_one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
