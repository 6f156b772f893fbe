from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meltanodata.engine.resource_types import Type
from meltanodata.engine.stack_state import StackState
from meltanodata.errors import UserError
from meltanodata.rollout import approval, plan, preview_plan
from meltanodata.rollout.approval import unreviewed
from meltanodata.rollout.impact import Severity
from meltanodata.rollout.plan import Change, Plan, Row
from tests import previews
from tests.previews import (
    Step,
    child,
    component,
    created,
    destroyed,
    imported,
    options,
    preview,
    renewed,
    replaced,
    updated,
    warning_left_alone,
)

if TYPE_CHECKING:
    import random


def read(*steps: Step, tenants: int = 20) -> Plan:
    return preview_plan.read(preview(*steps, tenants=tenants))


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
        f"data loss: {GONE}",
        "the URL stops working: https://acme.meltanodata.com",
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
    assert words(found) == ["some minutes of downtime: the droplet is powered off, resized and powered on"]
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


def test_the_first_plan_of_a_new_stack_has_no_row_for_the_stack_itself() -> None:
    stack = {"op": "create", "urn": previews.ROOT, "newState": {"urn": previews.ROOT}, "detailedDiff": None}
    steps = [*previews.created("acme"), stack]
    found = preview_plan.read({"steps": steps})
    assert found.others == ()
    assert [row.tenant for row in found.rows] == ["acme"]
    assert preview_plan.read({"steps": [stack]}).empty


PERHAPS = "Meltano of this version is installed and restarts (a minute), unless it is there already"


@pytest.mark.parametrize(
    ("before", "after", "effect"),
    [
        ("2.19.1", "2.20.0", "Meltano is upgraded and restarts (a minute)"),
        ("2.20.0", "2.19.1", "Meltano is downgraded and restarts (a minute)"),
        ("2.9.0", "2.10.0", "Meltano is upgraded and restarts (a minute)"),
        (None, "2.20.0", PERHAPS),
        ("2.20", "2.20.0", PERHAPS),
        ("2.20.0", None, "Meltano keeps its version"),
        ("1", "9" * 5000, "Meltano is upgraded and restarts (a minute)"),
    ],
)
def test_another_version_of_meltano_is_called_what_it_is(before: str | None, after: str | None, effect: str) -> None:
    old, new = ({} if version is None else {"meltano_version": version} for version in (before, after))
    found = row(component("update", "acme", options(**old), options(**new)), replaced("acme", "meltano", "stdin"))
    assert words(found) == [effect]


@pytest.mark.parametrize(
    "steps",
    [
        previews.created("acme", tls="self_signed"),
        [component("update", "acme", options(), options(tls="self_signed")), updated("acme", "files", "stdin")],
        [component("create", "acme", new=options(tls="self_signed")), previews.imported("acme", "droplet", "7")],
    ],
)
def test_people_are_told_that_browsers_warn_of_a_self_signed_certificate(steps: list[Step]) -> None:
    warning = "browsers warn of its certificate, which Caddy makes itself"
    assert warning in words(row(*steps))
    # Also in a comment, which derives the effects from what the plan says anew.
    found = preview_plan.read(preview(*steps)).rows[0]
    assert warning in map(str, plan.effects_of(found.change, found.operations, found.reasons))


@pytest.mark.parametrize(
    "steps",
    [
        previews.created("acme"),
        [component("update", "acme", options(tls="self_signed"), options()), updated("acme", "files", "stdin")],
        [
            component(
                "update", "acme", options(tls="self_signed"), options(tls="self_signed", meltano_version="2.20.0")
            ),
            replaced("acme", "meltano", "stdin"),
        ],
    ],
)
def test_nobody_is_warned_of_another_certificate(steps: list[Step]) -> None:
    assert not any("browsers warn" in text for text in words(row(*steps)))


