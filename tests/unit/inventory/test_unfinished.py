"""What a killed run was making: found by its notes, and not forgotten where no entry leads to it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from meltanodata.config.tenants import Tenant
from meltanodata.engine.resource_types import Type, resource_name
from meltanodata.engine.stack_state import StackState
from meltanodata.inventory.accounts import Cluster, Droplet, Record
from meltanodata.inventory.unfinished import abandoned, created, doubtful_firewalls

PREFIX = "urn:pulumi:prod::meltanodata::meltanodata:index:Tenant$"
NAMES = {Type.DROPLET: "acme.meltanodata.com", Type.RECORD: "acme", Type.CLUSTER: "db-postgresql-nyc3-11799-acme"}
OURS = Droplet(7, NAMES[Type.DROPLET], "active", "nyc3", "s-1vcpu-2gb", 50, "203.0.113.7")
OTHER = Droplet(8, "bolt.meltanodata.com", "active", "nyc3", "s-1vcpu-2gb", 50, "203.0.113.8")
A_RECORD = Record(9, "acme", "203.0.113.7")
DATABASE = Cluster("uuid", NAMES[Type.CLUSTER], "DBs 1", "online", "nyc3", "db-s-1vcpu-1gb", "16")
HELD: Any = SimpleNamespace(objects={Type.DROPLET: (OURS, OTHER), Type.RECORD: (A_RECORD,), Type.CLUSTER: (DATABASE,)})


def resource(type_: str, name: str, **more: Any) -> dict[str, Any]:
    return {"urn": f"{PREFIX}{type_}::{name}", "type": type_, "parent": f"{PREFIX[:-1]}::acme", **more}


def tenant(key: str, **options: Any) -> Tenant:
    return Tenant(
        key=key, database_team="DBs 1", region="nyc3", database_version="16", states_database_version=False, **options
    )


def state(*resources: dict[str, Any], kind: str = "creating") -> StackState:
    """One in which the creation of everything of acme's is noted."""
    notes = [
        {"type": kind, "resource": resource(type_, resource_name("acme", type_), inputs={"name": name})}
        for type_, name in NAMES.items()
    ]
    notes.append({"type": kind, "resource": resource("command:remote:Command", "acme-files", inputs={})})
    return StackState({"deployment": {"resources": list(resources), "pending_operations": notes}})


def test_what_was_made_is_found_by_the_names_in_the_notes() -> None:
    assert state().creations == [("acme", type_, name) for type_, name in NAMES.items()]
    assert state(kind="updating").creations == []
    its = created(state(), HELD)["acme"]
    assert its == {Type.DROPLET: [OURS], Type.RECORD: [A_RECORD], Type.CLUSTER: [DATABASE]}


def test_what_the_state_has_is_nothing_that_a_run_left() -> None:
    known = resource(Type.CLUSTER, "bolt-database", id="uuid")
    assert created(state(known), HELD)["acme"][Type.CLUSTER] == []


def test_what_no_entry_leads_to_is_said_with_its_ids() -> None:
    objects = created(state(), HELD)
    assert list(abandoned(objects, [tenant("acme")], "meltanodata.com")) == []
    adopted = tenant("new", adopt={"record": "acme", "database": DATABASE.name})
    assert list(abandoned(objects, [adopted], "meltanodata.com")) == []
    (said,) = abandoned(objects, [tenant("new", adopt={"record": "acme"})], "meltanodata.com")
    assert "acme: a killed run created the database db-postgresql-nyc3-11799-acme (uuid, " in said
    assert "Restore the entry of acme" in said
    (said,) = abandoned(objects, [tenant("bolt")], "meltanodata.com")
    assert all(f"delete {known}" in said for known in ("7", "meltanodata.com 9", "uuid"))
    assert "203.0.113.8" not in said


def test_two_of_one_name_whose_tenant_has_an_entry_are_left_to_the_plan() -> None:
    again = replace(OURS, id=77)
    twice: Any = SimpleNamespace(objects={Type.DROPLET: (OURS, again), Type.RECORD: (), Type.CLUSTER: ()})
    objects = created(state(), twice)
    assert objects["acme"][Type.DROPLET] == [OURS, again]
    assert list(abandoned(objects, [tenant("acme")], "meltanodata.com")) == []


def test_a_firewall_is_doubtful_where_its_tenants_last_command_is_not_there() -> None:
    firewall = resource("digitalocean:index/databaseFirewall:DatabaseFirewall", "acme-firewall", id="f")
    verify = resource("command:remote:Command", "acme-verify", id="v")
    assert doubtful_firewalls(state(firewall, verify)) == []
    assert doubtful_firewalls(state(firewall)) == [firewall["urn"]]
    assert doubtful_firewalls(state(firewall, {**verify, "delete": True})) == [firewall["urn"]]
    assert doubtful_firewalls(state()) == []
