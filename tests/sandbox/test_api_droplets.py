"""Droplets and their actions."""

from __future__ import annotations

import asyncio
import socket
import threading
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest

from sandbox.api.faults import Fault
from sandbox.droplets.light import LightDroplets
from tests.sandbox.api import Client, new_droplet
from tests.waiting import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from sandbox.backends import Machine
    from sandbox.control import Control
    from sandbox.running import Running


def create(client: Client, **changes: object) -> int:
    """A droplet that is active; its id."""
    number: int = client.post("/v2/droplets", new_droplet(client, **changes), 202)["droplet"]["id"]
    eventually(lambda: show(client, number)["status"] == "active")
    return number


def show(client: Client, number: int) -> dict[str, Any]:
    droplet: dict[str, Any] = client.get(f"/v2/droplets/{number}")["droplet"]
    return droplet


def act(client: Client, number: int, kind: str, **arguments: object) -> dict[str, Any]:
    """An action that is done."""
    action = client.post(f"/v2/droplets/{number}/actions", {"type": kind, **arguments})["action"]
    return eventually(  # type: ignore[no-any-return]  # an action's JSON
        lambda: (done := client.get(f"/v2/actions/{action['id']}")["action"])["completed_at"] and done
    )


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """The backend does nothing until the event is set."""
    free = threading.Event()

    def held(original: Callable[[LightDroplets, Machine], Awaitable[None]]) -> object:
        async def wait(self: LightDroplets, machine: Machine) -> None:
            await asyncio.to_thread(free.wait, PATIENCE)
            await original(self, machine)

        return wait

    for name in ("create", "power_off", "destroy"):
        monkeypatch.setattr(LightDroplets, name, held(getattr(LightDroplets, name)))
    yield free
    free.set()


def test_a_new_droplet_is_new_without_address_then_active(meltano: Client, held: threading.Event) -> None:
    made = meltano.post("/v2/droplets", new_droplet(meltano), 202)
    droplet = made["droplet"]
    assert (droplet["status"], droplet["locked"], droplet["networks"]) == ("new", False, {"v4": [], "v6": []})
    assert len(str(droplet["id"])) == 9
    (link,) = made["links"]["actions"]
    assert meltano.get(f"/v2/actions/{link['id']}")["action"]["status"] == "in-progress"
    assert link["href"].endswith(f"/v2/actions/{link['id']}")
    held.set()
    eventually(lambda: show(meltano, droplet["id"])["status"] == "active")
    kinds = {network["type"] for network in show(meltano, droplet["id"])["networks"]["v4"]}
    assert kinds == {"public", "private"}
    assert meltano.get(f"/v2/actions/{link['id']}")["action"]["status"] == "completed"


def test_what_was_asked_for_is_answered(meltano: Client) -> None:
    vpc = meltano.post("/v2/vpcs", {"name": "tenants", "region": "nyc3"})["vpc"]["id"]
    droplet = show(meltano, create(meltano, vpc_uuid=vpc, monitoring=True, backups=True))
    assert droplet["name"] == "acme.meltanodata.com"
    assert droplet["size"]["slug"] == droplet["size_slug"] == "s-2vcpu-2gb"
    assert droplet["region"]["slug"] == "nyc3"
    assert droplet["tags"] == ["production"]
    assert droplet["vpc_uuid"] == vpc
    assert {"backups", "monitoring"} <= set(droplet["features"])
    assert "ipv6" not in droplet["features"]
    assert droplet["image"]["name"] == "Ubuntu meltano-123456789"
    assert (droplet["vcpus"], droplet["memory"], droplet["disk"]) == (2, 2048, 60)


def test_names_need_not_be_unique(meltano: Client) -> None:
    first, second = create(meltano), create(meltano)
    assert first != second
    found = meltano.get("/v2/droplets?name=acme.meltanodata.com")["droplets"]
    assert [droplet["id"] for droplet in found] == [first, second]