def test_objects_that_exist_are_adopted() -> None:
    steps = created("acme")
    for step in steps:
        if step["urn"] in (previews.urn("acme", "droplet"), previews.urn("acme", "database")):
            step["op"] = "import"
            step["newState"]["importID"] = "4711"
    found = row(*steps)
    assert found.change is Change.ADOPTED
    assert why(found) == ["adopts database db-postgresql-nyc3-52483-acme, droplet acme.meltanodata.com"]
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
        child(
            "update", "acme", "record", {"value": "10.0.0.1"}, {"value": preview_plan.UNKNOWN}, diffReasons=["value"]
        ),
        child(
            "update",
            "acme",
            "project",
            {"resources": []},
            {"resources": [preview_plan.UNKNOWN]},
            diffReasons=["resources"],
        ),
        replaced("acme", "files", "triggers", "connection"),
        child("update", "acme", "firewall", {"tags": []}, {"tags": ["x"]}, diffReasons=["tags"]),
    )
    assert found.change is Change.REPLACED
    assert why(found) == ["droplet is missing", 'firewall tags: [] → ["x"]']


def test_a_value_that_is_known_after_the_apply_says_so() -> None:
    rules = [{"__defaults": [], "type": "ip_addr", "value": preview_plan.UNKNOWN}]
    found = row(child("update", "acme", "firewall", {"rules": []}, {"rules": rules}, diffReasons=["rules"]))
    assert why(found) == ['firewall rules: [] → [{"type": "ip_addr", "value": "known after the apply"}]']


def test_a_secret_that_differs_has_no_value() -> None:
    assert why(row(updated("acme", "firewall", "rules"))) == ["firewall rules"]


def test_what_the_program_does_otherwise_than_before_is_the_reason_where_no_option_is() -> None:
    assert why(row(replaced("acme", "files", "stdin"))) == ["the program declares acme-files differently"]


def test_a_replacement_on_request_is_the_reason_and_what_follows_from_it_is_none() -> None:
    found = row(replaced("acme", "files"), replaced("acme", "verify", "triggers"))
    assert why(found) == ["acme-files is replaced on request (--replace)"]


def test_a_command_that_a_killed_run_did_not_get_to_is_missing() -> None:
    assert why(row(child("create", "acme", "files", None, {"stdin": "x"}))) == ["acme-files is missing"]


def test_a_program_that_ends_by_its_own_errors_adds_none() -> None:
    ended = "error: an unhandled error occurred: program exited with non-zero exit code: 1"
    lines = [{"severity": "error", "message": text} for text in ("error: tenants.yaml:1: x", ended)]
    with pytest.raises(UserError, match=r"no plan:\nerror: tenants.yaml:1: x$"):
        preview_plan.read({"diagnostics": lines})
    with pytest.raises(UserError, match="unhandled error"):
        preview_plan.read({"diagnostics": lines[1:]})


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


def test_a_rebuild_that_a_killed_run_had_begun_is_one_still() -> None:
    """The component has the new count already."""
    step = replaced("acme", "droplet", "image")
    step["oldState"]["replacementTrigger"], step["newState"]["replacementTrigger"] = 0, 1
    found = row(step)
    assert found.option("rebuild")
    assert why(found)[0] == "rebuild: 0 → 1"
    edit = component("update", "acme", options(rebuild=0), options(rebuild=1))
    whole = row(edit, step)
    assert [reason.what for reason in whole.reasons].count("rebuild") == 1
    assert unreviewed(read(edit, step), read(step), begun=True) == []
    step["oldState"]["replacementTrigger"] = 1
    assert not row(step).option("rebuild")


def unknown_to_us(op: str) -> Step:
    """A step on a resource of DigitalOcean's of a type of which `impact` says nothing."""
    kind = "digitalocean:index/volumeAttachment:VolumeAttachment"
    step = child(op, "acme", "droplet", {})
    urn = step["urn"].replace(Type.DROPLET, kind).replace("acme-droplet", "acme-volume")
    return {**step, "urn": urn, "oldState": {**step["oldState"], "id": "id-of-acme-volume"}}


GONE = "the droplet is deleted with its disk (Meltano project, uploads)"


OPEN = "the cluster accepts connections from everybody while it has no firewall"


