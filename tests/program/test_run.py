"""The whole program, `__main__.py`, on the mocks: what it declares, and what it refuses before it declares anything."""

from __future__ import annotations

import cProfile
import gc
import json
import runpy
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi
import pytest

from meltanodata.engine import deletions, left_alone, pulumi_cli
from meltanodata.engine.resource_types import OBJECTS, TEAM_PROVIDER, Type
from meltanodata.errors import UserError
from meltanodata.inventory import accounts
from meltanodata.inventory.accounts import OtherRecord
from meltanodata.program import run as run_module
from meltanodata.program import survey
from meltanodata.program.sdk_patches import LEFT_OUT
from tests import previews, states
from tests.program import builders
from tests.program.builders import TEAM_1, TEAM_2
from tests.program.recording import HOST_KEY, Recording, record

if TYPE_CHECKING:
    from collections.abc import Callable

    from meltanodata.inventory.accounts import Inventory

MAIN = Path(__file__).parents[2] / "__main__.py"
TENANTS = f"acme:\n  database_team: {TEAM_1}\ndemo:\n  database_team: {TEAM_2}\n  demo: true\n"


def config(**overrides: str | None) -> dict[str, str]:
    """The stack's config as the engine hands it over; None leaves a setting out."""
    crt, key = builders.certificate()
    values: dict[str, str | None] = {
        "domain": "meltanodata.com",
        "project": "Meltano",
        "database_version": "16",
        "droplet_team": json.dumps({"name": "Meltano"}),
        "database_teams": json.dumps([{"name": TEAM_1}, {"name": TEAM_2}]),
        "tokens": json.dumps({"Meltano": "token-0", TEAM_1: "token-1", TEAM_2: "token-2"}),
        "ssh_private_key": key,
        "certificate": crt,
        "certificate_key": key,
        **overrides,
    }
    return {f"meltanodata:{name}": value for name, value in values.items() if value is not None}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Recording]:
    """Runs the program in a folder of its own, with these answers of the accounts and this state."""

    def run_(
        *,
        tenants: str = TENANTS,
        held: list[Inventory | UserError] | None = None,
        resources: list[dict[str, Any]] | None = None,
        settings: dict[str, str] | None = None,
        failing: tuple[str, ...] = (),
        others: dict[str, Any] | None = None,
    ) -> Recording:
        (tmp_path / "Pulumi.yaml").write_text("name: meltanodata\nruntime: python\n")
        (tmp_path / "tenants.yaml").write_text(tenants)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(pulumi, "get_root_directory", lambda: str(tmp_path))
        answers = held or [builders.accounts()]

        def read(*_: object) -> Inventory:
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if isinstance(answer, UserError):
                raise answer
            return answer

        monkeypatch.setattr(accounts, "read", read)
        exported = {"version": 3, "deployment": {"resources": resources or []}}
        states = {("organization/meltanodata/test", tmp_path): exported}
        states |= {(name, tmp_path): state for name, state in (others or {}).items()}
        monkeypatch.setattr(pulumi_cli, "export", lambda *asked: states[asked])
        monkeypatch.setattr(pulumi_cli, "stacks", lambda _: [name.rpartition("/")[2] for name, _ in states])
        try:
            return record(lambda: runpy.run_path(str(MAIN)), settings or config(), failing)
        finally:
            gc.enable()  # a run of the program does without, but these are many in one process

    return run_


def refusal(run: Callable[..., Recording], **given: Any) -> list[str]:
    with pytest.raises(pulumi.RunError) as caught:
        run(**given)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    return str(caught.value).splitlines()


def test_every_tenant_is_declared_and_exported(run: Callable[..., Recording]) -> None:
    recording = run()
    assert [it.name for it in recording.resources.values() if it.type == "meltanodata:index:Tenant"] == ["acme", "demo"]
    outputs = recording.exports["tenants"]
    assert outputs["acme"]["url"] == "https://acme.meltanodata.com"
    assert outputs["demo"]["admin_password"] == {"secret": "result of demo-admin-password"}
    assert recording["acme-database"].provider == TEAM_1
    assert recording["demo-database"].provider == TEAM_2
    assert recording["demo-droplet"].provider == "Meltano"


