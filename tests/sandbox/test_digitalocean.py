"""The engine with the digitalocean plugin on the sandbox's API.

With MELTANODATA_OFFICIAL_PLUGINS the same tests run with the official plugin. Waits are real.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.api.faults import Fault
from sandbox.api.messages import NewSnapshot
from tests.sandbox.programs import SECONDS
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.control import Control
    from sandbox.running import Running
    from tests.sandbox.api import Client
    from tests.sandbox.programs import Program

NO_CHANGES_EXPECTED = 7
"""The exit code where changes were found."""
TEAMS = {"Meltano": "meltano", "MeltanoData DBs 1": "dbs"}

HEAD = """
import json
import pathlib

import pulumi
import pulumi_digitalocean as do
from pulumi import ResourceOptions

given = json.loads(pathlib.Path("given.json").read_text())


def team(name):
    token = pulumi.Output.secret(given["tokens"][name])
    provider = do.Provider(name, token=token, api_endpoint=given["api"], http_retry_wait_min=0.1)
    return {"provider": provider}


meltano = team("meltano")
dbs = team("dbs")
"""

# Objects of both teams; `given` has the arguments that the tests change.
OBJECTS = """
snapshot = do.get_droplet_snapshot(
    name_regex=r"^Ubuntu meltano-\\d+$", region="nyc3", most_recent=True, opts=pulumi.InvokeOptions(**meltano)
)
keys = do.get_ssh_keys(opts=pulumi.InvokeOptions(**meltano))
project = do.get_project(name="Meltano", opts=pulumi.InvokeOptions(**meltano))
ids = given.get("import", {})


def options(team, name, **more):
    return ResourceOptions(**team, import_=ids.get(name), **more)


droplet = do.Droplet(
    "droplet",
    **{
        "name": "acme.meltanodata.com",
        "image": snapshot.id,
        "region": "nyc3",
        "size": "s-2vcpu-2gb",
        "ssh_keys": [str(key.id) for key in keys.ssh_keys],
        "tags": ["production"],
        **given.get("droplet", {}),
    },
    opts=options(meltano, "droplet", ignore_changes=["image", "sshKeys"]),
)
assigned = do.ProjectResources(
    "assigned", project=project.id, resources=[droplet.droplet_urn], opts=options(meltano, "assigned")
)
record = do.DnsRecord(
    "record",
    **{
        "domain": "meltanodata.com",
        "type": "A",
        "name": "acme",
        "ttl": 3600,
        "value": droplet.ipv4_address,
        **given.get("record", {}),
    },
    opts=options(meltano, "record"),
)
cluster = do.DatabaseCluster(
    "cluster",
    **{
        "name": "db-postgresql-nyc3-12345-acme",
        "engine": "pg",
        "version": "16",
        "size": "db-s-1vcpu-1gb",
        "region": "nyc3",
        "node_count": 1,
        "tags": ["production"],
        **given.get("cluster", {}),
    },
    opts=options(dbs, "cluster", ignore_changes=["version"]),
)
firewall = do.DatabaseFirewall(
    "firewall",
    cluster_id=cluster.id,
    rules=[{"type": "ip_addr", "value": address} for address in [droplet.ipv4_address, *given.get("sources", [])]],
    opts=options(dbs, "firewall", deleted_with=cluster),
)
pulumi.export("address", droplet.ipv4_address)
pulumi.export("password", cluster.password)
pulumi.export("uri", cluster.uri)
"""


class Stack:
    """A program whose arguments are in a file beside it."""

    def __init__(self, program: Program, running: Running) -> None:
        self.pulumi = program
        self._given: dict[str, Any] = {
            "api": running.api_url,
            "tokens": {TEAMS[name]: access.token for name, access in running.teams.items() if name in TEAMS},
        }

    def __call__(self, body: str, **given: Any) -> Program:
        """Make this the program, with these arguments."""
        self.pulumi.write(HEAD + body)
        (self.pulumi.folder / "given.json").write_text(json.dumps({**self._given, **given}))
        return self.pulumi


@pytest.fixture
def stack(program: Program, running: Running, control: Control) -> Iterator[Stack]:
    """A stack; what its tests leave in the API goes at the end."""
    yield Stack(program, running)
    control.clear_faults()
    control.reset()


def names(api: Client, path: str, key: str) -> list[str]:
    """The names of a list's objects."""
    return [item["name"] for item in api.get(f"{path}?per_page=200")[key]]


