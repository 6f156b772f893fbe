"""What the stand-in digitalocean plugin makes of inputs; the expected answers are those of the official plugin 4.76."""

from __future__ import annotations

import pytest
from hypothesis import given

from sandbox.plugins.digitalocean.check import imported, refreshed
from sandbox.plugins.values import UNKNOWN, Properties
from tests.unit.sandbox.plugins.digitalocean.harness import RESOURCES
from tests.unit.sandbox.plugins.digitalocean.samples import droplets

DROPLET = {"image": "777", "name": "a.example.com", "region": "nyc3", "size": "s-2vcpu-2gb"}
CLUSTER = {"engine": "pg", "name": "db", "nodeCount": 1, "region": "nyc3", "size": "db-s-1vcpu-1gb", "version": "16"}
RECORD = {"domain": "example.com", "name": "a", "type": "A", "value": "198.18.0.1"}


def check(kind: str, inputs: Properties, old: Properties | None = None) -> tuple[Properties, list[str]]:
    checked, failures = RESOURCES[kind].checked("it", inputs, old or {}, b"seed")
    assert not any(failure.path for failure in failures)  # the official plugin names the property in the text
    return checked, [failure.reason for failure in failures]


@pytest.mark.parametrize(
    ("kind", "inputs", "expected"),
    [
        ("Droplet", DROPLET, {**DROPLET, "resizeDisk": True, "__defaults": ["resizeDisk"]}),
        (
            "Droplet",
            {**DROPLET, "image": 777, "monitoring": "true", "sshKeys": [2, "1"], "tags": None, "backups": False},
            {
                **DROPLET,
                "monitoring": True,
                "sshKeys": ["2", "1"],
                "backups": False,
                "resizeDisk": True,
                "__defaults": ["resizeDisk"],
            },
        ),
        ("DatabaseCluster", {**CLUSTER, "nodeCount": "1"}, {**CLUSTER, "__defaults": []}),
        (
            "DatabaseFirewall",
            {"clusterId": UNKNOWN, "rules": [{"type": "ip_addr", "value": UNKNOWN}]},
            {
                "clusterId": UNKNOWN,
                "rules": [{"type": "ip_addr", "value": UNKNOWN, "__defaults": []}],
                "__defaults": [],
            },
        ),
        ("Project", {"name": "p"}, {"name": "p", "purpose": "Web Application", "__defaults": ["purpose"]}),
        ("ProjectResources", {"project": "p", "resources": UNKNOWN}, {"project": "p", "resources": UNKNOWN}),
    ],
)
def test_inputs_get_their_types_and_defaults(kind: str, inputs: Properties, expected: Properties) -> None:
    assert check(kind, inputs) == ({"__defaults": [], **expected}, [])


@pytest.mark.parametrize(
    ("kind", "inputs", "reasons"),
    [
        (
            "Droplet",
            {"name": "a"},
            [
                (
                    'Missing required argument. The argument "image" is required, but no definition was found.. '
                    "Examine values at 'it.image'."
                ),
                (
                    'Missing required argument. The argument "size" is required, but no definition was found.. '
                    "Examine values at 'it.size'."
                ),
            ],
        ),
        ("Droplet", {**DROPLET, "image": ""}, ["image must not be empty, got . Examine values at 'it.image'."]),
        (
            "Droplet",
            {**DROPLET, "image": ["777"]},
            ["Attribute must be a single value, not a list. Examine values at 'it.image'."],
        ),
        (
            "Droplet",
            {**DROPLET, "sshKeys": ["1", "2", ""]},
            ["ssh_keys.2 must not be empty, got . Examine values at 'it.sshKeys'."],
        ),
        (
            "Droplet",
            {**DROPLET, "tags": ["a b"]},
            [
                (
                    "tags may contain lowercase letters, numbers, colons, dashes, and underscores; there is a limit of "
                    "255 characters per tag. Examine values at 'it.tags'."
                )
            ],
        ),
        (
            "Droplet",
            {**DROPLET, "backups": "maybe"},
            [
                (
                    "cannot parse '' as bool: strconv.ParseBool: parsing \"maybe\": invalid syntax. "
                    "Examine values at 'it.backups'."
                )
            ],
        ),
        ("Droplet", {**DROPLET, "sshkeys": ["1"]}, ["Invalid or unknown key. Examine values at 'it.sshkeys'."]),
        (
            "DatabaseCluster",
            {**CLUSTER, "nodeCount": 0},
            ["node_count must not be zero, got 0. Examine values at 'it.nodeCount'."],
        ),
        (
            "DatabaseFirewall",
            {"clusterId": "c", "rules": [{"type": "ip", "value": ""}]},
            [
                (
                    'expected rule.0.type to be one of ["ip_addr" "droplet" "k8s" "tag" "app"], got ip. '
                    "Examine values at 'it.rules'."
                ),
                "rule.0.value must not be empty, got . Examine values at 'it.rules'.",
            ],
        ),
        (
            "DatabaseFirewall",
            {"clusterId": "c", "rules": [{"type": "ip_addr"}]},
            [
                (
                    'Missing required argument. The argument "rule.0.value" is required, but no definition was found.. '
                    "Examine values at 'it.rules'."
                )
            ],
        ),
        (
            "DnsRecord",
            {**RECORD, "type": "B", "ttl": 0},
            [
                (
                    'expected type to be one of ["A" "AAAA" "CAA" "CNAME" "MX" "NS" "TXT" "SRV" "SOA"], got B. '
                    "Examine values at 'it.type'."
                ),
                "expected ttl to be at least (1), got 0. Examine values at 'it.ttl'.",
            ],
        ),
        (
            "DnsRecord",
            {**RECORD, "port": 70000},
            ["expected port to be in the range (0 - 65535), got 70000. Examine values at 'it.port'."],
        ),
        (
            "ProjectResources",
            {"project": "", "resources": []},
            ["expected \"project\" to not be an empty string, got . Examine values at 'it.project'."],
        ),
        (
            "Domain",
            {},
            [
                (
                    'Missing required argument. The argument "name" is required, but no definition was found.. '
                    "Examine values at 'it.name'."
                )
            ],
        ),
    ],
)
def test_what_is_wrong_is_said_in_the_provider_s_words(kind: str, inputs: Properties, reasons: list[str]) -> None:
    assert check(kind, inputs)[1] == reasons


