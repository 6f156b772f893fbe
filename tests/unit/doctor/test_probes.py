"""Looks at droplets that are not as they should be: each ends with a row of its own, in its own time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import threading
import time
import tracemalloc
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from meltanodata.config.checks import Check
from meltanodata.doctor import droplet_facts, probes
from meltanodata.doctor.diagnosis import Level
from meltanodata.doctor.probes import Limits, Way
from meltanodata.droplet.scripts import health
from sandbox.dns import DnsServer
from tests.fakes.caddy import HOST, certificate
from tests.fakes.ssh_server import SshServer
from tests.unit.doctor.samples import ACME, FACTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from meltanodata.doctor.diagnosis import Finding

LIMITS = Limits(answer=20, script=30)


@pytest.fixture(scope="module")
def droplet() -> Iterator[SshServer]:
    with SshServer() as server:
        yield server


def way(droplet: SshServer, *checks: Check) -> Way:
    return Way("meltanodata.com", droplet.port, SecretStr(droplet.private_key), None, frozenset(checks))


def look(droplet: SshServer, instead: str = "", **changes: Any) -> list[Finding]:
    droplet.instead = instead
    instance = replace(ACME, address="127.0.0.1", **{"host_key": droplet.public_key, **changes})
    return probes.examine([(instance, way(droplet, Check.SYSTEM, Check.SSH))], lambda *_: None, LIMITS)["acme"]


def only(findings: list[Finding]) -> Finding:
    (found,) = (it for it in findings if it.level is Level.WRONG)
    return found


def test_an_answer_as_the_script_gives_it_is_judged(droplet: SshServer) -> None:
    assert all(it.level is Level.OK for it in look(droplet, f"print {json.dumps(FACTS)}"))


@pytest.mark.parametrize("answer", ["[]", "{}", "null", "7", '"x"', '{"system": []}', "[[[[", "hunter2"])
def test_an_odd_answer_is_the_droplet_s_own_row_and_not_shown(droplet: SshServer, answer: str) -> None:
    found = only(look(droplet, f"print {answer}"))
    assert (found.check, found.hint) == (Check.SYSTEM, "meltanodata ssh acme -- systemctl status")
    assert found.found.startswith("the droplet's answer is not what the script prints")
    assert "hunter2" not in found.found


@pytest.mark.parametrize("instead", ["flood", "complain"])
def test_an_endless_answer_is_bounded_in_memory_and_time(droplet: SshServer, instead: str) -> None:
    look(droplet, "print {}")  # what is loaded once
    tracemalloc.start()
    started = time.monotonic()
    try:
        found = only(look(droplet, instead))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.found == "the droplet's answer is longer than 1 MiB"
    assert time.monotonic() - started < LIMITS.script
    # Both ends are in this process, and each may have a window full on its way.
    assert peak < 16 * droplet_facts.BYTES


@pytest.mark.parametrize(
    "pinned",
    [
        "garbage",
        "ssh-ed25519",
        "ssh-ed25519 !!!",
        "ssh-ed25519 AAAA",
        "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIPoPCGPxQeddVQd8pgKx5i+D3shPukzo1LdWvSjqg5lS",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPoPCGPxQeddVQd8pgKx5i+D3s",
        "ssh-ed25519 ä",
        "\x1b]0;x\x07 AAAA",
    ],
)
def test_something_pinned_that_is_no_host_key_is_said_and_nobody_signs_in(droplet: SshServer, pinned: str) -> None:
    dials = droplet.dials
    found = only(look(droplet, host_key=pinned))
    assert found.check is Check.SSH
    assert found.found.startswith("the stack has pinned '")
    assert found.hint.endswith("meltanodata up --stack prod --replace '**::acme-host-key'")
    assert droplet.dials == dials


def test_a_fault_in_looking_at_one_is_its_own_row(droplet: SshServer, monkeypatch: pytest.MonkeyPatch) -> None:
    real = probes._Probe.see

    async def see(probe: probes._Probe) -> Any:
        if probe.instance.tenant == "bolt":
            raise LookupError("hunter2")
        return await real(probe)

    monkeypatch.setattr(probes._Probe, "see", see)
    droplet.instead = f"print {json.dumps(FACTS)}"
    acme = replace(ACME, address="127.0.0.1", host_key=droplet.public_key)
    patients = [(replace(acme, tenant=tenant), way(droplet, Check.SYSTEM)) for tenant in ("acme", "bolt", "core")]
    told: list[str] = []
    found = probes.examine(patients, lambda it, _: told.append(it.tenant), LIMITS)
    assert sorted(told) == ["acme", "bolt", "core"]
    assert only(found["bolt"]).found == "doctor failed on this instance with an unexpected LookupError"
    assert all(it.level is Level.OK for tenant in ("acme", "core") for it in found[tenant])


@dataclass
class Zone:
    """The domain's records, and the name server that answers with them."""

    records: list[Any]
    resolver: str

    def add(self, type_: str, data: str, name: str = "acme") -> None:
        self.records.append(SimpleNamespace(type=type_, name=name, data=data, ttl=3600, priority=None))

    def look(self) -> list[tuple[Level, str]]:
        way = Way("meltanodata.com", 22, SecretStr(""), self.resolver, frozenset({Check.DNS}))
        found = probes.examine([(ACME, way)], lambda *_: None, LIMITS)["acme"]
        return [(it.level, it.found.removeprefix("acme.meltanodata.com ")) for it in found]