def test_several_at_once(meltano: Client) -> None:
    body = new_droplet(meltano, names=["a.meltanodata.com", "b.meltanodata.com"])
    del body["name"]
    made = meltano.post("/v2/droplets", body, 202)
    assert [droplet["name"] for droplet in made["droplets"]] == body["names"]
    assert len(made["links"]["actions"]) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "under_score"}, "Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)"),
        ({"name": ""}, "Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)"),
        ({"region": "mars1"}, "You specified an invalid region for Droplet creation."),
        ({"region": "nyc2"}, "You specified an invalid region for Droplet creation."),
        ({"region": "ams3"}, "The image you specified is not available in the selected region."),
        ({"size": "s-64vcpu"}, "You specified an invalid size for Droplet creation."),
        ({"size": "s-1vcpu-1gb"}, "The size you specified has a smaller disk than the image needs."),
        ({"image": 1}, "You specified an invalid image for Droplet creation."),
        ({"image": "no-such-slug"}, "You specified an invalid image for Droplet creation."),
        ({"ssh_keys": [1, "ab:cd"]}, "1, ab:cd are invalid key identifiers for Droplet creation."),
        ({"vpc_uuid": "5a4981aa-9653-4bd1-bef5-d6bff52042e4"}, "You specified invalid VPC parameters"),
        ({"volumes": ["6fe9d5e8-0e2b-4f4a-9bf7-7a5a1cd7f1ac"]}, "Invalid volume allocations"),
        ({"public_networking": False, "ipv6": True}, "IPv6 addresses are public"),
        ({"user_data": "x" * 65537}, "user_data is too large"),
        ({"backup_policy": {"plan": "daily"}}, "backup_policy can only be set when backups are enabled"),
        ({"backups": True, "backup_policy": {"plan": "hourly"}}, "invalid backup plan 'hourly'"),
        ({"backups": True, "backup_policy": {"plan": "daily", "hour": 3}}, "invalid backup hour 3"),
        ({"backups": True, "backup_policy": {"plan": "weekly", "weekday": "Monday"}}, "invalid backup weekday"),
        ({"backups": True, "backup_policy": {"plan": "daily", "weekday": "MON"}}, "invalid backup policy"),
        ({"tags": ["no spaces"]}, "Tag name 'no spaces' is invalid"),
    ],
)
def test_a_bad_request_is_refused_and_makes_nothing(meltano: Client, changes: dict[str, object], message: str) -> None:
    refused = meltano.post("/v2/droplets", new_droplet(meltano, **changes), 422)
    assert refused["id"] == "unprocessable_entity"
    assert refused["message"].startswith(message)
    assert meltano.get("/v2/droplets")["meta"]["total"] == 0
    assert meltano.get("/v2/tags")["tags"] == []


