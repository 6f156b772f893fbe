"""The wildcard certificate renews itself: a real ACME server, Pebble, and the sandbox's DNS."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests

from meltanodata.config import certificates
from meltanodata.droplet.scripts import health
from meltanodata.engine.instances import instances
from meltanodata.engine.stack_state import StackState
from sandbox import checks, keys
from sandbox.acme import pebble
from sandbox.choice import obstacle
from sandbox.home import Home
from sandbox.keys import Keys
from sandbox.running import Running
from tests.sandbox.fleet import Fleet
from tests.sandbox.processes import kill, process_list
from tests.sandbox.programs import SECONDS
from tests.sandbox.repository import repository_on
from tests.sandbox.world import started
from tests.waiting import eventually

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sandbox.acme.pebble import Pebble

REASON = obstacle("droplets") or obstacle("databases")
REFUSING = {"PEBBLE_WFE_NONCEREJECT": "40", "PEBBLE_AUTHZREUSE": "0"}
"""A server that refuses many nonces, and validates the domain for each order."""
OTHERS = "a token of somebody else's"


@pytest.fixture
def fleet(home: Home) -> Fleet:
    return Fleet(home)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A light sandbox with an ACME server, as `python -m sandbox start --acme` starts it."""
    home = Home(tmp_path_factory.mktemp("sandbox"))
    with pytest.MonkeyPatch.context() as patched:
        for name, value in REFUSING.items():
            patched.setenv(name, value)
        with started(home, "light", "--acme"):
            yield home


@pytest.fixture
def acme(home: Home) -> Pebble:
    server = Running.load(home).acme
    assert server is not None
    return server


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


def renew(fleet: Fleet, *args: str, code: int = 0) -> str:
    """As the how-to page has it: the sandbox has set its server's address, and the shell trusts the server."""
    return fleet.meltanodata("certificate", "renew", *args, code=code)


def status(fleet: Fleet, code: int = 0) -> dict[str, Any]:
    (only,) = json.loads(fleet.meltanodata("certificate", "status", "--json", code=code))
    found: dict[str, Any] = only
    return found


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


def test_a_certificate_near_its_end_is_renewed_and_a_fresh_one_is_left_alone(fleet: Fleet, acme: Pebble) -> None:
    fleet.world.meltano.post(
        "/v2/domains/meltanodata.com/records", {"type": "TXT", "name": "_acme-challenge", "data": OTHERS, "ttl": 60}
    )
    sets(fleet, -61, 29)
    assert status(fleet, code=1)["due"]

    with process_list(pause=0.05) as arguments:
        said = renew(fleet)

    after = config(fleet)
    described = certificates.described(after["certificate"])
    assert described is not None
    assert "Pebble" in described.issuer
    assert described.hosts == ("*.meltanodata.com",)
    assert usable(after)
    assert texts(fleet) == [OTHERS]
    assert not status(fleet)["due"]
    shown = {
        "the command": said,
        "the process list": "\n".join(arguments),
        "the stack's settings": (fleet.folder / "Pulumi.sandbox.yaml").read_text(),
        "the state": "".join(path.read_text() for path in (fleet.home.path / "state").rglob("*.json")),
        "the sandbox's log": (fleet.home.path / "sandbox.log").read_text(),
        "the server's log": acme.log.read_text(),
    }
    assert "config" in shown["the process list"]
    hidden = [line for name in ("certificate_key", "acme_account_key") for line in after[name].splitlines()[1:-1]]
    hidden += [team.token for team in fleet.world.running.teams.values()]
    assert [where for where, text in shown.items() for secret in hidden if secret in text] == []

    renew(fleet, "--dry-run")
    suggests(acme, after["certificate"], '{"suggestedWindow": "now"}')
    assert "No renewal is due before" in renew(fleet)
    assert config(fleet) == after
    window = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}
    suggests(acme, after["certificate"], json.dumps({"suggestedWindow": window}))
    renew(fleet)
    assert config(fleet)["certificate"] != after["certificate"]


def suggests(acme: Pebble, certificate: str, answer: str) -> None:
    """Let the server answer so when it is asked when a certificate should be renewed (RFC 9773)."""
    body = {"certificate": certificate, "ariResponse": answer}
    requests.post(
        f"{acme.management}/set-renewal-info/", json=body, verify=str(acme.ca_file), timeout=30
    ).raise_for_status()


def usable(values: dict[str, str]) -> bool:
    now = dt.datetime.now(dt.UTC)
    return certificates.problems(values["certificate"], values["certificate_key"], "meltanodata.com", now) == []


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Pebble]:
    """A server that waits for an answer of a name server that gives none."""
    with (
        socket.create_server(("127.0.0.1", 0)) as nobody,
        pebble.running(tmp_path / "silent", nobody.getsockname()) as server,
    ):
        yield server