@pytest.mark.parametrize(
    ("steps", "effect", "severity"),
    [
        ([replaced("acme", "admin-password", "keepers")], "a new login password; the old one stops working", 1),
        ([replaced("acme", "secret-key", "keepers")], "all users are signed out", 1),
        ([replaced("acme", "firewall", "clusterId")], OPEN, 2),
        ([child("delete", "acme", "firewall", {})], OPEN, 2),
        ([child("delete", "acme", "record", {})], "the host name stops working", 1),
        ([child("create", "acme", "database", None, {})], "a new, empty database", 1),
        ([child("delete", "acme", "droplet", {})], f"data loss: {GONE}, and its URL stops working", 2),
        ([unknown_to_us("delete")], "data loss: the volume attachment is deleted: id-of-acme-volume", 2),
        ([updated("acme", "files", "stdin")], "services whose files differ restart (seconds)", 1),
    ],
)
def test_what_an_operation_means_for_people(steps: list[Step], effect: str, severity: int) -> None:
    assert [(str(found), found.severity) for found in row(*steps).effects] == [(effect, severity)]


WIPED = "data loss: the demo's database is wiped, except for the schema public"


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


def test_a_wipe_is_told_whichever_step_of_its_replacement_comes_last() -> None:
    old, new = {"triggers": [""]}, {"triggers": ["2026-11-23"]}
    steps = [
        child("create-replacement", "demo", "wipe", old, new),
        child("replace", "demo", "wipe", old, new, replaceReasons=["triggers"]),
        child("delete-replaced", "demo", "wipe", old),
    ]
    assert words(row(*steps)) == words(row(*reversed(steps))) == [WIPED]


def adopted_and_changed(key: str = "acme") -> list[Step]:
    """An instance made by hand, whose record leads elsewhere and whose objects have other tags."""
    taken = [
        imported(key, "droplet", "4711"),
        imported(key, "record", "meltanodata.com,4712"),
        imported(key, "database", "4713"),
    ]
    address = {"value": "203.0.113.9"}, {"value": "198.51.100.7"}
    changed = [
        updated(key, "droplet", "tags"),
        child("update", key, "record", *address, diffReasons=["value"]),
        updated(key, "database", "tags"),
    ]
    for step, bare in zip(changed, ("4711", "4712", "4713"), strict=True):
        step["oldState"]["id"] = bare
    return [component("create", key, new=options()), *taken, *changed]


def test_an_adoption_with_changes_is_shown_as_an_adoption() -> None:
    found = row(*adopted_and_changed())
    assert found.change is Change.ADOPTED
    assert [(it.op, it.id, it.properties) for it in found.operations if it.op == "import"] == [
        ("import", "4713", ("tags",)),
        ("import", "meltanodata.com,4712", ("value",)),
        ("import", "4711", ("tags",)),
    ]
    assert any("the host name moves to another address" in effect for effect in words(found))
    wipe = child("create", "acme", "wipe", None, {"triggers": ["2026-11-23"]})
    assert WIPED in words(row(*adopted_and_changed(), wipe))


def test_an_adoption_that_replaces_is_shown_as_a_loss() -> None:
    steps = [imported("acme", "database", "4713"), on(replaced("acme", "database", "name"), "4713")]
    for found in (row(*steps), row(*reversed(steps))):
        assert [(it.op, it.id) for it in found.operations] == [("replace", "4713")]
        assert found.severity is Severity.LOSS


def test_verifying_and_assigning_to_the_project_mean_nothing_to_people() -> None:
    assert row(updated("acme", "verify", "triggers"), updated("acme", "project", "resources")).effects == ()