def test_keys_by_id_or_fingerprint_reach_the_machine(meltano: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    machines: list[Machine] = []

    async def create_(_: LightDroplets, machine: Machine) -> None:
        machines.append(machine)

    monkeypatch.setattr(LightDroplets, "create", create_)
    keys = meltano.get("/v2/account/keys")["ssh_keys"]
    create(meltano, ssh_keys=[keys[0]["id"], keys[1]["fingerprint"]])
    create(meltano, ssh_keys=None)
    assert machines[0].ssh_keys == tuple(key["public_key"] for key in keys)
    assert machines[1].ssh_keys == ()
    assert machines[0].address != machines[1].address


def test_a_team_holds_500(meltano: Client) -> None:
    body = new_droplet(meltano)
    del body["name"]
    for ten in range(50):
        meltano.post("/v2/droplets", body | {"names": [f"t{ten}-{one}.meltanodata.com" for one in range(10)]}, 202)
    refused = meltano.post("/v2/droplets", new_droplet(meltano), 422)
    assert refused["message"] == "creating this/these droplet(s) will exceed your droplet limit"
    eventually(lambda: {d["status"] for d in meltano.get("/v2/droplets?per_page=200")["droplets"]} == {"active"})
    first = meltano.get("/v2/droplets?per_page=1")["droplets"][0]["id"]
    meltano.delete(f"/v2/droplets/{first}")
    eventually(lambda: meltano.get("/v2/droplets?per_page=1")["meta"]["total"] == 499)
    meltano.post("/v2/droplets", new_droplet(meltano), 202)


def test_a_droplet_is_there_and_locked_until_its_machine_is_gone(meltano: Client, held: threading.Event) -> None:
    held.set()
    number = create(meltano)
    held.clear()
    meltano.delete(f"/v2/droplets/{number}")
    assert show(meltano, number)["locked"] is True
    assert meltano.delete(f"/v2/droplets/{number}", 422)["message"] == "Droplet already has a pending event."
    held.set()
    eventually(lambda: meltano.request("GET", f"/v2/droplets/{number}").status_code == 404)
    assert meltano.delete(f"/v2/droplets/{number}", 404)["id"] == "not_found"


def test_locked_while_an_action_runs(meltano: Client, held: threading.Event) -> None:
    held.set()
    number = create(meltano)
    held.clear()
    action = meltano.post(f"/v2/droplets/{number}/actions", {"type": "power_off"})["action"]
    assert (action["status"], action["completed_at"], action["resource_id"]) == ("in-progress", None, number)
    assert show(meltano, number)["locked"] is True
    refused = meltano.post(f"/v2/droplets/{number}/actions", {"type": "power_on"}, 422)
    assert refused["message"] == "Droplet already has a pending event."
    held.set()
    eventually(lambda: show(meltano, number)["locked"] is False)
    assert show(meltano, number)["status"] == "off"
    assert meltano.get(f"/v2/droplets/{number}/actions/{action['id']}")["action"]["status"] == "completed"


def test_resize_as_the_provider_does_it(meltano: Client) -> None:
    number = create(meltano)
    bigger = {"type": "resize", "size": "s-4vcpu-8gb", "disk": True}
    assert "powered off" in meltano.post(f"/v2/droplets/{number}/actions", bigger, 422)["message"]
    act(meltano, number, "power_off")
    act(meltano, number, "resize", size="s-4vcpu-8gb", disk=True)
    act(meltano, number, "power_on")
    droplet = show(meltano, number)
    assert (droplet["status"], droplet["size_slug"], droplet["disk"]) == ("active", "s-4vcpu-8gb", 160)
    act(meltano, number, "power_off")
    smaller = {"type": "resize", "size": "s-2vcpu-2gb", "disk": True}
    assert "smaller disk" in meltano.post(f"/v2/droplets/{number}/actions", smaller, 422)["message"]


def test_resize_without_disk_keeps_the_disk(meltano: Client) -> None:
    number = create(meltano)
    act(meltano, number, "power_off")
    act(meltano, number, "resize", size="s-4vcpu-8gb")
    assert show(meltano, number)["disk"] == 60


def test_rename_and_features(meltano: Client) -> None:
    number = create(meltano)
    act(meltano, number, "rename", name="other.meltanodata.com")
    act(meltano, number, "enable_backups")
    droplet = show(meltano, number)
    assert droplet["name"] == "other.meltanodata.com"
    assert "backups" in droplet["features"]
    act(meltano, number, "disable_backups")
    assert "backups" not in show(meltano, number)["features"]


def test_ipv6_comes_with_an_address_of_its_own(meltano: Client) -> None:
    without, with_it = create(meltano), create(meltano, ipv6=True)
    assert show(meltano, without)["networks"]["v6"] == []
    (network,) = show(meltano, with_it)["networks"]["v6"]
    assert (network["type"], network["netmask"], network["gateway"]) == ("public", 64, "2001:db8::1")
    act(meltano, without, "enable_ipv6")
    (other,) = show(meltano, without)["networks"]["v6"]
    assert IPv6Address(other["ip_address"]) != IPv6Address(network["ip_address"])
    assert "ipv6" in show(meltano, without)["features"]


def test_the_machine_sets_up_the_ipv6_address_that_it_was_made_with(
    meltano: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines: dict[int, Machine] = {}

    async def note(_: LightDroplets, machine: Machine) -> None:
        machines[machine.id] = machine

    for name in ("create", "power_on"):
        monkeypatch.setattr(LightDroplets, name, note)
    made_with, got_later = create(meltano, ipv6=True), create(meltano)
    assert machines[made_with].address6 == show(meltano, made_with)["networks"]["v6"][0]["ip_address"]
    act(meltano, got_later, "enable_ipv6")
    act(meltano, got_later, "power_cycle")
    assert machines[got_later].address6 is None


def test_a_droplet_without_public_networking_has_a_private_address_only(
    meltano: Client, control: Control, running: Running
) -> None:
    number = create(meltano, public_networking=False)
    (network,) = show(meltano, number)["networks"]["v4"]
    assert network["type"] == "private"
    (hidden,) = [droplet.address for droplet in control.droplets() if droplet.id == number]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((hidden, running.ssh_port), timeout=PATIENCE)
    assert meltano.post(f"/v2/droplets/{number}/actions", {"type": "enable_ipv6"}, 422)["id"] == "unprocessable_entity"


def test_private_addresses_are_of_the_network_and_of_one_droplet_each(meltano: Client) -> None:
    vpc = meltano.post("/v2/vpcs", {"name": "small", "region": "nyc3", "ip_range": "10.9.8.0/28"})["vpc"]["id"]
    made = [show(meltano, create(meltano, vpc_uuid=vpc)) for _ in range(13)]
    private = [network for d in made for network in d["networks"]["v4"] if network["type"] == "private"]
    assert len({network["ip_address"] for network in private}) == 13
    assert {network["netmask"] for network in private} == {"255.255.255.240"}
    assert all(IPv4Address(network["ip_address"]) in IPv4Network("10.9.8.0/28") for network in private)
    refused = meltano.post("/v2/droplets", new_droplet(meltano, vpc_uuid=vpc), 422)
    assert "no free address" in refused["message"]
    meltano.delete(f"/v2/droplets/{made[0]['id']}")
    eventually(lambda: meltano.get("/v2/droplets")["meta"]["total"] == 12)
    two = {**new_droplet(meltano, vpc_uuid=vpc), "name": None, "names": ["a.meltanodata.com", "b.meltanodata.com"]}
    meltano.post("/v2/droplets", two, 422)
    assert meltano.get("/v2/droplets")["meta"]["total"] == 12


def policy(client: Client, number: int) -> dict[str, Any]:
    record: dict[str, Any] = client.get(f"/v2/droplets/{number}/backups/policy")["policy"]
    assert client.get("/v2/droplets/backups/policies")["policies"][str(number)] == record
    return record


def test_a_backup_policy_is_kept_changed_and_ends_with_the_backups(meltano: Client) -> None:
    weekly = {"plan": "weekly", "weekday": "MON", "hour": 8}
    number = create(meltano, backups=True, backup_policy=weekly)
    kept = policy(meltano, number)
    assert kept["backup_policy"] == {**weekly, "window_length_hours": 4, "retention_period_days": 28}
    assert kept["next_backup_window"] == show(meltano, number)["next_backup_window"]
    assert datetime.fromisoformat(kept["next_backup_window"]["start"]).strftime("%a %H:%M") == "Mon 08:00"
    act(meltano, number, "change_backup_policy", backup_policy={"plan": "daily", "hour": 20})
    daily = {"plan": "daily", "hour": 20, "window_length_hours": 4, "retention_period_days": 7}
    assert policy(meltano, number)["backup_policy"] == daily
    act(meltano, number, "disable_backups")
    assert policy(meltano, number) == {"droplet_id": number, "backup_enabled": False}
    assert show(meltano, number)["next_backup_window"] is None
    act(meltano, number, "enable_backups", backup_policy=weekly)
    assert policy(meltano, number)["backup_policy"]["weekday"] == "MON"
    assert meltano.get(f"/v2/droplets/{number}/backups")["backups"] == []


def test_backups_without_a_policy_are_daily(meltano: Client) -> None:
    assert policy(meltano, create(meltano, backups=True))["backup_policy"]["plan"] == "daily"
    supported = meltano.get("/v2/droplets/backups/supported_policies")["supported_policies"]
    assert {one["name"] for one in supported} == {"daily", "weekly"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "backup_policy is required"),
        ({"backup_policy": {"plan": "daily"}}, "backup_policy can only be changed when backups are enabled"),
        ({"backup_policy": {"plan": "yearly"}}, "invalid backup plan"),
    ],
)
def test_a_policy_that_cannot_be_is_no_action(meltano: Client, body: dict[str, object], message: str) -> None:
    number = create(meltano)
    refused = meltano.post(f"/v2/droplets/{number}/actions", {"type": "change_backup_policy", **body}, 422)
    assert refused["message"].startswith(message)
    assert show(meltano, number)["locked"] is False


