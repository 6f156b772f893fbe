"""The account, its keys, and its images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.api.messages import NewSnapshot

if TYPE_CHECKING:
    from sandbox.control import Control
    from tests.sandbox.api import Client

# Made, and its fingerprint said, by ssh-keygen.
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINv08Lot7M5825Ko+DFDkKH3MaztHA+55UriHo6QdH6a"


def test_the_account(meltano: Client, dbs: Client) -> None:
    account = meltano.get("/v2/account")["account"]
    assert (account["droplet_limit"], account["status"]) == (500, "active")
    assert dbs.get("/v2/account")["account"]["team"]["name"] == "MeltanoData DBs 1"


def test_a_key_comes_changes_and_goes(meltano: Client) -> None:
    made = meltano.post("/v2/account/keys", {"name": "new", "public_key": f"{KEY} me@here\n"})["ssh_key"]
    assert made["fingerprint"] == "50:ad:19:a3:3e:81:36:92:9c:9b:48:98:4a:be:9a:71"
    assert made["public_key"] == f"{KEY} me@here"
    for identifier in (made["id"], made["fingerprint"]):
        assert meltano.get(f"/v2/account/keys/{identifier}")["ssh_key"] == made
    renamed = meltano.put(f"/v2/account/keys/{made['id']}", {"name": "newer"})["ssh_key"]
    assert renamed == made | {"name": "newer"}
    again = meltano.post("/v2/account/keys", {"name": "twice", "public_key": KEY}, 422)
    assert again["message"] == "SSH Key is already in use on your account"
    meltano.delete(f"/v2/account/keys/{made['fingerprint']}")
    meltano.get(f"/v2/account/keys/{made['id']}", 404)


@pytest.mark.parametrize(
    "key",
    ["", "nonsense", "ssh-ed25519", "ssh-ed25519 !!!!", "ssh-rsa " + KEY.split()[1], "ssh-dss AAAAB3NzaC1kc3M="],
)
def test_a_bad_key(meltano: Client, key: str) -> None:
    meltano.post("/v2/account/keys", {"name": "new", "public_key": key}, 422)
    meltano.post("/v2/account/keys", {"name": " ", "public_key": KEY}, 422)
    assert meltano.get("/v2/account/keys")["meta"]["total"] == 2


def test_keys_are_a_teams_own(meltano: Client, dbs: Client) -> None:
    key = meltano.get("/v2/account/keys")["ssh_keys"][0]["id"]
    assert dbs.get("/v2/account/keys")["ssh_keys"] == []
    dbs.get(f"/v2/account/keys/{key}", 404)


def test_a_newer_snapshot(meltano: Client, control: Control) -> None:
    number = control.add_snapshot(NewSnapshot(team="Meltano", name="Ubuntu meltano-223456789", region="ams3"))
    first, second = meltano.get("/v2/snapshots?resource_type=droplet&page=1&per_page=200")["snapshots"]
    assert (second["id"], second["name"], second["regions"]) == (str(number), "Ubuntu meltano-223456789", ["ams3"])
    assert first["created_at"] <= second["created_at"]
    assert meltano.get(f"/v2/snapshots/{number}")["snapshot"] == second
    meltano.delete(f"/v2/snapshots/{number}")
    meltano.get(f"/v2/snapshots/{number}", 404)


def test_images_and_snapshots_are_two_views(meltano: Client, dbs: Client) -> None:
    images = {image["name"]: image for image in meltano.get("/v2/images")["images"]}
    public = ["22.04 (LTS) x64", "20.04 (LTS) x64"]
    assert images.keys() == {"Ubuntu meltano-123456789", *public}
    snapshot = images["Ubuntu meltano-123456789"]
    assert (snapshot["type"], snapshot["public"], snapshot["slug"]) == ("snapshot", False, None)
    assert [image["name"] for image in meltano.get("/v2/images?private=true")["images"]] == [snapshot["name"]]
    assert [image["name"] for image in meltano.get("/v2/images?type=distribution")["images"]] == public
    assert meltano.get("/v2/images/ubuntu-22-04-x64")["image"]["type"] == "base"
    assert [image["name"] for image in dbs.get("/v2/images")["images"]] == public
    dbs.get(f"/v2/images/{snapshot['id']}", 404)
    assert meltano.get("/v2/snapshots?resource_type=volume")["snapshots"] == []


def test_an_image_is_renamed_and_deleted(meltano: Client) -> None:
    snapshot = meltano.get("/v2/images?private=true")["images"][0]
    assert meltano.put(f"/v2/images/{snapshot['id']}", {"name": "old"})["image"]["name"] == "old"
    meltano.delete("/v2/images/ubuntu-22-04-x64", 403)
    meltano.delete(f"/v2/images/{snapshot['id']}")
    assert meltano.get("/v2/snapshots")["snapshots"] == []


def test_regions_and_sizes(meltano: Client) -> None:
    regions = {region["slug"]: region for region in meltano.get("/v2/regions")["regions"]}
    assert regions["nyc3"]["available"] is True
    assert regions["nyc2"]["available"] is False
    sizes = {size["slug"]: size for size in meltano.get("/v2/sizes")["sizes"]}
    assert "s-2vcpu-2gb" in regions["nyc3"]["sizes"]
    assert "nyc3" in sizes["s-2vcpu-2gb"]["regions"]
