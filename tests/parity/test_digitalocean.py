"""The stand-in digitalocean plugin beside the official one: the same calls, the same answers, the same requests.

MELTANODATA_OFFICIAL_PLUGINS names the folder that holds `pulumi-resource-digitalocean`. Run by `make parity` and not
with the other tests, for nothing of the project needs an official plugin. Waits are real: some minutes.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from sandbox.api.faults import Fault
from sandbox.control import Control
from sandbox.home import Home
from sandbox.plugins.digitalocean import PACKAGE
from sandbox.plugins.values import UNKNOWN, Properties, decode, encode, plain
from tests.sandbox.conftest import Background, Client
from tests.sandbox.programs import plugin_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox.running import Running

OFFICIAL = Path(os.environ["MELTANODATA_OFFICIAL_PLUGINS"])
TOKENS = {resource.token.rpartition(":")[2]: resource.token for resource in PACKAGE.resources}
_SAME = (
    # What differs from world to world, numbered as it comes.
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    r"127\.\d+\.\d+\.\d+(:\d+)?",
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z",
    r"do-user-\d+-\d+\.\w",
    r"AVNS_\w+",
    r"(?<=ssh_keys/)\d+",
    r"\b\d{7,10}\b",
    r"([0-9a-f]{2}:){15}[0-9a-f]{2}",
    r"AAAAC3\S+",
    r"(?<=<0>-)\d{18,}[0-9a-f]*",
)


class World:
    """A plugin on a sandbox of its own, and all that they said."""

    def __init__(self, target: str, running: Running, team: str) -> None:
        channel = grpc.insecure_channel(target, options=[("grpc.enable_http_proxy", 0)])
        self._stub: Any = provider_pb2_grpc.ResourceProviderStub(channel)
        self.control = Control(running)
        token = running.teams[team].token
        self.api = Client(running.api_url, token)
        self.said: list[str] = []
        self.seconds: list[float] = []
        """What each call took."""
        self._numbers: dict[str, str] = {}
        settings = {"token": token, "apiEndpoint": running.api_url, "httpRetryWaitMin": "0.1"}
        self._stub.Configure(provider_pb2.ConfigureRequest(args=encode(settings), acceptSecrets=True))

    def note(self, what: str, answer: Any) -> None:
        """Keep something that must be the same in both worlds."""
        text = json.dumps(_without_bookkeeping(answer), sort_keys=True)
        for pattern in _SAME:
            text = re.sub(pattern, self._number, text)
        self.said.append(f"{what}: {text}")

    def _number(self, match: re.Match[str]) -> str:
        found = match.group()
        return self._numbers.setdefault(found, f"<{len(self._numbers)}>")

    def _call(self, method: str, kind: str, request: Any) -> Any:
        started = time.monotonic()
        try:
            answer = getattr(self._stub, method)(request)
        except grpc.RpcError as error:
            # The official one says of whom in front of what it refuses to plan.
            text = re.sub(r"^diffing \S+: ", "", error.details() or "")
            self.note(f"{method} {kind}", [error.code().name, text])
            return None
        finally:
            self.seconds.append(time.monotonic() - started)
        self.note(f"{method} {kind}", MessageToDict(answer))
        return answer

    def check(self, kind: str, inputs: Properties) -> Properties:
        """What a program says, checked; nothing when that is wrong."""
        request = provider_pb2.CheckRequest(news=encode(inputs), randomSeed=b"s" * 32)
        answer = self._call("Check", kind, _about(request, kind))
        # Of several things that are wrong Go names one or the other first.
        answer.failures.sort(key=lambda failure: failure.reason)
        self.said[-1] = ""
        self.note(f"Check {kind}", MessageToDict(answer))
        return {} if answer.failures else decode(answer.inputs)

    def preview(self, kind: str, inputs: Properties) -> None:
        """What would be made of checked inputs."""
        if inputs:
            request = provider_pb2.CreateRequest(properties=encode(inputs), preview=True)
            self._call("Create", kind, _about(request, kind))

    def create(self, kind: str, inputs: Properties, seconds: float = 0) -> tuple[str, Properties]:
        """Make it."""
        request = provider_pb2.CreateRequest(properties=encode(inputs), timeout=seconds)
        answer = self._call("Create", kind, _about(request, kind))
        return (answer.id, plain(decode(answer.properties))) if answer else ("", {})

    def diff(self, kind: str, old: tuple[str, Properties], inputs: Properties, *ignored: str) -> None:
        """What an update would do."""
        request = provider_pb2.DiffRequest(id=old[0], olds=encode(old[1]), news=encode(inputs), ignoreChanges=ignored)
        self._call("Diff", kind, _about(request, kind))

    def update(self, kind: str, old: tuple[str, Properties], inputs: Properties) -> tuple[str, Properties]:
        """Preview it and do it."""
        request = provider_pb2.UpdateRequest(id=old[0], olds=encode(old[1]), news=encode(inputs), preview=True)
        self._call("Update", kind, _about(request, kind))
        request.preview = False
        answer = self._call("Update", kind, request)
        return (old[0], plain(decode(answer.properties))) if answer else old

    def read(self, kind: str, id_: str, old: Properties, inputs: Properties) -> tuple[str, Properties]:
        """Refresh it; without an old state, import it."""
        request = provider_pb2.ReadRequest(id=id_, properties=encode(old), inputs=encode(inputs))
        answer = self._call("Read", kind, _about(request, kind))
        return (answer.id, plain(decode(answer.properties))) if answer else ("", {})

    def delete(self, kind: str, old: tuple[str, Properties]) -> None:
        """Remove it."""
        request = provider_pb2.DeleteRequest(id=old[0], properties=encode(old[1]))
        self._call("Delete", kind, _about(request, kind))

    def invoke(self, name: str, arguments: Properties) -> None:
        """A function's result."""
        request = provider_pb2.InvokeRequest(tok=f"digitalocean:index/{name}:{name}", args=encode(arguments))
        self._call("Invoke", name, request)

    def note_requests(self) -> None:
        """What the API was asked; neighbours may change places, for Go's maps have no order."""
        for seen in sorted(self.control.requests(), key=lambda seen: (round(seen.time), seen.method, seen.path)):
            self.note("request", [seen.method, seen.path, seen.status])