def take_snapshot(client: Client, number: int, name: str) -> dict[str, Any]:
    """A snapshot of a droplet; the provider finds it by the time at which the action began."""
    action = act(client, number, "snapshot", name=name)
    assert action["status"] == "completed"
    found = client.get(f"/v2/droplets/{number}/snapshots")["snapshots"]
    (made,) = [one for one in found if (one["name"], one["created_at"]) == (name, action["started_at"])]
    snapshot: dict[str, Any] = client.get(f"/v2/snapshots/{made['id']}")["snapshot"]
    return snapshot


def test_a_snapshot_is_an_image_of_the_droplets_disk_and_region(meltano: Client) -> None:
    number = create(meltano)
    snapshot = take_snapshot(meltano, number, "before the upgrade")
    assert (snapshot["resource_id"], snapshot["regions"]) == (str(number), ["nyc3"])
    assert snapshot["min_disk_size"] == 60
    assert show(meltano, number)["snapshot_ids"] == [int(snapshot["id"])]
    assert (show(meltano, number)["status"], show(meltano, number)["locked"]) == ("active", False)
    assert meltano.get(f"/v2/images/{snapshot['id']}")["image"]["type"] == "snapshot"
    too_small = meltano.post("/v2/droplets", new_droplet(meltano, image=int(snapshot["id"]), size="s-1vcpu-2gb"), 422)
    assert "smaller disk" in too_small["message"]
    meltano.delete(f"/v2/droplets/{number}")
    eventually(lambda: meltano.request("GET", f"/v2/droplets/{number}").status_code == 404)
    assert meltano.get(f"/v2/snapshots/{snapshot['id']}")["snapshot"]["name"] == "before the upgrade"


