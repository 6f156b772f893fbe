"""The stand-in digitalocean plugin beside the official one: the same calls, the same answers, the same requests.

Waits are real: some minutes.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.api.faults import Fault
from sandbox.control import Control
from sandbox.home import Home
from sandbox.plugins.digitalocean import PACKAGE
from sandbox.plugins.values import UNKNOWN, Properties
from tests.parity.worlds import Engine, World, official, stand_in
from tests.sandbox.api import Background, Client

if TYPE_CHECKING:
    import re
    from pathlib import Path

    from sandbox.running import Running


class Cloud(World):
    """A plugin on a sandbox of its own."""

    package = PACKAGE
    same: ClassVar[tuple[str, ...]] = (
        r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        r"127\.\d+\.\d+\.\d+(:\d+)?",
        r"2001:db8:[0-9a-f:]+",
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z",
        r"do-user-\d+-\d+\.\w",
        r"AVNS_[\w-]+",
        r"(?<=ssh_keys/)\d+",
        r"\b\d{7,10}\b",
        r"([0-9a-f]{2}:){15}[0-9a-f]{2}",
        r"AAAAC3\S+",
        r"(?<=<0>-)\d{18,}[0-9a-f]*",
    )

    def __init__(self, target: str, engine: Engine, running: Running, team: str) -> None:
        self.control = Control(running)
        token = running.teams[team].token
        self.api = Client(running.api_url, token)
        settings = {"token": token, "apiEndpoint": running.api_url, "httpRetryWaitMin": "0.1"}
        super().__init__(target, engine, settings)

    def _number(self, match: re.Match[str]) -> str:
        # Whether two things happen within the same second is chance.
        return "<time>" if match.group().endswith("Z") else super()._number(match)

    def note_requests(self) -> None:
        """What the API was asked, each path by itself: neighbours may change places, for Go's maps have no order."""
        for seen in sorted(self.control.requests(), key=lambda seen: (seen.path, seen.method)):
            self.note("request", [seen.method, seen.path, seen.status])


DROPLET: Properties = {
    "name": "acme.meltanodata.com",
    "region": "nyc3",
    "size": "s-2vcpu-2gb",
    "tags": ["production"],
}
CLUSTER: Properties = {
    "name": "db-postgresql-nyc3-12345-acme",
    "engine": "pg",
    "version": "16",
    "size": "db-s-1vcpu-1gb",
    "region": "nyc3",
    "nodeCount": 1,
    "tags": ["production"],
}
RECORD: Properties = {"domain": "meltanodata.com", "type": "A", "name": "acme", "value": "198.51.100.1", "ttl": 3600}
RULE: Properties = {"type": "ip_addr", "value": "198.51.100.1"}


def inputs_of_all_sorts(world: Cloud) -> None:
    """Checks and previews, which ask nobody."""
    known = {"Droplet": {**DROPLET, "image": "1"}, "DatabaseCluster": CLUSTER, "DnsRecord": RECORD}
    changes: list[Properties] = [
        {},
        {"tags": ["a b", ""]},
        {"name": ""},
        {"region": "NYC3"},
        {"nope": 1},
        {"size": UNKNOWN, "name": UNKNOWN},
        {"sshKeys": [2, "1", ""]},
        {"monitoring": "true", "backups": "maybe"},
        {"nodeCount": 0},
        {"type": "B", "ttl": 0},
        {"port": 70000},
        {"maintenanceWindows": [{"day": "someday", "hour": "13:00"}]},
    ]
    for kind, inputs in known.items():
        names = {name for change in changes for name in change if name in inputs or name in _OPTIONAL[kind]} | {"nope"}
        for change in changes:
            if set(change) <= names:
                world.preview(kind, world.check(kind, {**inputs, **change}))
    for value in ([RULE], [{**RULE, "type": "ip"}], [{"type": "tag"}], [{**RULE, "value": UNKNOWN}], []):
        world.preview("DatabaseFirewall", world.check("DatabaseFirewall", {"clusterId": UNKNOWN, "rules": value}))
    world.preview("ProjectResources", world.check("ProjectResources", {"project": "p", "resources": [UNKNOWN]}))


_OPTIONAL = {
    "Droplet": {"sshKeys", "monitoring", "backups"},
    "DatabaseCluster": {"maintenanceWindows"},
    "DnsRecord": {"port"},
}