def test_a_run_killed_at_any_step_changes_no_certificate_and_the_next_one_cleans_up(
    fleet: Fleet, acme: Pebble, silent: Pebble
) -> None:
    fleet.pulumi("config", "rm", "meltanodata:acme_account_key")
    before, settings, since = config(fleet)["certificate"], fleet.folder / "Pulumi.sandbox.yaml", time.time()
    moments: dict[str, tuple[Pebble, Callable[[], bool], int]] = {
        "the account's key is written": (silent, lambda: "acme_account_key" in settings.read_text(), 0),
        "the certificate is issued": (acme, lambda: "Issued certificate serial" in acme.log.read_text()[logged:], 0),
        "the record is written": (silent, lambda: added(fleet, since) == 2, 2),
    }
    for moment, (server, reached, left) in moments.items():
        since, logged = time.time(), len(acme.log.read_text())
        with starting(fleet, server) as process:
            eventually(reached, SECONDS)
            assert process.poll() is None, moment
            kill(process)
        assert config(fleet)["certificate"] == before, moment
        assert list(fleet.folder.glob("Pulumi.*.yaml")) == [settings], moment
        assert (moment, len(ours(fleet))) == (moment, left)

    fleet.environment["REQUESTS_CA_BUNDLE"] = str(acme.ca_file)
    said = renew(fleet, "--force")

    assert "a killed run left" in said
    assert ours(fleet) == []
    assert list(fleet.folder.glob(".certificate-*")) == []
    assert usable(config(fleet))
    assert config(fleet)["certificate"] != before


def test_an_ended_run_removes_its_own_record(fleet: Fleet, silent: Pebble) -> None:
    before, since = config(fleet)["certificate"], time.time()
    with starting(fleet, silent) as process:
        eventually(lambda: added(fleet, since) == 2, SECONDS)
        process.terminate()
        assert process.wait(SECONDS) != 0
    assert ours(fleet) == []
    assert config(fleet)["certificate"] == before


def test_two_renewals_at_once_both_end_well(fleet: Fleet, acme: Pebble) -> None:
    with starting(fleet, acme) as one, starting(fleet, acme) as other:
        said = [process.communicate(timeout=SECONDS * 4)[0] for process in (one, other)]
        assert (one.returncode, other.returncode) == (0, 0), said
    assert usable(config(fleet))
    assert ours(fleet) == []


def test_a_challenge_that_fails_changes_nothing(fleet: Fleet, tmp_path: Path) -> None:
    before = config(fleet)
    with pebble.running(tmp_path, ("127.0.0.1", 9)) as blind:  # nobody answers there
        fleet.environment["REQUESTS_CA_BUNDLE"] = str(blind.ca_file)
        said = renew(fleet, "--force", "--directory", blind.directory, code=1)
    assert "refuses the certificate" in said
    assert "Nothing was changed" in said
    assert config(fleet) == before
    assert ours(fleet) == []


@pytest.mark.skipif(REASON is not None, reason=f"real droplets and databases: {REASON}")
@pytest.mark.timeout(1500)  # the first time on a machine the engine and the snapshot are made
def test_a_renewal_by_the_workflow_reaches_real_droplets_and_so_does_the_next_one(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path_factory.mktemp("real"))
    for name, value in REFUSING.items():
        monkeypatch.setenv(name, value)
    with started(home, "real", "--acme"):
        fleet, acme = Fleet(home), Running.load(home).acme
        assert acme is not None
        fleet.pulumi("config", "rm", "meltanodata:tenants_file")
        sets(fleet, -61, 29)
        with repository_on(home, tmp_path / "repository") as repository:
            fleet.folder, runner = repository.folder, repository.runner
            fleet.up()
            assert served(fleet, code=1) == (["demo"], True)

            runner.run("certificate", "Renew", {})
            repository.git("reset", "--quiet", "--hard")
            repository.git("switch", "--quiet", "certificate-renewal")
            (repository.number,) = repository.hub.pulls
            review = repository.preview(*LABELS)
            assert {row.tenant: [effect.text for effect in row.effects] for row in review.plan.rows} == RESTART
            runner.run("deploy", "Deploy", repository.merge(*LABELS))
            assert served(fleet) == (["demo"], False)
            first = read_page(fleet, acme, tmp_path)

            assert json.loads(fleet.said(*LATER, "certificate", "status", "--json", code=1))[0]["due"]
            fleet.said(*LATER, "certificate", "renew")
            fleet.up()
            assert read_page(fleet, acme, tmp_path) != first


RESTART = {"demo": ["the web server restarts (seconds)"]}
LABELS = ("guard:program-changed", "guard:unnamed-tenants")
LATER = (
    sys.executable,
    "-c",
    """
import datetime as dt
class Later(dt.datetime):
    @classmethod
    def now(cls, tz=None):
        return super().now(tz) + dt.timedelta(days=61)
dt.datetime = Later
from meltanodata.cli.main import main
main()
""",
)
"""`meltanodata` on a clock that is 61 days ahead."""


def served(fleet: Fleet, code: int = 0) -> tuple[list[str], bool]:
    """The tenants whose droplets serve the certificate of the stack's config, and whether its renewal is due."""
    shown = status(fleet, code)
    return shown["droplets"]["this"], shown["due"]


def read_page(fleet: Fleet, acme: Pebble, folder: Path) -> str:
    """The fingerprint of the certificate with which a client that trusts the server's root alone reads the page."""
    root = folder / "root.pem"
    root.write_text(acme.root)
    running = fleet.world.running
    browser = checks.Person(fleet.home, running, Keys.ensure(fleet.home, running.domain)).browser()
    browser.verify = str(root)
    assert browser.get("https://demo.meltanodata.com/", timeout=30).status_code in {200, 401}
    (instance,) = instances("sandbox", StackState(fleet.export("--show-secrets")))
    return hashlib.sha256(health.certificate(instance.host, (instance.address or "", 443))).hexdigest()