@pytest.fixture
def zone() -> Iterator[Zone]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    records: list[Any] = []
    server = DnsServer(lambda: {"meltanodata.com": records}, dict)
    address, port = asyncio.run_coroutine_threadsafe(server.start("127.0.0.1", 0), loop).result(5)
    yield Zone(records, f"{address}:{port}")
    asyncio.run_coroutine_threadsafe(server.close(), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


def test_an_aaaa_record_that_leads_visitors_elsewhere_is_found(zone: Zone) -> None:
    zone.add("A", "203.0.113.7")
    zone.add("MX", "mail.example.com")
    zone.add("AAAA", "2001:db8::7")  # the droplet's own
    zone.add("AAAA", "2001:db8::9", "*")
    assert zone.look() == [(Level.OK, "points to 203.0.113.7")]
    zone.add("AAAA", "2001:db8::1")
    assert zone.look() == [
        (Level.WRONG, "has AAAA records for 2001:db8::1, so visitors with IPv6 do not reach the droplet")
    ]


def test_a_cname_in_place_of_the_a_record_is_found_wherever_it_leads(zone: Zone) -> None:
    alias = "is an alias of other.meltanodata.com (CNAME), which points to"
    zone.add("CNAME", "other.meltanodata.com")
    assert zone.look() == [(Level.WRONG, f"{alias} no address, not to 203.0.113.7")]
    zone.add("AAAA", "2001:db8::1", "other")
    assert zone.look() == [(Level.WRONG, f"{alias} no address, not to 203.0.113.7")]
    zone.add("A", "192.0.2.1", "other")
    assert zone.look() == [(Level.WRONG, f"{alias} 192.0.2.1, not to 203.0.113.7")]
    zone.records[-1].data = "203.0.113.7"
    assert zone.look() == [(Level.WARNING, f"{alias} the droplet today, and has no A record")]


def test_no_record_at_all_is_said_as_before(zone: Zone) -> None:
    assert zone.look() == [(Level.WRONG, "has no A record")]
    zone.add("AAAA", "2001:db8::1")
    assert [level for level, _ in zone.look()] == [Level.WRONG, Level.WRONG]


@contextlib.contextmanager
def dripping(pem: Path, *, first: bytes) -> Iterator[tuple[str, int]]:
    """HTTPS that says something at the beginning, and then a byte now and then until the client has gone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)

    def serve(client: socket.socket) -> None:
        with contextlib.suppress(OSError), context.wrap_socket(client, server_side=True) as connection:
            connection.recv(4096)
            connection.sendall(first)
            while True:
                connection.sendall(b"x")
                time.sleep(0.05)

    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=[server.accept()[0]], daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 401 x\r\n\r\n", b"HTTP/1.1 100 x\r\n\r\n", b"HTTP/1.1 401 x\r\nA: "])
def test_a_page_that_never_ends_costs_a_visit_s_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: bytes
) -> None:
    monkeypatch.setattr(health, "VISIT", 1)
    pem, _ = certificate(tmp_path)
    started = time.monotonic()
    with dripping(pem, first=first) as address:
        problem = health.page_problem(HOST, None, address)
    assert time.monotonic() - started < 8
    # An answer that is cut off has its status: that is what it is judged by.
    assert problem is None or problem.code == "no_answer"