def test_a_take_over_says_what_it_changes_with_both_values() -> None:
    ttl = child("update", "acme", "record", {"ttl": 1800}, {"ttl": 3600}, diffReasons=["ttl"])
    old, new = {"tags": ["by-hand"]}, {"tags": ["by-hand", "production"], "resizeDisk": True}
    tags = child("update", "acme", "droplet", old, new, diffReasons=["gracefulShutdown", "tags"])
    taken = [imported("acme", "record", "meltanodata.com,4712"), imported("acme", "droplet", "4711")]
    found = row(component("create", "acme", new=options()), *taken, ttl, tags)
    assert list(map(plan.describe, found.reasons)) == [
        "adopts record acme, droplet acme.meltanodata.com",
        'droplet tags: ["by-hand"] → ["by-hand", "production"]',
        "record ttl: 1800 → 3600",
    ]


def test_what_a_refresh_noted_among_the_outputs_alone_has_its_values() -> None:
    step = child("update", "acme", "droplet", {"size": "s-2vcpu-2gb"}, {"size": "s-2vcpu-2gb"}, diffReasons=["size"])
    step["oldState"]["outputs"] = {"size": "s-2vcpu-4gb"}
    assert list(map(plan.describe, row(step).reasons)) == ["droplet size: s-2vcpu-4gb → s-2vcpu-2gb"]


def test_a_tenant_that_cannot_be_planned_is_told_beside_the_others() -> None:
    warnings = [
        warning_left_alone("bolt", "its droplet: it cannot shrink.\nWrite droplet_size: x"),
        warning_left_alone("bolt", "and another"),
        {"severity": "warning", "message": "warning: something else"},
        {"severity": "info", "message": "acme cannot be planned and is left as it is: says somebody else"},
    ]
    found = preview_plan.read(preview(*created("acme")) | {"diagnostics": warnings})
    assert [it.tenant for it in found.rows] == ["acme"]
    reasons = ("its droplet: it cannot shrink.\nWrite droplet_size: x", "and another")
    assert found.left_alone == (plan.LeftAlone(tenant="bolt", reasons=reasons),)
    assert found.digest == preview_plan.read(preview(*created("acme"))).digest


def test_a_failed_preview_is_no_plan() -> None:
    failed = preview() | {"diagnostics": [{"severity": "error", "message": "tenants.yaml:3: no such team\n"}]}
    with pytest.raises(UserError, match=r"tenants\.yaml:3: no such team"):
        preview_plan.read(failed)


def test_something_else_is_no_plan() -> None:
    with pytest.raises(UserError, match="not an output of `pulumi preview --json`"):
        preview_plan.read({"hello": "world"})


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
    assert unreviewed(found, read(*steps), begun=False) == []
    assert sum(len(row.operations) for row in found.rows) == len(steps)


@given(keys=KEYS, dropped=st.randoms(use_true_random=False))
def test_what_is_left_of_a_reviewed_plan_is_reviewed(keys: list[str], dropped: random.Random) -> None:
    steps = [step for key in keys for step in created(key)]
    left = dropped.sample(steps, dropped.randrange(len(steps)))
    assert unreviewed(read(*steps), read(*left), begun=False) == []


def test_an_object_that_a_killed_run_created_is_adopted_as_reviewed() -> None:
    rest = [
        imported("acme", "droplet", "4711"),
        imported("acme", "record", "meltanodata.com,4712"),
        child("create", "acme", "files", None, {}),
    ]
    assert unreviewed(read(*created("acme")), read(*rest), begun=True) == []


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
    assert unreviewed(reviewed, applied, begun=True) == [news]


def on(step: Step, id_: str) -> Step:
    """The same step on another object of that name."""
    return {**step, "oldState": {**step["oldState"], "id": id_}}


@pytest.mark.parametrize(
    ("step", "news"),
    [
        (child("delete", "acme", "database", {}), "delete of database acme-database"),
        (replaced("acme", "droplet", "region"), "replace of droplet acme-droplet (region)"),
        (updated("acme", "database", "size"), "update of database acme-database (size)"),
        (child("delete", "acme", "record", {}), "delete of record acme-record"),
        (child("delete", "acme", "firewall", {}), "delete of firewall acme-firewall"),
    ],
)
def test_an_approval_is_for_the_object_that_was_seen_and_not_for_its_name(step: Step, news: str) -> None:
    role = step["urn"].rsplit("-", 1)[1]
    for begun in (False, True):
        assert unreviewed(read(step), read(step), begun=begun) == []
        assert unreviewed(read(step), read(on(step, "another")), begun=begun) == [
            f"acme: not reviewed: {news}: another, but id-of-acme-{role} was reviewed"
        ]


