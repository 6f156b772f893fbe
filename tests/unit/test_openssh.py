"""OpenSSH's client as we call it: a stand-in on the PATH that writes down what it gets."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from meltanodata import openssh
from meltanodata.errors import UserError
from tests.sandbox.conftest import eventually
from tests.unit.test_doctor import ACME, KEY

if TYPE_CHECKING:
    from pathlib import Path

PRIVATE = SecretStr("-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n-----END OPENSSH PRIVATE KEY-----\n")


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Notes its arguments, and what is in the files that they name; ends with 5."""
    folder = tmp_path / "client"
    folder.mkdir()
    (folder / "ssh").write_text(
        f"""#!/bin/sh
cd {folder}
echo "$@" > arguments
for argument; do case $argument in
UserKnownHostsFile=*) cp "${{argument#*=}}" known_hosts ;;
IdentityFile=*) cp -p "${{argument#*=}}" key ;;
esac; done
test -e wait && {{ touch waits; exec sleep 60; }}
exit 5
"""
    )
    (folder / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return folder


def test_the_client_knows_one_host_and_one_key(client: Path, tmp_path: Path) -> None:
    assert openssh.run(ACME, 2222, PRIVATE, ["echo", "a b"]) == 5
    arguments = (client / "arguments").read_text()
    assert arguments.startswith("-F none -p 2222 ")
    assert arguments.endswith("root@203.0.113.7 echo a b\n")
    for option in ("StrictHostKeyChecking=yes", "GlobalKnownHostsFile=/dev/null", "IdentityAgent=none"):
        assert f"-o {option} " in arguments
    assert "hunter2" not in arguments
    assert (client / "known_hosts").read_text() == f"acme.meltanodata.com {KEY}\n"
    assert (client / "key").read_text() == PRIVATE.get_secret_value()
    assert (client / "key").stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [client]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_whoever_ends_it_leaves_no_key_behind(client: Path, tmp_path: Path, number: signal.Signals) -> None:
    (client / "wait").touch()
    code = (
        "import sys; from pydantic import SecretStr; from meltanodata import openssh;"
        " from tests.unit.test_doctor import ACME; sys.exit(openssh.run(ACME, 22, SecretStr('hunter2'), []))"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        eventually((client / "waits").exists)
        assert len(list(tmp_path.iterdir())) == 2
        process.send_signal(number)
        assert process.wait(60) == 128 + number
    assert list(tmp_path.iterdir()) == [client]


def test_without_a_droplet_there_is_nothing_to_sign_in_to(client: Path) -> None:
    with pytest.raises(UserError, match=r"acme has no droplet that is ready\. Make it so: meltanodata up --stack prod"):
        openssh.run(replace(ACME, address=None), 22, PRIVATE, [])
    assert not (client / "arguments").exists()


def test_without_a_client_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="OpenSSH's client, is not on the PATH"):
        openssh.run(ACME, 22, PRIVATE, [])