def test_objects_of_two_teams_are_made_kept_changed_and_removed(
    stack: Stack, control: Control, meltano: Client, dbs: Client
) -> None:
    program = stack(OBJECTS)
    started = time.time()
    said = program.up()
    outputs = program.outputs()
    state = program.state()
    for secret in (outputs["password"], outputs["uri"]):
        assert secret not in said
        assert secret not in state
    assert outputs["password"] in outputs["uri"]

    # Each team's token is used for that team's objects alone.
    asked = {(seen.team, seen.path.split("/")[2]) for seen in control.requests(started)}
    droplet_team, database_team = TEAMS
    assert {path for team, path in asked if team == database_team} == {"databases"}
    assert "databases" not in {path for team, path in asked if team == droplet_team}

    program.unchanged()
    program.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    program.pulumi("preview", "--refresh", "--expect-no-changes")

    # A newer snapshot and one more key are for new droplets.
    control.add_snapshot(NewSnapshot(team=droplet_team, name="Ubuntu meltano-999999999", region="nyc3"))
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGVzdCBrZXkgZm9yIHRlc3RzIG9ubHkgMTIzNDU2Nzg5 test"
    meltano.post("/v2/account/keys", {"name": "new", "public_key": key})
    program.unchanged()

    replaced = {"droplet": {"monitoring": True}, "cluster": {"project_id": "11111111-1111-4111-8111-111111111111"}}
    assert {name for op, name in stack(OBJECTS, **replaced).plan() if op == "replace"} >= {"droplet", "cluster"}
    in_place = {
        "droplet": {"tags": ["production", "paying"]},
        "record": {"ttl": 60},
        "cluster": {"size": "db-s-1vcpu-2gb", "tags": ["production", "paying"]},
        "sources": ["198.51.100.7"],
    }
    program = stack(OBJECTS, **in_place)
    assert set(program.plan()) == {("update", name) for name in ("droplet", "record", "cluster", "firewall")}
    program.up()
    program.unchanged()
    (droplet,) = meltano.get("/v2/droplets")["droplets"]
    (cluster,) = dbs.get("/v2/databases")["databases"]
    assert sorted(droplet["tags"]) == sorted(cluster["tags"]) == ["paying", "production"]
    assert cluster["size"] == "db-s-1vcpu-2gb"
    rules = dbs.get(f"/v2/databases/{cluster['id']}/firewall")["rules"]
    assert {rule["value"] for rule in rules} == {outputs["address"], "198.51.100.7"}

    # Somebody changes things by hand: a refresh shows it, the next update puts it back.
    record_id = program.resources()["record"]["id"]
    record = f"/v2/domains/meltanodata.com/records/{record_id}"
    meltano.put(record, {"type": "A", "data": "198.51.100.1"})
    program.pulumi("refresh", "--preview-only", "--expect-no-changes", status=NO_CHANGES_EXPECTED)
    program.pulumi("up", "--yes", "--skip-preview", "--refresh")
    assert meltano.get(record)["domain_record"]["data"] == outputs["address"]
    program.unchanged()

    started = time.time()
    program.pulumi("destroy", "--yes", "--skip-preview")
    assert program.resources() == {}
    assert names(meltano, "/v2/droplets", "droplets") == names(dbs, "/v2/databases", "databases") == []
    # Nothing opened the database before it went.
    assert not any(seen.method == "PUT" for seen in control.requests(started))


def test_existing_objects_are_imported(stack: Stack, program: Program, meltano: Client, dbs: Client) -> None:
    first = stack(OBJECTS)
    first.up()
    kept = first.resources()
    first.pulumi("stack", "init", "other")
    ids = {name: kept[name]["id"] for name in ("droplet", "cluster")}
    ids |= {"record": f"meltanodata.com,{kept['record']['id']}", "firewall": ids["cluster"]}
    second = stack(OBJECTS, **{"import": ids})
    second.up()
    second.unchanged()
    stack(OBJECTS).unchanged()
    taken = second.resources()
    for name in ("droplet", "record", "cluster"):
        assert taken[name]["id"] == kept[name]["id"]
    assert len(meltano.get("/v2/droplets")["droplets"]) == len(dbs.get("/v2/databases")["databases"]) == 1
    assert program.outputs()["password"]
    second.pulumi("destroy", "--yes", "--skip-preview")
    assert names(meltano, "/v2/droplets", "droplets") == names(dbs, "/v2/databases", "databases") == []


def test_an_import_of_nothing_is_refused(stack: Stack) -> None:
    said = stack(OBJECTS, **{"import": {"droplet": "1", "cluster": "1-2-3"}}).up(status=1)
    assert "does not exist" in said


DROPLET = """
snapshot = do.get_droplet_snapshot(name_regex="^Ubuntu", opts=pulumi.InvokeOptions(**meltano))
droplet = do.Droplet(
    "droplet", name="acme.meltanodata.com", image=snapshot.id, size="s-2vcpu-2gb", region="nyc3",
    opts=ResourceOptions(**meltano),
)
"""
CLUSTER = """
cluster = do.DatabaseCluster(
    "cluster", name="db-acme", engine="pg", version="16", size="db-s-1vcpu-1gb", region="nyc3", node_count=1,
    opts=ResourceOptions(**dbs),
)
"""
RECORD = """
record = do.DnsRecord(
    "record", domain="meltanodata.com", type="A", name="acme", value="198.51.100.1", ttl=3600,
    opts=ResourceOptions(**meltano),
)
"""


