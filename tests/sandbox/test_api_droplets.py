"""Droplets and their actions."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.api.faults import Fault
from sandbox.droplets.light import LightDroplets
from tests.sandbox.conftest import PATIENCE, Client, eventually, new_droplet

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
    vpc = "5a4981aa-9653-4bd1-bef5-d6bff52042e4"
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
        ({"public_networking": False}, "The sandbox's droplets all have a public address"),
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
