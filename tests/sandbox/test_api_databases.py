"""PostgreSQL clusters."""

from __future__ import annotations

import asyncio
import base64
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509

from sandbox.api import databases
from sandbox.api.faults import Fault
from sandbox.databases.light import LightDatabases
from tests.sandbox.api import Client, new_database, new_droplet
from tests.waiting import PATIENCE, eventually

if TYPE_CHECKING:
    from sandbox.backends import Cluster
    from sandbox.control import Control
    from sandbox.running import Running


def create(client: Client, **changes: object) -> str:
    """A cluster that is online; its id."""
    made: str = client.post("/v2/databases", new_database(**changes))["database"]["id"]
    eventually(lambda: show(client, made)["status"] == "online")
    return made


def show(client: Client, cluster: str) -> dict[str, Any]:
    database: dict[str, Any] = client.get(f"/v2/databases/{cluster}")["database"]
    return database


def test_creating_then_online(dbs: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    free = threading.Event()

    async def hold(_: LightDatabases, cluster: Cluster) -> None:  # noqa: ARG001
        await asyncio.to_thread(free.wait, PATIENCE)

    monkeypatch.setattr(LightDatabases, "create", hold)
    made = dbs.post("/v2/databases", new_database())["database"]
    assert made["status"] == show(dbs, made["id"])["status"] == "creating"
    free.set()
    eventually(lambda: show(dbs, made["id"])["status"] == "online")


def test_what_was_asked_for_is_answered(dbs: Client) -> None:
    database = show(dbs, create(dbs))
    asked = new_database()
    same = ("name", "engine", "version", "size", "region", "num_nodes", "tags")
    assert {key: database[key] for key in same} == {key: asked[key] for key in same}
    assert database["project_id"] == dbs.get("/v2/projects/default")["project"]["id"]
    assert database["private_network_uuid"]
    assert database["storage_size_mib"] == 10240


def test_the_connection_is_complete(dbs: Client) -> None:
    connection = show(dbs, create(dbs))["connection"]
    assert (connection["user"], connection["database"], connection["port"]) == ("doadmin", "defaultdb", 25060)
    host, password = connection["host"], connection["password"]
    assert host.startswith("db-postgresql-nyc3-52483-acme-do-user-")
    assert host.endswith(".db.ondigitalocean.com")
    assert connection["uri"] == f"postgresql://doadmin:{password}@{host}:25060/defaultdb?sslmode=require"


def test_all_come_on_one_page(dbs: Client) -> None:
    for number in range(25):
        dbs.post("/v2/databases", new_database(name=f"db-postgresql-nyc3-52483-t{number}"))
    page = dbs.get("/v2/databases?page=1&per_page=20")
    assert len(page["databases"]) == 25
    assert "links" not in page


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": "11"}, "invalid cluster engine version"),
        ({"version": "99"}, "invalid cluster engine version"),
        ({"size": "db-s-99vcpu"}, "invalid size"),
        ({"region": "mars1"}, "invalid region"),
        ({"num_nodes": 2}, "invalid number of nodes"),
        ({"num_nodes": 0}, "invalid number of nodes"),
        ({"name": "under_score"}, "invalid cluster name"),
        ({"name": "x" * 64}, "invalid cluster name"),
        ({"engine": "mysql"}, "invalid engine"),
        ({"do_settings": {"service_cnames": ["db.example.com"]}}, "The sandbox's clusters have no host names but"),
        ({"backup_restore": {"database_name": "other"}}, "The sandbox keeps no backups to restore from"),
        ({"project_id": "0e2a8a8b-7b5c-4a0f-b8c7-c2f8c4a0a7aa"}, "project not found"),
    ],
)
def test_a_bad_request_is_refused_and_makes_nothing(dbs: Client, changes: dict[str, object], message: str) -> None:
    refused = dbs.post("/v2/databases", new_database(**changes), 422)
    assert refused["id"] == "unprocessable_entity"
    assert refused["message"].startswith(message)
    assert dbs.get("/v2/databases")["databases"] == []


def test_the_options_are_what_can_be_created(dbs: Client) -> None:
    options = dbs.get("/v2/databases/options")["options"]["pg"]
    assert "11" not in options["versions"]
    for number, version in enumerate(options["versions"]):
        dbs.post("/v2/databases", new_database(name=f"db-postgresql-nyc3-52483-t{number}", version=version))
    (single,) = (layout for layout in options["layouts"] if layout["num_nodes"] == 1)
    assert "db-s-1vcpu-1gb" in single["sizes"]


