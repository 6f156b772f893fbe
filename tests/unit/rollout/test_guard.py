from __future__ import annotations

import pytest

from meltanodata.config.settings import Guard
from meltanodata.errors import UserError
from meltanodata.rollout import guard, plan, preview_plan
from meltanodata.rollout.guard import DATA_LOSS, DROPLET_REPLACED, MANY_DESTROYED, UNNAMED, Review, named, review
from meltanodata.rollout.impact import Severity
from tests.previews import (
    PREFIX,
    Step,
    child,
    component,
    created,
    destroyed,
    imported,
    inputs,
    options,
    preview,
    renewed,
    replaced,
    updated,
)


def reviewed(
    *steps: Step,
    tenants: int = 20,
    names: list[str] | None = None,
    demos: list[str] | None = None,
    allowed: tuple[str, ...] = (),
    settings: Guard | None = None,
) -> Review:
    found = preview_plan.read(preview(*steps, tenants=tenants))
    return review(found, settings or Guard(), named=names, demos=demos, allowed=allowed)


def stopped(
    *steps: Step, tenants: int = 20, names: list[str] | None = None, settings: Guard | None = None
) -> list[str | None]:
    return [stop.label for stop in reviewed(*steps, tenants=tenants, names=names, settings=settings).stopped]


def many(*keys: str) -> list[Step]:
    return [step for key in keys for step in destroyed(key)]


def test_what_loses_nothing_passes() -> None:
    assert stopped(*created("acme"), *renewed("bolt"), names=["acme", "bolt"]) == []


def test_a_destroyed_database_stops() -> None:
    (stop,) = reviewed(*destroyed("acme"), names=["acme"]).stopped
    assert str(stop) == (
        "Data loss for acme: the database is deleted with its backups; the droplet is deleted with its disk (Meltano"
        " project, uploads)."
        " If this is intended, add the label guard:data-loss to the pull request."
    )


def test_a_replaced_database_stops() -> None:
    assert stopped(replaced("acme", "database", "name")) == [DATA_LOSS]


def test_a_database_of_no_tenant_counts_too() -> None:
    step = child("delete", "acme", "database", inputs("acme", "database"))
    step["urn"] = f"{PREFIX}digitalocean:index/databaseCluster:DatabaseCluster::shared"
    step["oldState"]["parent"] = f"{PREFIX}pulumi:pulumi:Stack::meltanodata-prod"
    assert stopped(step) == [DATA_LOSS]


@pytest.mark.parametrize(
    ("destroyed", "of", "stops"),
    [
        (1, 1, False),  # one alone is never many
        (1, 60, False),
        (2, 20, False),  # exactly both thresholds
        (2, 19, True),  # more than ten in a hundred
        (3, 500, True),  # more than two
        (3, 0, True),  # a stack whose outputs were never written
    ],
)
def test_many_destroyed(destroyed: int, of: int, *, stops: bool) -> None:
    keys = [f"t{number}" for number in range(destroyed)]
    assert (MANY_DESTROYED in stopped(*many(*keys), tenants=of)) is stops


def test_the_thresholds_are_settings() -> None:
    assert MANY_DESTROYED not in stopped(*many("a", "b", "c"), settings=Guard(destroyed=3, destroyed_percent=100))
    assert MANY_DESTROYED in stopped(*many("a", "b"), settings=Guard(destroyed=3, destroyed_percent=9))


def test_the_message_says_how_much_is_over_what() -> None:
    keys = [f"t{number:02}" for number in range(12)]
    (_, stop) = reviewed(*many(*keys), tenants=60, names=keys).stopped
    assert stop.message == (
        "The plan destroys 12 tenants of 60 (20 %), more than 2 and 10 %"
        ": t00, t01, t02, t03, t04, t05, t06, t07, t08, t09 and 2 more."
    )


@pytest.mark.parametrize(
    ("change", "stops"),
    [
        ({"rebuild": 1}, [DATA_LOSS]),
        ({"snapshot": "Ubuntu meltano-2"}, [DATA_LOSS]),
        ({"region": "ams3"}, [DATA_LOSS, DROPLET_REPLACED]),
        ({}, [DATA_LOSS, DROPLET_REPLACED]),
    ],
)
def test_a_droplet_is_replaced_for_rebuild_and_snapshot_only(change: dict[str, object], stops: list[str]) -> None:
    steps = [component("update", "acme", options(), options(**change)), replaced("acme", "droplet", "region")]
    assert stopped(*steps, names=["acme"]) == stops


WIPED = child("replace", "acme", "wipe", {"triggers": [""]}, {"triggers": ["2026-11-23"]}, replaceReasons=["triggers"])

LOSSES: list[list[Step]] = [
    many("acme"),
    [child("delete", "acme", "droplet", inputs("acme", "droplet"))],
    [replaced("acme", "droplet", "region")],
    [child("delete", "acme", "database", inputs("acme", "database"))],
    [replaced("acme", "database", "name")],
    [child("delete", "acme", "firewall", {})],
    [replaced("acme", "firewall", "clusterId")],
    [WIPED],
]


