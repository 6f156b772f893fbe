from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from meltanodata.cli.main import app
from meltanodata.config import settings_loading
from meltanodata.engine import pulumi_cli
from meltanodata.engine.stack_state import StackState
from meltanodata.errors import UserError
from meltanodata.inventory import accounts as account_reader
from meltanodata.inventory.accounts import Cluster, Droplet, Inventory, Record
from meltanodata.render import report
from meltanodata.rollout import drift, plan, preview_plan
from meltanodata.rollout.drift import Drift, Expiring, Orphan, Unseen
from tests.fleets import team, write_stack
from tests.previews import child, preview, warning_left_alone
from tests.program import builders
from tests.states import exported

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from meltanodata.config.settings import Settings

TODAY = dt.date(2026, 11, 23)


def accounts(**held: Any) -> Inventory:
    """What the tenant acme of `exported` is made of, and more."""
    droplets = [Droplet(1, "acme.meltanodata.com", "active", "nyc3", "s-2vcpu-2gb", 60), *held.get("droplets", [])]
    records = [Record(2, "acme", "198.51.100.7"), *held.get("records", [])]
    clusters = [
        Cluster("u-u-i-d", "db-postgresql-nyc3-52483-acme", "DBs 1", "online", "nyc3", "db-s-1vcpu-1gb", "16"),
        *held.get("clusters", []),
    ]
    return builders.accounts(droplets=tuple(droplets), records=tuple(records), clusters=tuple(clusters))


def state() -> dict[str, Any]:
    """A state that knows the ids of the above."""
    found = exported("acme")
    ids = {"acme-droplet": "1", "acme-record": "2", "acme-database": "u-u-i-d"}
    for resource in found["deployment"]["resources"]:
        resource["id"] = ids.get(resource["urn"].rsplit("::", 1)[1], resource.get("id"))
    return found


def orphans(held: Inventory, *others: str) -> list[Orphan]:
    return list(drift.orphans(held, drift.known([StackState(state())]), "Meltano", others))


def test_what_a_stack_knows_is_no_orphan() -> None:
    assert orphans(accounts()) == []


def test_what_no_stack_knows_is_one() -> None:
    held = accounts(
        droplets=[Droplet(11, "old.meltanodata.com", "off", "nyc3", "s-1vcpu-1gb", 25)],
        records=[Record(12, "old", "198.51.100.8")],
        clusters=[Cluster("other", "db-postgresql-nyc3-11111-old", "DBs 2", "online", "nyc3", "db-s-1vcpu-1gb", "16")],
    )
    assert orphans(held) == [
        Orphan("droplet", "old.meltanodata.com", "11", "Meltano", "s-1vcpu-1gb"),
        Orphan("record", "old", "12", "Meltano", "198.51.100.8"),
        Orphan("database", "db-postgresql-nyc3-11111-old", "other", "DBs 2", "db-s-1vcpu-1gb"),
    ]


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Inventory | UserError]:
    """A project with two stacks; the answers of the accounts by the first token, which says whose it is."""
    (tmp_path / "Pulumi.yaml").write_text("name: meltanodata\nruntime: python\n")
    write_stack(tmp_path, "prod", database_teams=[team("DBs 1")], no_tenants=["controller.meltanodata.com"])
    write_stack(tmp_path, "prod-2", database_teams=[team("DBs 2")])
    answers: dict[str, Inventory | UserError] = {}
    monkeypatch.setattr(pulumi_cli, "export", lambda *_: state())
    monkeypatch.setattr(pulumi_cli, "config", lambda *_: {})
    monkeypatch.setattr(pulumi_cli, "preview", lambda *_, **__: preview())
    monkeypatch.setattr(pulumi_cli, "backend", lambda _: tmp_path.as_uri())

    def from_config(_: object, stack: str, __: object) -> tuple[Settings, SimpleNamespace]:
        return settings_loading.read(tmp_path / f"Pulumi.{stack}.yaml"), SimpleNamespace(tokens={"of": stack})

    def read(*asked: Any) -> Inventory:
        (answer,) = (answers[it["of"]] for it in asked if isinstance(it, dict) and "of" in it)
        if isinstance(answer, UserError):
            raise answer
        return answer

    monkeypatch.setattr(settings_loading, "from_config", from_config)
    monkeypatch.setattr(account_reader, "read", read)
    monkeypatch.chdir(tmp_path)
    return answers


CONTROLLER = Droplet(11, "controller.meltanodata.com", "active", "nyc3", "s-1vcpu-1gb", 25)
STRAY = Droplet(12, "stray.meltanodata.com", "active", "nyc3", "s-1vcpu-1gb", 25)


def test_what_one_stack_leaves_alone_is_no_orphan_of_another(held: dict[str, Inventory | UserError]) -> None:
    held["prod"] = held["prod-2"] = accounts(droplets=[CONTROLLER])
    result = CliRunner().invoke(app, ["drift"])
    assert (result.exit_code, "controller" in result.stdout) == (0, False), result.output


