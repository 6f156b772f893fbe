from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meltanodata import plan
from meltanodata.errors import UserError
from meltanodata.impact import Severity
from meltanodata.plan import Change, Plan, Row, unreviewed
from tests import previews
from tests.previews import Step, child, component, created, destroyed, options, preview, renewed, replaced, updated

if TYPE_CHECKING:
    import random


def read(*steps: Step, tenants: int = 20) -> Plan:
    return plan.read(preview(*steps, tenants=tenants))


def row(*steps: Step) -> Row:
    (only,) = read(*steps).rows
    return only


def words(found: Row) -> list[str]:
    return [str(effect) for effect in found.effects]


def why(found: Row) -> list[str]:
    return [plan.describe(reason) for reason in found.reasons]


def test_nothing_to_do_is_an_empty_plan() -> None:
    found = read(tenants=7)
    assert found.empty
    assert (found.stack, found.tenants, found.rows) == ("prod", 7, ())


def test_a_new_tenant() -> None:
    found = row(*created("acme"))
    assert found.change is Change.CREATED
    assert why(found) == ["a new entry"]
    assert words(found) == ["new URL: https://acme.meltanodata.com"]
    assert found.severity is Severity.NONE
    assert found.cost == plan.Cost(before=Decimal(0), after=Decimal("33.15"))
    assert found.team == "MeltanoData DBs 1"


def test_a_tenant_removed() -> None:
    found = row(*destroyed("acme"))
    assert found.change is Change.DESTROYED
    assert words(found) == [
        "data loss: the database is deleted with its backups: db-postgresql-nyc3-52483-acme",
        "the URL is gone: https://acme.meltanodata.com",
    ]
    assert found.severity is Severity.LOSS
    assert found.cost == plan.Cost(before=Decimal("33.15"), after=Decimal(0))


def test_an_option_is_told_with_both_values() -> None:
    found = row(
        component("update", "acme", options(), options(droplet_size="s-2vcpu-4gb", snapshot="Ubuntu meltano-2")),
        updated("acme", "droplet", "size"),
    )
    assert found.change is Change.CHANGED
    assert why(found) == ["droplet_size: s-2vcpu-2gb → s-2vcpu-4gb", "snapshot: none → Ubuntu meltano-2"]
    assert words(found) == ["downtime of some minutes: the droplet is powered off, resized and powered on"]
    assert found.cost == plan.Cost(before=Decimal("33.15"), after=Decimal("39.15"))


def test_a_size_without_a_price_is_unknown_and_never_a_number() -> None:
    found = row(
        component("update", "acme", options(), options(database_size="db-s-99vcpu-1gb")),
        updated("acme", "database", "size"),
    )
    assert found.cost == plan.Cost(before=Decimal("33.15"), after=None)


def test_a_droplet_replaced_loses_its_disk_and_not_the_database() -> None:
    found = row(component("update", "acme", options(), options(rebuild=1)), replaced("acme", "droplet", "region"))
    assert found.change is Change.REPLACED
    assert found.option("rebuild")
    assert found.severity is Severity.LOSS
    assert [text for text in words(found) if "database" in text] == []


def test_the_steps_of_a_replacement_are_one_operation() -> None:
    steps = [
        child("delete-replaced", "acme", "database", previews.inputs("acme", "database")),
        child("replace", "acme", "database", {}, previews.inputs("acme", "database"), replaceReasons=["name"]),
        child("create-replacement", "acme", "database", None, previews.inputs("acme", "database")),
    ]
    found = row(*steps)
    assert [(operation.op, operation.properties) for operation in found.operations] == [("replace", ("name",))]
    assert "data loss" in words(found)[0]


def test_a_tenant_is_found_through_its_parent_and_not_by_its_name() -> None:
    stranger = child("update", "acme", "files", {}, {}, diffReasons=["stdin"])
    for state in ("oldState", "newState"):
        stranger[state]["parent"] = previews.urn("acme-files")
    assert row(stranger).tenant == "acme-files"


def test_a_grandchild_belongs_to_the_tenant_too() -> None:
    middle = child("update", "acme", "files", {}, {}, diffReasons=["x"])
    inner = child("create", "other", "verify", None, {})
    inner["newState"]["parent"] = middle["urn"]
    assert {found.tenant for found in read(middle, inner).rows} == {"acme"}