def a_droplet(world: Cloud) -> None:
    """Its whole life, and its assignment to a project."""
    image = str(world.api.get("/v2/snapshots")["snapshots"][0]["id"])
    keys = [str(key["id"]) for key in world.api.get("/v2/account/keys")["ssh_keys"]]
    inputs = world.check("Droplet", {**DROPLET, "image": image, "sshKeys": keys})
    made = world.create("Droplet", inputs)
    changes: list[Properties] = [
        *({}, {"image": "1"}, {"size": "S-2VCPU-2GB"}, {"size": "s-4vcpu-8gb"}, {"region": "ams3"}, {"name": "b"}),
        *({"sshKeys": keys[:1]}, {"sshKeys": [*keys, "9"]}, {"sshKeys": keys[::-1]}, {"sshKeys": UNKNOWN}),
        *({"tags": []}, {"tags": ["Production"]}, {"tags": ["a", "production"]}, {"tags": ["x"]}, {"tags": [UNKNOWN]}),
        *({"backups": True}, {"ipv6": True}, {"monitoring": True}, {"userData": "x"}, {"vpcUuid": "v"}),
        {"image": UNKNOWN, "name": UNKNOWN},
    ]
    for change in changes:
        world.diff("Droplet", made, {**inputs, **change})
    world.diff("Droplet", made, {**inputs, "image": "1", "sshKeys": []}, "image", "sshKeys")
    found = world.read("Droplet", made[0], {}, {})
    world.diff("Droplet", found, inputs, "image", "sshKeys")
    world.diff("Droplet", found, inputs)
    changed = {**inputs, "name": "other.meltanodata.com", "size": "s-4vcpu-8gb", "tags": ["x"], "ipv6": True}
    made = world.update("Droplet", made, changed)
    world.read("Droplet", *made, changed)
    project = world.api.get("/v2/projects")["projects"][0]["id"]
    assigned = {"project": project, "resources": [made[1]["dropletUrn"]]}
    assignment = world.create("ProjectResources", world.check("ProjectResources", assigned))
    world.diff("ProjectResources", assignment, {**assigned, "resources": ["do:droplet:1"]})
    world.read("ProjectResources", *assignment, assigned)
    world.delete("ProjectResources", assignment)
    world.delete("Droplet", made)
    world.read("Droplet", *made, changed)
    world.read("Droplet", made[0], {}, {})
    world.delete("Droplet", made)


def a_record(world: Cloud) -> None:
    """Its whole life."""
    inputs = world.check("DnsRecord", RECORD)
    made = world.create("DnsRecord", inputs)
    for change in ({}, {"value": UNKNOWN}, {"ttl": None}, {"type": "AAAA"}, {"name": "acme.meltanodata.com."}):
        world.diff("DnsRecord", made, {key: value for key, value in {**inputs, **change}.items() if value is not None})
    made = world.update("DnsRecord", made, {**inputs, "value": "198.51.100.2", "ttl": 60})
    world.read("DnsRecord", *made, inputs)
    world.read("DnsRecord", f"meltanodata.com,{made[0]}", {}, {})
    world.read("DnsRecord", "meltanodata.com,1", {}, {})
    world.delete("DnsRecord", made)
    world.delete("DnsRecord", made)
    world.read("DnsRecord", *made, inputs)
    world.create("DnsRecord", {**inputs, "domain": "nope.example"})


def a_cluster(world: Cloud) -> None:
    """Its whole life, with its firewall."""
    inputs = world.check("DatabaseCluster", CLUSTER)
    made = world.create("DatabaseCluster", inputs)
    changes: list[Properties] = [
        *({}, {"name": "b"}, {"size": "db-s-1vcpu-2gb"}, {"nodeCount": 2}, {"region": "ams3"}, {"version": "17"}),
        *({"projectId": "p"}, {"privateNetworkUuid": "v"}, {"engine": "mysql"}, {"tags": []}, {"tags": ["a"]}),
    ]
    for change in changes:
        world.diff("DatabaseCluster", made, {**inputs, **change})
    found = world.read("DatabaseCluster", made[0], {}, {})
    world.diff("DatabaseCluster", found, inputs)
    rules = {"clusterId": made[0], "rules": [RULE]}
    firewall = world.create("DatabaseFirewall", world.check("DatabaseFirewall", rules))
    another = {**RULE, "value": "198.51.100.2"}
    for other in ([another], [{**RULE, "value": UNKNOWN}], [RULE, another]):
        world.diff("DatabaseFirewall", firewall, {**rules, "rules": other})
    firewall = world.update("DatabaseFirewall", firewall, {**rules, "rules": [another]})
    world.read("DatabaseFirewall", *firewall, rules)
    world.read("DatabaseFirewall", made[0], {}, {})
    changed = {**inputs, "size": "db-s-1vcpu-2gb", "tags": ["a"]}
    made = world.update("DatabaseCluster", made, changed)
    world.read("DatabaseCluster", *made, changed)
    world.delete("DatabaseFirewall", firewall)
    world.delete("DatabaseCluster", made)
    world.read("DatabaseCluster", *made, changed)
    world.delete("DatabaseCluster", made)
    world.delete("DatabaseFirewall", firewall)
    world.read("DatabaseFirewall", *firewall, rules)