def test_an_approved_removal_is_none_of_a_tenant_that_was_added_again() -> None:
    again = [on(step, f"new-{step['urn'].rsplit('-', 1)[-1]}") for step in destroyed("acme")]
    (news,) = unreviewed(read(*destroyed("acme")), read(*again), begun=True)
    assert "delete of database acme-database: new-database, but id-of-acme-database was reviewed" in news
    assert "delete of droplet acme-droplet: new-droplet, but id-of-acme-droplet was reviewed" in news


def test_a_command_or_password_is_no_object() -> None:
    """Each run of a Command has another id, and to approve it is to approve what it does."""
    for step in (replaced("acme", "files", "stdin"), replaced("acme", "admin-password", "keepers")):
        assert unreviewed(read(step), read(on(step, "another")), begun=False) == []


def test_an_import_is_for_the_object_that_was_seen() -> None:
    seen = read(imported("acme", "database", "4711"))
    assert unreviewed(seen, read(imported("acme", "database", "4711")), begun=False) == []
    assert unreviewed(seen, read(imported("acme", "database", "4712")), begun=True) == [
        "acme: not reviewed: import of database acme-database: 4712, but 4711 was reviewed"
    ]


def test_a_reviewed_creation_covers_only_the_adoption_of_what_a_run_of_the_plan_created() -> None:
    reviewed = read(*created("acme"))
    left = read(imported("acme", "database", "4711"))
    assert unreviewed(reviewed, left, begun=True) == []
    assert unreviewed(reviewed, left, begun=False) == [
        "acme: adopted instead of created (import of database acme-database: 4711, which no run of this plan created)"
    ]


def test_what_is_left_of_a_replacement_is_its_new_object_and_never_the_old_one() -> None:
    reviewed = read(replaced("acme", "droplet", "region"))
    old = "id-of-acme-droplet"
    for left in (
        child("create", "acme", "droplet", None, previews.inputs("acme", "droplet")),
        child("delete", "acme", "droplet", {}),
        imported("acme", "droplet", "4712"),
    ):
        assert unreviewed(reviewed, read(left), begun=True) == []
    assert unreviewed(reviewed, read(imported("acme", "droplet", old)), begun=True) != []
    assert unreviewed(reviewed, read(imported("acme", "droplet", "4712")), begun=False) != []
    assert unreviewed(reviewed, read(on(child("delete", "acme", "droplet", {}), "4712")), begun=True) != []


def test_what_is_left_of_a_take_over_is_its_update() -> None:
    reviewed = read(*adopted_and_changed())
    left = [step for step in adopted_and_changed() if step["op"] == "update"]
    assert unreviewed(reviewed, read(*left), begun=True) == []
    assert unreviewed(reviewed, read(on(left[0], "another")), begun=True) != []
    # A plan that an older version kept says `update` of it alone.
    older = read(component("create", "acme", new=options()), *left)
    assert unreviewed(older, read(*adopted_and_changed()), begun=True) == []


def record_to(address: str) -> Step:
    return child("update", "acme", "record", {"value": "203.0.113.9"}, {"value": address}, diffReasons=["value"])


def test_a_records_value_is_the_one_that_was_seen() -> None:
    assert unreviewed(read(record_to("198.51.100.7")), read(record_to("198.51.100.7")), begun=False) == []
    assert unreviewed(read(record_to("198.51.100.7")), read(record_to("198.51.100.8")), begun=True) == [
        "acme: not reviewed: update of record acme-record (value): value 198.51.100.8, but 198.51.100.7 was reviewed"
    ]
    assert unreviewed(read(record_to("198.51.100.7")), read(record_to(preview_plan.UNKNOWN)), begun=True) != []
    # It was known after the apply only: a run was cut off between the new droplet and the record.
    assert unreviewed(read(record_to(preview_plan.UNKNOWN)), read(record_to("198.51.100.8")), begun=True) == []