def test_an_output_cannot_be_set() -> None:
    _, (reason,) = check("Droplet", {**DROPLET, "ipv4Address": "198.18.0.1"})
    assert 'Can\'t configure a value for "ipv4_address"' in reason


def test_what_is_unknown_is_not_judged() -> None:
    unknown = dict.fromkeys(("image", "name", "size", "region", "tags", "sshKeys"), UNKNOWN)
    assert check("Droplet", unknown)[1] == []


def test_a_name_is_made_up_once() -> None:
    first, _ = check("Tag", {})
    assert first["name"].startswith("it-")
    assert first["__defaults"] == ["name"]
    other, _ = RESOURCES["Tag"].checked("it", {}, first, b"another seed")
    assert other == first


def test_a_name_that_the_program_no_longer_gives_is_made_up_anew() -> None:
    checked, _ = check("Tag", {}, {"name": "mine", "__defaults": []})
    assert checked["name"].startswith("it-")


def test_an_import_says_what_a_program_would_have_to() -> None:
    outputs = {
        **DROPLET,
        "id": "1",
        "backups": False,
        "resizeDisk": True,
        "gracefulShutdown": None,
        "publicNetworking": True,
        "privateNetworking": False,
        "sshKeys": None,
        "tags": ["production"],
        "vpcUuid": "v",
        "status": "active",
        "ipv4Address": "198.18.0.1",
    }
    expected = {**DROPLET, "publicNetworking": True, "tags": ["production"], "vpcUuid": "v", "__defaults": []}
    assert imported(RESOURCES["Droplet"].attributes, outputs) == expected


def test_an_import_of_a_firewall_says_the_rules_without_what_is_computed() -> None:
    rule = {"type": "ip_addr", "value": "198.18.0.1"}
    outputs = {"clusterId": "c", "rules": [{**rule, "uuid": "u", "createdAt": "t"}]}
    expected = {"clusterId": "c", "rules": [{**rule, "__defaults": []}], "__defaults": []}
    assert imported(RESOURCES["DatabaseFirewall"].attributes, outputs) == expected


@pytest.mark.parametrize(
    ("kind", "inputs", "now", "expected"),
    [
        ("Droplet", {"name": "a", "size": "s"}, {"name": "b", "size": "s", "ipv6": True}, {"name": "b", "size": "s"}),
        # Its state is in small letters, whatever the program has: so a change from outside does not come back.
        ("Droplet", {"size": "S"}, {"size": "other"}, {"size": "S"}),
        ("Droplet", {"tags": ["y", "z"]}, {"tags": ["x", "y", "z"]}, {"tags": ["x", "y"]}),
        ("Droplet", {"tags": ["y"]}, {"tags": None}, {"tags": None}),
        ("Droplet", {"resizeDisk": True, "__defaults": ["resizeDisk"]}, {"resizeDisk": False}, {"resizeDisk": False}),
        (
            "DatabaseFirewall",
            {"rules": [{"type": "ip_addr", "value": "a"}, {"type": "tag", "value": "b"}]},
            {"rules": [{"type": "tag", "value": "b", "uuid": "1"}, {"type": "ip_addr", "value": "c", "uuid": "2"}]},
            {"rules": [{"type": "ip_addr", "value": "c"}, {"type": "tag", "value": "b"}]},
        ),
    ],
)
def test_a_refresh_changes_the_inputs_that_there_are(
    kind: str, inputs: Properties, now: Properties, expected: Properties
) -> None:
    assert refreshed(RESOURCES[kind].attributes, inputs, now) == expected


@given(droplets)
def test_checking_again_changes_nothing(inputs: Properties) -> None:
    checked, failures = check("Droplet", inputs)
    assert failures == []
    assert check("Droplet", inputs, checked) == (checked, [])


@given(droplets)
def test_a_refresh_of_what_has_not_changed_keeps_the_inputs(inputs: Properties) -> None:
    checked, _ = check("Droplet", inputs)
    again = refreshed(RESOURCES["Droplet"].attributes, checked, {**checked, "status": "active"})
    assert {"__defaults": [], **again} == checked