def test_a_droplet_that_failed_to_come_up_is_not_made_twice(stack: Stack, control: Control, meltano: Client) -> None:
    control.add_fault(Fault(effect="status", status=500, method="GET", path="/v2/droplets/*", times=5))
    said = stack(DROPLET).up(status=1)
    assert "Error waiting for droplet" in said
    assert "500" in said
    (droplet,) = meltano.get("/v2/droplets")["droplets"]
    assert stack.pulumi.resources()["droplet"]["id"] == str(droplet["id"])
    stack.pulumi.up()
    assert [item["id"] for item in meltano.get("/v2/droplets")["droplets"]] == [droplet["id"]]
    stack.pulumi.unchanged()
    assert stack.pulumi.resources()["droplet"]["outputs"]["status"] == "active"


def test_a_connection_lost_while_waiting_kills_the_plugin_and_orphans_the_cluster(
    stack: Stack, control: Control, dbs: Client
) -> None:
    control.add_fault(Fault(effect="reset", method="GET", path="/v2/databases/*", times=None))
    said = stack(CLUSTER).up(status=1)
    assert "EOF" in said
    control.clear_faults()
    assert names(dbs, "/v2/databases", "databases") == ["db-acme"]
    assert "cluster" not in stack.pulumi.resources()


def test_a_wait_for_a_cluster_that_fails_orphans_it(stack: Stack, control: Control, dbs: Client) -> None:
    control.add_fault(Fault(effect="status", status=502, method="GET", path="/v2/databases/*", times=5))
    said = stack(CLUSTER).up(status=1)
    assert "Error trying to read database cluster state" in said
    assert names(dbs, "/v2/databases", "databases") == ["db-acme"]
    assert "cluster" not in stack.pulumi.resources()


def test_a_droplet_deleted_by_hand_stops_the_destroy_until_a_refresh(
    stack: Stack, control: Control, meltano: Client
) -> None:
    stack(DROPLET).up()
    (droplet,) = meltano.get("/v2/droplets")["droplets"]
    meltano.delete(f"/v2/droplets/{droplet['id']}")
    eventually(lambda: not control.droplets())
    said = stack.pulumi.pulumi("destroy", "--yes", "--skip-preview", status=1)
    assert "Error waiting for droplet to be unlocked for destroy" in said
    stack.pulumi.pulumi("destroy", "--yes", "--skip-preview", "--refresh")
    assert stack.pulumi.resources() == {}


def test_an_api_in_trouble_is_asked_again(stack: Stack, control: Control, meltano: Client) -> None:
    paths = ("/v2/domains/*", "/v2/domains/*/records")
    control.add_fault(Fault(effect="status", status=429, retry_after=1, method="POST", path=paths[1], times=2))
    control.add_fault(Fault(effect="status", status=503, method="POST", path=paths[1], times=1))
    control.add_fault(Fault(effect="reset", method="GET", path=paths[0], times=1))
    stack(RECORD).up()
    assert "acme" in names(meltano, "/v2/domains/meltanodata.com/records", "domain_records")
    stack.pulumi.unchanged()


def test_a_create_that_answers_with_an_error_is_made_twice(stack: Stack, control: Control, meltano: Client) -> None:
    path = "/v2/domains/*/records"
    control.add_fault(Fault(effect="status", status=500, method="POST", path=path, times=1, after_work=True))
    stack(RECORD).up()
    assert names(meltano, "/v2/domains/meltanodata.com/records", "domain_records").count("acme") == 2


def test_an_api_that_stays_in_trouble_is_an_error(stack: Stack, control: Control) -> None:
    control.add_fault(Fault(effect="status", status=500, method="POST", path="/v2/domains/*/records", times=None))
    said = stack(RECORD).up(status=1)
    assert "Failed to create record: POST" in said
    assert "giving up after 5 attempt(s)" in said
    assert "record" not in stack.pulumi.resources()
    control.clear_faults()
    stack.pulumi.up()
    stack.pulumi.unchanged()


def test_a_token_that_is_refused_is_an_error(stack: Stack) -> None:
    said = stack(RECORD, tokens={"meltano": "dop_v1_wrong", "dbs": "dop_v1_wrong"}).up(status=1)
    assert "401" in said
    assert "Unable to authenticate you" in said
    assert "dop_v1_wrong" not in said


def test_wrong_inputs_are_refused_before_anything_is_made(stack: Stack, control: Control) -> None:
    started = time.time()
    said = stack(RECORD.replace('type="A"', 'type="B"').replace("3600", "0")).up(status=1)
    assert "expected type to be one of" in said
    assert "expected ttl to be at least (1), got 0" in said
    assert control.requests(started) == []


def test_a_killed_engine_s_work_stops(stack: Stack, control: Control, meltano: Client) -> None:
    program = stack(DROPLET)
    with program.start("up", "--yes", "--skip-preview") as engine:
        eventually(control.droplets, SECONDS)  # the API itself would refuse to be asked so often
        engine.kill()
    killed = time.time()
    (orphan,) = meltano.get("/v2/droplets")["droplets"]
    program.pulumi("cancel", "--yes")
    # The next one takes longer than the first look at the orphan would have: nobody looks.
    program.up()
    asked = [seen.path for seen in control.requests(killed) if seen.method == "GET"]
    assert f"/v2/droplets/{orphan['id']}" not in asked
    assert len(meltano.get("/v2/droplets")["droplets"]) == 2