def changed_in(**values: str) -> Step:
    """An update of the record that sets these properties."""
    before = dict.fromkeys(values, "before")
    return child("update", "acme", "record", before, dict(values), diffReasons=list(values))


def test_of_two_reviewed_plans_each_ones_values_are_those_that_were_seen() -> None:
    both = approval.union([read(changed_in(value="198.51.100.7")), read(changed_in(ttl="60"))])
    assert unreviewed(both, read(changed_in(value="198.51.100.7", ttl="60")), begun=False) == []
    assert unreviewed(both, read(changed_in(value="198.51.100.7", ttl="61")), begun=False) != []
    assert unreviewed(both, read(changed_in(value="198.51.100.8", ttl="60")), begun=False) != []
    # Of the same property the one that was merged last.
    later = approval.union([read(changed_in(value="198.51.100.7")), read(changed_in(value="198.51.100.8"))])
    assert unreviewed(later, read(changed_in(value="198.51.100.8")), begun=False) == []
    assert unreviewed(later, read(changed_in(value="198.51.100.7")), begun=False) != []
    unknown = approval.union([read(changed_in(value="198.51.100.7")), read(changed_in(value=preview_plan.UNKNOWN))])
    assert unreviewed(unknown, read(changed_in(value="198.51.100.9")), begun=False) == []


def test_a_secret_value_is_not_kept() -> None:
    (operation,) = row(updated("acme", "firewall", "rules")).operations
    assert operation.values == ()


def state(**objects: str) -> StackState:
    """A stack's state with acme's objects, by role."""
    resources = [
        {"urn": previews.urn("acme", role), "type": previews.CHILDREN[role], "id": id_} for role, id_ in objects.items()
    ]
    return StackState({"version": 3, "deployment": {"resources": resources}})


def test_what_was_approved_for_a_tenant_is_not_done_to_another_one_of_its_name() -> None:
    """A wipe names no object: the database that it empties is the tenant's."""
    steps = preview(child("create", "acme", "wipe", None, {"triggers": ["2026-11-23"]}))
    reviewed = preview_plan.read(steps, state(droplet="1", database="2"))
    assert unreviewed(reviewed, preview_plan.read(steps, state(droplet="1", database="2")), begun=False) == []
    assert unreviewed(reviewed, preview_plan.read(steps, state(droplet="1", database="9")), begun=True) == [
        "acme: another tenant was reviewed: its database is 9, but 2 was reviewed"
    ]
    # A plan without the objects says nothing of them.
    assert unreviewed(preview_plan.read(steps), preview_plan.read(steps, state(database="9")), begun=True) == []


def test_the_objects_that_the_reviewed_plan_made_or_took_are_the_tenants() -> None:
    rest = preview(replaced("acme", "files", "stdin"))
    for step, left in (
        (replaced("acme", "droplet", "region"), state(droplet="9", record="3")),
        (child("create", "acme", "droplet", None, previews.inputs("acme", "droplet")), state(droplet="9", record="3")),
        (imported("acme", "droplet", "9"), state(droplet="9", record="3")),
    ):
        both = preview(step, replaced("acme", "files", "stdin"))
        reviewed = preview_plan.read(both, state(droplet="1", record="3"))
        assert unreviewed(reviewed, preview_plan.read(rest, left), begun=True) == []
    taken = preview_plan.read(preview(imported("acme", "droplet", "8"), replaced("acme", "files", "stdin")), state())
    assert unreviewed(taken, preview_plan.read(rest, state(droplet="9")), begun=True) != []


