"""What the accounts of a new sandbox hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.running import Running
    from tests.sandbox.api import Client


def test_each_team_sees_itself(running: Running, meltano: Client, dbs: Client) -> None:
    assert list(running.teams)[:2] == ["Meltano", "MeltanoData DBs 1"]
    assert meltano.get("/v2/account")["account"]["team"]["name"] == "Meltano"
    assert dbs.get("/v2/account")["account"]["team"]["name"] == "MeltanoData DBs 1"


def test_the_droplet_team_has_two_keys_a_domain_and_a_snapshot(meltano: Client) -> None:
    assert [key["name"] for key in meltano.get("/v2/account/keys")["ssh_keys"]] == ["sandbox", "colleague"]
    assert [domain["name"] for domain in meltano.get("/v2/domains")["domains"]] == ["meltanodata.com"]
    (snapshot,) = meltano.get("/v2/snapshots?resource_type=droplet")["snapshots"]
    assert (snapshot["name"], snapshot["regions"]) == ("Ubuntu meltano-123456789", ["nyc3"])


def test_each_team_has_its_default_project(meltano: Client, dbs: Client) -> None:
    for client in (meltano, dbs):
        assert client.get("/v2/projects/default")["project"]["name"] == "Meltano"


def test_a_database_team_has_no_domain(dbs: Client) -> None:
    assert dbs.get("/v2/domains")["domains"] == []
    assert dbs.get("/v2/domains/meltanodata.com", 404)["id"] == "not_found"