def test_a_name_is_unique_in_its_team_only(dbs: Client, running: Running) -> None:
    create(dbs)
    assert dbs.post("/v2/databases", new_database(), 422)["message"] == "cluster name is not available"
    other = Client(running.api_url, running.teams["MeltanoData DBs 2"].token)
    create(other)


def test_a_name_is_not_free_at_once(dbs: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "NAME_HELD", 0.3)
    cluster = create(dbs)
    dbs.delete(f"/v2/databases/{cluster}")
    dbs.get(f"/v2/databases/{cluster}", 404)
    dbs.delete(f"/v2/databases/{cluster}", 404)
    assert dbs.get("/v2/databases")["databases"] == []
    assert dbs.post("/v2/databases", new_database(), 422)["message"] == "cluster name is not available"
    eventually(lambda: dbs.request("POST", "/v2/databases", new_database()).status_code == 201)


def test_a_team_holds_60(dbs: Client) -> None:
    for number in range(60):
        dbs.post("/v2/databases", new_database(name=f"db-postgresql-nyc3-52483-t{number}"))
    assert "limit" in dbs.post("/v2/databases", new_database(), 422)["message"]


def test_trusted_sources(dbs: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    let_in = list[frozenset[str] | None]()

    async def note(_: LightDatabases, cluster: Cluster, addresses: frozenset[str] | None) -> None:  # noqa: ARG001
        let_in.append(addresses)

    monkeypatch.setattr(LightDatabases, "set_trusted_sources", note)
    cluster = create(dbs)
    path = f"/v2/databases/{cluster}/firewall"
    assert dbs.get(path) == {"rules": []}
    as_the_provider_sends_it = {
        "uuid": "",
        "cluster_uuid": "",
        "type": "ip_addr",
        "value": "198.18.0.16",
        "created_at": "0001-01-01T00:00:00Z",
    }
    dbs.put(path, {"rules": [as_the_provider_sends_it]}, 204)
    (rule,) = dbs.get(path)["rules"]
    assert (rule["type"], rule["value"], rule["cluster_uuid"]) == ("ip_addr", "198.18.0.16", cluster)
    assert len(rule["uuid"]) == 36
    eventually(lambda: let_in == [None, frozenset({"198.18.0.16"})])
    dbs.put(path, {"rules": [as_the_provider_sends_it, {"type": "ip_addr", "value": "198.18.1.0/24"}]}, 204)
    assert dbs.get(path)["rules"][0] == rule
    eventually(lambda: let_in[-1] == frozenset({"198.18.0.16", "198.18.1.0/24"}))
    dbs.put(path, {"rules": []}, 204)
    eventually(lambda: let_in[-1] is None)


def test_trusted_sources_that_come_with_the_creation_hold_before_it_is_online(
    dbs: Client, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    status_when_let_in = list[tuple[str, frozenset[str] | None]]()

    async def note(_: LightDatabases, cluster: Cluster, addresses: frozenset[str] | None) -> None:
        shown = await asyncio.to_thread(show, dbs, cluster.id)
        status_when_let_in.append((shown["status"], addresses))

    monkeypatch.setattr(LightDatabases, "set_trusted_sources", note)
    rule = {"type": "ip_addr", "value": "198.18.0.16"}
    started = time.time()
    cluster = dbs.post("/v2/databases", new_database(rules=[rule]))["database"]
    assert [(it["type"], it["value"]) for it in cluster["rules"]] == [("ip_addr", "198.18.0.16")]
    eventually(lambda: show(dbs, cluster["id"])["status"] == "online")
    assert status_when_let_in == [("creating", frozenset({"198.18.0.16"}))]
    (kept,) = dbs.get(f"/v2/databases/{cluster['id']}/firewall")["rules"]
    assert kept == cluster["rules"][0]
    moments = [(it.status, it.rules) for it in control.database_moments(started)]
    assert moments == [("creating", ("ip_addr:198.18.0.16",)), ("online", ("ip_addr:198.18.0.16",))]


def test_whether_a_cluster_was_open_is_remembered(dbs: Client, control: Control) -> None:
    started = time.time()
    cluster = create(dbs)
    dbs.put(f"/v2/databases/{cluster}/firewall", {"rules": [{"type": "ip_addr", "value": "198.18.0.16"}]}, 204)
    dbs.delete(f"/v2/databases/{cluster}")
    moments = [it for it in control.database_moments(started) if it.id == cluster]
    assert [(it.status, it.open) for it in moments] == [
        ("creating", False),
        ("online", True),
        ("online", False),
        ("deleted", False),
    ]


BAD_RULES = [
    {"type": "ip_addr", "value": "acme"},
    {"type": "ip_addr", "value": "2001:db8::1"},
    {"type": "droplet", "value": "1"},
    {"type": "planet", "value": "mars"},
    {"type": "ip_addr"},
]


@pytest.mark.parametrize(
    "rules", [*([rule] for rule in BAD_RULES), [{"type": "ip_addr", "value": "198.18.0.16"}] * 101]
)
def test_a_cluster_with_a_bad_rule_is_not_made(dbs: Client, rules: list[dict[str, str]]) -> None:
    dbs.post("/v2/databases", new_database(rules=rules), 422)
    assert dbs.get("/v2/databases")["databases"] == []


@pytest.mark.parametrize("rule", BAD_RULES)
def test_a_bad_rule_changes_nothing(dbs: Client, rule: dict[str, str]) -> None:
    path = f"/v2/databases/{create(dbs)}/firewall"
    dbs.put(path, {"rules": [{"type": "ip_addr", "value": "198.18.0.16"}]}, 204)
    dbs.put(path, {"rules": [rule]}, 422)
    assert [kept["value"] for kept in dbs.get(path)["rules"]] == ["198.18.0.16"]


def test_a_droplet_of_another_team_cannot_be_trusted(dbs: Client, running: Running) -> None:
    meltano = Client(running.api_url, running.teams["Meltano"].token)
    droplet = meltano.post("/v2/droplets", new_droplet(meltano), 202)["droplet"]["id"]
    rule = {"type": "droplet", "value": str(droplet)}
    dbs.put(f"/v2/databases/{create(dbs)}/firewall", {"rules": [rule]}, 422)
    meltano.put(f"/v2/databases/{create(meltano)}/firewall", {"rules": [rule]}, 204)


def test_resize_migrate_upgrade_maintenance(dbs: Client) -> None:
    path = f"/v2/databases/{create(dbs, version='15')}"
    dbs.put(f"{path}/resize", {"size": "db-s-2vcpu-4gb", "num_nodes": 2}, 202)
    eventually(lambda: dbs.get(path)["database"]["status"] == "online")
    dbs.put(f"{path}/migrate", {"region": "ams3"}, 202)
    eventually(lambda: dbs.get(path)["database"]["status"] == "online")
    dbs.put(f"{path}/upgrade", {"version": "16"}, 204)
    dbs.put(f"{path}/upgrade", {"version": "15"}, 422)
    dbs.put(f"{path}/maintenance", {"day": "friday", "hour": "04:00"}, 204)
    dbs.put(f"{path}/maintenance", {"day": "someday", "hour": "04:00"}, 422)
    database = dbs.get(path)["database"]
    assert (database["size"], database["num_nodes"], database["storage_size_mib"]) == ("db-s-2vcpu-4gb", 2, 61440)
    assert (database["region"], database["version"]) == ("ams3", "16")
    assert database["maintenance_window"]["day"] == "friday"
    dbs.put(f"{path}/resize", {"size": "db-s-99vcpu", "num_nodes": 1}, 422)
    dbs.put(f"{path}/migrate", {"region": "mars1"}, 422)


def test_no_change_before_it_is_online(dbs: Client, control: Control) -> None:
    control.add_fault(Fault(effect="stuck", method="POST", path="/v2/databases"))
    cluster = dbs.post("/v2/databases", new_database())["database"]["id"]
    dbs.put(f"/v2/databases/{cluster}/resize", {"size": "db-s-2vcpu-4gb", "num_nodes": 1}, 422)
    assert show(dbs, cluster)["status"] == "creating"
    dbs.delete(f"/v2/databases/{cluster}")


def test_the_rest_of_a_cluster(dbs: Client) -> None:
    path = f"/v2/databases/{create(dbs)}"
    ca = base64.b64decode(dbs.get(f"{path}/ca")["ca"]["certificate"])
    assert x509.load_pem_x509_certificate(ca)
    assert [user["name"] for user in dbs.get(f"{path}/users")["users"]] == ["doadmin"]
    assert dbs.get(f"{path}/users/doadmin")["user"]["role"] == "primary"
    dbs.get(f"{path}/users/nobody", 404)
    assert dbs.get(f"{path}/dbs") == {"dbs": [{"name": "defaultdb"}]}
    assert dbs.get(f"{path}/dbs/defaultdb")["db"]["name"] == "defaultdb"
    dbs.get(f"{path}/dbs/other", 404)
    assert dbs.get(f"{path}/backups")["backups"] == []


def test_storage_autoscale_is_kept_as_the_clients_send_it_and_answered_as_they_read_it(dbs: Client) -> None:
    grown = {"enabled": True, "threshold_percent": 90, "increment_gib": 20}
    cluster = create(dbs, storage_autoscale=grown)
    path = f"/v2/databases/{cluster}/autoscale"
    assert dbs.get(path) == {"storage": grown}
    assert show(dbs, cluster)["storage_autoscale"] == show(dbs, cluster)["autoscale"]["storage"] == grown
    dbs.put(path, {"storage": {"enabled": True}}, 204)
    assert dbs.get(path) == {"storage": {"enabled": True, "threshold_percent": 80, "increment_gib": 10}}
    dbs.put(path, {"storage": {"enabled": False}}, 204)
    assert dbs.get(path) == {"storage": {"enabled": False}}
    as_specified = create(dbs, name="db-postgresql-nyc3-52483-other", autoscale={"storage": grown})
    assert dbs.get(f"/v2/databases/{as_specified}/autoscale") == {"storage": grown}


def test_a_cluster_without_a_word_about_autoscale_does_not_grow(dbs: Client) -> None:
    assert dbs.get(f"/v2/databases/{create(dbs)}/autoscale") == {"storage": {"enabled": False}}


@pytest.mark.parametrize(
    "wrong",
    [{"threshold_percent": 14}, {"threshold_percent": 96}, {"increment_gib": 9}, {"increment_gib": 501}],
    ids=str,
)
def test_autoscale_out_of_range_is_refused_whenever_it_is_asked_for(dbs: Client, wrong: dict[str, int]) -> None:
    settings = {"enabled": True, **wrong}
    (name,) = wrong
    assert name in dbs.post("/v2/databases", new_database(storage_autoscale=settings), 422)["message"]
    assert name in dbs.post("/v2/databases", new_database(autoscale={"storage": settings}), 422)["message"]
    path = f"/v2/databases/{create(dbs)}/autoscale"
    assert name in dbs.put(path, {"storage": settings}, 422)["message"]
    assert dbs.put(path, {}, 422)["message"] == "storage is required"
    assert dbs.get(path) == {"storage": {"enabled": False}}


@pytest.mark.parametrize("wrong", [1, 10239, 10241, 15 * 2**20 + 10240])
def test_storage_is_the_plans_own_or_more_in_steps(dbs: Client, wrong: int) -> None:
    assert "storage_size_mib" in dbs.post("/v2/databases", new_database(storage_size_mib=wrong), 422)["message"]
    cluster = create(dbs, storage_size_mib=20480)
    assert show(dbs, cluster)["storage_size_mib"] == 20480
    size = {"size": "db-s-1vcpu-1gb", "num_nodes": 1, "storage_size_mib": wrong}
    assert "storage" in dbs.put(f"/v2/databases/{cluster}/resize", size, 422)["message"]
    assert show(dbs, cluster)["storage_size_mib"] == 20480


def test_nodes_do_not_become_smaller(dbs: Client) -> None:
    cluster = create(dbs, size="db-s-1vcpu-2gb")
    smaller = {"size": "db-s-1vcpu-1gb", "num_nodes": 1}
    assert "smaller size" in dbs.put(f"/v2/databases/{cluster}/resize", smaller, 422)["message"]
    assert show(dbs, cluster)["size"] == "db-s-1vcpu-2gb"


def test_a_cluster_is_in_a_network_of_its_team_and_region(dbs: Client, meltano: Client) -> None:
    far = dbs.post("/v2/vpcs", {"name": "far", "region": "ams3"})["vpc"]["id"]
    foreign = meltano.post("/v2/vpcs", {"name": "foreign", "region": "nyc3"})["vpc"]["id"]
    for wrong in (far, foreign, "5a4981aa-9653-4bd1-bef5-d6bff52042e4"):
        assert wrong in dbs.post("/v2/databases", new_database(private_network_uuid=wrong), 422)["message"]
    assert dbs.get("/v2/databases")["databases"] == []
    near = dbs.post("/v2/vpcs", {"name": "near", "region": "nyc3"})["vpc"]["id"]
    cluster = create(dbs, private_network_uuid=near)
    assert show(dbs, cluster)["private_network_uuid"] == near
    dbs.put(f"/v2/databases/{cluster}/migrate", {"region": "ams3", "private_network_uuid": near}, 422)
    dbs.put(f"/v2/databases/{cluster}/migrate", {"region": "ams3", "private_network_uuid": far}, 202)
    eventually(lambda: show(dbs, cluster)["status"] == "online")
    assert show(dbs, cluster)["private_network_uuid"] == far


def test_what_it_cannot_do_it_says(dbs: Client) -> None:
    path = f"/v2/databases/{create(dbs)}"
    assert "one user" in dbs.post(f"{path}/users", {"name": "more"}, 422)["message"]
    assert "one database" in dbs.post(f"{path}/dbs", {"name": "more"}, 422)["message"]
