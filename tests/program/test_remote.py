"""What comes before a Command: its droplet's SSH server answers, and the droplet has what is brought there."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pulumi
import pytest

from meltanodata.droplet import files
from meltanodata.errors import UserError
from meltanodata.program import remote
from tests.fakes.ssh_server import SshServer
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


AT_ONCE = remote.Limits(first_answer=0, answer=0, dial=0.2, pause=0.01)


@contextlib.asynccontextmanager
async def server(*lines: bytes | None) -> AsyncIterator[int]:
    """A server on loopback that says these lines to each client; None is to say nothing and hang up on no one."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for line in lines:
            if line is None:
                with contextlib.suppress(ConnectionError):
                    await reader.read()
            else:
                writer.write(line)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    running = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with running:
        yield running.sockets[0].getsockname()[1]


COMMON = files.File("/run/meltanodata/common-1.json", "root", "root", 0o600, content="what all have")


@pytest.fixture
def readiness() -> remote._Readiness:
    """Of one run."""
    return remote._Readiness(files.bringing([COMMON]), AT_ONCE)


async def answers(readiness: remote._Readiness, port: int, host_key: str | None = None, private_key: str = "") -> None:
    connection = {"host": "127.0.0.1", "port": float(port), "privateKey": private_key}
    connection |= {"hostKey": host_key} if host_key else {}
    inputs: dict[str, Any] = {"connection": pulumi.Output.secret(connection)}
    await readiness.wait(pulumi.ResourceHookArgs("urn", "", "acme-files", "command:remote:Command", inputs))


@pytest.mark.parametrize("lines", [(b"SSH-2.0-OpenSSH_9.2\r\n",), (b"Welcome\r\n", b"SSH-2.0-x\r\n")])
def test_a_server_that_speaks_ssh(readiness: remote._Readiness, lines: tuple[bytes, ...]) -> None:
    async def run() -> None:
        async with server(*lines) as port:
            await answers(readiness, port)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        ((None,), "does not answer"),
        ((b"HTTP/1.1 400\r\n",), "closes the connection"),
        ((), "closes the connection"),
        ((b"x" * 99999,), "does not speak SSH"),
    ],
)
def test_a_server_that_does_not(readiness: remote._Readiness, lines: tuple[bytes | None, ...], wrong: str) -> None:
    async def run() -> str:
        async with server(*lines) as port:
            with pytest.raises(UserError) as caught:
                await answers(readiness, port)
            return str(caught.value).replace(str(port), "PORT")

    said = asyncio.run(run())
    assert said.startswith(f"the SSH server at 127.0.0.1:PORT {wrong}")
    assert "DigitalOcean's console" in said


def test_no_server_at_all(readiness: remote._Readiness) -> None:
    with pytest.raises(UserError, match=r"cannot be reached \(Connection refused\)"):
        asyncio.run(answers(readiness, 1))


@pytest.mark.parametrize(
    ("host_key", "limits"),
    [(None, replace(AT_ONCE, first_answer=30)), ("ssh-ed25519 AAAA", replace(AT_ONCE, answer=30))],
)
def test_a_server_that_is_not_up_yet_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, host_key: str | None, limits: remote.Limits
) -> None:
    readiness = remote._Readiness(files.bringing([COMMON]), limits)
    found = ["does not answer", "does not answer", None]

    async def what_is_wrong(*_: object) -> str | None:
        return found.pop(0)

    monkeypatch.setattr(readiness, "_what_is_wrong", what_is_wrong)
    asyncio.run(answers(readiness, 22, host_key))
    assert not found


SIGNING_IN = replace(AT_ONCE, dial=10)
"""To sign in takes longer on a busy machine than to say nothing."""


@pytest.fixture
def signing_in() -> remote._Readiness:
    """Of one run."""
    return remote._Readiness(files.bringing([COMMON]), SIGNING_IN)


@pytest.fixture
def droplet() -> Iterator[SshServer]:
    with SshServer() as server:
        yield server


def ready(readiness: remote._Readiness, droplet: SshServer, **other: str) -> None:
    login = {"host_key": droplet.public_key, "private_key": droplet.private_key, **other}
    asyncio.run(answers(readiness, droplet.port, **login))


def test_what_is_needed_is_brought_there_once_a_run(signing_in: remote._Readiness, droplet: SshServer) -> None:
    ready(signing_in, droplet)
    assert droplet.dials == 1
    ready(signing_in, droplet)
    (run,) = droplet.runs
    assert run.command == "mkdir -p /run/meltanodata && timeout --kill-after=5 60 python3 -"
    scripts = [files.placed(name) for name in ("write_files", "meltano", "admin", "verify", "wipe")]
    assert run.stdin == files.call("write_files", files.files_document([*scripts, COMMON]))
    eventually(lambda: droplet.connections == 0)
    ready(remote._Readiness(files.bringing([]), SIGNING_IN), droplet)
    assert len(droplet.runs) == 2


def test_it_is_brought_to_another_droplet_at_the_same_address(
    signing_in: remote._Readiness, droplet: SshServer
) -> None:
    signing_in._have.add(("127.0.0.1", droplet.port, SshServer().public_key))
    ready(signing_in, droplet)
    assert len(droplet.runs) == 1


def test_nothing_is_brought_where_the_host_key_is_not_known_yet(
    signing_in: remote._Readiness, droplet: SshServer
) -> None:
    asyncio.run(answers(signing_in, droplet.port, private_key=droplet.private_key))
    assert droplet.runs == []


@pytest.mark.parametrize(
    ("other", "instead", "wrong"),
    [
        ({"host_key": SshServer().public_key}, None, r"has another host key, SHA256:\S+\. Run"),
        ({"host_key": "ssh-ed25519 AAAA"}, None, r"is pinned as 'ssh-ed25519 AAAA', which is not a host key\. Run"),
        ({"private_key": SshServer().private_key}, None, r"the stack's key is not accepted\. Run"),
        ({}, "fail 7", r"does not take the scripts: went wrong\. Run"),
        ({}, "quote 1", r"does not take the scripts: ValueError: wrong\. Run"),
        ({}, "flood", r"answers the scripts with more than 64 KiB\. Run"),
        ({}, "complain", r"answers the scripts with more than 64 KiB\. Run"),
        ({}, "break", r"closes the connection while it is given the scripts\. Run"),
        ({}, "hang", r"did not take the scripts within 1 seconds\. Run"),
    ],
)
def test_a_droplet_that_does_not_take_the_scripts(
    droplet: SshServer, other: dict[str, str], instead: str | None, wrong: str
) -> None:
    readiness = remote._Readiness("a program", replace(SIGNING_IN, bringing=1))
    droplet.instead = instead
    with pytest.raises(UserError, match=f"the SSH server at 127.0.0.1:{droplet.port} {wrong}"):
        ready(readiness, droplet, **other)
    droplet.instead = None
    ready(readiness, droplet)
    eventually(lambda: droplet.connections == 0)
