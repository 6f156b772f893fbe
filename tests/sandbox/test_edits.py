"""Every edit of a tenant's entry on a light sandbox: previewed, killed in the middle, finished, and nothing twice.

What the edits do on a droplet is in test_procedures_real.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sandbox.api.messages import NewSnapshot
from sandbox.home import Home
from tests.sandbox.fleet import REMOVES, Fleet, fleet_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OTHER = {"database_team": "MeltanoData DBs 1"}
ENTRY: dict[str, Any] = {"database_team": "MeltanoData DBs 2", "database_version": "15"}
NEWER = "Ubuntu meltano-999999999"
NEW_DROPLET = {
    "acme": "update",
    "acme-droplet": "replace",
    "acme-project": "update",
    "acme-record": "update",
    "acme-firewall": "update",
    "acme-host-key": "replace",
    "acme-files": "replace",
    "acme-meltano": "replace",
    "acme-verify": "replace",
}


class Edited:
    """A fleet in which one tenant is edited, one edit after the other, and another one is not."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.entry = ENTRY
        fleet.control.add_snapshot(NewSnapshot(team="Meltano", name=NEWER, region="nyc3"))
        fleet.control.add_snapshot(NewSnapshot(team="Meltano", name=NEWER, region="sfo3"))
        fleet.tenants(acme=self.entry, other=OTHER)
        fleet.up()
        self.others = self._other()

    def _other(self) -> tuple[dict[str, str], int]:
        return self.fleet.ids("other"), self.fleet.told("other")

    def edit(self, **changes: Any) -> None:
        """Change the entry, in the file only."""
        self.entry = {**self.entry, **changes}
        self.fleet.tenants(acme=self.entry, other=OTHER)

    def finish(self) -> None:
        """The next `meltanodata up` does all that is left, the one after it nothing, and the other tenant saw none."""
        self.fleet.up()
        self.fleet.unchanged()
        assert self._other() == self.others

    @property
    def droplet(self) -> dict[str, Any]:
        """As the API shows it."""
        shown = self.fleet.world.meltano.get(f"/v2/droplets/{self.fleet.world.droplets()['acme']}")
        return dict(shown["droplet"])

    @property
    def cluster(self) -> dict[str, Any]:
        """As the API shows it."""
        team = self.fleet.world.team(ENTRY["database_team"])
        return dict(team.get(f"/v2/databases/{self.fleet.world.clusters()['acme']}")["database"])

    def told(self, more: int = 1) -> Callable[[], bool]:
        """Whether the tenant's droplet has been told so many commands more than now."""
        before = self.fleet.told("acme")
        return lambda: self.fleet.told("acme") >= before + more


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edited]:
    with fleet_on(Home(tmp_path_factory.mktemp("edited") / "home"), "light") as fleet:
        yield Edited(fleet)


def test_what_is_done_on_the_droplet(edited: Edited) -> None:
    droplet = edited.droplet["id"]
    edited.edit(
        tls="self_signed", meltano_version="2.20.0", admin_password_generation=2, demo=True, wipe_database="2026-11-20"
    )
    assert edited.fleet.steps() == {
        "acme": "update",
        "acme-admin-password": "replace",
        "acme-files": "replace",
        "acme-meltano": "replace",
        "acme-verify": "replace",
        "acme-wipe": "create",
    }
    edited.fleet.killed_when(edited.told())
    edited.fleet.killed_when(edited.told(2))
    edited.finish()
    assert edited.droplet["id"] == droplet