def faults_of_the_api(world: Cloud) -> None:
    """Errors that pass, and errors that stay."""
    inputs = world.check("DnsRecord", RECORD)
    path = "/v2/domains/*/records"
    for fault in (
        Fault(effect="status", status=429, retry_after=1, method="POST", path=path, times=2),
        Fault(effect="status", status=500, method="POST", path=path, times=None),
        Fault(effect="status", status=501, method="POST", path=path, times=None),
        Fault(effect="status", status=422, method="POST", path=path, times=None),
    ):
        world.control.add_fault(fault)
        world.create("DnsRecord", inputs)
        world.control.clear_faults()
    image = str(world.api.get("/v2/snapshots")["snapshots"][0]["id"])
    droplet = world.check("Droplet", {**DROPLET, "image": image})
    world.control.add_fault(Fault(effect="status", method="GET", path="/v2/droplets/*", times=None))
    world.create("Droplet", droplet)
    world.control.clear_faults()
    world.control.add_fault(Fault(effect="stuck", method="POST", path="/v2/droplets"))
    world.create("Droplet", {**droplet, "name": "late.meltanodata.com"}, seconds=17)
    made = world.create("Droplet", {**droplet, "name": "busy.meltanodata.com"})
    world.control.add_fault(Fault(effect="status", status=422, method="DELETE", path="/v2/droplets/*", times=None))
    world.delete("Droplet", made)
    world.control.clear_faults()


def functions(world: Cloud) -> None:
    """What is looked up."""
    for arguments in ({"nameRegex": "^Ubuntu"}, {"nameRegex": "nope"}, {"name": "nope"}, {}):
        world.invoke("getDropletSnapshot", dict(arguments))
    world.invoke("getSshKeys", {})
    for arguments in ({}, {"name": "Meltano"}, {"name": "nope"}):
        world.invoke("getProject", dict(arguments))


SCENARIOS = (inputs_of_all_sorts, a_droplet, a_record, a_cluster, faults_of_the_api, functions)


Plugin = Callable[[str], AbstractContextManager[str]]
Scenario = Callable[[Cloud], None]


def _play(plugin: Plugin, scenario: Scenario, folder: Path) -> Cloud:
    """What was said and asked with one of the plugins."""
    team = "MeltanoData DBs 1" if scenario is a_cluster else "Meltano"
    with plugin("digitalocean") as target, Engine() as engine, Background(Home(folder)) as running:
        world = Cloud(target, engine, running, team)
        scenario(world)
        world.note("logged", [line for line in engine.logged if line[0] == "ERROR"])  # Go warns of types besides
        world.note_requests()
    return world


@given(password=st.from_regex(r"AVNS_[A-Za-z0-9_-]{19}", fullmatch=True))
def test_a_password_is_hidden_whole_whatever_it_is_of(password: str) -> None:
    world = object.__new__(Cloud)
    world.said, world._numbers = [], {}
    world.note("read", {"uri": f"postgresql://doadmin:{password}@host:25060/defaultdb", "password": password})
    assert world.said == ['read: {"password": "<0>", "uri": "postgresql://doadmin:<0>@host:25060/defaultdb"}']


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_both_plugins_do_the_same(scenario: Scenario, tmp_path: Path) -> None:
    with ThreadPoolExecutor() as threads:
        theirs, ours = (
            threads.submit(_play, plugin, scenario, tmp_path / plugin.__name__) for plugin in (official, stand_in)
        )
    assert ours.result().said == theirs.result().said
    # The first call of a plugin finds it still starting.
    assert ours.result().seconds[1:] == pytest.approx(theirs.result().seconds[1:], abs=2.5)
