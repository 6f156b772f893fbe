"""The wildcard certificate renews itself: a real ACME server, Pebble, and the sandbox's DNS."""

from __future__ import annotations

import datetime as dt
import json
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from meltanodata.config import certificates
from sandbox import keys
from sandbox.acme import pebble
from sandbox.keys import Keys
from sandbox.running import Running
from tests.sandbox.fleet import ACME, Fleet
from tests.sandbox.programs import SECONDS
from tests.waiting import eventually

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from sandbox.acme.pebble import Pebble
    from sandbox.home import Home

OTHERS = "a token of somebody else's"


@pytest.fixture
def fleet(home: Home) -> Fleet:
    return Fleet(home)


@pytest.fixture(scope="module")
def acme(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    """A server that refuses many nonces, and validates the domain for each order."""
    folder = tmp_path_factory.mktemp("pebble")
    variables = {"PEBBLE_WFE_NONCEREJECT": "40", "PEBBLE_AUTHZREUSE": "0"}
    with pebble.running(folder, Running.load(home).resolver, environment=variables) as server:
        yield server


def sets(fleet: Fleet, begins: float, ends: float) -> None:
    """Give the stack a certificate that is valid between two days, counted from now."""
    ca_key, ca = keys.load_ca(Keys.ensure(fleet.home, "meltanodata.com"))
    now = dt.datetime.now(dt.UTC)
    times = {"not_before": now + dt.timedelta(days=begins), "not_after": now + dt.timedelta(days=ends)}
    certificate, key = keys.issue_wildcard("meltanodata.com", ca_key, ca, **times)
    fleet.secret("certificate", certificate.decode())
    fleet.secret("certificate_key", key.decode())


def texts(fleet: Fleet) -> list[str]:
    answer = fleet.world.meltano.get("/v2/domains/meltanodata.com/records?per_page=200&type=TXT")
    return [record["data"] for record in answer["domain_records"]]


def config(fleet: Fleet) -> dict[str, str]:
    values: dict[str, Any] = json.loads(fleet.pulumi("config", "--json", "--show-secrets"))
    return {key.partition(":")[2]: value.get("value", "") for key, value in values.items()}


def renew(fleet: Fleet, acme: Pebble, *args: str, code: int = 0) -> str:
    fleet.environment["REQUESTS_CA_BUNDLE"] = str(acme.ca_file)
    return fleet.meltanodata("certificate", "renew", "--directory", acme.directory, *args, code=code)


def status(fleet: Fleet, code: int = 0) -> dict[str, Any]:
    (only,) = json.loads(fleet.meltanodata("certificate", "status", "--json", code=code))
    found: dict[str, Any] = only
    return found


def test_a_certificate_near_its_end_is_renewed_and_a_fresh_one_is_left_alone(fleet: Fleet, acme: Pebble) -> None:
    fleet.world.meltano.post(
        "/v2/domains/meltanodata.com/records", {"type": "TXT", "name": "_acme-challenge", "data": OTHERS, "ttl": 60}
    )
    fleet.tenants(acme=ACME)
    sets(fleet, -61, 29)
    assert status(fleet, code=1)["due"]
    fleet.up()

    said = renew(fleet, acme)

    after = config(fleet)
    described = certificates.described(after["certificate"])
    assert described is not None
    assert "Pebble" in described.issuer
    assert described.hosts == ("*.meltanodata.com",)
    assert (
        certificates.problems(
            after["certificate"], after["certificate_key"], "meltanodata.com", dt.datetime.now(dt.UTC)
        )
        == []
    )
    assert texts(fleet) == [OTHERS]
    assert not status(fleet)["due"]
    assert fleet.steps()["acme-files"] == "replace"
    # Nothing secret in what it says, or in the open in the config.
    for secret in (after["certificate_key"], after["acme_account_key"]):
        line = secret.splitlines()[1]
        assert line not in said
        assert line not in (fleet.folder / "Pulumi.sandbox.yaml").read_text()

    assert "No renewal is due before" in renew(fleet, acme)
    assert config(fleet) == after
    renew(fleet, acme, "--dry-run")
    assert config(fleet) == after


def ours(fleet: Fleet) -> list[str]:
    return [text for text in texts(fleet) if text != OTHERS]


def added(fleet: Fleet, since: float) -> int:
    """How many records DigitalOcean was asked to add; to look at the records would use up the limit of the API."""
    asked = fleet.control.requests(since)
    return sum(each.method == "POST" and each.path.endswith("/records") for each in asked)


def starting(fleet: Fleet, acme: Pebble, *args: str) -> subprocess.Popen[str]:
    """`meltanodata certificate renew`, begun."""
    fleet.environment["REQUESTS_CA_BUNDLE"] = str(acme.ca_file)
    program = [sys.executable, "-c", "from meltanodata.cli.main import main; main()"]
    return fleet.start(*program, "certificate", "renew", "--force", "--directory", acme.directory, *args)


@pytest.mark.parametrize("records", [1, 2], ids=["its note", "its record"])
def test_what_a_killed_run_left_is_removed_by_the_next(fleet: Fleet, acme: Pebble, records: int) -> None:
    before, since = config(fleet)["certificate"], time.time()
    with starting(fleet, acme) as process:
        eventually(lambda: added(fleet, since) >= records, SECONDS)
        process.kill()
    left = ours(fleet)
    assert left
    assert config(fleet)["certificate"] == before

    said = renew(fleet, acme, "--force")

    assert "a killed run left" in said
    assert ours(fleet) == []
    assert config(fleet)["certificate"] != before


def test_an_ended_run_removes_its_own_record(fleet: Fleet, acme: Pebble) -> None:
    before, since = config(fleet)["certificate"], time.time()
    with starting(fleet, acme) as process:
        eventually(lambda: added(fleet, since) == 2, SECONDS)
        process.terminate()
        assert process.wait(SECONDS) != 0
    assert ours(fleet) == []
    assert config(fleet)["certificate"] == before


def test_two_renewals_at_once_both_end_well(fleet: Fleet, acme: Pebble) -> None:
    with starting(fleet, acme) as one, starting(fleet, acme) as other:
        said = [process.communicate(timeout=SECONDS * 4)[0] for process in (one, other)]
        assert (one.returncode, other.returncode) == (0, 0), said
    after = config(fleet)
    now = dt.datetime.now(dt.UTC)
    assert certificates.problems(after["certificate"], after["certificate_key"], "meltanodata.com", now) == []
    assert ours(fleet) == []


def test_a_challenge_that_fails_changes_nothing(fleet: Fleet, tmp_path: Path) -> None:
    before = config(fleet)
    with pebble.running(tmp_path, ("127.0.0.1", 9)) as blind:  # nobody answers there
        said = renew(fleet, blind, "--force", code=1)
    assert "refuses the certificate" in said
    assert "Nothing was changed" in said
    assert config(fleet) == before
    assert ours(fleet) == []
