"""Examines instances, many at a time: from this machine, and by one script over SSH on each droplet.

Every probe has its own time limit, so an instance that is dead or slow does not delay the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import http
import http.client
import ssl
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.resolver
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from meltanodata.config.checks import ON_DROPLET, Check
from meltanodata.doctor import diagnosis, droplet_facts
from meltanodata.doctor.diagnosis import Certificate, Names, Seen, Visit
from meltanodata.droplet import files, ssh
from meltanodata.droplet.scripts import health
from meltanodata.droplet.scripts.codes import Problem
from meltanodata.droplet.ssh import Contact, NotSignedIn, sign_in
from meltanodata.errors import UserError
from meltanodata.inventory import accounts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    import asyncssh
    from pydantic import SecretStr

    from meltanodata.config.settings import Settings
    from meltanodata.doctor.diagnosis import Finding
    from meltanodata.doctor.droplet_facts import Facts
    from meltanodata.engine.instances import Instance
    from meltanodata.inventory.accounts import Source

_T = TypeVar("_T")

HTTPS = 443
_NO_ADDRESS = (dns.exception.DNSException, OSError, ValueError)
"""DNS does not answer, or has no address: ValueError where an empty answer is unpacked."""


@dataclass(frozen=True)
class Limits:
    """Seconds."""

    answer: float = 10
    """For one answer: to a ping, of a name server, of an SSH server, to a TCP connection."""
    silence: float = 4
    """Without an answer, after which a database counts as closed."""
    page: float = 30
    """For a whole visit of the page, and for all requests to DigitalOcean."""
    script: float = 75
    """For the script on the droplet."""
    together: int = 20
    """Instances that are examined at the same time."""


@dataclass(frozen=True)
class Way:
    """How instances of a stack are reached."""

    domain: str
    ssh_port: int
    private_key: SecretStr
    resolver: str | None
    """See the setting."""
    checks: frozenset[Check]
    trusted: Callable[[Instance], frozenset[Source]] | None = None
    """Asks DigitalOcean for an instance's trusted sources; raises UserError. None to leave them out."""

    @classmethod
    def of(cls, settings: Settings, private_key: SecretStr, tokens: Mapping[str, SecretStr]) -> Way:
        """From the stack's settings."""
        checks = frozenset(Check) - frozenset(settings.unchecked)
        trusted = functools.partial(_trusted_by, settings, tokens)
        return cls(settings.domain, settings.ssh_port, private_key, settings.resolver, checks, trusted)


def _trusted_by(settings: Settings, tokens: Mapping[str, SecretStr], instance: Instance) -> frozenset[Source]:
    if instance.database is None:
        raise UserError("the stack has not created the cluster")
    team = instance.database_team
    if team is None or team not in tokens:
        raise UserError(f"the stack's settings have no token of {team}")
    return accounts.trusted_by(settings, tokens, team, instance.database)


def examine(
    patients: Iterable[tuple[Instance, Way]],
    done: Callable[[Instance, list[Finding]], None],
    limits: Limits = Limits(),
) -> dict[str, list[Finding]]:
    """The findings by tenant, in the order of `patients`; `done` gets each instance's as soon as they are there."""
    return asyncio.run(_examine(list(patients), done, limits))


async def _examine(
    patients: list[tuple[Instance, Way]], done: Callable[[Instance, list[Finding]], None], limits: Limits
) -> dict[str, list[Finding]]:
    slots = asyncio.Semaphore(limits.together)
    # A thread for each visit and each request to DigitalOcean that may be under way: no instance waits for another.
    threads = ThreadPoolExecutor(2 * limits.together)
    findings: dict[str, list[Finding]] = {instance.tenant: [] for instance, _ in patients}

    async def one(instance: Instance, way: Way) -> None:
        async with slots:
            try:
                seen = await _Probe(instance, way, limits, threads).see()
                findings[instance.tenant] = diagnosis.findings(instance, seen, datetime.now(UTC))
            except Exception as error:  # noqa: BLE001 - a fault at one tenant must not cost the others their findings
                findings[instance.tenant] = [diagnosis.failed_examination(instance, error)]
        done(instance, findings[instance.tenant])

    try:
        async with asyncio.TaskGroup() as group:
            for instance, way in patients:
                group.create_task(one(instance, way))
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
    return findings