def test_a_droplet_that_is_off_is_snapshot_too_and_stays_off(meltano: Client) -> None:
    number = create(meltano)
    act(meltano, number, "power_off")
    take_snapshot(meltano, number, "asleep")
    assert show(meltano, number)["status"] == "off"


def test_a_droplet_of_a_snapshot_knows_its_keys_and_outlives_it(
    meltano: Client, running: Running, control: Control
) -> None:
    first_key, second_key = meltano.get("/v2/account/keys")["ssh_keys"]
    number = create(meltano, ssh_keys=[first_key["id"]])
    snapshot = take_snapshot(meltano, number, "golden")
    copy = create(meltano, image=int(snapshot["id"]), ssh_keys=[second_key["id"]], name="copy.meltanodata.com")
    meltano.delete(f"/v2/snapshots/{snapshot['id']}")
    act(meltano, copy, "power_cycle")
    addresses = {droplet.id: droplet.address for droplet in control.droplets()}
    keys = {n: host_key(addresses[n], running.ssh_port) for n in (number, copy)}
    assert keys[number] != keys[copy]
    again = meltano.post("/v2/droplets", new_droplet(meltano, image=int(snapshot["id"])), 422)
    assert again["message"] == "You specified an invalid image for Droplet creation."


def host_key(address: str, port: int) -> bytes:
    key = asyncio.run(asyncssh.get_server_host_key(address, port))
    assert key is not None
    return key.public_data