def test_a_tenant_has_at_most_fourteen_resources(run: Callable[..., Recording]) -> None:
    recording = run()
    for key in ("acme", "demo"):
        mine = [name for name in recording.resources if name == key or name.startswith(f"{key}-")]
        assert len(mine) <= 14


def test_its_work_grows_with_the_tenants_and_not_with_their_square(run: Callable[..., Recording]) -> None:
    """Of calls every run has as many, however busy the machine is: 1.0 is linear, and 3 would be the square."""

    def calls(tenants: int) -> int:
        entries = "".join(f"tenant{number}:\n  database_team: {TEAM_1}\n" for number in range(tenants))
        with cProfile.Profile() as profile:
            run(tenants=entries)
        return sum(found.callcount for found in profile.getstats())

    calls(1)  # what is done once
    few, some, many = calls(3), calls(9), calls(27)
    assert (many - some) / 18 < 1.1 * (some - few) / 6


def test_a_new_droplet_is_made_from_what_the_accounts_offer(run: Callable[..., Recording]) -> None:
    older = builders.snapshot(id="300", created_at=builders.DAY.replace(year=2025))
    held = builders.accounts(snapshots=(older, builders.snapshot()), ssh_keys=("1", "2", "3"))
    recording = run(held=[held])
    assert recording["acme-droplet"].inputs["image"] == "301"
    assert recording["acme-droplet"].inputs["sshKeys"] == ["1", "2", "3"]
    assert recording["acme-project"].inputs["project"] == "project-id"


def test_what_exists_is_imported_unless_the_state_has_it(run: Callable[..., Recording]) -> None:
    demo = {"id": 9, "name": "demo.meltanodata.com"}
    held = builders.accounts(droplets=(builders.droplet(), builders.droplet(**demo)))
    urn = "urn:pulumi:test::meltanodata::meltanodata:index:Tenant$digitalocean:index/droplet:Droplet::demo-droplet"
    recording = run(held=[held], resources=[{"urn": urn, "type": Type.DROPLET, "id": "9"}])
    assert recording["acme-droplet"].import_id == "7"
    assert recording["demo-droplet"].import_id == ""


TENANT = "meltanodata:index:Tenant"


def test_a_take_over_keeps_the_login_and_what_a_killed_run_made_gets_the_states(run: Callable[..., Recording]) -> None:
    """Both droplets are imported; only of the second one's tenant the state has the component already."""
    demo = {"id": 9, "name": "demo.meltanodata.com"}
    held = builders.accounts(droplets=(builders.droplet(), builders.droplet(**demo)))
    component = {"urn": f"urn:pulumi:test::meltanodata::{TENANT}::demo", "type": TENANT, "inputs": {"rebuild": 0}}
    recording = run(held=[held], resources=[component])
    told = {key: json.loads(recording[f"{key}-meltano"].inputs["stdin"])["keep"] for key in ("acme", "demo")}
    assert told == {"acme": True, "demo": False}
    assert recording["acme"].inputs["adopt"] == {"login": "keep"}
    assert recording["acme"].inputs["login_of_droplet"] == "7"
    assert not {"adopt", "login_of_droplet"} & set(recording["demo"].inputs)
    outputs = recording.exports["tenants"]
    assert outputs["acme"]["admin_password"] is None
    assert outputs["demo"]["admin_password"] == {"secret": "result of demo-admin-password"}


def test_what_a_tenant_without_an_entry_has_in_the_state_is_not_adopted(run: Callable[..., Recording]) -> None:
    urn = f"urn:pulumi:test::meltanodata::{TENANT}${Type.DROPLET}::old-droplet"
    parent = f"urn:pulumi:test::meltanodata::{TENANT}::old"
    held = builders.accounts(droplets=(builders.droplet(),))
    (said,) = refusal(run, held=[held], resources=[{"urn": urn, "type": Type.DROPLET, "id": "7", "parent": parent}])
    assert said.startswith("acme: the droplet 7 is in the state of the stack test, and is not adopted from there.")
    assert "meltanodata rename old acme" in said