def test_a_stack_that_cannot_be_looked_at_hides_nothing_of_the_others(held: dict[str, Inventory | UserError]) -> None:
    held["prod"] = UserError("the token of DBs 1 is refused\nset another one")
    held["prod-2"] = accounts(droplets=[CONTROLLER, STRAY])
    result = CliRunner().invoke(app, ["drift"])
    assert "stray.meltanodata.com" in result.stdout
    assert "`prod`:\n\n    the token of DBs 1 is refused\n    set another one\n" in result.stdout
    assert isinstance(result.exception, UserError)
    assert str(result.exception).startswith("prod was not examined: the token of DBs 1 is refused")


def test_a_second_object_of_a_tenants_name_is_one() -> None:
    held = accounts(droplets=[Droplet(11, "acme.meltanodata.com", "active", "nyc3", "s-2vcpu-2gb", 60)])
    assert [it.id for it in orphans(held)] == ["11"]


def test_an_id_counts_for_its_own_kind_only() -> None:
    assert [it.kind for it in orphans(accounts(records=[Record(1, "x", "198.51.100.9")]))] == ["record"]


def test_what_is_there_for_another_purpose_is_left_alone() -> None:
    held = accounts(
        droplets=[Droplet(11, "controller.meltanodata.com", "active", "nyc3", "s-1vcpu-1gb", 25)],
        records=[Record(12, "www", "198.51.100.8")],
    )
    assert orphans(held, "controller.meltanodata.com", "www") == []


def with_certificate(begins: str, ends: str, *tenants: str, **inputs: Any) -> StackState:
    """A stack whose last deployment exported this certificate, which its tenants have."""
    state = exported(*tenants, certificate="c0ffee", certificate_expires=ends[:10], **inputs)
    certificate = {"fingerprint": "c0ffee", "begins": begins, "ends": ends}
    state["deployment"]["resources"][0]["outputs"] = {"certificate": certificate}
    return StackState(state)


def test_certificates_are_due_when_less_than_a_third_of_their_lifetime_is_left() -> None:
    states = [
        with_certificate("2026-09-23T00:00:00+00:00", "2026-12-22T00:00:00+00:00", "a", "b"),
        with_certificate("2026-09-25T00:00:00+00:00", "2026-12-24T00:00:00+00:00", "d"),
        with_certificate("2026-01-01T00:00:00+00:00", "2026-11-24T00:00:00+00:00", "e", tls="self_signed"),
    ]
    now = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)
    assert drift.expiring(states, now) == [Expiring(dt.date(2026, 12, 22), ("a", "b"))]


def test_a_certificate_whose_beginning_is_unknown_is_due_once_it_has_expired() -> None:
    states = [exported("a", certificate_expires="2026-11-23"), exported("c", certificate_expires="2026-11-22")]
    now = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
    assert drift.expiring(map(StackState, states), now) == [Expiring(dt.date(2026, 11, 22), ("c",))]


def mended() -> plan.Plan:
    step = child("update", "acme", "record", {"value": "203.0.113.9"}, {"value": "198.51.100.7"}, diffReasons=["value"])
    return preview_plan.read(preview(step))


def test_the_issue(golden: Callable[[str, str], None]) -> None:
    found = Drift(
        [mended(), preview_plan.read(preview())],
        [Orphan("droplet", "old.meltanodata.com", "11", "Meltano", "s-1vcpu-1gb")],
        [Expiring(dt.date(2026, 12, 1), ("acme", "bolt"))],
    )
    assert not found.none
    golden("drift.md", report.drift(found))


def test_a_tenant_that_cannot_be_planned_is_drift_with_its_remedy() -> None:
    left = preview_plan.read(
        preview() | {"diagnostics": [warning_left_alone("acme", "Write droplet_size: s-2vcpu-4gb")]}
    )
    found = Drift([left], [], [])
    assert not found.none
    said = report.drift(found)
    assert "Write droplet_size: s-2vcpu-4gb" in said
    assert "✅" not in said


def test_the_report_shows_no_check_mark_where_something_differs() -> None:
    step = child("update", "acme", "record", {"ttl": 1800}, {"ttl": 3600}, diffReasons=["ttl"])
    said = report.drift(Drift([preview_plan.read(preview(step))], [], []))
    assert "record ttl: `1800` → `3600`" in said
    assert "✅" not in said


def test_no_drift_at_all() -> None:
    found = Drift([preview_plan.read(preview())], [], [])
    assert found.none
    assert report.drift(found) == f"{report.DRIFT_MARKER}\n\nThere is no drift.\n"


def test_each_kind_of_drift_is_some() -> None:
    assert not Drift([mended()], [], []).none
    assert not Drift([], [Orphan("record", "x", "1", "Meltano", "198.51.100.7")], []).none
    assert not Drift([], [], [Expiring(TODAY, ("acme",))]).none
    assert not Drift([], [], [], [Unseen("prod", "the token is refused")]).none


def test_the_issue_of_a_large_fleet_fits() -> None:
    stray = [Orphan("droplet", "x" * 63 + str(number), "1" * 9, "Meltano", "s-1vcpu-1gb") for number in range(500)]
    names = tuple(f"{number:03}{'x' * 60}" for number in range(500))
    text = report.drift(Drift([mended()] * 10, stray, [Expiring(TODAY, names)]))
    assert len(text) <= report.LIMIT
    assert "And 300 more." in text
    assert "500 tenants" in text
