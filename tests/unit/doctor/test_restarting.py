"""Restarts over SSH: what the droplet answers, and what it does not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from meltanodata.doctor import restarting
from meltanodata.doctor.diagnosis import Level
from meltanodata.doctor.restarting import SERVICES, Limits
from tests.fakes.ssh_server import SshServer
from tests.unit.doctor.samples import ACME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meltanodata.doctor.diagnosis import Finding

LIMITS = Limits()
AGAIN = "meltanodata up --stack prod --replace '**::acme-files'"
WELL = {"code": "restarted", "detail": ""}
ANSWER: dict[str, Any] = {"services": {"meltano": WELL, "caddy": WELL}, "page": None}


@pytest.fixture(scope="module")
def droplet() -> Iterator[SshServer]:
    with SshServer() as server:
        yield server


def restart(droplet: SshServer, instead: str, limits: Limits = LIMITS, **changes: Any) -> list[Finding]:
    droplet.instead = instead
    instance = replace(ACME, address="127.0.0.1", **{"host_key": droplet.public_key, **changes})
    return restarting.restart(instance, droplet.port, SecretStr(droplet.private_key), 1, SERVICES, limits=limits)


def answered(droplet: SshServer, **changes: Any) -> list[Finding]:
    return restart(droplet, f"print {json.dumps({**ANSWER, **changes})}")


def only(findings: list[Finding]) -> Finding:
    (finding,) = (it for it in findings if it.level is Level.WRONG)
    return finding


def test_what_came_back_is_said(droplet: SshServer) -> None:
    findings = answered(droplet)
    assert [finding.found for finding in findings] == [
        "meltano was restarted",
        "caddy was restarted",
        "https://acme.meltanodata.com asks for the login",
    ]
    assert {finding.level for finding in findings} == {Level.OK}
    # One script at a time, as for a run's own Commands, and nothing about the tenant in the command line.
    command = droplet.runs[-1].command
    assert command.startswith("flock --close --nonblock")
    assert "/run/meltanodata.lock" in command
    assert "acme" not in command


def test_what_did_not_come_back_is_said_with_what_to_do(droplet: SshServer) -> None:
    services = {
        "meltano": {"code": "not_started", "detail": "it is failed, with hunter2"},
        "caddy": {"code": "rejected", "detail": "tls: bad certificate"},
    }
    page = {"code": "another_status", "detail": "502"}
    answer = json.dumps({"services": services, "page": page})
    findings = restart(droplet, f"print {answer}", secrets=frozenset({"hunter2"}))
    assert [(finding.found, finding.hint) for finding in findings] == [
        (
            "meltano does not start: it is failed, with [hidden]",
            f"Read its log: meltanodata logs acme --stack prod. If one of its files is to blame: {AGAIN}",
        ),
        (
            "caddy was not restarted and still runs, because it rejects its files: tls: bad certificate",
            f"Write them again: {AGAIN}",
        ),
        ("https://acme.meltanodata.com answers 502", "Diagnose it: meltanodata doctor acme --stack prod"),
    ]
    assert {finding.level for finding in findings} == {Level.WRONG}


@pytest.mark.parametrize(
    ("instead", "said"),
    [
        ("print []", "the script on the droplet ended with exit code 0 and no answer"),
        ("print hunter2", "the script on the droplet ended with exit code 0 and no answer"),
        ("quote 1", "the script on the droplet ended with exit code 1 and no answer"),
        ('print {"services": {}, "page": null}', "the droplet's answer is about other services"),
        ("break", "the SSH connection broke during the restart"),
        ("flood", "the droplet's answer is longer than 64 KiB"),
        ("hang", "the restart did not end within 1 seconds"),
    ],
)
def test_an_odd_answer_is_not_believed_and_not_shown(droplet: SshServer, instead: str, said: str) -> None:
    finding = only(restart(droplet, instead, Limits(script=1 if instead == "hang" else 60)))
    assert finding.found == f"{said}. What was restarted is unknown"
    assert finding.hint == "Diagnose it: meltanodata doctor acme --stack prod"


def test_a_droplet_that_a_run_is_at_work_on_is_left_alone(droplet: SshServer) -> None:
    finding = only(restart(droplet, "fail 75"))
    assert finding.found.startswith("nothing was restarted: a run, or what an interrupted run began there")
    assert finding.hint == "Wait until it has ended, then run this again"


def test_nobody_signs_in_to_another_host_key(droplet: SshServer) -> None:
    runs = len(droplet.runs)
    finding = only(restart(droplet, "cat", host_key=ACME.host_key))
    assert finding.found.startswith("the host key is SHA256:")
    assert len(droplet.runs) == runs


def test_without_a_droplet_there_is_nothing_to_restart(droplet: SshServer) -> None:
    finding = only(restart(droplet, "cat", host_key=None))
    assert finding.found == "the stack has not finished creating the droplet"