def test_a_snapshot_that_cannot_be_taken_leaves_no_image(
    meltano: Client, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: LightDroplets, machine: Machine, snapshot: int) -> int:
        raise OSError(f"no room for {snapshot} of {machine.name}")

    monkeypatch.setattr(LightDroplets, "take_snapshot", fail)
    number = create(meltano)
    assert act(meltano, number, "snapshot", name="never")["status"] == "errored"
    assert show(meltano, number)["snapshot_ids"] == []
    assert show(meltano, number)["locked"] is False
    assert "no room" in control.status().failures[0]


def test_a_snapshot_can_go_while_droplets_are_being_made_of_it(meltano: Client, held: threading.Event) -> None:
    held.set()
    snapshot = take_snapshot(meltano, create(meltano), "golden")
    held.clear()
    made = meltano.post("/v2/droplets", new_droplet(meltano, image=int(snapshot["id"])), 202)["droplet"]["id"]
    meltano.delete(f"/v2/images/{snapshot['id']}")
    held.set()
    eventually(lambda: show(meltano, made)["status"] == "active")


def test_reboot_ends_active(meltano: Client) -> None:
    number = create(meltano)
    assert act(meltano, number, "reboot")["status"] == "completed"
    assert show(meltano, number)["status"] == "active"
    act(meltano, number, "power_off")
    refused = meltano.post(f"/v2/droplets/{number}/actions", {"type": "reboot"}, 422)
    assert "currently powered off" in refused["message"]
    refused = meltano.post(f"/v2/droplets/{number}/actions", {"type": "power_off"}, 422)
    assert "Droplet is already powered off" in refused["message"]


def test_a_backend_that_fails_leaves_the_droplet_new(
    meltano: Client, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: LightDroplets, machine: Machine) -> None:
        raise OSError(f"no disk for {machine.name}")

    monkeypatch.setattr(LightDroplets, "create", fail)
    made = meltano.post("/v2/droplets", new_droplet(meltano), 202)
    action = made["links"]["actions"][0]["id"]
    eventually(lambda: meltano.get(f"/v2/actions/{action}")["action"]["status"] == "errored")
    assert show(meltano, made["droplet"]["id"])["status"] == "new"
    (failure,) = control.status().failures
    assert failure == f"droplet {made['droplet']['id']}: OSError: no disk for acme.meltanodata.com"


def test_a_stuck_droplet_never_becomes_active_but_can_be_deleted(meltano: Client, control: Control) -> None:
    control.add_fault(Fault(effect="stuck", method="POST", path="/v2/droplets"))
    stuck = meltano.post("/v2/droplets", new_droplet(meltano), 202)["droplet"]["id"]
    create(meltano)  # while this one does
    assert show(meltano, stuck)["status"] == "new"
    meltano.delete(f"/v2/droplets/{stuck}")
    eventually(lambda: meltano.request("GET", f"/v2/droplets/{stuck}").status_code == 404)


def test_a_droplet_outlives_its_image(meltano: Client) -> None:
    number = create(meltano)
    image = show(meltano, number)["image"]["id"]
    meltano.delete(f"/v2/images/{image}")
    assert show(meltano, number)["image"]["id"] == image


def test_a_team_sees_its_own_only(meltano: Client, running: Running) -> None:
    number = create(meltano)
    other = Client(running.api_url, running.teams["MeltanoData DBs 1"].token)
    assert other.get("/v2/droplets")["droplets"] == []
    other.get(f"/v2/droplets/{number}", 404)
    other.delete(f"/v2/droplets/{number}", 404)
    action = meltano.get(f"/v2/droplets/{number}/actions")["actions"][0]["id"]
    other.get(f"/v2/actions/{action}", 404)


def test_deleting_by_tag(meltano: Client) -> None:
    first, second = create(meltano), create(meltano, tags=["other"])
    meltano.delete("/v2/droplets?tag_name=production")
    eventually(lambda: meltano.request("GET", f"/v2/droplets/{first}").status_code == 404)
    assert show(meltano, second)["status"] == "active"
