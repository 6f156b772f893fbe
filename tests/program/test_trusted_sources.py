"""When a cluster is closed, and for whom it is opened: what the engine's hooks do, without an engine."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pulumi
import pytest

from meltanodata.engine.resource_types import Type, resource_name, tenant_of
from meltanodata.engine.stack_state import Database, StackState
from meltanodata.errors import UserError
from meltanodata.inventory import accounts
from meltanodata.inventory.accounts import NOBODY, Cluster, Droplet, Source
from meltanodata.inventory.names import Existing
from meltanodata.program import trusted_sources
from meltanodata.program.survey import Survey
from tests.program import builders
from tests.program.builders import TEAM_1, TEAM_2

if TYPE_CHECKING:
    from collections.abc import Coroutine

NAME = "db-postgresql-nyc3-11799-acme"
"""That the program gives acme's cluster."""
NEW = builders.cluster(id="new", name=NAME, status="creating")
KNOWN = Database("c0ffee", TEAM_1, frozenset({"203.0.113.7"}))


class World:
    """DigitalOcean as the hooks see it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.listed: list[Cluster] = []
        self.looks = 0
        self.asked: list[tuple[str, str, Source]] = []
        """Requests to let somebody in: team, cluster, whom."""
        self.refusals: list[str] = []
        """Of the next such requests."""
        self.trusted: dict[str, frozenset[Source]] = {}
        self.droplets: tuple[Droplet, ...] = ()
        for kind in ("resource", "error"):
            monkeypatch.setattr(f"pulumi.resource_hooks.register_{kind}_hook", lambda _: None)
        monkeypatch.setattr(accounts, "droplets_now", lambda *_: self.droplets)
        monkeypatch.setattr(accounts, "clusters_now", self._clusters)
        monkeypatch.setattr(accounts, "let_in", self._let_in)
        monkeypatch.setattr(accounts, "trusted_by", lambda *args: self.trusted[args[3]])

    def _clusters(self, *_: object) -> tuple[Cluster, ...]:
        self.looks += 1
        return tuple(self.listed)

    def _let_in(self, _: object, __: object, team: str, cluster: str, source: Source) -> bool:
        self.asked.append((team, cluster, source))
        if self.refusals:
            raise UserError(self.refusals.pop(0))
        return True


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def trusting(databases: dict[str, Database] | None = None, existing: Existing | None = None) -> trusted_sources.Trust:
    tenant = builders.tenant()
    there = (builders.cluster(id="old", name=NAME),)  # another of that name, which is on its way to be gone
    found = Survey(builders.accounts(clusters=there), {"acme": existing or Existing()}, [])
    return trusted_sources.Trust(
        [tenant],
        builders.settings(),
        builders.secrets().tokens,
        existing=found.existing,
        clusters=found.accounts.clusters,
        databases=databases or {},
        pause=0,
    )


def hook_args(type_: Type, id_: str = "", **more: Any) -> pulumi.ResourceHookArgs:
    return pulumi.ResourceHookArgs("urn", id_, resource_name("acme", type_), type_, **more)


CREATING = hook_args(Type.CLUSTER, new_inputs={"name": NAME})
CREATED = hook_args(Type.CLUSTER, "new", new_inputs={"name": NAME})
DROPLET_GOES = hook_args(Type.DROPLET, "7")


def run(work: Coroutine[Any, Any, Any]) -> None:
    asyncio.run(work)


async def until(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - of fakes that know no event
            await asyncio.sleep(0.001)


def test_a_new_cluster_is_closed_as_soon_as_it_is_listed_and_once(world: World) -> None:
    async def life() -> None:
        subject = trusting()
        subject._watch_cluster(CREATING)
        await until(lambda: world.looks >= 2)
        assert world.asked == []
        world.listed = [builders.cluster(id="old", name=NAME), NEW]
        await until(lambda: world.asked)
        await subject._close_cluster(CREATED)
        await subject._watches[TEAM_1]

    run(life())
    assert world.asked == [(TEAM_1, "new", NOBODY)]


def test_a_cluster_that_cannot_be_closed_while_it_is_made_is_closed_when_its_status_changes(world: World) -> None:
    async def life() -> None:
        subject = trusting()
        world.listed, world.refusals = [NEW], ["not while it is creating"]
        subject._watch_cluster(CREATING)
        await until(lambda: world.asked)
        looks = world.looks
        await until(lambda: world.looks > looks + 3)
        assert len(world.asked) == 1
        world.listed = [builders.cluster(id="new", name=NAME, status="online")]
        await until(lambda: len(world.asked) == 2)
        await subject._watches[TEAM_1]

    run(life())
    assert world.refusals == []


def test_a_cluster_that_nobody_saw_is_closed_after_its_creation_or_the_run_fails(world: World) -> None:
    run(trusting()._close_cluster(CREATED))
    assert world.asked == [(TEAM_1, "new", NOBODY)]
    world.refusals = [f"{TEAM_1}: no"]
    with pytest.raises(UserError, match=f"the new database new is still open to everybody: {TEAM_1}: no"):
        run(trusting()._close_cluster(CREATED))


def test_what_a_failed_creation_made_is_found_and_closed(world: World) -> None:
    async def life() -> Cluster | None:
        subject = trusting()
        subject._watch_cluster(CREATING)
        assert await subject.made_by_us("acme", NAME, last=False) is None
        assert subject._awaited == {TEAM_1: {NAME: ""}}
        assert await subject.made_by_us("acme", NAME, last=True) is None
        await subject._watches[TEAM_1]  # nobody is looked for any more
        world.listed = [NEW]
        return await subject.made_by_us("acme", NAME, last=True)

    assert asyncio.run(life()) == NEW
    assert world.asked == [(TEAM_1, "new", NOBODY)]


def test_what_a_failed_creation_made_and_cannot_be_closed_is_found_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    warned: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", warned.append)
    world.listed, world.refusals = [NEW], ["not now"]
    assert asyncio.run(trusting().made_by_us("acme", NAME, last=True)) == NEW
    assert warned == ["the new database new is still open to everybody: not now"]


def test_the_clusters_of_a_team_are_looked_for_by_one_request(world: World) -> None:
    other = hook_args(Type.CLUSTER, new_inputs={"name": "db-postgresql-nyc3-1-acme"})

    async def life() -> None:
        subject = trusting()
        subject._watch_cluster(CREATING)
        watch = subject._watches[TEAM_1]
        subject._watch_cluster(other)
        assert subject._watches == {TEAM_1: watch}
        world.listed = [NEW, builders.cluster(id="new-2", name="db-postgresql-nyc3-1-acme")]
        await watch

    run(life())
    assert world.looks == 1
    assert {cluster for _, cluster, _ in world.asked} == {"new", "new-2"}


def test_before_a_droplet_comes_or_goes_its_database_trusts_nobody(world: World) -> None:
    async def life() -> None:
        subject = trusting({"acme": KNOWN})
        await subject._trust_nobody(DROPLET_GOES)
        await subject._trust_nobody(hook_args(Type.DROPLET))  # of the same run, for the droplet that follows

    run(life())
    assert world.asked == [(TEAM_1, "c0ffee", NOBODY)]


def test_without_a_database_there_is_nothing_to_close(world: World) -> None:
    run(trusting()._trust_nobody(DROPLET_GOES))
    run(trusting()._trust_droplet(hook_args(Type.DROPLET, new_outputs={"ipv4Address": "203.0.113.7"})))
    assert world.asked == []


@pytest.mark.parametrize("team", [TEAM_1, "MeltanoData DBs 9"])
def test_a_droplet_stays_where_its_database_cannot_be_closed(world: World, team: str) -> None:
    world.refusals = ["the token is refused (401)"]
    subject = trusting({"acme": Database("c0ffee", team, frozenset())})
    with pytest.raises(UserError) as told:
        run(subject._trust_nobody(DROPLET_GOES))
    assert str(told.value).startswith(f"acme-droplet is left unchanged: its database c0ffee ({team}) would trust")
    assert "un this again" in str(told.value)


@pytest.mark.parametrize(("address", "opened"), [("203.0.113.7", True), ("203.0.113.8", False)])
def test_a_new_droplet_with_the_old_address_is_let_in_though_the_engine_sees_no_change(
    world: World, address: str, *, opened: bool
) -> None:
    run(trusting({"acme": KNOWN})._trust_droplet(hook_args(Type.DROPLET, "9", new_outputs={"ipv4Address": address})))
    assert world.asked == ([(TEAM_1, "c0ffee", Source("ip_addr", address))] if opened else [])


def failed(operation: str) -> pulumi.ErrorHookArgs:
    outputs = {"ipv4Address": "203.0.113.7"}
    return pulumi.ErrorHookArgs("urn", "7", "acme-droplet", Type.DROPLET, None, None, outputs, operation, ["no"])


@pytest.mark.parametrize(
    ("operation", "there", "opened"),
    [
        ("delete", builders.droplet(address="203.0.113.7"), True),
        ("delete", builders.droplet(id=9, address="203.0.113.7"), False),  # somebody else's by now
        ("delete", None, False),
        ("create", builders.droplet(address="203.0.113.7"), False),
    ],
)
def test_a_droplet_that_could_not_be_destroyed_is_let_in_again(
    world: World, operation: str, there: Droplet | None, *, opened: bool
) -> None:
    async def life() -> None:
        subject = trusting({"acme": KNOWN})
        world.droplets = (there,) if there else ()
        await subject._trust_nobody(DROPLET_GOES)
        assert not await subject._trust_kept_droplet(failed(operation))
        await subject._trust_nobody(DROPLET_GOES)  # if it is tried once more

    run(life())
    again = [(TEAM_1, "c0ffee", Source("ip_addr", "203.0.113.7")), (TEAM_1, "c0ffee", NOBODY)]
    assert world.asked == [(TEAM_1, "c0ffee", NOBODY), *(again if opened else [])]


def test_a_droplet_that_cannot_be_let_in_again_is_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", warned.append)
    world.droplets, world.refusals = (builders.droplet(address="203.0.113.7"),), ["down"]
    run(trusting({"acme": KNOWN})._trust_kept_droplet(failed("delete")))
    (line,) = warned
    assert line.startswith("acme-droplet is kept, and its database may not trust it: down.")
    assert line.endswith("meltanodata deploy --stack test --refresh")


def left(cluster: Cluster, **more: Any) -> None:
    existing = Existing(cluster=cluster, import_cluster=cluster.id, **more)
    tenant, tokens = builders.tenant(), builders.secrets().tokens
    trusted_sources.close_what_was_left([tenant], {"acme": existing}, builders.settings(), tokens)


def test_what_a_killed_run_left_open_is_closed_for_all_but_its_droplet(world: World) -> None:
    world.trusted = {"new": frozenset()}
    left(NEW)
    left(NEW, droplet=builders.droplet(address=None))
    left(NEW, droplet=builders.droplet(address="203.0.113.7"))
    assert [source for *_, source in world.asked] == [NOBODY, NOBODY, Source("ip_addr", "203.0.113.7")]


def test_what_a_killed_run_left_and_no_droplet_follows_is_known_to_the_hooks(world: World) -> None:
    run(trusting(existing=Existing(cluster=NEW, import_cluster="new"))._trust_nobody(hook_args(Type.DROPLET)))
    assert world.asked == [(TEAM_1, "new", NOBODY)]


def test_a_cluster_that_was_made_by_hand_is_left_alone_until_its_droplet_is_let_in(world: World) -> None:
    by_hand = builders.cluster(id="by-hand")
    world.trusted = {"by-hand": frozenset(), "new": frozenset({Source("ip_addr", "198.51.100.1")})}
    left(by_hand)
    left(NEW)  # somebody in particular is let in
    run(trusting(existing=Existing(cluster=by_hand, import_cluster="by-hand"))._trust_nobody(hook_args(Type.DROPLET)))
    assert world.asked == []


def test_a_cluster_that_is_being_made_is_asked_again_and_one_that_is_online_stops_the_run(world: World) -> None:
    world.trusted, world.refusals = {"new": frozenset()}, ["not yet", "no"]
    left(NEW)
    with pytest.raises(UserError, match="acme: its database new is open to everybody and cannot be closed: no"):
        left(builders.cluster(id="new", name=NAME, status="online"))


def test_the_state_tells_whose_cluster_is_where_and_whom_it_trusts() -> None:
    urn = "urn:pulumi:prod::meltanodata::meltanodata:index:Tenant$"
    provider = f"urn:pulumi:prod::meltanodata::pulumi:providers:digitalocean::{TEAM_2}::1234"
    resources: list[dict[str, Any]] = [
        {"urn": f"{urn}{Type.CLUSTER}::acme-database", "type": Type.CLUSTER, "id": "a", "provider": provider},
        {"urn": f"{urn}{Type.CLUSTER}::demo-database", "type": Type.CLUSTER, "id": "d", "provider": provider},
        {
            "urn": f"{urn}{Type.CLUSTER}::old-database",
            "type": Type.CLUSTER,
            "id": "o",
            "provider": provider,
            "delete": True,
        },
        {
            "urn": f"{urn}x::acme-firewall",
            "type": "digitalocean:index/databaseFirewall:DatabaseFirewall",
            "id": "f",
            "inputs": {"rules": [{"type": "ip_addr", "value": "203.0.113.7"}]},
        },
    ]
    for resource in resources:
        resource["parent"] = f"{urn.removesuffix('$')}::{tenant_of(resource['urn'].rpartition('::')[2])}"
    assert StackState({"deployment": {"resources": resources}}).databases == {
        "acme": Database("a", TEAM_2, frozenset({"203.0.113.7"})),
        "demo": Database("d", TEAM_2, frozenset()),
    }
