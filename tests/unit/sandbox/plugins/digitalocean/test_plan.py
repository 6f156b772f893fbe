"""What the stand-in digitalocean plugin plans; the expected answers are those of the official plugin 4.76."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from sandbox.plugins.digitalocean.check import imported
from sandbox.plugins.package import Plan, ProviderError, State
from sandbox.plugins.values import UNKNOWN, Properties, Secret, plain
from tests.unit.sandbox.plugins.digitalocean.harness import RESOURCES
from tests.unit.sandbox.plugins.digitalocean.samples import droplets

DROPLET: Properties = {
    "image": "777",
    "name": "a",
    "region": "nyc3",
    "size": "s",
    "sshKeys": ["2", "1"],
    "tags": ["production"],
}
DROPLET_STATE: Properties = {
    **DROPLET,
    "id": "1",
    "sshKeys": ["1", "2"],
    "backups": False,
    "ipv6": False,
    "ipv6Address": "",
    "monitoring": False,
    "gracefulShutdown": False,
    "resizeDisk": True,
    "publicNetworking": True,
    "privateNetworking": False,
    "vpcUuid": "v",
    "volumeIds": [],
    "status": "active",
}
CLUSTER: Properties = {
    "engine": "pg",
    "name": "db",
    "nodeCount": 1,
    "region": "nyc3",
    "size": "s",
    "tags": ["production"],
    "version": "15",
}
CLUSTER_STATE: Properties = {
    **CLUSTER,
    "id": "c",
    "host": "h",
    "password": "p",
    "privateNetworkUuid": "v",
    "projectId": "p",
    "storageSizeMib": "10240",
    "maintenanceWindows": [],
    "metricsEndpoints": [],
}
RECORD: Properties = {"domain": "d.com", "name": "x", "ttl": 3600, "type": "A", "value": "1.2.3.4"}
RECORD_STATE: Properties = {**RECORD, "flags": 0, "fqdn": "x.d.com", "port": 0, "priority": 0, "tag": "", "weight": 0}
RULE: Properties = {"type": "ip_addr", "value": "1.2.3.4"}
FIREWALL: Properties = {"clusterId": "c", "rules": [RULE]}
FIREWALL_STATE: Properties = {"clusterId": "c", "rules": [{**RULE, "uuid": "u", "createdAt": "t"}]}
ASSIGNED: Properties = {"project": "p", "resources": ["do:droplet:1"]}
BASES = {
    "Droplet": (DROPLET, DROPLET_STATE),
    "DatabaseCluster": (CLUSTER, CLUSTER_STATE),
    "DnsRecord": (RECORD, RECORD_STATE),
    "DatabaseFirewall": (FIREWALL, FIREWALL_STATE),
    "ProjectResources": (ASSIGNED, ASSIGNED),
    "Domain": ({"name": "d.com"}, {"name": "d.com", "domainUrn": "do:domain:d.com", "ttl": 1800}),
}


def plan(kind: str, change: Properties, ignored: tuple[str, ...] = (), state: Properties | None = None) -> Plan:
    inputs, outputs = BASES[kind]
    resource = RESOURCES[kind]
    wanted = {key: value for key, value in {**inputs, **change}.items() if value is not None}
    checked, failures = resource.checked("it", wanted, inputs, b"")
    assert failures == []
    return resource.plan(State(inputs, {**outputs, **(state or {})}), checked, ignored)


def shown(plan: Plan) -> dict[str, str]:
    return {path: item.change.value + "_REPLACE" * item.replaces for path, item in plan.changes.items()}


@pytest.mark.parametrize("kind", BASES)
def test_the_same_program_changes_nothing(kind: str) -> None:
    assert shown(plan(kind, {})) == {}


@pytest.mark.parametrize(
    ("kind", "change", "expected"),
    [
        ("Droplet", {"image": "778"}, {"image": "UPDATE_REPLACE"}),
        ("Droplet", {"image": UNKNOWN}, {"image": "UPDATE_REPLACE"}),
        ("Droplet", {"region": "ams3"}, {"region": "UPDATE_REPLACE"}),
        ("Droplet", {"region": "NYC3", "size": "S"}, {}),
        ("Droplet", {"size": "t"}, {"size": "UPDATE"}),
        ("Droplet", {"name": "b"}, {"name": "UPDATE"}),
        ("Droplet", {"name": UNKNOWN}, {"name": "UPDATE"}),
        ("Droplet", {"sshKeys": ["1", "2"]}, {}),
        ("Droplet", {"sshKeys": ["1", "2", "3"]}, {"sshKeys[2]": "ADD_REPLACE"}),
        ("Droplet", {"sshKeys": ["1"]}, {"sshKeys[1]": "DELETE_REPLACE"}),
        ("Droplet", {"sshKeys": None}, {"sshKeys": "DELETE_REPLACE"}),
        ("Droplet", {"sshKeys": UNKNOWN}, {"sshKeys": "UPDATE_REPLACE"}),
        ("Droplet", {"sshKeys": ["1", UNKNOWN]}, {"sshKeys": "UPDATE_REPLACE"}),
        ("Droplet", {"tags": ["Production"]}, {}),
        ("Droplet", {"tags": ["x"]}, {"tags[0]": "UPDATE"}),
        ("Droplet", {"tags": ["a", "production"]}, {"tags[0]": "ADD"}),
        ("Droplet", {"tags": None}, {"tags": "DELETE"}),
        ("Droplet", {"tags": []}, {"tags": "DELETE"}),
        ("Droplet", {"backups": True}, {"backups": "UPDATE"}),
        ("Droplet", {"ipv6": True}, {"ipv6": "UPDATE", "ipv6Address": "UPDATE"}),
        ("Droplet", {"monitoring": True}, {"monitoring": "UPDATE_REPLACE"}),
        ("Droplet", {"userData": "x"}, {"userData": "ADD_REPLACE"}),
        ("Droplet", {"dropletAgent": True}, {"dropletAgent": "ADD_REPLACE"}),
        ("Droplet", {"vpcUuid": "w"}, {"vpcUuid": "UPDATE_REPLACE"}),
        ("Droplet", {"publicNetworking": False}, {"publicNetworking": "UPDATE_REPLACE"}),
        ("Droplet", {"resizeDisk": False}, {"resizeDisk": "UPDATE"}),
        ("Droplet", {"gracefulShutdown": True}, {"gracefulShutdown": "UPDATE"}),
        ("DatabaseCluster", {"name": "x"}, {"name": "UPDATE_REPLACE"}),
        ("DatabaseCluster", {"engine": "mysql"}, {"engine": "UPDATE_REPLACE"}),
        ("DatabaseCluster", {"projectId": "x"}, {"projectId": "UPDATE_REPLACE"}),
        ("DatabaseCluster", {"privateNetworkUuid": "x"}, {"privateNetworkUuid": "UPDATE_REPLACE"}),
        ("DatabaseCluster", {"size": "t"}, {"size": "UPDATE"}),
        ("DatabaseCluster", {"nodeCount": 2}, {"nodeCount": "UPDATE"}),
        ("DatabaseCluster", {"storageSizeMib": "20480"}, {"storageSizeMib": "UPDATE"}),
        ("DatabaseCluster", {"region": "ams3"}, {"region": "UPDATE"}),
        ("DatabaseCluster", {"version": "16"}, {"version": "UPDATE"}),
        ("DatabaseCluster", {"tags": ["a", "production"]}, {"tags[0]": "ADD"}),
        (
            "DatabaseCluster",
            {"maintenanceWindows": [{"day": "monday", "hour": "13:00"}]},
            {"maintenanceWindows": "ADD"},
        ),
        ("DnsRecord", {"value": "4.3.2.1"}, {"value": "UPDATE"}),
        ("DnsRecord", {"value": UNKNOWN}, {"value": "UPDATE"}),
        ("DnsRecord", {"name": "y"}, {"name": "UPDATE"}),
        ("DnsRecord", {"name": "x.d.com."}, {}),
        ("DnsRecord", {"ttl": 60}, {"ttl": "UPDATE"}),
        ("DnsRecord", {"ttl": None}, {}),
        ("DnsRecord", {"type": "AAAA"}, {"type": "UPDATE_REPLACE"}),
        ("DnsRecord", {"domain": "e.com"}, {"domain": "UPDATE_REPLACE"}),
        (
            "DatabaseFirewall",
            {"rules": [{"type": "ip_addr", "value": "4.3.2.1"}]},
            {"rules[0].createdAt": "UPDATE", "rules[0].uuid": "UPDATE", "rules[0].value": "UPDATE"},
        ),
        (
            "DatabaseFirewall",
            {"rules": [{"type": "ip_addr", "value": UNKNOWN}]},
            {"rules[0].createdAt": "UPDATE", "rules[0].uuid": "UPDATE", "rules[0].value": "UPDATE"},
        ),
        ("DatabaseFirewall", {"rules": [RULE, {"type": "tag", "value": "t"}]}, {"rules[1]": "ADD"}),
        ("DatabaseFirewall", {"clusterId": "x"}, {"clusterId": "UPDATE_REPLACE"}),
        ("ProjectResources", {"resources": ["do:droplet:2"]}, {"resources[0]": "UPDATE"}),
        ("ProjectResources", {"resources": [UNKNOWN]}, {"resources": "UPDATE"}),
        ("ProjectResources", {"project": "x"}, {"project": "UPDATE_REPLACE"}),
        ("Domain", {"name": "e.com"}, {"name": "UPDATE_REPLACE"}),
    ],
)
def test_a_change_updates_or_replaces(kind: str, change: Properties, expected: dict[str, str]) -> None:
    found = plan(kind, change)
    assert shown(found) == expected
    assert found.of_inputs is False


def test_ipv6_is_not_switched_off_in_place() -> None:
    found = plan("Droplet", {}, state={"ipv6": True, "ipv6Address": "::1"})
    assert shown(found) == {"ipv6": "UPDATE", "__meta": "UPDATE_REPLACE"}


def test_elements_are_named_by_their_places_in_the_program() -> None:
    found = plan("Droplet", {"tags": ["c", "x", "a"]}, state={"tags": ["a", "b", "c"]})
    assert shown(found) == {"tags[1]": "UPDATE"}


def test_ignored_properties_keep_the_state_s_values() -> None:
    change: Properties = {"image": "778", "sshKeys": ["1", "2", "3"]}
    assert shown(plan("Droplet", change, ("image", "sshKeys"))) == {}
    # As after an import, which knows neither the keys nor what is no attribute of the API.
    state = {"sshKeys": None, "gracefulShutdown": None}
    assert shown(plan("Droplet", change, ("image", "sshKeys"), state)) == {}
    assert shown(plan("Droplet", {}, (), state)) == {"gracefulShutdown": "ADD", "sshKeys": "ADD_REPLACE"}


@pytest.mark.parametrize(
    ("kind", "change", "first_the_old_one_goes"),
    [
        ("Droplet", {"image": "778"}, True),
        ("Droplet", {"size": "t"}, False),
        ("DnsRecord", {"type": "AAAA"}, True),
        ("DatabaseFirewall", {"clusterId": "x"}, False),
        ("Domain", {"name": "e.com"}, False),
    ],
)
def test_an_object_with_a_name_of_the_program_s_goes_before_its_successor_comes(
    kind: str,
    change: Properties,
    first_the_old_one_goes: bool,
) -> None:
    assert plan(kind, change).delete_before_replace is first_the_old_one_goes


def test_what_would_replace_and_does_not_change_is_stable() -> None:
    assert plan("DatabaseCluster", {"name": "x"}).stables == ("engine", "privateNetworkUuid", "projectId")


@pytest.mark.parametrize(
    ("old", "message"),
    [
        (CLUSTER_STATE, 'The argument "version" is now required. Set the pg version to the value saved to state: 15'),
        ({}, 'The argument "version" is required, but no definition was found.'),
    ],
)
def test_a_cluster_needs_a_version(old: Properties, message: str) -> None:
    cluster = RESOURCES["DatabaseCluster"]
    inputs = {key: value for key, value in CLUSTER.items() if key != "version"}
    with pytest.raises(ProviderError, match=message):
        cluster.plan(State(inputs, old), inputs, ()) if old else cluster.preview_create(inputs)


@pytest.mark.parametrize(
    ("more", "missing"),
    [({"type": "MX"}, "priority"), ({"type": "SRV", "priority": 1}, "weight"), ({"type": "CAA", "flags": 0}, "tag")],
)
def test_some_records_need_more(more: Properties, missing: str) -> None:
    with pytest.raises(ProviderError, match=f"`{missing}` is required for when type is `{more['type']}`"):
        RESOURCES["DnsRecord"].preview_create({**RECORD, **more})


def test_a_preview_knows_what_the_program_says_and_nothing_else() -> None:
    outputs = RESOURCES["Droplet"].preview_create({**DROPLET, "userData": "zz"})
    known = {key: value for key, value in outputs.items() if value not in (UNKNOWN, None)}
    assert known.pop("__meta") == (
        '{"e2bfb730-ecaa-11e6-8f88-34363bc7c4c0":{"create":3600000000000,"delete":60000000000,"update":3600000000000}}'
    )
    assert known == {
        **DROPLET,
        "sshKeys": ["1", "2"],
        "userData": "d7dacae2c968388960bf8970080a980ed5c5dcb7",
        "backups": False,
        "ipv6": False,
        "monitoring": False,
        "gracefulShutdown": False,
        "resizeDisk": True,
    }
    assert outputs["id"] is UNKNOWN
    assert outputs["ipv4Address"] is UNKNOWN
    assert outputs["dropletAgent"] is None


def test_only_what_is_sensitive_is_secret() -> None:
    outputs = RESOURCES["DatabaseCluster"].preview_create(CLUSTER)
    sealed = RESOURCES["DatabaseCluster"].sealed(CLUSTER, outputs)
    secret = {key for key, value in sealed.items() if isinstance(value, Secret)}
    assert secret == {"password", "uri", "privateUri", "uiPassword", "uiUri"}
    assert plain(sealed) == outputs


def test_an_update_s_preview_keeps_what_the_plan_does_not_touch() -> None:
    record = RESOURCES["DnsRecord"]
    assert record.preview_update(State(RECORD, {**RECORD_STATE, "id": "7"}), {**RECORD, "value": UNKNOWN}) == {
        **RECORD_STATE,
        "id": "7",
        "value": UNKNOWN,
    }


def _created(inputs: Properties) -> tuple[Properties, Properties]:
    """A droplet's checked inputs, and its state once the API has answered."""
    droplet = RESOURCES["Droplet"]
    checked, _ = droplet.checked("it", inputs, {}, b"")
    answers: dict[str, Any] = {
        "volumeIds": [],
        "vpcUuid": "v",
        "region": "nyc3",
        "publicNetworking": True,
        "privateNetworking": False,
        "ipv6Address": "",
    }
    outputs = droplet.preview_create(checked)
    return checked, {key: answers.get(key, "x") if value is UNKNOWN else value for key, value in outputs.items()}


@given(droplets)
def test_no_droplet_changes_right_after_its_create(inputs: Properties) -> None:
    checked, outputs = _created(inputs)
    assert shown(RESOURCES["Droplet"].plan(State(checked, outputs), checked, ())) == {}


@given(droplets)
def test_a_program_that_says_what_an_import_found_changes_nothing(inputs: Properties) -> None:
    droplet = RESOURCES["Droplet"]
    _, outputs = _created({**inputs, "resizeDisk": True})
    outputs |= {"sshKeys": None, "gracefulShutdown": None}  # an import does not learn them
    found = {key: value for key, value in imported(droplet.attributes, outputs).items() if value is not None}
    checked, failures = droplet.checked("it", {key: found[key] for key in found if key != "__defaults"}, found, b"")
    assert failures == []
    assert shown(droplet.plan(State(found, outputs), checked, ())) == {}