@pytest.mark.parametrize("steps", LOSSES)
def test_whatever_cannot_be_had_back_wants_the_label(steps: list[Step]) -> None:
    found = reviewed(*steps, names=["acme"], demos=["acme"])
    assert DATA_LOSS in [stop.label for stop in found.stopped]
    assert "Data loss for acme: " in found.stops[0].message
    labelled = reviewed(*steps, names=["acme"], demos=["acme"], allowed=(DATA_LOSS, DROPLET_REPLACED))
    assert labelled.stopped == ()


def test_every_severity_of_loss_is_the_guards_and_nothing_else() -> None:
    steps = [*many("acme"), *created("bolt"), *renewed("core"), updated("dax", "droplet", "size"), WIPED]
    lost = [row.tenant for row in preview_plan.read(preview(*steps)).rows if row.severity is Severity.LOSS]
    (stop,) = [stop for stop in reviewed(*steps).stopped if stop.label == DATA_LOSS]
    assert lost == ["acme"]
    assert stop.message.count("Data loss for acme") == 1
    assert "bolt" not in stop.message


def test_what_a_plan_says_of_its_own_operations_does_not_count() -> None:
    """It comes from the request's own code."""
    found = preview_plan.read(preview(*destroyed("acme"), WIPED))
    harmless = [row.model_copy(update={"effects": (), "change": plan.Change.CREATED}) for row in found.rows]
    told = found.model_copy(update={"rows": tuple(harmless)})
    assert [stop.label for stop in review(told, Guard(), named=["acme"]).stopped] == [DATA_LOSS]


def test_who_loses_the_same_is_told_in_one_sentence() -> None:
    steps = [*many("acme", "bolt"), component("update", "core", options(), options(rebuild=1))]
    (stop, *_) = reviewed(*steps, replaced("core", "droplet", "image")).stopped
    assert stop.message == (
        "Data loss for acme, bolt: the database is deleted with its backups; the droplet is deleted with its disk"
        " (Meltano project, uploads). Data loss for core: the droplet is replaced, and its disk (Meltano project,"
        " uploads) starts again from the snapshot."
    )


def test_what_belongs_to_no_tenant_may_be_lost_too() -> None:
    step = {"op": "delete", "urn": f"{PREFIX}digitalocean:index/domain:Domain::domain", "detailedDiff": None}
    (stop,) = reviewed(step).stopped
    assert (stop.label, stop.message) == (DATA_LOSS, "Data loss outside the tenants: the domain is deleted.")


def test_no_label_lets_a_tenant_be_wiped_that_was_no_demo() -> None:
    (stop,) = reviewed(WIPED, names=["acme"], demos=["bolt"], allowed=guard.LABELS).stopped
    assert stop.label is None
    assert str(stop) == (
        "The plan wipes the database of tenants that are not demos on the base branch: acme. No label allows this."
        " First merge demo: true without wipe_database; the next pull request may wipe the database."
    )
    # Of a deployment that somebody starts by hand nobody knows what was before; the label is asked for all the same.
    assert [stop.label for stop in reviewed(WIPED).stopped] == [DATA_LOSS]


def test_a_demo_that_is_made_has_nothing_to_wipe() -> None:
    wipe = child("create", "acme", "wipe", None, {"triggers": ["2026-11-23"]})
    assert reviewed(*created("acme"), wipe, names=["acme"], demos=[]).stopped == ()
    for kind in ("droplet", "database"):
        steps = [step for step in created("acme") if step["urn"] != imported("acme", kind, "1")["urn"]]
        found = reviewed(*steps, imported("acme", kind, "4711"), wipe, names=["acme"], demos=[])
        assert [stop.label for stop in found.stopped] == [DATA_LOSS, None]


def test_tenants_that_the_pull_request_does_not_name_stop() -> None:
    (stop,) = reviewed(*renewed("acme"), *renewed("bolt"), names=["acme"]).stopped
    assert stop.label == UNNAMED
    assert stop.message == "The plan touches 1 tenant that the pull request does not name: bolt."


def test_without_a_pull_request_nobody_is_unnamed() -> None:
    assert stopped(updated("acme", "files", "stdin"), names=None) == []


def test_each_rule_has_a_label_of_its_own() -> None:
    steps = [*destroyed("acme"), *renewed("bolt")]
    found = reviewed(*steps, names=["acme"], allowed=(DATA_LOSS,))
    assert [stop.label for stop in found.stopped] == [UNNAMED]
    assert str(found.stops[0]).endswith("Allowed by the label guard:data-loss.")


def test_a_pull_requests_other_labels_do_not_matter() -> None:
    assert guard.labels(["skip-deploy", DATA_LOSS, "bug"]) == {DATA_LOSS}


def test_a_misspelt_label_is_told() -> None:
    with pytest.raises(UserError, match="guard:dataloss: the guard has no such label"):
        guard.labels(["guard:dataloss"])


@pytest.mark.parametrize(
    ("base", "head", "names"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, set()),  # another order
        ({"a": 1}, {"a": 1, "b": 2}, {"b"}),
        ({"a": 1, "b": 2}, {"a": 1}, {"b"}),
        ({"a": 1}, {"a": 2}, {"a"}),
        ({"a": None}, {}, {"a"}),
    ],
)
def test_a_pull_request_names_the_entries_that_it_changes(
    base: dict[str, object], head: dict[str, object], names: set[str]
) -> None:
    assert named(base, head) == names


def test_a_review_survives_json() -> None:
    found = reviewed(*destroyed("acme"), names=[])
    assert Review.model_validate_json(found.model_dump_json()) == found