@dataclass(frozen=True)
class _Probe:
    """All probes of one instance."""

    instance: Instance
    way: Way
    limits: Limits
    threads: ThreadPoolExecutor

    async def see(self) -> Seen:
        address, host_key = self.instance.address, self.instance.host_key
        if address is None or host_key is None:
            return Seen()
        ping, names, (contact, facts), visit, database, trusted = await asyncio.gather(
            self._if({Check.PING}, lambda: self._ping(address)),
            self._if({Check.DNS}, self._names),
            self._sign_in(address, host_key),
            self._if({Check.CERTIFICATE, Check.PAGE}, lambda: self._visit(address)),
            self._if({Check.FIREWALL}, self._database),
            self._if({Check.TRUSTED}, self._trusted),
        )
        return Seen(ping, names, contact if Check.SSH in self.way.checks else None, facts, visit, database, trusted)

    async def _if(self, checks: set[Check], look: Callable[[], Awaitable[_T]]) -> _T | None:
        return await look() if checks & self.way.checks else None

    async def _ping(self, address: str) -> bool:
        """Whether the droplet answers one of three pings."""
        ping = await asyncio.create_subprocess_exec(
            *("ping", "-n", "-c", "3", "-i", "0.5", address),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(self.limits.answer):
                return await ping.wait() == 0
        except TimeoutError:
            return False
        finally:
            with contextlib.suppress(ProcessLookupError):
                ping.kill()
            await ping.wait()

    async def _names(self) -> Names:
        host = self.instance.host
        try:
            resolver = _resolver(self.way.resolver, self.limits)
            answer = await _addresses(resolver, host)
        except (dns.exception.DNSException, OSError) as error:
            return Names(problem=_on_one_line(error))
        names = Names(answer.addresses, answer.seconds, ipv6=await self._ipv6(resolver, host), alias=answer.alias)
        if answer.authoritative:
            return replace(names, zone=answer.addresses)
        if answer.addresses == (self.instance.address,):
            return names
        return replace(names, zone=await self._zone(resolver, host))

    async def _ipv6(self, resolver: dns.asyncresolver.Resolver, host: str) -> tuple[str, ...] | str:
        """The addresses of its AAAA records; a text is why they are unknown."""
        try:
            return (await _addresses(resolver, host, "AAAA")).addresses
        except (dns.exception.DNSException, OSError) as error:
            return _on_one_line(error)

    async def _zone(self, resolver: dns.asyncresolver.Resolver, host: str) -> tuple[str, ...] | None:
        """The answer of the domain's own name servers; None if there is none."""
        try:
            servers = [str(server.target) for server in await resolver.resolve(self.way.domain, "NS")]
            address, *_ = (await _addresses(resolver, servers[0])).addresses
            return (await _addresses(_resolver(address, self.limits), host)).addresses
        except _NO_ADDRESS:
            return None

    async def _sign_in(self, address: str, host_key: str) -> tuple[Contact, Facts | str | None]:
        if not ON_DROPLET & self.way.checks and Check.SSH not in self.way.checks:
            return Contact(), None
        try:
            connection = await sign_in(address, self.way.ssh_port, self.way.private_key, host_key, self.limits.answer)
        except NotSignedIn as refusal:
            return refusal.contact, None
        try:
            return Contact(), await self._facts(connection) if ON_DROPLET & self.way.checks else None
        finally:
            connection.abort()

    async def _facts(self, connection: asyncssh.SSHClientConnection) -> Facts | str:
        document = {
            "host_name": self.instance.host,
            "database_host": self.instance.database_host,
            "reach": f"{files.script('reach')}\n\n\nmain()\n",
        }
        seconds = self.limits.script
        command = f"timeout --kill-after=5 {max(seconds - 10, 1):g} python3 -"
        program, most = files.call("examine", document), droplet_facts.BYTES
        try:
            ran = await ssh.run(connection, command, program, seconds=seconds, max_bytes=most)
            facts = droplet_facts.read(ran.stdout)
        except TimeoutError:
            return f"the examination of the droplet did not end within {seconds:g} seconds"
        except ssh.TooMuch:
            return f"the droplet's answer is longer than {most >> 20} MiB"
        except ssh.Broken:
            return "the SSH connection broke during the examination of the droplet"
        except droplet_facts.NotFacts as error:
            # Nothing of what the droplet printed: it may have secrets in it.
            return (
                f"the script on the droplet ended with exit code {ran.exit_status}" if ran.exit_status else str(error)
            )
        secrets = self.instance.secrets | {self.way.private_key.get_secret_value()}
        without: Facts = droplet_facts.without(secrets, facts)
        return without

    async def _visit(self, address: str) -> Visit:
        try:
            return await self._in_thread(functools.partial(_visit, self.instance.host, address))
        except TimeoutError:
            return Visit(Problem("no_answer", f"nothing within {self.limits.page:g} seconds"), None, None)

    async def _in_thread(self, ask: Callable[[], _T]) -> _T:
        async with asyncio.timeout(self.limits.page):
            return await asyncio.get_running_loop().run_in_executor(self.threads, ask)

    async def _database(self) -> Literal["open", "closed", "unknown"]:
        host = self.instance.database_host
        if host is None:
            return "unknown"
        try:
            address, *_ = (await _addresses(_resolver(self.way.resolver, self.limits), host)).addresses
        except _NO_ADDRESS:
            return "unknown"
        try:
            async with asyncio.timeout(self.limits.silence):
                _, writer = await asyncio.open_connection(address, self.instance.database_port)
        except (TimeoutError, OSError):
            return "closed"
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return "open"

    async def _trusted(self) -> frozenset[Source] | str | None:
        if self.way.trusted is None:
            return None
        try:
            return await self._in_thread(functools.partial(self.way.trusted, self.instance))
        except TimeoutError:
            return f"DigitalOcean did not answer within {self.limits.page:g} seconds"
        except UserError as error:
            return str(error)


def _resolver(name_server: str | None, limits: Limits) -> dns.asyncresolver.Resolver:
    resolver = dns.asyncresolver.Resolver(configure=name_server is None)
    if name_server is not None:
        address, _, port = name_server.partition(":")
        resolver.nameservers, resolver.port = [address], int(port or 53)
    resolver.lifetime = limits.answer
    return resolver


class _Answer(NamedTuple):
    """What DNS has for a host name."""

    addresses: tuple[str, ...]
    seconds: int
    """The addresses' TTL."""
    authoritative: bool
    """Whether the domain's own server answered."""
    alias: str | None
    """The name at the end of its CNAME records; None without one."""


async def _addresses(resolver: dns.asyncresolver.Resolver, host: str, kind: Literal["A", "AAAA"] = "A") -> _Answer:
    """The addresses of a host name; raises `dns.exception.DNSException` where there is no answer."""
    addresses: tuple[str, ...] = ()
    seconds = 0
    try:
        answer = await resolver.resolve(host, kind, search=False)
    except dns.resolver.NXDOMAIN as error:
        responses = list(error.responses().values())  # type: ignore[no-untyped-call]  # the library's
    except dns.resolver.NoAnswer as error:
        responses = [error.response()]  # type: ignore[no-untyped-call]  # the library's
    else:
        addresses, responses = tuple(sorted(map(str, answer))), [answer.response]
        seconds = answer.rrset.ttl if answer.rrset is not None else 0
    authoritative = any(response.flags & dns.flags.AA for response in responses)
    return _Answer(addresses, seconds, authoritative, next(map(_alias, responses), None))


def _alias(response: dns.message.QueryMessage) -> str | None:
    """The name at the end of the CNAME records of an answer; None without one."""
    name = response.canonical_name()
    return None if name == response.question[0].name else name.to_text(omit_final_dot=True)


def _on_one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _visit(host: str, address: str) -> Visit:
    """Visit the page at the droplet's address: DNS has a check of its own."""
    caddy = (address, HTTPS)
    problem = health.page_problem(host, None, caddy)
    certificate, login = None, None
    with contextlib.suppress(OSError, ValueError, x509.InvalidVersion):  # `problem` says so
        served = health.certificate(host, caddy)
        certificate = _described(x509.load_der_x509_certificate(served))
        if problem is None:
            login = _login(host, served, caddy)
    return Visit(problem, login, certificate)


def _login(host: str, served: bytes, caddy: tuple[str, int]) -> str | None:
    try:
        status, body = health.ask_page(host, "/auth/login", served, caddy)
    except (TimeoutError, OSError, ssl.SSLError, http.client.HTTPException) as error:
        return f"https://{host}/auth/login does not answer ({type(error).__name__})"
    if status != http.HTTPStatus.OK:
        return f"https://{host}/auth/login answers {status}"
    if b"csrf_token" not in body:
        return f"https://{host}/auth/login has no login form"
    return None


def _described(certificate: x509.Certificate) -> Certificate:
    issuer = certificate.issuer
    names = [
        *issuer.get_attributes_for_oid(NameOID.ORGANIZATION_NAME),
        *issuer.get_attributes_for_oid(NameOID.COMMON_NAME),
    ]
    return Certificate(
        certificate.fingerprint(hashes.SHA256()).hex(),
        ", ".join(dict.fromkeys(str(name.value) for name in names)) or "nobody",
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
    )