def test_a_plan_that_an_older_version_kept_is_read() -> None:
    """Artifacts are kept for 90 days."""
    found = read(*destroyed("acme"), updated("bolt", "droplet", "size"))
    kept = found.model_dump(mode="json")
    for kept_row in kept["rows"]:
        del kept_row["objects"]
        for operation in kept_row["operations"]:
            del operation["values"]
    older = Plan.model_validate(kept)
    assert unreviewed(older, found, begun=False) == []
    assert unreviewed(older, read(*(on(step, "another") for step in destroyed("acme"))), begun=False) != []


def test_a_plan_of_another_stack_was_not_reviewed() -> None:
    other = read().model_copy(update={"stack": "prod-2"})
    assert unreviewed(other, read(), begun=True) == ["the reviewed plan is for the stack prod-2, this one for prod"]


def test_a_plan_survives_json() -> None:
    found = read(*created("acme"), *destroyed("bolt"), *renewed("core"))
    again = Plan.model_validate_json(found.model_dump_json())
    assert again == found
    assert again.digest == found.digest


KEEP = {"adopt": {"login": "keep"}, "login_of_droplet": "7"}
PASSWORD = "a new login password; the old one stops working"
OTHERS = "every other login of the instance stops working"


def adoption_effects(op: str, old: dict[str, object] | None, new: dict[str, object]) -> list[str]:
    """What is said of a login at a plan that adopts a droplet."""
    steps = [
        component(op, "acme", old, new),
        child("import", "acme", "droplet", None, previews.inputs("acme", "droplet")),
    ]
    return words(row(*steps))


def test_a_take_over_says_what_becomes_of_the_login() -> None:
    assert adoption_effects("create", None, options(**KEEP)) == ["keeps its login"]
    assert adoption_effects("create", None, options(adopt={"login": "new"})) == [PASSWORD, OTHERS]
    assert adoption_effects("create", None, options(**KEEP, admin_password_generation=2)) == [PASSWORD]


def test_the_plan_after_a_kill_says_whose_login_it_is() -> None:
    assert adoption_effects("update", options(), options(demo=True)) == ["its login is the one in the stack's state"]
    assert adoption_effects("update", options(**KEEP), options(**KEEP, demo=True)) == ["keeps its login"]
    # The engine leaves out of a preview what stays as it is.
    unchanged = row(child("import", "acme", "droplet", None, previews.inputs("acme", "droplet")))
    assert words(unchanged) == ["an interrupted adoption continues; its login is as that run's plan said"]


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
    assert words(found) == [PASSWORD, OTHERS, "services whose files differ restart (seconds)"]


def test_another_host_name_is_said_in_words_for_people() -> None:
    found = row(updated("acme", "record", "name"))
    assert words(found) == ["another host name: the old one stops working, and everybody has to log in again"]


def test_what_is_changed_on_the_way_is_one_operation_with_the_import() -> None:
    steps = [
        component("create", "acme", None, options(**KEEP)),
        child("import", "acme", "droplet", None, previews.inputs("acme", "droplet")),
        updated("acme", "droplet", "tags"),
        child("import", "acme", "database", None, previews.inputs("acme", "database")),
        child("import", "acme", "record", None, {}),
        updated("acme", "record", "value"),
    ]
    steps[1]["newState"]["importID"] = steps[2]["oldState"]["id"]
    found = row(*steps)
    droplet = next(it for it in found.operations if it.role == "droplet")
    assert (droplet.op, droplet.properties) == ("import", ("tags",))
    assert "keeps its login" in words(found)
    assert "the host name moves to another address; resolvers cache the old one for up to an hour" in words(found)
    assert found.cost is not None
    assert found.cost.before == found.cost.after
    # Reviewed, it covers what is left of it; what was not reviewed is not covered.
    reviewed = preview_plan.read(preview(*steps))
    assert (
        approval.unreviewed(reviewed, preview_plan.read(preview(updated("acme", "droplet", "tags"))), begun=True) == []
    )
    assert (
        approval.unreviewed(reviewed, preview_plan.read(preview(updated("acme", "droplet", "size"))), begun=True) != []
    )
    assert (
        approval.unreviewed(preview_plan.read(preview(*steps[:2])), preview_plan.read(preview(*steps[:3])), begun=True)
        != []
    )