def _about(request: Any, kind: str) -> Any:
    request.urn = f"urn:pulumi:s::p::{TOKENS[kind]}::it"
    request.type = TOKENS[kind]
    return request


def _without_bookkeeping(value: Any) -> Any:
    """The answer without what is the bridge's own, and without nulls."""
    if isinstance(value, list):
        return [_without_bookkeeping(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {
        key: _without_bookkeeping(item)
        for key, item in value.items()
        if item is not None and key != "__pulumi_raw_state_delta"
    }
    if "__meta" in kept:
        meta = json.loads(kept["__meta"])
        kept["__meta"] = {key: item for key, item in meta.items() if item != "0" and key != "_new_extra_shim"}
    return kept


@contextlib.contextmanager
def _official() -> Iterator[str]:
    with subprocess.Popen([OFFICIAL / "pulumi-resource-digitalocean"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield f"127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


@contextlib.contextmanager
def _stand_in() -> Iterator[str]:
    with plugin_server() as attach:
        yield f"127.0.0.1:{dict(pair.split(':') for pair in attach.split(','))['digitalocean']}"


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


def inputs_of_all_sorts(world: World) -> None:
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


def a_droplet(world: World) -> None:
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


def a_record(world: World) -> None:
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


def a_cluster(world: World) -> None:
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


def faults_of_the_api(world: World) -> None:
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


def functions(world: World) -> None:
    """What is looked up."""
    for arguments in ({"nameRegex": "^Ubuntu"}, {"nameRegex": "nope"}, {"name": "nope"}, {}):
        world.invoke("getDropletSnapshot", dict(arguments))
    world.invoke("getSshKeys", {})
    for arguments in ({}, {"name": "Meltano"}, {"name": "nope"}):
        world.invoke("getProject", dict(arguments))


SCENARIOS = (inputs_of_all_sorts, a_droplet, a_record, a_cluster, faults_of_the_api, functions)


def _play(plugin: Callable[[], Any], scenario: Callable[[World], None], folder: Path) -> World:
    """What was said and asked with one of the plugins."""
    team = "MeltanoData DBs 1" if scenario is a_cluster else "Meltano"
    with plugin() as target, Background(Home(folder)) as running:
        world = World(target, running, team)
        scenario(world)
        world.note_requests()
    return world


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_both_plugins_do_the_same(scenario: Callable[[World], None], tmp_path: Path) -> None:
    with ThreadPoolExecutor() as threads:
        official, stand_in = (
            threads.submit(_play, plugin, scenario, tmp_path / plugin.__name__.strip("_"))
            for plugin in (_official, _stand_in)
        )
    assert stand_in.result().said == official.result().said
    assert stand_in.result().seconds == pytest.approx(official.result().seconds, abs=2.5)