def test_what_is_no_tenants_is_listed_apart_and_providers_are_left_out() -> None:
    shared = {"op": "delete", "urn": f"{previews.PREFIX}digitalocean:index/domain:Domain::domain", "detailedDiff": None}
    token = {"op": "update", "urn": f"{previews.PREFIX}pulumi:providers:digitalocean::dbs-1", "detailedDiff": None}
    found = read(shared, token)
    assert [operation.op for operation in found.others] == ["delete"]
    assert found.rows == ()


def test_objects_that_exist_are_adopted() -> None:
    steps = created("acme")
    for step in steps:
        if step["urn"] in (previews.urn("acme", "droplet"), previews.urn("acme", "database")):
            step["op"] = "import"
            step["newState"]["importID"] = "4711"
    found = row(*steps)
    assert found.change is Change.ADOPTED
    assert why(found) == ["takes over database db-postgresql-nyc3-52483-acme, droplet acme.meltanodata.com"]
    assert [operation.id for operation in found.operations if operation.op == "import"] == ["4711", "4711"]
    # It is paid for already.
    assert found.cost is not None
    assert found.cost.before == found.cost.after == Decimal("33.15")


def test_without_a_changed_option_the_resource_gives_the_reason() -> None:
    step = child("update", "acme", "record", {"value": "10.0.0.1"}, {"value": "10.0.0.2"}, diffReasons=["value"])
    found = row(step)
    assert why(found) == ["record value: 10.0.0.1 → 10.0.0.2"]
    assert "another address" in words(found)[0]
    assert found.cost is None


def test_what_follows_from_a_missing_droplet_is_no_reason() -> None:
    found = row(
        child("create", "acme", "droplet", None, previews.inputs("acme", "droplet")),
        child("update", "acme", "record", {"value": "10.0.0.1"}, {"value": plan.UNKNOWN}, diffReasons=["value"]),
        child("update", "acme", "project", {"resources": []}, {"resources": [plan.UNKNOWN]}, diffReasons=["resources"]),
        replaced("acme", "files", "triggers", "connection"),
        child("update", "acme", "firewall", {"tags": []}, {"tags": ["x"]}, diffReasons=["tags"]),
    )
    assert found.change is Change.REPLACED
    assert why(found) == ["droplet is missing", 'firewall tags: [] → ["x"]']


def test_a_value_that_is_known_after_the_apply_says_so() -> None:
    rules = [{"__defaults": [], "type": "ip_addr", "value": plan.UNKNOWN}]
    found = row(child("update", "acme", "firewall", {"rules": []}, {"rules": rules}, diffReasons=["rules"]))
    assert why(found) == ['firewall rules: [] → [{"type": "ip_addr", "value": "known after the apply"}]']


def test_a_secret_that_differs_has_no_value() -> None:
    assert why(row(updated("acme", "firewall", "rules"))) == ["firewall rules"]


def test_what_the_program_does_otherwise_than_before_is_the_reason_where_no_option_is() -> None:
    assert why(row(replaced("acme", "files", "stdin"))) == ["the program now declares acme-files otherwise"]


def test_what_was_changed_by_hand_is_told_beside_the_option() -> None:
    found = row(
        component("update", "acme", options(), options(tls="self_signed")),
        replaced("acme", "files", "stdin"),
        child("update", "acme", "record", {"value": "10.0.0.1"}, {"value": "10.0.0.2"}, diffReasons=["value"]),
    )
    assert why(found) == ["tls: wildcard → self_signed", "record value: 10.0.0.1 → 10.0.0.2"]


def test_a_renewed_certificate_restarts_the_web_server_alone() -> None:
    found = row(*renewed("acme"))
    assert why(found) == [
        "certificate: 5f1c09ab5f1c09ab → 77ad03fe77ad03fe",
        "certificate_expires: 2027-01-31 → 2028-01-31",
    ]
    assert words(found) == ["the web server restarts (seconds)"]