def test_names_that_lead_elsewhere_are_refused_all_at_once_and_nothing_is_declared(
    run: Callable[..., Recording],
) -> None:
    held = builders.accounts(
        records=(builders.record(address="198.51.100.80"),),
        other_records=(OtherRecord(12, "demo", "CNAME", "shop.example.com"),),
    )
    assert [line.partition(", ")[0] for line in refusal(run, held=[held])] == [
        "acme: acme.meltanodata.com has the A record 8 ('198.51.100.80')",
        "demo: demo.meltanodata.com has the CNAME record 12 ('shop.example.com')",
    ]


def test_a_stack_whose_file_is_not_at_hand_is_asked_as_well(
    run: Callable[..., Recording],
) -> None:
    urn = f"urn:pulumi:newer::meltanodata::{TENANT}${Type.DROPLET}::acme-droplet"
    connection = {
        "urn": "urn::x::y::Meltano",
        "type": TEAM_PROVIDER,
        "inputs": {"apiEndpoint": builders.settings().api_url},
    }
    found = [connection, {"urn": urn, "type": Type.DROPLET, "id": "7", "parent": "urn::x::y::acme"}]
    held = builders.accounts(droplets=(builders.droplet(),))
    newer = {"organization/meltanodata/newer": {"deployment": {"resources": found}}}
    (said,) = refusal(run, held=[held], others=newer)
    assert said.startswith("acme: the droplet 7 is in the state of the stack newer, and is not adopted from there.")
    # Of another API its ids mean other objects.
    connection["inputs"] = {"apiEndpoint": "http://127.0.0.1:1"}
    assert run(held=[held], others=newer)["acme-droplet"].import_id == "7"


