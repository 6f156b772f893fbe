"""The stand-in digitalocean plugin's resources on the sandbox's API, waits and faults included, on a virtual clock."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from sandbox.api.account import add_key
from sandbox.api.domains import add_domain
from sandbox.api.images import add_snapshot
from sandbox.plugins.digitalocean import PACKAGE
from sandbox.plugins.package import Call, Crashed, PartiallyDone, ProviderError
from tests.fakes.clock import run
from tests.unit.sandbox.plugins.digitalocean.harness import DOWN, TEAM, Kind, World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from sandbox.plugins.values import Properties

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGVzdCBrZXkgZm9yIHRlc3RzIG9ubHkgMTIzNDU2Nzg5 test"
CLUSTER: Properties = {
    "name": "db-postgresql-nyc3-12345-acme",
    "engine": "pg",
    "version": "16",
    "size": "db-s-1vcpu-1gb",
    "region": "nyc3",
    "nodeCount": 1,
    "tags": ["production"],
}
FAILING = httpx.Response(500, json={"id": "server_error", "message": "no"})


def in_world(work: Callable[[World], Awaitable[None]], folder: Path) -> None:
    """Run work in a team that has a domain, a key and a snapshot."""

    async def whole() -> None:
        world = World(folder)
        state = world.cloud.state
        add_domain(state, TEAM, "example.com")
        add_key(state, TEAM, "key", KEY)
        add_snapshot(state, TEAM, "Ubuntu meltano-1", "nyc3", droplet=1, min_disk_size=50)
        try:
            await work(world)
        finally:
            await world.close()

    run(whole())


def droplet(world: World, **more: Any) -> Properties:
    image = next(image for image in world.cloud.state.images if image.team == TEAM)
    keys = [str(key.id) for key in world.cloud.state.ssh_keys]
    return {
        "name": "acme.example.com",
        "image": str(image.id),
        "region": "nyc3",
        "size": "s-2vcpu-2gb",
        "sshKeys": keys,
        "tags": ["production"],
        **more,
    }


def test_an_error_is_logged_beside_being_returned(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        lines: list[tuple[str, str]] = []

        async def send(severity: str, text: str, ephemeral: bool) -> None:
            assert not ephemeral
            lines.append((severity, text))

        record = next(resource for resource in PACKAGE.resources if resource.token.endswith(":DnsRecord"))
        call = Call(world.client, "urn:pulumi:s::p::t::it", 0, send=send)
        with pytest.raises(ProviderError, match="404"):
            await record.create(call, {"domain": "nope.example", "type": "A", "name": "a", "value": "198.51.100.1"})
        ((severity, text),) = lines
        assert severity == "ERROR"
        assert text.startswith("sdk-v2/provider2.go:571: sdk.helper_schema: Failed to create record: POST http://")
        assert text.endswith("could not be found.: provider=digitalocean@4.76.1")

    in_world(work, tmp_path)


# -- droplets ------------------------------------------------------------------------------------------------------


def test_a_droplet_is_made_watched_read_and_removed(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        world.machines.seconds = 12
        thing = await Kind(world, "Droplet").create(droplet(world))
        assert world.requests == [
            (0, "POST", "/v2/droplets"),
            *((t, "GET", f"/v2/droplets/{thing.id}") for t in (10, 13)),
        ]
        assert thing.outputs["status"] == "active"
        assert thing.outputs["dropletUrn"] == f"do:droplet:{thing.id}"
        assert thing.outputs["ipv4Address"].startswith("127.")
        assert thing.outputs["sshKeys"] == droplet(world)["sshKeys"]
        assert thing.changes() == {}
        found = await thing.refresh()
        assert found is not None
        assert (found.id, found.state.outputs) == (thing.id, thing.outputs)
        assert found.state.inputs == thing.state.inputs
        world.requests.clear()
        world.machines.seconds = 5
        await thing.delete()
        start = 13
        assert [(time - start, method) for time, method, _ in world.requests] == [
            (10, "GET"),
            (10, "DELETE"),
            (20, "GET"),
        ]
        assert await thing.refresh() is None
        assert await thing.kind.find(thing.id) is None

    in_world(work, tmp_path)


def test_an_imported_droplet_is_that_of_the_program(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        made = await Kind(world, "Droplet").create(droplet(world))
        found = await made.kind.find(made.id)
        assert found is not None
        unknown = {"sshKeys": None, "gracefulShutdown": None}
        assert found.state.outputs == {**made.outputs, **unknown}
        plan = made.kind.resource.plan(found.state, made.state.inputs, ("image", "sshKeys"))
        assert plan.changes == {}

    in_world(work, tmp_path)


def test_a_new_size_takes_three_waits(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        thing = await Kind(world, "Droplet").create(droplet(world))
        world.requests.clear()
        thing = await thing.update(size="s-4vcpu-8gb")
        actions = rf"/v2/droplets/{thing.id}/actions"
        assert world.times("POST", actions) == [10, 20, 30]
        assert world.times("GET", rf"/v2/droplets/{thing.id}") == [20, 40, 40]
        assert world.times("GET", r"/v2/actions/\d+") == [30]
        assert (thing.outputs["size"], thing.outputs["status"]) == ("s-4vcpu-8gb", "active")

    in_world(work, tmp_path)


def test_a_size_that_is_refused_leaves_the_droplet_on(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        thing = await Kind(world, "Droplet").create(droplet(world))
        with pytest.raises(PartiallyDone, match=r"Error resizing droplet .* 422 .* You specified an invalid size"):
            await thing.update(size="s-nope")
        found = await thing.refresh()
        assert found is not None
        assert (found.state.outputs["size"], found.state.outputs["status"]) == ("s-2vcpu-2gb", "active")

    in_world(work, tmp_path)


def test_name_backups_ipv6_and_tags_change_in_place(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        thing = await Kind(world, "Droplet").create(droplet(world))
        thing = await thing.update(name="other.example.com")
        thing = await thing.update(backups=True)
        thing = await thing.update(ipv6=True)
        thing = await thing.update(tags=["a", "b"])
        names = ("name", "backups", "ipv6", "tags", "id")
        assert [thing.outputs[name] for name in names] == ["other.example.com", True, True, ["a", "b"], thing.id]
        assert (await thing.update(backups=False)).outputs["backups"] is False

    in_world(work, tmp_path)


def test_with_another_change_ipv6_is_forgotten(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        thing = await Kind(world, "Droplet").create(droplet(world))
        thing = await thing.update(name="other.example.com", ipv6=True)
        assert (thing.outputs["name"], thing.outputs["ipv6"]) == ("other.example.com", False)
        assert thing.changes() == {"ipv6": "UPDATE", "ipv6Address": "UPDATE"}

    in_world(work, tmp_path)


def test_a_droplet_that_does_not_become_ready_stays_in_the_state(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        world.answers = [("GET", "/v2/droplets/*", FAILING)]
        with pytest.raises(PartiallyDone) as caught:
            await Kind(world, "Droplet").create(droplet(world))
        assert caught.value.id.isdecimal()
        assert caught.value.outputs["status"] is None
        assert caught.value.outputs["name"] == "acme.example.com"
        assert str(caught.value).startswith(
            "creating urn:pulumi:s::p::digitalocean:index/droplet:Droplet::it: 1 error occurred:\n"
            f"\t* Error waiting for droplet ({caught.value.id}) to become ready: Error retrieving droplet: GET http"
        )
        assert [time for time, _, _ in world.requests] == [0, 10, 11, 13, 17, 25]

    in_world(work, tmp_path)


def test_a_custom_time_limit_ends_the_wait(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        world.machines.seconds = 1000
        with pytest.raises(PartiallyDone, match=r"to become ready: context deadline exceeded") as caught:
            await Kind(world, "Droplet").create(droplet(world), seconds=17)
        assert caught.value.outputs["status"] == "new"
        assert '"create":17000000000' in caught.value.outputs["__meta"]

    in_world(work, tmp_path)


def test_a_refused_droplet_is_none(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        with pytest.raises(
            ProviderError, match=r"^1 error occurred:\n\t\* Error creating droplet: POST .*: 422 "
        ) as caught:
            await Kind(world, "Droplet").create(droplet(world, region="nowhere"))
        assert not isinstance(caught.value, PartiallyDone)

    in_world(work, tmp_path)


def test_a_droplet_deleted_by_hand_cannot_be_deleted(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        thing = await Kind(world, "Droplet").create(droplet(world))
        await thing.delete()
        world.requests.clear()
        with pytest.raises(ProviderError, match="unexpected state 'Not Found', wanted target 'false'"):
            await thing.delete()
        assert [time for time, _, _ in world.requests] == [40]  # 10 after it was asked for

    in_world(work, tmp_path)


def test_a_refused_delete_is_swallowed_and_takes_a_minute(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        thing = await Kind(world, "Droplet").create(droplet(world))
        world.requests.clear()
        world.answers = [("DELETE", "/v2/droplets/*", httpx.Response(422, json={"message": "busy"}))]
        with pytest.raises(ProviderError, match="Error deleting droplet: context deadline exceeded"):
            await thing.delete()
        assert [time - 10 for time, _, _ in world.requests] == [10, 10, 20, 23, 29, 39, 49, 59]
        assert await thing.refresh() is not None

    in_world(work, tmp_path)


def test_a_slow_delete_runs_into_the_limit_and_succeeds_next_time(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        thing = await Kind(world, "Droplet").create(droplet(world))
        world.machines.seconds = 65
        with pytest.raises(ProviderError, match="context deadline exceeded"):
            await thing.delete()
        with pytest.raises(ProviderError, match="unexpected state 'Not Found'"):
            await thing.delete()
        assert await thing.refresh() is None

    in_world(work, tmp_path)


def test_an_api_that_cannot_be_reached_kills_the_plugin_as_it_deletes(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        thing = await Kind(world, "Droplet").create(droplet(world))
        world.answers = [("DELETE", "*", DOWN)]
        with pytest.raises(Crashed):
            await thing.delete()

    in_world(work, tmp_path)


# -- records and domains -------------------------------------------------------------------------------------------

RECORD: Properties = {"domain": "example.com", "type": "A", "name": "acme", "value": "198.18.0.1", "ttl": 3600}


def test_a_record_lives_and_dies(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        thing = await Kind(world, "DnsRecord").create(RECORD)
        assert thing.outputs == {
            **RECORD,
            "id": thing.id,
            "fqdn": "acme.example.com",
            **dict.fromkeys(("port", "priority", "weight", "flags"), 0),
            "tag": "",
        }
        assert thing.changes() == {}
        thing = await thing.update(value="198.18.0.2", ttl=60)
        found = await thing.kind.find(f"example.com,{thing.id}")
        assert found is not None
        assert (found.id, found.state.outputs) == (thing.id, thing.outputs)
        assert found.state.inputs == {**RECORD, "value": "198.18.0.2", "ttl": 60, "__defaults": []}
        await thing.delete()
        assert await thing.refresh() is None
        await thing.delete()  # one that is gone is fine
        assert await thing.kind.find(f"example.com,{thing.id}") is None
        assert await thing.kind.find("example.com,x") is None

    in_world(work, tmp_path)


def test_a_record_of_a_host_s_name_has_its_dot(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        thing = await Kind(world, "DnsRecord").create({**RECORD, "type": "CNAME", "value": "acme.example.com."})
        assert thing.outputs["value"] == "acme.example.com."
        assert thing.changes() == {}

    in_world(work, tmp_path)


def test_a_record_in_no_domain(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        with pytest.raises(ProviderError, match=r"Failed to create record: POST .*/v2/domains/nope.com/records: 404 "):
            await Kind(world, "DnsRecord").create({**RECORD, "domain": "nope.com"})

    in_world(work, tmp_path)


def test_a_domain_that_is_gone_cannot_be_deleted(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        thing = await Kind(world, "Domain").create({"name": "new.example"})
        assert thing.outputs["domainUrn"] == "do:domain:new.example"
        await thing.delete()
        with pytest.raises(ProviderError, match=r"Error deleting Domain: DELETE .*: 404"):
            await thing.delete()

    in_world(work, tmp_path)


# -- databases -----------------------------------------------------------------------------------------------------


def test_a_cluster_is_looked_at_every_fifteen_seconds(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        thing = await Kind(world, "DatabaseCluster").create(CLUSTER)
        assert [(time, method) for time, method, _ in world.requests] == [(0, "POST"), (15, "GET"), (15, "GET")]
        outputs = thing.outputs
        assert outputs["clusterUrn"] == f"do:dbaas:{thing.id}"
        assert (outputs["port"], outputs["user"], outputs["database"]) == (25060, "doadmin", "defaultdb")
        assert f"doadmin:{outputs['password']}@{outputs['host']}:25060" in outputs["uri"]
        assert outputs["tags"] == ["production"]
        assert thing.changes() == {}
        found = await thing.refresh()
        assert found is not None
        assert (found.state.outputs, found.state.inputs) == (outputs, {key: thing.state.inputs[key] for key in CLUSTER})
        await thing.delete()
        assert await thing.refresh() is None
        with pytest.raises(ProviderError, match=r"Error deleting database cluster: DELETE .*: 404"):
            await thing.delete()

    in_world(work, tmp_path)


def test_an_imported_cluster_has_no_password_in_its_uri(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        made = await Kind(world, "DatabaseCluster").create(CLUSTER)
        found = await made.kind.find(made.id)
        assert found is not None
        outputs = found.state.outputs
        assert "doadmin:@" in outputs["uri"]
        assert outputs["password"] == made.outputs["password"]
        assert made.kind.resource.plan(found.state, made.state.inputs, ()).changes == {}

    in_world(work, tmp_path)


def test_a_cluster_is_resized_migrated_and_upgraded(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        thing = await Kind(world, "DatabaseCluster").create(CLUSTER)
        world.requests.clear()
        thing = await thing.update(size="db-s-1vcpu-2gb", region="ams3", version="17", tags=["a"])
        path = f"/v2/databases/{thing.id}"
        assert world.requests == [
            (15, "PUT", f"{path}/resize"),
            (30, "GET", path),
            (30, "PUT", f"{path}/migrate"),
            (45, "GET", path),
            (45, "PUT", f"{path}/upgrade"),
            (45, "DELETE", "/v2/tags/production/resources"),
            (45, "POST", "/v2/tags"),
            (45, "POST", "/v2/tags/a/resources"),
            (45, "GET", path),
        ]
        changed = [thing.outputs[name] for name in ("size", "region", "tags")]
        assert changed == ["db-s-1vcpu-2gb", "ams3", ["a"]]

    in_world(work, tmp_path)


def test_a_cluster_whose_wait_fails_is_an_orphan(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        world.answers = [("GET", "/v2/databases/*", FAILING)]
        with pytest.raises(ProviderError, match="Error creating database cluster: Error trying to read") as caught:
            await Kind(world, "DatabaseCluster").create(CLUSTER)
        assert not isinstance(caught.value, PartiallyDone)
        assert [cluster.name for cluster in world.cloud.state.databases] == [CLUSTER["name"]]

    in_world(work, tmp_path)


def test_an_api_that_cannot_be_reached_kills_the_plugin_as_it_waits(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        world.answers = [("GET", "/v2/databases/*", DOWN)]
        with pytest.raises(Crashed):
            await Kind(world, "DatabaseCluster").create(CLUSTER)
        assert [cluster.name for cluster in world.cloud.state.databases] == [CLUSTER["name"]]

    in_world(work, tmp_path)


def test_a_cluster_that_never_comes_up(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        body = {"database": {"status": "creating"}}
        world.answers = [("GET", "/v2/databases/*", httpx.Response(200, json=body))]
        with pytest.raises(ProviderError, match="Timeout waiting to database cluster to become online"):
            await Kind(world, "DatabaseCluster").create(CLUSTER)
        assert world.times("GET", r"/v2/databases/[^/]+")[-1] == 121 * 15
        world.requests.clear()
        with pytest.raises(ProviderError, match="Timeout waiting"):
            await Kind(world, "DatabaseCluster").create({**CLUSTER, "name": "other"}, seconds=40)
        assert [time - 1815 for time in world.times("GET", r"/v2/databases/[^/]+")] == [15, 30, 45]

    in_world(work, tmp_path)


def test_a_cluster_not_found_while_waiting_is_waited_for(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        world.answers = [("GET", "/v2/databases/*", httpx.Response(404, json={"message": "no"}))]
        waiting = asyncio.create_task(Kind(world, "DatabaseCluster").create(CLUSTER))
        await asyncio.sleep(4000)
        world.answers = []
        assert (await waiting).outputs["engine"] == "pg"

    in_world(work, tmp_path)


def test_a_cluster_gone_while_it_is_resized(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        thing = await Kind(world, "DatabaseCluster").create(CLUSTER)
        await thing.delete()
        with pytest.raises(ProviderError, match="Resource provider reported that the resource did not exist"):
            await thing.update(nodeCount=2)

    in_world(work, tmp_path)


def test_a_firewall_is_a_whole_list(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        cluster = await Kind(world, "DatabaseCluster").create(CLUSTER)
        rules = [{"type": "ip_addr", "value": "198.18.0.1"}]
        thing = await Kind(world, "DatabaseFirewall").create({"clusterId": cluster.id, "rules": rules})
        assert thing.id.startswith(f"{cluster.id}-")
        assert [rule["value"] for rule in thing.outputs["rules"]] == ["198.18.0.1"]
        assert thing.outputs["rules"][0]["uuid"]
        assert thing.changes() == {}
        thing = await thing.update(rules=[*rules, {"type": "ip_addr", "value": "198.18.0.2"}])
        assert sorted(rule["value"] for rule in thing.outputs["rules"]) == ["198.18.0.1", "198.18.0.2"]
        found = await thing.kind.find(cluster.id)
        assert found is not None
        assert found.id not in (thing.id, cluster.id)
        assert found.state.outputs["rules"] == thing.outputs["rules"]
        assert thing.kind.resource.plan(found.state, thing.state.inputs, ()).changes == {}
        await thing.delete()
        found = await thing.refresh()
        assert found is not None
        assert found.state.outputs["rules"] == []
        await cluster.delete()
        assert await thing.refresh() is None
        with pytest.raises(ProviderError, match=r"Error deleting DatabaseFirewall: PUT .*: 404"):
            await thing.delete()

    in_world(work, tmp_path)


# -- projects, tags, keys ------------------------------------------------------------------------------------------


def test_resources_move_to_a_project_and_back(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        project = await Kind(world, "Project").create({"name": "Other"})
        names = ("a.example.com", "b.example.com")
        urns = [
            (await Kind(world, "Droplet").create(droplet(world, name=name))).outputs["dropletUrn"] for name in names
        ]
        thing = await Kind(world, "ProjectResources").create({"project": project.id, "resources": urns[:1]})
        assert (thing.id, thing.outputs["resources"]) == (project.id, urns[:1])
        assert thing.changes() == {}
        thing = await thing.update(resources=urns[1:])
        assert thing.outputs["resources"] == urns[1:]
        found = await project.refresh()
        assert found is not None
        assert found.state.outputs["resources"] == urns[1:]
        assert await thing.kind.find(project.id) is None
        await thing.delete()
        found = await thing.refresh()
        assert found is not None
        assert found.state.outputs["resources"] == []
        await project.delete()
        await thing.delete()  # with its project gone there is nothing to do
        assert await thing.refresh() is None
        with pytest.raises(ProviderError, match="expected non-nil error with nil state"):
            await thing.kind.create({"project": project.id, "resources": urns})

    in_world(work, tmp_path)


def test_a_project_changes_in_place(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        thing = await Kind(world, "Project").create({"name": "Other", "environment": "production"})
        assert thing.changes() == {}
        thing = await thing.update(description="words", purpose="Service or API")
        assert (thing.outputs["description"], thing.outputs["purpose"]) == ("words", "Service or API")
        found = await thing.kind.find(thing.id)
        assert found is not None
        assert found.state.outputs == thing.outputs

    in_world(work, tmp_path)


def test_tags_and_keys(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        tag = await Kind(world, "Tag").create({"name": "staging"})
        assert (tag.id, tag.outputs["totalResourceCount"]) == ("staging", 0)
        assert tag.changes() == {}
        key = await Kind(world, "SshKey").create({"name": "mine", "publicKey": KEY.replace("MTIz", "MTIy")})
        assert key.changes(publicKey=KEY.replace("MTIz", "MTIy") + "\n") == {}
        key = await key.update(name="yours")
        assert key.outputs["name"] == "yours"
        for thing in (tag, key):
            found = await thing.kind.find(thing.id)
            assert found is not None
            assert found.state.outputs == thing.outputs
            await thing.delete()
            assert await thing.refresh() is None
            with pytest.raises(ProviderError, match="404"):
                await thing.delete()

    in_world(work, tmp_path)


# -- functions -----------------------------------------------------------------------------------------------------


def invoke(world: World, name: str, /, **inputs: Any) -> Awaitable[Properties]:
    function = next(item for item in PACKAGE.functions if item.token.endswith(f":{name}"))
    defaults = {key: field.default for key, field in function.inputs.items() if field.default is not None}
    return function.invoke(Call(world.client, "", 0), {**defaults, **inputs})


def test_a_snapshot_is_found_by_pattern(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        find = r"^Ubuntu meltano-\d+$"
        only = await invoke(world, "getDropletSnapshot", nameRegex=find)
        assert (only["name"], only["minDiskSize"], only["regions"]) == ("Ubuntu meltano-1", 50, ["nyc3"])
        newer = add_snapshot(world.cloud.state, TEAM, "Ubuntu meltano-2", "nyc3", droplet=1, min_disk_size=50)
        newer.created_at = "2999-01-01T00:00:00Z"
        world.cloud.state.images.put(newer)
        with pytest.raises(ProviderError, match=r"too many Droplet snapshots found with name  \(found 2, expected 1\)"):
            await invoke(world, "getDropletSnapshot", nameRegex=find)
        found = await invoke(world, "getDropletSnapshot", nameRegex=find, mostRecent=True)
        assert (found["id"], found["name"]) == (str(newer.id), "Ubuntu meltano-2")
        assert (await invoke(world, "getDropletSnapshot", name="Ubuntu meltano-1"))["id"] == only["id"]
        for wrong, reason in (
            ({"nameRegex": "nope"}, "No DROPLET snapshot found with name"),
            ({"nameRegex": find, "region": "ams3"}, "No DROPLET snapshot found"),
            ({}, "One of `name` or `name_regex` must be assigned"),
            ({"nameRegex": "("}, "error parsing regexp"),
        ):
            with pytest.raises(ProviderError, match=reason):
                await invoke(world, "getDropletSnapshot", **wrong)

    in_world(work, tmp_path)


def test_keys_and_projects_are_found(tmp_path: Path) -> None:
    async def work(world: World) -> None:
        keys = await invoke(world, "getSshKeys")
        assert [(key["name"], key["publicKey"]) for key in keys["sshKeys"]] == [("key", KEY)]
        by_name = await invoke(world, "getProject", name="Meltano")
        assert by_name == await invoke(world, "getProject")
        assert by_name == await invoke(world, "getProject", id=world.project.id)
        assert by_name["isDefault"] is True
        with pytest.raises(ProviderError, match="No projects found with name 'nope'"):
            await invoke(world, "getProject", name="nope")

    in_world(work, tmp_path)