@pytest.mark.parametrize(
    ("steps", "effect", "severity"),
    [
        ([replaced("acme", "admin-password", "keepers")], "a new login password, the old one is refused", 1),
        ([replaced("acme", "secret-key", "keepers")], "everybody is signed out", 1),
        ([replaced("acme", "firewall", "clusterId")], "the database lets everybody in while it has no firewall", 2),
        ([child("delete", "acme", "firewall", {})], "the database lets everybody in while it has no firewall", 2),
        ([child("delete", "acme", "record", {})], "the host name stops working", 1),
        ([child("create", "acme", "database", None, {})], "a new, empty database", 1),
        ([child("delete", "acme", "droplet", {})], "data loss: the droplet is deleted and its URL gone", 2),
        ([updated("acme", "files", "stdin")], "restart of the services whose files differ (seconds)", 1),
    ],
)
def test_what_an_operation_means_for_people(steps: list[Step], effect: str, severity: int) -> None:
    assert [(str(found), found.severity) for found in row(*steps).effects] == [(effect, severity)]


WIPED = "data loss: the demo's database is wiped but for the schema public"


@pytest.mark.parametrize(
    ("op", "before", "after", "effects"),
    [
        ("create", None, "", []),  # a tenant becomes a demo
        ("create", None, "2026-11-23", [WIPED]),
        ("replace", "", "2026-11-23", [WIPED]),
        ("replace", "2026-11-20", "2026-11-23", [WIPED]),
        ("delete", "2026-11-20", None, []),
    ],
)
def test_a_demo_is_wiped_for_a_new_date_only(
    op: str, before: str | None, after: str | None, effects: list[str]
) -> None:
    old, new = (None if value is None else {"triggers": [value]} for value in (before, after))
    assert words(row(child(op, "demo", "wipe", old, new))) == effects


def test_verifying_and_assigning_to_the_project_mean_nothing_to_people() -> None:
    assert row(updated("acme", "verify", "triggers"), updated("acme", "project", "resources")).effects == ()


def test_a_failed_preview_is_no_plan() -> None:
    failed = preview() | {"diagnostics": [{"severity": "error", "message": "tenants.yaml:3: no such team\n"}]}
    with pytest.raises(UserError, match=r"tenants\.yaml:3: no such team"):
        plan.read(failed)


def test_something_else_is_no_plan() -> None:
    with pytest.raises(UserError, match="no output of `pulumi preview --json`"):
        plan.read({"hello": "world"})


KEYS = st.lists(st.from_regex(r"[a-z]{1,8}", fullmatch=True), unique=True, min_size=1, max_size=12)


@given(keys=KEYS, seed=st.randoms(use_true_random=False), data=st.data())
def test_every_tenant_has_one_row_and_the_digest_does_not_depend_on_the_order(
    keys: list[str], seed: random.Random, data: st.DataObject
) -> None:
    kinds = {key: data.draw(st.sampled_from([created, destroyed, renewed])) for key in keys}
    steps = [step for key, kind in kinds.items() for step in kind(key)]
    shuffled = seed.sample(steps, len(steps))
    found = read(*shuffled)
    assert [row.tenant for row in found.rows] == sorted(keys)
    assert found.digest == read(*steps).digest
    assert unreviewed(found, read(*steps)) == []
    assert sum(len(row.operations) for row in found.rows) == len(steps)


@given(keys=KEYS, dropped=st.randoms(use_true_random=False))
def test_what_is_left_of_a_reviewed_plan_is_reviewed(keys: list[str], dropped: random.Random) -> None:
    steps = [step for key in keys for step in created(key)]
    left = dropped.sample(steps, dropped.randrange(len(steps)))
    assert unreviewed(read(*steps), read(*left)) == []


def test_an_object_that_a_dead_run_made_is_taken_over_as_reviewed() -> None:
    rest = [
        child("import", "acme", "droplet", None, previews.inputs("acme", "droplet")),
        child("create", "acme", "files", None, {}),
    ]
    assert unreviewed(read(*created("acme")), read(*rest)) == []


@pytest.mark.parametrize(
    ("now", "news"),
    [
        (destroyed("bolt"), "bolt: destroyed, and the reviewed plan does not touch it (its entry is gone)"),
        (destroyed("acme"), "acme: destroyed instead of changed (its entry is gone)"),
        (
            [*renewed("acme"), replaced("acme", "database", "name")],
            "acme: replaced instead of changed (replace of database acme-database (name))",
        ),
        (
            [component("update", "acme", options(), options(tls="self_signed")), updated("acme", "files", "stdin")],
            "acme: not reviewed: tls: wildcard → self_signed",
        ),
        (
            [
                component("update", "acme", options(), options(certificate="something else")),
                replaced("acme", "files", "stdin"),
            ],
            "acme: not reviewed: certificate: 5f1c09ab5f1c09ab → something else",
        ),
    ],
)
def test_what_is_new_is_told(now: list[Step], news: str) -> None:
    reviewed, applied = read(*renewed("acme")), read(*now)
    assert reviewed.digest != applied.digest
    assert unreviewed(reviewed, applied) == [news]


