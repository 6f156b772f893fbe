"""OpenSSH's own client, with the options and the files in memory that we give it, on a server on loopback."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import asyncssh
import pytest
from pydantic import SecretStr

from meltanodata.droplet import openssh
from tests.fakes.ssh_server import SshServer
from tests.unit.doctor.samples import ACME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def droplet() -> Iterator[SshServer]:
    with SshServer() as server:
        yield server


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where files for a while would be."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


def run(droplet: SshServer, command: str, host_key: str | None = None) -> int:
    instance = replace(ACME, address="127.0.0.1", host_key=host_key or droplet.public_key)
    return openssh.run(instance, droplet.port, SecretStr(droplet.private_key), [command])


def test_it_signs_in_with_a_key_that_is_in_memory(
    droplet: SshServer, empty: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(droplet, "print hello") == 0
    assert run(droplet, "fail 7") == 7
    out, err = capfd.readouterr()
    assert out == "hello\nsaid before\n"
    assert err == "went wrong\n"
    assert list(empty.iterdir()) == []


def test_what_a_command_prints_can_be_shown_a_line_at_a_time(droplet: SshServer) -> None:
    shown: list[str] = []
    instance = replace(ACME, address="127.0.0.1", host_key=droplet.public_key)
    key = SecretStr(droplet.private_key)
    assert openssh.run(instance, droplet.port, key, ["fail 7"], take=shown.append) == 7
    assert sorted(shown) == ["said before\n", "went wrong\n"]


def test_a_line_without_end_is_not_waited_for(droplet: SshServer) -> None:
    shown: list[int] = []

    def take(text: str) -> None:
        shown.append(len(text))
        if len(shown) == 3:
            raise KeyboardInterrupt

    instance = replace(ACME, address="127.0.0.1", host_key=droplet.public_key)
    with pytest.raises(KeyboardInterrupt):
        openssh.run(instance, droplet.port, SecretStr(droplet.private_key), ["flood"], take=take)
    assert max(shown) <= 1 << 16


def test_with_another_host_key_it_signs_in_nowhere_and_ends_with_doctor(
    droplet: SshServer, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(droplet, "print hello", host_key=SshServer().public_key) == 255
    assert droplet.runs == []
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("acme has another host key than the pinned one (SHA256:")
    assert err.endswith("Diagnose it: meltanodata doctor acme --stack prod\n")
    assert len(err.splitlines()) == 1


def test_with_a_host_key_of_another_kind_alike(droplet: SshServer, capfd: pytest.CaptureFixture[str]) -> None:
    other = asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_public_key().decode().strip()
    assert run(droplet, "print hello", host_key=other) == 255
    assert capfd.readouterr().err.endswith("own code: meltanodata doctor acme --stack prod\n")
