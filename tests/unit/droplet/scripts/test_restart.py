"""The restart on a droplet, against an HTTPS server on loopback and a systemctl that says what it is told."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from meltanodata.droplet import files
from meltanodata.droplet.scripts import restart, write_files
from tests.fakes.caddy import HOST, caddy, certificate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WELL = {"code": "restarted", "detail": ""}
NOWHERE = ("127.0.0.1", 1)


@pytest.fixture
def systemctl(tmp_path: Path) -> Path:
    """Keeps what it is told in `calls`, and says of each service what a file of its name has; `active` without one."""
    path = tmp_path / "systemctl"
    path.write_text(
        f"""#!/bin/sh
cd {tmp_path}
echo "$@" >> calls
case $1 in
is-active) cat $2 2>/dev/null || echo active ;;
show) cat pid 2>/dev/null || echo 0 ;;
restart) test ! -e broken || {{ echo "Unit $2 not found." >&2; exit 5; }} ;;
esac
"""
    )
    path.chmod(0o755)
    return path


@pytest.fixture
def checked(tmp_path: Path) -> Iterator[list[str]]:
    """A service at work, and the arguments with which its program checks files: they end as the file `verdict` says."""
    # The program of the process is the shell's, so that is what the check is run by.
    with subprocess.Popen(["/bin/sh", "-c", "read line"], stdin=subprocess.PIPE, env={"VERDICT": "0"}) as process:
        (tmp_path / "pid").write_text(f"{process.pid}\n")
        yield ["-c", f"cat {tmp_path}/verdict; test $VERDICT = 0 && test ! -s {tmp_path}/verdict"]
        process.kill()


def run(systemctl: Path, capsys: Any, address: tuple[str, int], check: list[str] | None = None) -> dict[str, Any]:
    services = [{"name": "meltano", "check": None}, {"name": "caddy", "check": check}]
    restart.main({"host_name": HOST, "services": services, "seconds": 20}, str(systemctl), address)
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def restarts(systemctl: Path) -> list[str]:
    calls = (systemctl.parent / "calls").read_text().splitlines()
    return [call.split()[1] for call in calls if call.startswith("restart")]


def test_both_are_restarted_and_the_page_is_waited_for(systemctl: Path, tmp_path: Path, capsys: Any) -> None:
    with caddy(certificate(tmp_path)[0], [502, 502, 401]) as address:
        assert run(systemctl, capsys, address) == {"services": {"meltano": WELL, "caddy": WELL}, "page": None}
    assert restarts(systemctl) == ["meltano", "caddy"]


def test_a_service_that_runs_is_not_stopped_if_it_rejects_its_files(
    systemctl: Path, tmp_path: Path, capsys: Any, checked: list[str]
) -> None:
    (tmp_path / "verdict").write_text("noise\ntls: \x1b[2Jbad certificate\n")
    with caddy(certificate(tmp_path)[0], [401]) as address:
        answer = run(systemctl, capsys, address, checked)
    assert answer["services"]["caddy"] == {"code": "rejected", "detail": "tls:  [2Jbad certificate"}
    assert restarts(systemctl) == ["meltano"]
    (tmp_path / "verdict").write_text("")
    with caddy(certificate(tmp_path)[0], [401]) as address:
        assert run(systemctl, capsys, address, checked)["services"]["caddy"] == WELL
    assert restarts(systemctl) == ["meltano", "meltano", "caddy"]


def test_one_that_does_not_run_is_started_whatever_it_would_say(systemctl: Path, tmp_path: Path, capsys: Any) -> None:
    with caddy(certificate(tmp_path)[0], [401]) as address:
        assert run(systemctl, capsys, address, ["-c", "exit 1"])["services"]["caddy"] == WELL


def test_what_does_not_start_is_said_at_once(systemctl: Path, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "caddy").write_text("failed\n")
    answer = run(systemctl, capsys, NOWHERE)
    assert answer["services"] == {"meltano": WELL, "caddy": {"code": "not_started", "detail": "it is failed"}}
    assert answer["page"]["code"] == "no_answer"
    (tmp_path / "broken").touch()
    answer = run(systemctl, capsys, NOWHERE)
    assert answer["services"]["meltano"] == {"code": "not_started", "detail": "Unit meltano not found."}


@pytest.mark.parametrize(("version", "first"), [(1, "-validate"), (2, "validate")])
def test_caddy_alone_is_asked_and_in_the_way_of_its_version(version: int, first: str) -> None:
    document = files.restart_document(HOST, ("meltano", "caddy"), version, 60)
    meltano, asked = document["services"]
    assert (meltano["check"], asked["check"][0]) == (None, first)


def test_the_check_runs_as_the_service_does(systemctl: Path, tmp_path: Path, capsys: Any, checked: list[str]) -> None:
    (tmp_path / "verdict").write_text("")
    tells = ["-c", f"id -u > {tmp_path}/uid; echo $VERDICT >> {tmp_path}/uid; {checked[1]}"]
    with caddy(certificate(tmp_path)[0], [401]) as address:
        run(systemctl, capsys, address, tells)
    assert (tmp_path / "uid").read_text().split() == [str(os.geteuid()), "0"]


@pytest.mark.parametrize(
    ("said", "code", "read"),
    [
        ("", 0, None),
        ("flag provided but not defined: -validate", 2, None),
        ("noise\ntls: bad certificate\n\n", 1, "tls: bad certificate"),
        ("", 3, "exit code 3"),
        ("half", 124, "its check of them timed out after 30 seconds"),
        ("half", 137, "its check of them timed out after 30 seconds"),
    ],
)
def test_a_programs_answer_is_read_alike_when_files_are_written(
    systemctl: Path, tmp_path: Path, said: str, code: int, read: str | None
) -> None:
    """The two scripts share no part, since a change of `write_files` runs every tenant's Commands again."""
    with subprocess.Popen(["/bin/sh", "-c", "read line"], stdin=subprocess.PIPE) as process:
        (tmp_path / "pid").write_text(f"{process.pid}\n")
        check = ["-c", f"printf %s '{said}'; exit {code}"]
        assert restart.rejected_by_its_program(str(systemctl), "caddy", check) == read
        process.kill()
    (tmp_path / "pid").write_text("ExecStart={ path=/bin/sh ; argv[]=/bin/sh }\n")
    service = write_files.Service("caddy", [{"path": "/x", "check": check}], tmp_path, str(systemctl), 443)
    assert service._rejected() == read
