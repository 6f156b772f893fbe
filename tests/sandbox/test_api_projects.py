"""Projects, and which objects are in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.sandbox.api import Client, new_database, new_droplet
from tests.waiting import eventually

if TYPE_CHECKING:
    from sandbox.running import Running


def urns(client: Client, project: str = "default") -> set[str]:
    return {resource["urn"] for resource in client.get(f"/v2/projects/{project}/resources?per_page=200")["resources"]}


def test_what_is_made_is_in_the_default_project_until_it_is_gone(meltano: Client) -> None:
    droplet = meltano.post("/v2/droplets", new_droplet(meltano), 202)["droplet"]["id"]
    cluster = meltano.post("/v2/databases", new_database())["database"]["id"]
    assert urns(meltano) == {"do:domain:meltanodata.com", f"do:droplet:{droplet}", f"do:dbaas:{cluster}"}
    meltano.delete(f"/v2/droplets/{droplet}")
    meltano.delete(f"/v2/databases/{cluster}")
    eventually(lambda: urns(meltano) == {"do:domain:meltanodata.com"})


def test_assigning_moves(meltano: Client) -> None:
    project = meltano.post("/v2/projects", {"name": "Other", "purpose": "Service or API"})["project"]["id"]
    droplet = f"do:droplet:{meltano.post('/v2/droplets', new_droplet(meltano), 202)['droplet']['id']}"
    path = f"/v2/projects/{project}/resources"
    (moved,) = meltano.post(path, {"resources": [droplet]}, 200)["resources"]
    assert (moved["urn"], moved["status"]) == (droplet, "assigned")
    (again,) = meltano.post(path, {"resources": [droplet]}, 200)["resources"]
    assert again["status"] == "already_assigned"
    assert urns(meltano, project) == {droplet}
    assert droplet not in urns(meltano)
    meltano.post("/v2/projects/default/resources", {"resources": [droplet]}, 200)
    assert urns(meltano, project) == set()
    assert droplet in urns(meltano)


def test_what_is_not_there_or_not_ours_cannot_be_assigned(meltano: Client, running: Running) -> None:
    other = Client(running.api_url, running.teams["MeltanoData DBs 1"].token)
    cluster = f"do:dbaas:{other.post('/v2/databases', new_database())['database']['id']}"
    asked = [cluster, "do:droplet:1", "do:volume:1"]
    answers = meltano.post("/v2/projects/default/resources", {"resources": asked}, 200)["resources"]
    assert [(answer["urn"], answer["status"]) for answer in answers] == [(urn, "not_found") for urn in asked]
    for nonsense in ("do:planet:mars", "do:droplet:", "nonsense"):
        meltano.post("/v2/projects/default/resources", {"resources": [nonsense]}, 422)
    assert urns(other) == {cluster}


def test_a_database_says_which_project_it_is_in(meltano: Client) -> None:
    project = meltano.post("/v2/projects", {"name": "Other", "purpose": "Service or API"})["project"]["id"]
    made = meltano.post("/v2/databases", new_database(project_id=project))["database"]
    assert made["project_id"] == project
    assert urns(meltano, project) == {f"do:dbaas:{made['id']}"}
    meltano.post("/v2/projects/default/resources", {"resources": [f"do:dbaas:{made['id']}"]}, 200)
    default = meltano.get("/v2/projects/default")["project"]["id"]
    assert meltano.get(f"/v2/databases/{made['id']}")["database"]["project_id"] == default


def test_a_project_comes_changes_and_goes(meltano: Client) -> None:
    body = {"name": "Other", "purpose": "Web", "description": "x", "environment": "production"}
    made = meltano.post("/v2/projects", body)["project"]
    path = f"/v2/projects/{made['id']}"
    assert (made["name"], made["environment"], made["is_default"]) == ("Other", "Production", False)
    assert meltano.get(path)["project"] == made
    assert meltano.patch(path, {"description": "y"})["project"]["description"] == "y"
    assert meltano.post("/v2/projects", body, 409)["message"] == "name is already in use"
    meltano.post("/v2/projects", body | {"name": "Third", "environment": "moon"}, 422)
    meltano.patch(path, {"name": "Meltano"}, 409)
    assert {project["name"] for project in meltano.get("/v2/projects")["projects"]} == {"Meltano", "Other"}
    meltano.delete(path)
    meltano.get(path, 404)


def test_a_project_with_resources_stays(meltano: Client) -> None:
    project = meltano.post("/v2/projects", {"name": "Other", "purpose": "Web"})["project"]["id"]
    meltano.post(f"/v2/projects/{project}/resources", {"resources": ["do:domain:meltanodata.com"]}, 200)
    assert meltano.delete(f"/v2/projects/{project}", 412)["id"] == "precondition_failed"
    default = meltano.get("/v2/projects/default")["project"]["id"]
    meltano.delete(f"/v2/projects/{default}", 409)


def test_another_default(meltano: Client) -> None:
    project = meltano.post("/v2/projects", {"name": "Other", "purpose": "Web"})["project"]["id"]
    meltano.patch(f"/v2/projects/{project}", {"is_default": True})
    assert meltano.get("/v2/projects/default")["project"]["id"] == project
    assert sum(p["is_default"] for p in meltano.get("/v2/projects")["projects"]) == 1


def test_another_teams_project_is_not_there(meltano: Client, running: Running) -> None:
    project = meltano.get("/v2/projects/default")["project"]["id"]
    other = Client(running.api_url, running.teams["MeltanoData DBs 1"].token)
    other.get(f"/v2/projects/{project}", 404)
    other.post(f"/v2/projects/{project}/resources", {"resources": []}, 404)
    assert project not in {p["id"] for p in other.get("/v2/projects")["projects"]}


def test_a_network_is_in_no_project(meltano: Client) -> None:
    vpc = meltano.post("/v2/vpcs", {"name": "tenants", "region": "nyc3"})["vpc"]["urn"]
    refused = meltano.post("/v2/projects/default/resources", {"resources": [vpc]}, 422)
    assert refused["message"] == f"VPCs are in no project: {vpc}"
