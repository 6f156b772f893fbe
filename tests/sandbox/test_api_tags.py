"""Tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.sandbox.api import Client, new_database, new_droplet

if TYPE_CHECKING:
    from sandbox.running import Running


def show(client: Client, name: str) -> dict[str, Any]:
    resources: dict[str, Any] = client.get(f"/v2/tags/{name}")["tag"]["resources"]
    return resources


def test_an_object_brings_its_tags(meltano: Client) -> None:
    meltano.get("/v2/tags/production", 404)
    droplet = meltano.post("/v2/droplets", new_droplet(meltano), 202)["droplet"]["id"]
    cluster = meltano.post("/v2/databases", new_database())["database"]["id"]
    resources = show(meltano, "production")
    assert resources["count"] == 2
    assert resources["droplets"]["last_tagged_uri"].endswith(f"/v2/droplets/{droplet}")
    assert resources["databases"]["last_tagged_uri"].endswith(f"/v2/databases/{cluster}")
    assert resources["images"] == resources["volumes"] == resources["volume_snapshots"] == {"count": 0}
    assert [d["id"] for d in meltano.get("/v2/droplets?tag_name=production")["droplets"]] == [droplet]
    assert [d["id"] for d in meltano.get("/v2/databases?tag_name=production")["databases"]] == [cluster]
    assert meltano.get("/v2/databases?tag_name=other")["databases"] == []


def test_tagging_as_the_provider_does_it(meltano: Client) -> None:
    droplet = meltano.post("/v2/droplets", new_droplet(meltano, tags=None), 202)["droplet"]["id"]
    cluster = meltano.post("/v2/databases", new_database(tags=None))["database"]["id"]
    for _ in range(2):  # one that exists is no error
        assert meltano.post("/v2/tags", {"name": "blue"})["tag"]["name"] == "blue"
    resources = [
        {"resource_id": str(droplet), "resource_type": "droplet"},
        {"resource_id": cluster, "resource_type": "database"},
    ]
    for _ in range(2):
        meltano.post("/v2/tags/blue/resources", {"resources": resources}, 204)
    assert meltano.get(f"/v2/droplets/{droplet}")["droplet"]["tags"] == ["blue"]
    assert meltano.get(f"/v2/databases/{cluster}")["database"]["tags"] == ["blue"]
    meltano.delete("/v2/tags/blue/resources", json={"resources": resources[:1]})
    assert meltano.get(f"/v2/droplets/{droplet}")["droplet"]["tags"] == []
    meltano.delete("/v2/tags/blue")
    assert meltano.get(f"/v2/databases/{cluster}")["database"]["tags"] == []
    meltano.delete("/v2/tags/blue", 404)
    meltano.post("/v2/tags/blue/resources", {"resources": resources}, 404)


def test_droplets_made_together_have_tags_of_their_own(meltano: Client) -> None:
    body = new_droplet(meltano, names=["a.meltanodata.com", "b.meltanodata.com"])
    del body["name"]
    first, second = (droplet["id"] for droplet in meltano.post("/v2/droplets", body, 202)["droplets"])
    resources = [{"resource_id": str(first), "resource_type": "droplet"}]
    meltano.delete("/v2/tags/production/resources", json={"resources": resources})
    assert meltano.get(f"/v2/droplets/{first}")["droplet"]["tags"] == []
    assert meltano.get(f"/v2/droplets/{second}")["droplet"]["tags"] == ["production"]


def test_what_is_not_there_cannot_be_tagged(meltano: Client) -> None:
    meltano.post("/v2/tags", {"name": "blue"})
    droplet = meltano.post("/v2/droplets", new_droplet(meltano), 202)["droplet"]["id"]
    both = [{"resource_id": str(number), "resource_type": "droplet"} for number in (droplet, 1)]
    meltano.post("/v2/tags/blue/resources", {"resources": both}, 404)
    assert meltano.get(f"/v2/droplets/{droplet}")["droplet"]["tags"] == ["production"]
    for kind, number in (("droplet", "1"), ("planet", "mars")):
        meltano.post("/v2/tags/blue/resources", {"resources": [{"resource_id": number, "resource_type": kind}]}, 404)


def test_a_bad_name(meltano: Client) -> None:
    meltano.post("/v2/tags", {"name": "no spaces"}, 422)
    assert meltano.get("/v2/tags")["tags"] == []


def test_tags_are_a_teams_own(meltano: Client, running: Running) -> None:
    other = Client(running.api_url, running.teams["MeltanoData DBs 1"].token)
    droplet = meltano.post("/v2/droplets", new_droplet(meltano), 202)["droplet"]["id"]
    other.get("/v2/tags/production", 404)
    other.post("/v2/tags", {"name": "production"})
    assert show(other, "production")["count"] == 0
    body = {"resources": [{"resource_id": str(droplet), "resource_type": "droplet"}]}
    other.post("/v2/tags/production/resources", body, 404)
    other.delete("/v2/tags/production")
    assert show(meltano, "production")["count"] == 1
