"""Doctor on many light droplets, of which some are dead and some say nothing: each costs its own time alone."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import asyncssh
import pytest
from pydantic import SecretStr

from meltanodata.config.checks import Check
from meltanodata.doctor.diagnosis import Level
from meltanodata.doctor.probes import Limits, Way, examine
from meltanodata.engine.instances import Instance
from sandbox.api.messages import DropletFault
from tests.program.builders import settings
from tests.sandbox.api import new_database, new_droplet
from tests.waiting import PATIENCE, eventually

if TYPE_CHECKING:
    from meltanodata.inventory.accounts import Source
    from sandbox.control import Control
    from sandbox.running import Running
    from tests.sandbox.api import Client

KEY = asyncssh.generate_private_key("ssh-ed25519")
SILENT = ("t0", "t1", "t2")
HANGING, REFUSING, BREAKING, MOVED, REBUILT, NAMELESS = ("t3", "t4", "t5", "t6", "t7", "t8")
COUNT = 14
LIMITS = Limits(answer=12, silence=1, script=16, together=COUNT)
FROM_HERE = frozenset({Check.PING, Check.DNS, Check.SSH})


def instance(running: Running, name: str, number: int, address: str) -> Instance:
    async def ask() -> asyncssh.SSHKey | None:
        return await asyncssh.get_server_host_key(address, running.ssh_port, config=None)

    key = asyncio.run(ask())
    assert key is not None
    return Instance(
        tenant=name.split(".", maxsplit=1)[0],
        stack="sandbox",
        host=name,
        droplet=str(number),
        address=address,
        host_key=key.export_public_key().decode().strip(),
        database_host=None,
        database_port=25060,
        tls="wildcard",
        certificate=None,
    )


@pytest.fixture
def fleet(meltano: Client, control: Control, running: Running) -> dict[str, Instance]:
    """Droplets with their records, as a stack makes them."""
    public = KEY.export_public_key().decode().strip()
    key = meltano.post("/v2/account/keys", {"name": "doctor", "public_key": public})["ssh_key"]["id"]
    for number in range(COUNT):
        body = new_droplet(meltano, name=f"t{number}.{running.domain}", ssh_keys=[key])
        meltano.post("/v2/droplets", body, 202)
    eventually(lambda: all(droplet.status == "active" for droplet in control.droplets()))
    found = {}
    for droplet in control.droplets():
        found[droplet.name.split(".")[0]] = instance(running, droplet.name, droplet.id, droplet.address)
        body = {"type": "A", "name": droplet.name.split(".")[0], "data": droplet.address, "ttl": 3600}
        if not droplet.name.startswith(f"{NAMELESS}."):
            body |= {"data": "203.0.113.9"} if droplet.name.startswith(f"{MOVED}.") else {}
            meltano.post(f"/v2/domains/{running.domain}/records", body)
    return found


def way(running: Running, *more: Check) -> Way:
    key = SecretStr(KEY.export_private_key().decode())
    return Way(running.domain, running.ssh_port, key, "{}:{}".format(*running.resolver), FROM_HERE | set(more))


def test_each_costs_its_own_time_alone(fleet: dict[str, Instance], control: Control, running: Running) -> None:
    for tenant in SILENT:
        control.set_droplet_fault(int(fleet[tenant].droplet or 0), DropletFault(kind="silent"))
    for tenant, kind in ((HANGING, "hang"), (REFUSING, "refuse"), (BREAKING, "break")):
        control.set_droplet_fault(int(fleet[tenant].droplet or 0), DropletFault.model_validate({"kind": kind}))
    other = fleet[SILENT[0]].host_key
    patients = [
        (
            Instance(**{**vars(it), "host_key": other}) if it.tenant == REBUILT else it,
            way(running, Check.SYSTEM) if it.tenant in {HANGING, BREAKING} else way(running),
        )
        for it in fleet.values()
    ]
    order: list[str] = []
    started = time.monotonic()
    found = examine(patients, lambda it, _: order.append(it.tenant), LIMITS)
    took = time.monotonic() - started

    assert list(found) == list(fleet)
    wrong = {
        tenant: [(it.check, it.found) for it in findings if it.level is Level.WRONG]
        for tenant, findings in found.items()
        if any(it.level is Level.WRONG for it in findings)
    }
    assert wrong == {
        **{
            tenant: [(Check.SSH, f"{fleet[tenant].address} does not answer SSH within 12 seconds")] for tenant in SILENT
        },
        HANGING: [(Check.SYSTEM, "the examination of the droplet did not end within 16 seconds")],
        REFUSING: [(Check.SSH, f"{fleet[REFUSING].address} cannot be reached by SSH: Connection refused")],
        BREAKING: [(Check.SYSTEM, "the SSH connection broke during the examination of the droplet")],
        MOVED: [(Check.DNS, f"{fleet[MOVED].host} points to 203.0.113.9, not to {fleet[MOVED].address}")],
        REBUILT: [
            (
                Check.SSH,
                (
                    f"the host key is {fleet[REBUILT].fingerprint},"
                    f" but the stack has pinned {fleet[SILENT[0]].fingerprint}"
                ),
            )
        ],
        NAMELESS: [(Check.DNS, f"{fleet[NAMELESS].host} has no A record")],
    }
    # Those that cost their whole limit come last, and no limit is waited for twice.
    assert set(order[-4:]) == {*SILENT, HANGING}
    assert took < LIMITS.answer + LIMITS.script


def test_a_key_that_is_not_the_droplets(fleet: dict[str, Instance], running: Running) -> None:
    stranger = SecretStr(asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode())
    it = fleet["t9"]
    mine = way(running)
    found = examine([(it, Way(mine.domain, mine.ssh_port, stranger, mine.resolver, mine.checks))], lambda *_: None)
    assert [(one.check, one.found) for one in found["t9"] if one.level is Level.WRONG] == [
        (Check.SSH, "SSH login as root failed: the stack's key is not accepted")
    ]


def test_a_name_server_that_is_none(fleet: dict[str, Instance], running: Running) -> None:
    mine = way(running)
    nobody = Way(mine.domain, mine.ssh_port, mine.private_key, "127.0.0.1:1", frozenset({Check.DNS}))
    found = examine([(fleet["t9"], nobody)], lambda *_: None, Limits(answer=2))
    (one,) = found["t9"]
    assert one.level is Level.WRONG
    assert one.found.startswith(f"DNS lookup for {fleet['t9'].host} failed: ")


def test_a_droplet_whose_script_fails(fleet: dict[str, Instance], control: Control, running: Running) -> None:
    """What it prints then is not shown: it may hold secrets."""
    control.set_droplet_fault(int(fleet["t9"].droplet or 0), DropletFault(kind="exit", status=3, text="hunter2"))
    found = examine([(fleet["t9"], way(running, Check.SYSTEM))], lambda *_: None)["t9"]
    (one,) = (it for it in found if it.level is Level.WRONG)
    assert one.found == "the script on the droplet ended with exit code 3"


def test_whom_a_database_lets_in_is_asked_of_its_team(dbs: Client, running: Running) -> None:
    team = "MeltanoData DBs 1"
    cluster = dbs.post("/v2/databases", new_database())["database"]["id"]
    acme = Instance(
        tenant="acme",
        stack="sandbox",
        host="acme.meltanodata.com",
        droplet="7",
        address="203.0.113.7",
        host_key="ssh-ed25519 AAAA",
        database_host=None,
        database_port=25060,
        tls="wildcard",
        certificate=None,
        database=cluster,
        database_team=team,
    )
    stack = settings(api_url=running.api_url, database_teams=[{"name": team}], unchecked=set(Check) - {Check.TRUSTED})

    def told(tokens: dict[str, SecretStr], patient: Instance = acme) -> tuple[Level, str]:
        mine = Way.of(stack, SecretStr(""), tokens)
        (one,) = examine([(patient, mine)], lambda *_: None)["acme"]
        return one.level, one.found

    def let_in(*addresses: str) -> None:
        rules = [{"type": "ip_addr", "value": address} for address in addresses]
        dbs.put(f"/v2/databases/{cluster}/firewall", {"rules": rules}, 204)

    tokens = {team: SecretStr(running.teams[team].read_token)}
    assert told(tokens) == (Level.WRONG, "the database is open to everybody: it has no trusted source")
    let_in("203.0.113.7", "198.51.100.9")
    assert told(tokens) == (Level.WRONG, "the database also trusts 198.51.100.9 (ip_addr)")
    let_in("203.0.113.7")
    assert told(tokens) == (Level.OK, "the database trusts its droplet alone")
    # Whatever keeps it from being known is said, and is no good news.
    for trouble in (
        told({}),
        told({team: SecretStr("nobody's")}),
        told(tokens, replace(acme, database=None)),
        told(tokens, replace(acme, database="00000000-0000-4000-8000-000000000000")),
    ):
        assert trouble[0] is Level.WARNING
        assert trouble[1].startswith("the trusted sources are unknown: ")
    # DigitalOcean that says nothing costs its own time.
    answer = threading.Event()

    def say_nothing(_: Instance) -> frozenset[Source]:
        answer.wait(PATIENCE)
        return frozenset()

    silent = replace(Way.of(stack, SecretStr(""), tokens), trusted=say_nothing)
    (one,) = examine([(acme, silent)], lambda *_: None, Limits(page=0.2))["acme"]
    answer.set()
    assert one.level is Level.WARNING
    assert one.found.endswith("are unknown: DigitalOcean did not answer within 0.2 seconds")
