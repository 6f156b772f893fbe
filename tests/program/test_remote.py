"""Waiting for a droplet's SSH server, before the plugin dials, which would wait for its first word for ever."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pulumi
import pytest

from meltanodata import remote
from meltanodata.errors import UserError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_PATIENCE", 0)
    monkeypatch.setattr(remote, "_FIRST_PATIENCE", 0)
    monkeypatch.setattr(remote, "_DIAL_SECONDS", 0.2)
    monkeypatch.setattr(remote, "_PAUSE", 0.01)


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


async def answers(port: int, host_key: str | None = "ssh-ed25519 AAAA") -> None:
    connection = {"host": "127.0.0.1", "port": float(port), **({"hostKey": host_key} if host_key else {})}
    inputs: dict[str, Any] = {"connection": pulumi.Output.secret(connection)}
    await remote._answers(pulumi.ResourceHookArgs("urn", "", "acme-files", "command:remote:Command", inputs))


@pytest.mark.parametrize("lines", [(b"SSH-2.0-OpenSSH_9.2\r\n",), (b"Welcome\r\n", b"SSH-2.0-x\r\n")])
def test_a_server_that_speaks_ssh(lines: tuple[bytes, ...]) -> None:
    async def run() -> None:
        async with server(*lines) as port:
            await answers(port)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        ((None,), "says nothing"),
        ((b"HTTP/1.1 400\r\n",), "hangs up"),
        ((), "hangs up"),
        ((b"x" * 99999,), "does not speak SSH"),
    ],
)
def test_a_server_that_does_not(lines: tuple[bytes | None, ...], wrong: str) -> None:
    async def run() -> str:
        async with server(*lines) as port:
            with pytest.raises(UserError) as caught:
                await answers(port)
            return str(caught.value).replace(str(port), "PORT")

    said = asyncio.run(run())
    assert said.startswith(f"the SSH server at 127.0.0.1:PORT {wrong}")
    assert "DigitalOcean's console" in said


def test_no_server_at_all() -> None:
    with pytest.raises(UserError, match=r"cannot be reached \(Connection refused\)"):
        asyncio.run(answers(1))


@pytest.mark.parametrize(("host_key", "patience"), [(None, "_FIRST_PATIENCE"), ("ssh-ed25519 AAAA", "_PATIENCE")])
def test_a_server_that_is_not_up_yet_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, host_key: str | None, patience: str
) -> None:
    monkeypatch.setattr(remote, patience, 30)
    found = ["says nothing", "says nothing", None]

    async def what_is_wrong(*_: object) -> str | None:
        return found.pop(0)

    monkeypatch.setattr(remote, "_what_is_wrong", what_is_wrong)
    asyncio.run(answers(22, host_key))
    assert not found
