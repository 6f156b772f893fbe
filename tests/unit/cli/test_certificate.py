"""`meltanodata certificate`, as the shell sees it; tests/sandbox/test_certificate.py has a real ACME server."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from meltanodata.certificate.acme_server import Issued
from tests.certificates import certificate, pem
from tests.unit.cli.certificate_world import NOW, World, wildcard

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.operator import Run


@pytest.fixture
def world(folder: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(folder, monkeypatch)


def test_every_stack_gets_the_first_certificate_and_one_account(run: Run, world: World) -> None:
    world.issued = Issued(wildcard(0, 90), pem())
    ended = run("certificate", "renew")
    assert ended.code == 0, ended
    assert world.certificates == {world.issued.certificate}
    assert len({config["meltanodata:acme_account_key"] for config in world.configs.values()}) == 1
    assert "meltanodata up --stack prod\n  meltanodata up --stack prod-2\n" in ended.out


def test_nothing_is_renewed_before_it_is_due_unless_the_server_suggests_it(run: Run, world: World) -> None:
    old = wildcard(59, 31)
    for stack in world.configs:
        world.has(stack, old)
    ended = run("certificate", "renew")
    assert (ended.code, ended.out.startswith("No renewal is due before ")) == (0, True)
    assert world.certificates == {old}
    world.suggests, world.issued = True, Issued(wildcard(0, 90), pem())
    assert run("certificate", "renew").code == 0
    assert world.certificates == {world.issued.certificate}


def test_a_stack_that_was_left_behind_gets_the_others_certificate(run: Run, world: World) -> None:
    world.has("prod", wildcard(0, 90))
    world.has("prod-2", wildcard(61, 29))
    ended = run("certificate", "renew")
    assert ended.code == 0, ended
    assert "prod has a certificate that is not due, so prod-2 gets the same one." in ended.out
    assert len(world.certificates) == 1


def test_a_refusal_changes_no_certificate(run: Run, world: World) -> None:
    world.has("prod", old := wildcard(61, 29))
    ended = run("certificate", "renew")
    assert (ended.code, ended.err) == (1, "the server was asked\n")
    assert world.certificates == {old, None}


def test_a_certificate_that_droplets_cannot_use_is_not_written(run: Run, world: World) -> None:
    world.issued = Issued(certificate("*.elsewhere.com", begins=NOW, ends=NOW + timedelta(days=90)), pem())
    ended = run("certificate", "renew")
    assert ended.code == 1
    assert "it has to be for '*.meltanodata.com'" in ended.err
    assert world.certificates == {None}


def test_a_dry_run_writes_nothing_at_all(run: Run, world: World) -> None:
    world.issued = Issued(wildcard(0, 90), pem())
    ended = run("certificate", "renew", "--dry-run")
    assert (ended.code, ended.out.endswith("Nothing was written.\n")) == (0, True)
    assert world.configs == {"prod": {}, "prod-2": {}}


def test_a_directory_without_https_is_wrong_usage(run: Run, world: World) -> None:
    assert world.certificates == {None}
    assert run("certificate", "renew", "--directory", "http://acme.example.com/dir").code == 2


def test_the_status_says_when_renewal_is_due_and_who_serves_it(run: Run, world: World) -> None:
    world.has("prod", wildcard(0, 90))
    world.has("prod-2", wildcard(0, 90))
    ended = run("certificate", "status")
    assert ended.code == 0, ended
    assert "prod:\n  for *.meltanodata.com, issued by test, serial 1\n" in ended.out
    assert "89 of 90 days left" in ended.out
    assert "no answer from acme, bolt" in ended.out
    assert "renewal is due from " in ended.out
    world.has("prod-2", wildcard(61, 29))
    ended = run("certificate", "status", "--json")
    assert (ended.code, [each["due"] for each in json.loads(ended.out)]) == (1, [False, True])
    assert "PRIVATE KEY" not in ended.out