def test_a_rebuild_from_another_snapshot(edited: Edited) -> None:
    before, cluster = edited.droplet, edited.cluster["id"]
    edited.edit(rebuild=edited.entry.get("rebuild", 0) + 1, snapshot=NEWER)
    assert edited.fleet.steps() == NEW_DROPLET
    edited.fleet.killed_when(edited.fleet.asked("DELETE", f"/v2/droplets/{before['id']}"))
    edited.fleet.killed_when(lambda: edited.fleet.world.droplets().get("acme", before["id"]) != before["id"])
    made = edited.droplet["id"]
    edited.fleet.killed_when(edited.told())
    edited.finish()
    assert (edited.droplet["id"], edited.cluster["id"]) == (made, cluster)
    assert made != before["id"]
    assert edited.droplet["image"]["name"] == NEWER
    rules = edited.fleet.world.team(ENTRY["database_team"]).get(f"/v2/databases/{cluster}/firewall")["rules"]
    address = edited.fleet.world.records()["acme"]["data"]
    assert [(rule["type"], rule["value"]) for rule in rules] == [("ip_addr", address)]
    assert address in str(edited.droplet["networks"])


def test_other_sizes(edited: Edited) -> None:
    droplet, cluster = edited.droplet["id"], edited.cluster["id"]
    edited.edit(droplet_size="s-2vcpu-4gb", database_size="db-s-1vcpu-2gb")
    assert edited.fleet.steps() == {
        "acme": "update",
        "acme-droplet": "update",
        "acme-database": "update",
        "acme-verify": "replace",
    }
    edited.fleet.killed_when(edited.fleet.asked("POST", f"/v2/droplets/{droplet}/actions"))
    edited.finish()
    assert (edited.droplet["id"], edited.droplet["size_slug"]) == (droplet, "s-2vcpu-4gb")
    assert edited.droplet["status"] == "active"
    assert (edited.cluster["id"], edited.cluster["size"]) == (cluster, "db-s-1vcpu-2gb")


def test_a_smaller_droplet_takes_a_rebuild(edited: Edited) -> None:
    """The provider would switch it off, be refused, and switch it on again."""
    before, disk = edited.entry, edited.droplet["disk"]
    edited.edit(droplet_size="s-1vcpu-2gb")
    said = edited.fleet.preview(code=1)
    assert f"s-1vcpu-2gb has a disk of 50 GB, and its droplet's has {disk} GB and cannot shrink" in said
    edited.edit(**before)


def test_another_region(edited: Edited) -> None:
    before, cluster = edited.droplet, edited.cluster
    anew = edited.entry.get("rebuild", 0) + 1
    edited.edit(region="sfo3")
    said = edited.fleet.preview(code=1)
    assert f"acme: region is sfo3, and its droplet is in nyc3 and cannot move; write rebuild: {anew} as well" in said
    edited.edit(rebuild=anew)
    assert edited.fleet.steps() == {**NEW_DROPLET, "acme-database": "update"}
    edited.fleet.killed_when(edited.fleet.asked("PUT", f"/v2/databases/{cluster['id']}/migrate"))
    edited.finish()
    assert (edited.droplet["region"]["slug"], edited.cluster["region"]) == ("sfo3", "sfo3")
    assert edited.droplet["id"] != before["id"]
    assert (edited.cluster["id"], edited.cluster["name"]) == (cluster["id"], cluster["name"])


def test_a_newer_postgresql(edited: Edited) -> None:
    cluster = edited.cluster["id"]
    edited.edit(database_version="16")
    assert edited.fleet.steps() == {"acme": "update", "acme-database": "update"}
    edited.fleet.killed_when(edited.fleet.asked("PUT", f"/v2/databases/{cluster}/upgrade"))
    edited.finish()
    assert (edited.cluster["id"], edited.cluster["version"]) == (cluster, "16")
    edited.edit(database_version="15")
    said = edited.fleet.preview(code=1)
    assert "acme: database_version is 15, and its database has PostgreSQL 16 and cannot be downgraded" in said
    edited.edit(database_version="16")


def test_removed_and_added_again(edited: Edited) -> None:
    """Whatever was edited before: the new one is as its entry says."""
    droplet, cluster = edited.droplet["id"], edited.cluster["id"]
    edited.fleet.tenants(other=OTHER)
    assert set(edited.fleet.steps().values()) == {"delete"}
    edited.fleet.up(*REMOVES)
    edited.fleet.tenants(acme=edited.entry, other=OTHER)
    edited.finish()
    assert edited.droplet["id"] != droplet
    assert edited.cluster["id"] != cluster
