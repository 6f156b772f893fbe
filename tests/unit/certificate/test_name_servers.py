"""Waiting for name servers that are slow, silent or hostile."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING

import dns.flags
import dns.message
import dns.rrset
import pytest

from meltanodata.certificate import name_servers
from meltanodata.certificate.name_servers import NameServer
from meltanodata.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAME = "_acme-challenge.meltanodata.com"
OTHER = "_acme-challenge.example.com"


class Server:
    """A name server on loopback; `records` are its answers to the next questions, the last one to all that follow."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked = 0
        self.answers: list[Callable[[dns.message.Message], bytes]] = []

    def answer(self, question: bytes) -> bytes:
        self.asked += 1
        make = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return make(dns.message.from_wire(question))


def having(*records: tuple[str, str, str], rcode: int = 0) -> Callable[[dns.message.Message], bytes]:
    """An answer with records: name, type and data each."""

    def make(question: dns.message.Message) -> bytes:
        answer = dns.message.make_response(question)
        answer.set_rcode(rcode)  # type: ignore[arg-type]
        answer.answer = [dns.rrset.from_text(f"{name}.", 30, "IN", kind, data) for name, kind, data in records]
        return answer.to_wire()

    return make


OURS = having((NAME, "TXT", '"somebody else\'s"'), (NAME, "TXT", '"ou" "rs"'))
NOTHING = having(rcode=3)


@contextmanager
def serving(server: Server) -> Iterator[NameServer]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]

        def serve() -> None:
            while (received := listener.recvfrom(4096))[0] != b"end":
                listener.sendto(server.answer(received[0]), received[1])

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield NameServer(server.name, "127.0.0.1", port)
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"end", ("127.0.0.1", port))
            thread.join()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_servers, "_ANSWER", 0.2)


@pytest.mark.usefixtures("quick")
def test_it_waits_until_the_last_server_has_the_value_and_asks_the_others_no_more() -> None:
    fast, slow = Server("ns1"), Server("ns2")
    fast.answers, slow.answers = [OURS], [NOTHING, NOTHING, OURS]
    with serving(fast) as one, serving(slow) as other:
        name_servers.wait([one, other], NAME, "ours", 60, pause=lambda _: None, say=print)
    assert (fast.asked, slow.asked) == (1, 3)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "hostile",
    [
        NOTHING,
        having(rcode=2),
        having((NAME, "TXT", '"our"')),
        having((NAME, "CNAME", f"{OTHER}.")),
        having((OTHER, "TXT", '"ours"')),
        having((NAME, "A", "192.0.2.1")),
        lambda _: b"no message",
        lambda _: OURS(dns.message.make_query(NAME, "TXT")),
    ],
    ids=["no name", "failure", "another value", "an alias", "another name", "another type", "garbage", "another id"],
)
def test_an_answer_without_the_value_at_the_name_is_none(hostile: Callable[[dns.message.Message], bytes]) -> None:
    server = Server("ns1.example.com")
    server.answers = [hostile]
    with serving(server) as address, pytest.raises(UserError) as refused:
        name_servers.wait([address], NAME, "ours", 0, pause=lambda _: None, say=print)
    assert str(refused.value).startswith(f"ns1.example.com (127.0.0.1): did not serve the TXT record {NAME} within 0 ")


@pytest.mark.usefixtures("quick")
def test_the_wait_is_bounded_and_says_for_whom(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(name_servers, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(name_servers, "texts", lambda *_: set())
    lines: list[str] = []

    def pause(seconds: float) -> None:
        now[0] += seconds

    with pytest.raises(UserError, match="whether the domain's registrar names DigitalOcean's name servers"):
        name_servers.wait([NameServer("ns1", "192.0.2.53")], NAME, "ours", 600, pause=pause, say=lines.append)
    assert now[0] < 605
    assert set(lines) == {"still waiting for ns1 (192.0.2.53)"}
    assert 8 <= len(lines) <= 10


def test_where_the_resolver_is_authoritative_it_is_the_only_one() -> None:
    server = Server("resolver")

    def make(question: dns.message.Message) -> bytes:
        answer = dns.message.make_response(question)
        answer.flags |= dns.flags.AA
        answer.answer = [dns.rrset.from_text("meltanodata.com.", 30, "IN", "NS", "ns1.meltanodata.com.")]
        return answer.to_wire()

    server.answers = [make]
    with serving(server) as address:
        setting = f"{address.address}:{address.port}"
        assert name_servers.of("meltanodata.com", setting) == [NameServer(setting, "127.0.0.1", address.port)]


def test_a_domain_without_name_servers_is_an_error() -> None:
    server = Server("resolver")
    server.answers = [NOTHING]
    with (
        serving(server) as address,
        pytest.raises(UserError, match=r"DNS lookup for the name servers of meltanodata\.com failed"),
    ):
        name_servers.of("meltanodata.com", f"{address.address}:{address.port}")
