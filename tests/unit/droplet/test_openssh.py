"""OpenSSH's client as we call it: a stand-in on the PATH that writes down what it gets."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from meltanodata.droplet import openssh
from meltanodata.errors import UserError
from tests.unit.doctor.samples import ACME, KEY
from tests.waiting import eventually

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
test -e said && cat said > "$6"
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
    assert arguments.startswith("-F none -p 2222 -E ")
    assert arguments.endswith("root@203.0.113.7 echo a b\n")
    for option in ("StrictHostKeyChecking=yes", "GlobalKnownHostsFile=/dev/null", "IdentityAgent=none"):
        assert f"-o {option} " in arguments
    assert "hunter2" not in arguments
    assert (client / "known_hosts").read_text() == f"acme.meltanodata.com {KEY}\n"
    assert (client / "key").read_text() == PRIVATE.get_secret_value()
    assert (client / "key").stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [client]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_whoever_ends_it_leaves_no_key_behind(client: Path, tmp_path: Path, number: signal.Signals) -> None:
    (client / "wait").touch()
    code = (
        "import sys; from pydantic import SecretStr; from meltanodata.droplet import openssh;"
        " from tests.unit.doctor.samples import ACME; sys.exit(openssh.run(ACME, 22, SecretStr('hunter2'), []))"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        eventually((client / "waits").exists)
        process.send_signal(number)
        assert process.wait(60) == (-number if number == signal.SIGKILL else 128 + number)
    assert (client / "key").read_text() == "hunter2"
    assert list(tmp_path.iterdir()) == [client]
    assert not Path((client / "arguments").read_text().split()[5]).exists()


def test_a_signal_that_no_call_notices_ends_the_client(client: Path) -> None:
    """The kernel may give it to any thread, or to the main thread just before a call that waits."""
    (client / "wait").touch()

    def end() -> None:
        eventually((client / "waits").exists)
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    thread = threading.Thread(target=end)
    thread.start()
    assert openssh.run(ACME, 22, PRIVATE, []) == 128 + signal.SIGTERM
    thread.join()


def test_without_files_in_memory_they_are_in_a_folder_of_ours_that_goes(
    client: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert openssh.run(ACME, 22, PRIVATE, []) == 5
    assert (client / "key").read_text() == PRIVATE.get_secret_value()
    assert (client / "key").stat().st_mode & 0o777 == 0o600
    assert f"IdentityFile={tmp_path}/meltanodata-" in (client / "arguments").read_text()
    assert list(tmp_path.iterdir()) == [client]


@pytest.mark.parametrize(
    "said",
    [
        "@  WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!  @\nOffending key in /tmp/x:1\nssh-keygen -f /tmp/x",
        "Host key verification failed.",
    ],
)
def test_of_another_host_key_doctor_is_the_advice(client: Path, capsys: pytest.CaptureFixture[str], said: str) -> None:
    (client / "said").write_text(said)
    openssh.run(ACME, 22, PRIVATE, [])
    told = capsys.readouterr().err.strip()
    assert told.startswith(f"acme has another host key than the pinned one ({ACME.fingerprint})")
    assert told.endswith("meltanodata doctor acme --stack prod")
    assert "/tmp" not in told


def test_what_else_the_client_says_is_handed_on(client: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (client / "said").write_text("root@203.0.113.7: Permission denied (publickey).\r\n")
    openssh.run(ACME, 22, PRIVATE, [])
    assert capsys.readouterr().err == "root@203.0.113.7: Permission denied (publickey).\n"


def test_a_client_that_fails_without_a_word_ends_with_doctor_too(
    client: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (client / "ssh").write_text("#!/bin/sh\nexit 255\n")
    assert openssh.run(ACME, 22, PRIVATE, []) == 255
    assert capsys.readouterr().err.endswith("own code: meltanodata doctor acme --stack prod\n")


def test_a_client_that_somebody_ended_is_no_failure_of_the_droplet(client: Path) -> None:
    """OpenSSH handles Ctrl-C itself and ends with 255, as `logs -f` shows."""
    script = f"""#!{sys.executable}
import os, pathlib, signal
signal.signal(signal.SIGINT, lambda *_: os._exit(255))
pathlib.Path("{client}/waits").touch()
signal.pause()
"""
    (client / "ssh").write_text(script)
    code = (
        "import sys; from pydantic import SecretStr; from meltanodata.droplet import openssh;"
        " from tests.unit.doctor.samples import ACME; sys.exit(openssh.run(ACME, 22, SecretStr('x'), []))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) as process:
        eventually((client / "waits").exists)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, b"")


def test_something_pinned_that_is_no_host_key_is_nobody_to_sign_in_to(client: Path) -> None:
    with pytest.raises(UserError, match=r"acme: the stack has pinned 'x AAAA', which is not an SSH host.*doctor acme"):
        openssh.run(replace(ACME, host_key="x AAAA"), 22, PRIVATE, [])
    assert not (client / "arguments").exists()


def test_without_a_droplet_there_is_nothing_to_sign_in_to(client: Path) -> None:
    with pytest.raises(UserError, match=r"acme has no droplet yet\. Create it: meltanodata up --stack prod"):
        openssh.run(replace(ACME, address=None), 22, PRIVATE, [])
    assert not (client / "arguments").exists()


def test_without_a_client_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="OpenSSH's client, is not on the PATH"):
        openssh.run(ACME, 22, PRIVATE, [])