def test_a_plan_of_another_stack_was_not_reviewed() -> None:
    other = read().model_copy(update={"stack": "prod-2"})
    assert unreviewed(other, read()) == ["the reviewed plan is for the stack prod-2, this one for prod"]


def test_a_plan_survives_json() -> None:
    found = read(*created("acme"), *destroyed("bolt"), *renewed("core"))
    again = Plan.model_validate_json(found.model_dump_json())
    assert again == found
    assert again.digest == found.digest


KEEP = {"adopt": {"login": "keep"}, "login_of_droplet": "7"}
PASSWORD = "a new login password, the old one is refused"
OTHERS = "every other login of the instance stops working"


def taken_over(op: str, old: dict[str, object] | None, new: dict[str, object]) -> list[str]:
    """What is said of a login at a plan that takes over a droplet."""
    steps = [
        component(op, "acme", old, new),
        child("import", "acme", "droplet", None, previews.inputs("acme", "droplet")),
    ]
    return words(row(*steps))


def test_a_take_over_says_what_becomes_of_the_login() -> None:
    assert taken_over("create", None, options(**KEEP)) == ["keeps its login"]
    assert taken_over("create", None, options(adopt={"login": "new"})) == [PASSWORD, OTHERS]
    assert taken_over("create", None, options(**KEEP, admin_password_generation=2)) == [PASSWORD]


def test_the_plan_after_a_kill_says_whose_login_it_is() -> None:
    assert taken_over("update", options(), options(demo=True)) == ["its login is the one that the stack knows"]
    assert taken_over("update", options(**KEEP), options(**KEEP, demo=True)) == ["keeps its login"]
    # The engine leaves out of a preview what stays as it is.
    unchanged = row(child("import", "acme", "droplet", None, previews.inputs("acme", "droplet")))
    assert words(unchanged) == ["a run that was broken off goes on; its login is as that run's plan said"]


def test_a_new_droplet_has_a_new_login_where_the_old_one_had_its_own() -> None:
    new = options(rebuild=1, login_of_droplet="7")
    found = row(component("update", "acme", options(**KEEP), new), replaced("acme", "droplet", "rebuild"))
    assert PASSWORD in words(found)
    assert OTHERS not in words(found)
    assert why(found)[0] == "rebuild: 0 → 1"
    assert not [reason for reason in why(found) if "adopt" in reason or "login" in reason]
    ours = row(component("update", "acme", options(), options(rebuild=1)), replaced("acme", "droplet", "rebuild"))
    assert PASSWORD not in words(ours)


def test_a_login_that_is_asked_for_later_is_said_too() -> None:
    found = row(
        component("update", "acme", options(**KEEP), options(adopt={"login": "new"})),
        replaced("acme", "files", "stdin"),
    )
    assert words(found) == [PASSWORD, OTHERS, "restart of the services whose files differ (seconds)"]


def test_what_is_changed_on_the_way_is_one_operation_with_the_import() -> None:
    steps = [
        component("create", "acme", None, options(**KEEP)),
        child("import", "acme", "droplet", None, previews.inputs("acme", "droplet")),
        updated("acme", "droplet", "tags"),
        child("import", "acme", "database", None, previews.inputs("acme", "database")),
        child("import", "acme", "record", None, {}),
        updated("acme", "record", "value"),
    ]
    found = row(*steps)
    droplet = next(it for it in found.operations if it.role == "droplet")
    assert (droplet.op, droplet.properties) == ("import", ("tags",))
    assert "keeps its login" in words(found)
    assert "the host name moves to another address; resolvers keep the old one for up to an hour" in words(found)
    assert found.cost is not None
    assert found.cost.before == found.cost.after
    # Reviewed, it covers what is left of it; what was not reviewed is not covered.
    reviewed = plan.read(preview(*steps))
    assert plan.unreviewed(reviewed, plan.read(preview(updated("acme", "droplet", "tags")))) == []
    assert plan.unreviewed(reviewed, plan.read(preview(updated("acme", "droplet", "size")))) != []
    assert plan.unreviewed(plan.read(preview(*steps[:2])), plan.read(preview(*steps[:3]))) != []