def test_what_is_to_be_imported_is_waited_for(run: Callable[..., Recording], monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    creating = builders.accounts(clusters=(builders.cluster(status="creating"),))
    online = builders.accounts(clusters=(builders.cluster(),))
    assert run(held=[creating, creating, online])["acme-database"].import_id == "c0ffee"
    assert slept == [survey.PAUSE] * 2


def test_what_is_never_made_is_said(run: Callable[..., Recording], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "survey", partial(survey.survey, limit=-1))
    creating = builders.accounts(clusters=(builders.cluster(status="creating"),))
    assert refusal(run, held=[creating]) == [
        "not created within an hour: the database of acme. Check it in DigitalOcean's control panel"
    ]


def test_a_database_that_an_older_state_has_and_the_file_has_not_is_not_deleted(
    run: Callable[..., Recording], monkeypatch: pytest.MonkeyPatch
) -> None:
    urn = f"urn:pulumi:test::meltanodata::meltanodata:index:Tenant${Type.CLUSTER}::gone-database"
    provider = f"urn:pulumi:test::meltanodata::pulumi:providers:digitalocean::{TEAM_1}::7"
    resources = [{"urn": urn, "type": Type.CLUSTER, "id": "9", "provider": provider}]
    said = refusal(run, resources=resources)
    assert said[0].startswith("gone: this run would delete its database")
    assert said[-1].endswith("MELTANODATA_DELETE_DATABASES=gone")
    monkeypatch.setenv(deletions.VARIABLE, "gone")
    assert "acme-database" in run(resources=resources).resources


def test_a_tenant_is_ready_when_it_was_verified_and_a_wipe_is_told_once(
    run: Callable[..., Recording], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(pulumi.log, "info", lambda line, *_: lines.append(line))
    tenants = TENANTS + "  wipe_database: 2026-11-20\n"
    run(tenants=tenants)
    assert sorted(lines) == [
        "acme is ready: https://acme.meltanodata.com. The admin's login: meltanodata credentials acme",
        "demo is ready: https://demo.meltanodata.com. The admin's login: meltanodata credentials demo",
        "demo: its database was wiped: the schemas that it dropped are unknown",
    ]
    lines.clear()
    command = "command:remote:Command"
    names = ("acme-verify", "demo-verify", "demo-wipe")
    known = [
        {"urn": f"urn::x::y::{name}", "type": command, "id": f"{name}-id", "parent": f"urn::x::{TENANT}::{name[:4]}"}
        for name in names
    ]
    run(tenants=tenants, resources=known)
    assert lines == []
    run(tenants=tenants, resources=[{**known[0], "id": "of the run before"}, *known[1:]])
    assert lines == ["acme is ready again: https://acme.meltanodata.com"]
    lines.clear()
    run(tenants=tenants, resources=known, failing=("acme-meltano",))
    run(tenants=tenants, failing=("acme-meltano", "demo-files"))
    assert lines == []


def test_who_keeps_a_login_is_not_sent_to_a_command_that_does_not_have_it(
    run: Callable[..., Recording], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(pulumi.log, "info", lambda line, *_: lines.append(line))
    run(held=[builders.accounts(droplets=(builders.droplet(),))])
    assert sorted(lines) == [
        "acme is ready: https://acme.meltanodata.com. The admin's login stays as it was",
        "demo is ready: https://demo.meltanodata.com. The admin's login: meltanodata credentials demo",
    ]


def test_every_setting_that_is_missing_is_named(run: Callable[..., Recording]) -> None:
    said = refusal(run, settings=config(domain=None, project=None, tokens=None))
    assert len(said) == 5
    assert all("pulumi config set --stack test" in line for line in said)


def test_every_problem_of_the_file_is_named_with_its_line(run: Callable[..., Recording]) -> None:
    said = refusal(run, tenants=f"acme:\n  database_team: {TEAM_1}\n  nonsense: 1\ndemo:\n  demo: true\n")
    assert [line.split(": ")[0] for line in said] == ["tenants.yaml:3:3", "tenants.yaml:4:1"]


def test_a_change_of_team_is_refused_at_its_line(run: Callable[..., Recording]) -> None:
    (said,) = refusal(run, held=[builders.accounts(clusters=(builders.cluster(team=TEAM_2),))])
    assert said.startswith("tenants.yaml:2:")
    assert TEAM_2 in said


def test_everything_that_the_accounts_lack_is_named_at_once(run: Callable[..., Recording]) -> None:
    held = builders.accounts(
        snapshots=(),
        projects={},
        ssh_keys=(),
        database=builders.offer(versions=("15",)),
        droplets=(builders.droplet(), builders.droplet(id=9)),
    )
    said = "\n".join(refusal(run, held=[held]))
    for expected in (
        "acme: 2 droplets have the name acme.meltanodata.com",
        "no project 'Meltano'",
        "the team has no SSH key",
        "demo: there is no snapshot",
        "acme: PostgreSQL 16 is not available",
        "demo: PostgreSQL 16 is not available",
    ):
        assert expected in said


def test_an_account_that_cannot_be_asked(run: Callable[..., Recording]) -> None:
    assert refusal(run, held=[UserError("Meltano: the token is refused (401)")]) == [
        "Meltano: the token is refused (401)"
    ]


@pytest.mark.parametrize("failing", ["acme-droplet", "demo-droplet", "acme-database", "demo-files"])
def test_a_tenant_that_fails_holds_up_no_other(run: Callable[..., Recording], failing: str) -> None:
    tenant = failing.split("-", maxsplit=1)[0]
    other = "demo" if tenant == "acme" else "acme"
    recording = run(failing=(failing,))
    assert f"{tenant}-verify" not in recording.resources
    assert f"{other}-verify" in recording.resources
    assert recording.exports["tenants"][other]["host_key"] == HOST_KEY
    assert recording.exports["tenants"][tenant]["url"] == f"https://{tenant}.meltanodata.com"
    # What a program that ends well has not registered is deleted by the engine.
    assert recording.error == LEFT_OUT


def test_what_could_not_be_made_has_no_output(run: Callable[..., Recording]) -> None:
    acme = run(failing=("acme-droplet",)).exports["tenants"]["acme"]
    assert (acme["address"], acme["host_key"]) == (None, None)
    assert acme["database_host"] == "db-postgresql-nyc3-11799-acme.db"


def _in_state(*keys: str) -> list[dict[str, Any]]:
    """Finished tenants, with what a refresh, a deletion and a replacement go by."""
    team = f"urn:pulumi:test::meltanodata::pulumi:providers:digitalocean::{TEAM_1}"
    found = [
        {**resource, **({"provider": f"{team}::7"} if resource["type"] in OBJECTS else {})}
        for resource in states.exported(*keys)["deployment"]["resources"]
    ]
    droplet, cluster = previews.urn("acme", "droplet"), previews.urn("acme", "database")
    more: dict[str, dict[str, Any]] = {
        droplet: {"replacementTrigger": 3, "customTimeouts": {"create": 0, "update": 0, "delete": 600}},
        previews.urn("acme", "firewall"): {
            "deletedWith": cluster,
            "dependencies": [droplet, cluster],
            "propertyDependencies": {"clusterId": [cluster], "rules": [droplet]},
        },
        cluster: {"resourceHooks": {"BeforeDelete": [deletions.HOOK], "OnError": ["of an older version"]}},
    }
    return [{**resource, **more.get(resource["urn"], {})} for resource in found]


def test_a_tenant_that_cannot_be_planned_is_declared_as_the_state_has_it_and_the_others_go_on(
    run: Callable[..., Recording], monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", lambda line, *_: warnings.append(line))
    by_hand = builders.droplet(size="s-4vcpu-8gb", disk=160)
    ids = {previews.urn("acme", "droplet"): "7"}
    resources = [{**it, "id": ids.get(it["urn"], it.get("id"))} for it in _in_state("acme")]
    entry = f"cave:\n  database_team: {TEAM_1}\n  droplet_size: s-9vcpu-9gb\n"
    tenants = TENANTS.replace("acme:\n", "acme:\n  rebuild: 3\n") + entry
    recording = run(tenants=tenants, held=[builders.accounts(droplets=(by_hand,))], resources=resources)
    assert [left_alone.read(line) is not None for line in warnings] == [True, True]
    assert "Write droplet_size: s-4vcpu-8gb to keep the droplet" in warnings[0]
    assert not [name for name in recording.resources if name.startswith("cave")]
    assert "demo-verify" in recording.resources
    assert recording.error is None

    own = {name: it for name, it in recording.resources.items() if name.startswith("acme-")}
    assert set(own) == {f"acme-{role}" for role in previews.CHILDREN}
    assert {it.ignore_changes for it in own.values()} == {frozenset("*")}
    assert not any(it.import_id for it in own.values())
    assert own["acme-droplet"].replacement_trigger == 3
    assert own["acme-droplet"].timeouts == {"delete": "600s"}
    assert own["acme-database"].provider == TEAM_1
    assert own["acme-database"].before_delete == (deletions.HOOK,)
    assert own["acme-database"].on_error == ()
    assert own["acme-firewall"].deleted_with == "acme-database"
    assert own["acme-firewall"].depends_on == {"acme-droplet", "acme-database"}
    assert recording["acme"].inputs == previews.OPTIONS
    assert recording.exports["tenants"]["acme"]["url"] == "https://acme.meltanodata.com"
    assert set(recording.exports["tenants"]) == {"acme", "demo"}


def test_a_tenant_whose_droplet_a_killed_run_has_deleted_is_not_declared_as_it_was(
    run: Callable[..., Recording],
) -> None:
    """To declare it would make the successor."""
    resources = [{**it, "pendingReplacement": it["urn"] == previews.urn("acme", "droplet")} for it in _in_state("acme")]
    said = refusal(run, tenants=TENANTS.replace("acme:\n", "acme:\n  droplet_size: s-9vcpu-9gb\n"), resources=resources)
    assert "acme: droplet_size s-9vcpu-9gb is not available" in said[0]


def test_an_entry_that_names_another_tenants_object_stops_everybody(run: Callable[..., Recording]) -> None:
    resources = _in_state("bolt", "acme")
    other = builders.droplet(id="bolt-droplet-id")
    said = refusal(run, held=[builders.accounts(droplets=(other,))], resources=resources)
    assert "belongs to bolt in the stack's state" in said[0]
