"""Instances made by hand become entries, and what is not clear is said and left."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from meltanodata.config import edit
from meltanodata.config.tenants import tenants_of
from meltanodata.inventory import adoption, names
from meltanodata.inventory.accounts import Cluster, Droplet, OtherRecord, Record, Source
from tests.fleets import fleet_of, parsed, settings, text
from tests.program import builders

if TYPE_CHECKING:
    from meltanodata.inventory.adoption import NewEntry

STACKS = [settings(no_tenants=["controller", "www"]), settings(stack="prod-2", database_teams=[{"name": "DBs 3"}])]
DOMAIN = "meltanodata.com"


class Accounts:
    """What people made, and whom the clusters let in."""

    def __init__(self) -> None:
        self.droplets: list[Droplet] = []
        self.records: list[Record] = []
        self.others: list[OtherRecord] = []
        self.clusters: list[Cluster] = []
        self.trusted: dict[str, set[Source]] = {}

    def droplet(self, name: str, number: int, **more: Any) -> Droplet:
        made = builders.droplet(id=number, name=name, **{"address": f"203.0.113.{number}", **more})
        self.droplets.append(made)
        return made

    def record(self, name: str, number: int) -> None:
        self.records.append(Record(100 + len(self.records), name, f"203.0.113.{number}"))

    def cluster(self, name: str, *trusted: str, team: str = "DBs 1", **more: Any) -> Cluster:
        made = builders.cluster(id=f"c-{len(self.clusters)}", name=name, team=team, **more)
        self.clusters.append(made)
        self.trusted[made.id] = {Source("ip_addr", address) for address in trusted}
        return made

    def instance(self, key: str, number: int, **more: Any) -> None:
        """As the guide makes one."""
        self.droplet(f"{key}.{DOMAIN}", number, **more)
        self.record(key, number)
        self.cluster(f"db-postgresql-nyc3-{number}2483-{key}", f"203.0.113.{number}", **more)

    def found(
        self, file: dict[str, Any] | None = None, known: tuple[str, ...] = (), *, keep: bool = True
    ) -> tuple[dict[str, NewEntry], dict[str, str]]:
        """The instances by name, and the reasons by what they are about. Each instance is found by its entry."""
        held = builders.accounts(
            droplets=tuple(self.droplets),
            records=tuple(self.records),
            clusters=tuple(self.clusters),
            other_records=tuple(self.others),
        )
        fleet = fleet_of(file or {})
        there = adoption.free(fleet, STACKS, held)
        instances, left = adoption.Match(there, STACKS, self.trusted, known, keep_login=keep).all()
        written = "".join(edit.entry(it.key, it.options) for it in instances)
        grown, problems = parsed(text(file or {}).removeprefix("{}\n") + written or "{}\n")
        assert problems == []
        for stack in STACKS:
            tenants = [it for it in tenants_of(grown, stack) if it.key in {instance.key for instance in instances}]
            existing, unclear = names.identify(tenants, held, DOMAIN, {})
            assert unclear == []
            assert all(it.droplet and it.record and it.cluster for it in existing.values())
        return {it.key: it for it in instances}, {it.what: it.why for it in left}


@pytest.fixture
def made() -> Accounts:
    return Accounts()


def test_an_instance_as_the_guide_makes_it_is_as_short_as_its_team(made: Accounts) -> None:
    made.instance("acme", 7)
    found, left = made.found()
    assert (dict(found["acme"].options), found["acme"].also_trusted, left) == ({"database_team": "DBs 1"}, (), {})
    assert dict(made.found(keep=False)[0]["acme"].options) == {"database_team": "DBs 1", "adopt": {"login": "new"}}


def test_what_has_an_entry_or_another_purpose_is_left_alone(made: Accounts) -> None:
    made.instance("acme", 7)
    made.instance("controller", 8)
    made.droplets[1] = made.droplet("controller", 8)
    made.droplets.pop()
    made.record("www", 9)
    made.clusters = [it for it in made.clusters if not it.name.endswith("controller")]
    assert made.found({"acme": {"database_team": "DBs 1"}}) == ({}, {})
    renamed = {"database_team": "DBs 1", "adopt": {"droplet": "acme.meltanodata.com", "record": "acme"}}
    cluster = {"database": made.clusters[0].name}
    assert made.found({"bolt": {**renamed, "adopt": {**renamed["adopt"], **cluster}}}) == ({}, {})  # type: ignore[dict-item]


@pytest.mark.parametrize("kept", ["shop", "shop.meltanodata.com"])
def test_no_instance_of_another_purpose_is_adopted_under_either_of_its_names(
    made: Accounts, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        globals(), "STACKS", [*STACKS, settings(stack="other", database_teams=[{"name": "DBs 9"}], no_tenants=[kept])]
    )
    made.instance("acme", 7)
    made.droplet(f"shop.{DOMAIN}", 8)
    made.record("shop", 8)
    made.droplet("shop-2", 9)
    made.record("shop", 9)
    found, left = made.found()
    assert list(found) == ["acme"]
    assert list(left) == ["droplet shop-2 (9)"]


def test_a_database_of_another_purpose_is_not_found_by_the_entry(
    made: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.instance("acme", 7)
    kept = made.cluster("db-postgresql-nyc3-99999-acme")
    monkeypatch.setitem(
        globals(),
        "STACKS",
        [*STACKS, settings(stack="other", database_teams=[{"name": "DBs 9"}], no_tenants=[kept.name])],
    )
    found, left = made.found()
    assert found["acme"].options["adopt"] == {"database": "db-postgresql-nyc3-72483-acme"}
    assert left == {}


def test_the_domain_and_a_wildcard_that_point_to_a_droplet_are_not_its_name(made: Accounts) -> None:
    made.droplet("acme-old", 7)
    for name in ("@", "*", "acme"):
        made.record(name, 7)
    made.cluster("db-postgresql-nyc3-72483-acme", "203.0.113.7")
    found, left = made.found()
    assert dict(found["acme"].options) == {"database_team": "DBs 1", "adopt": {"droplet": "acme-old"}}
    assert sorted(left) == ["record * (101)", "record @ (100)"]


def test_an_instance_whose_name_leads_elsewhere_too_is_left_with_its_reason(made: Accounts) -> None:
    made.instance("acme", 7)
    made.droplets[0] = replace(made.droplets[0], ipv6=("2001:db8::7",))
    made.others += [OtherRecord(1, "acme", "AAAA", "2001:db8::7"), OtherRecord(2, "@", "NS", "ns1.digitalocean.com")]
    assert list(made.found()[0]) == ["acme"]
    made.others.append(OtherRecord(3, "acme", "AAAA", "2001:db8::1"))
    found, left = made.found()
    assert found == {}
    assert left[f"droplet acme.{DOMAIN} (7)"] == (
        "its name has the AAAA record 3 ('2001:db8::1') too, which leads elsewhere"
    )


def test_sizes_region_and_team_are_stated_where_they_differ(made: Accounts) -> None:
    made.droplet("acme.meltanodata.com", 7, region="fra1", size="s-4vcpu-8gb")
    made.record("acme", 7)
    made.cluster("db-postgresql-nyc1-1-acme", team="DBs 3", region="fra1", size="db-s-2vcpu-4gb")
    found, _ = made.found()
    assert dict(found["acme"].options) == {
        "database_team": "DBs 3",
        "region": "fra1",
        "droplet_size": "s-4vcpu-8gb",
        "database_size": "db-s-2vcpu-4gb",
    }


def test_names_that_differ_are_adopted(made: Accounts) -> None:
    made.droplet("demo-old", 7)
    made.record("demo2", 7)
    made.cluster("reporting", "198.51.100.1", "203.0.113.7")
    found, left = made.found()
    assert dict(found["demo2"].options) == {
        "database_team": "DBs 1",
        "adopt": {"droplet": "demo-old", "database": "reporting"},
    }
    assert found["demo2"].also_trusted == ("198.51.100.1 (ip_addr)",)
    assert left == {}


@pytest.mark.parametrize("source", [Source("ip_addr", "203.0.113.7/32"), Source("droplet", "7")])
def test_a_trusted_source_in_another_form(made: Accounts, source: Source) -> None:
    made.droplet("acme.meltanodata.com", 7)
    made.record("acme", 7)
    made.trusted[made.cluster("reporting").id] = {source}
    assert made.found()[0]["acme"].options["adopt"] == {"database": "reporting"}


def test_a_name_counts_for_more_than_a_trusted_source(made: Accounts) -> None:
    made.instance("acme", 7)
    made.instance("bolt", 8)
    made.trusted["c-0"].add(Source("ip_addr", "203.0.113.8"))
    found, _ = made.found()
    assert [dict(it.options) for it in found.values()] == [{"database_team": "DBs 1"}] * 2
    assert found["acme"].also_trusted == ("203.0.113.8 (ip_addr)",)


def test_of_two_databases_of_one_name_the_one_that_lets_it_in(made: Accounts) -> None:
    made.instance("acme", 7)
    made.cluster("db-postgresql-nyc3-99999-acme")
    found, left = made.found()
    assert found["acme"].options["adopt"] == {"database": "db-postgresql-nyc3-72483-acme"}
    assert list(left) == ["database db-postgresql-nyc3-99999-acme (c-1, DBs 1)"]


def test_the_record_of_its_own_name_counts_where_several_point_to_it(made: Accounts) -> None:
    made.instance("acme", 7)
    made.record("alias", 7)
    found, left = made.found()
    assert list(found) == ["acme"]
    assert left == {"record alias (101)": "it points to the droplet acme.meltanodata.com, which has another record"}


def _break(made: Accounts, what: str) -> None:  # noqa: C901 - a case for each
    """Of acme, the first of two instances."""
    match what:
        case "no record":
            made.records.pop(0)
        case "another address":
            made.records[0] = Record(100, "acme", "203.0.113.99")
        case "no address":
            made.droplets[0] = builders.droplet(id=7, address=None)
        case "two droplets":
            made.droplet("acme.meltanodata.com", 9)
        case "two records":
            made.record("acme", 9)
        case "aliases":
            made.droplets[0] = builders.droplet(id=7, name="old", address="203.0.113.7")
            made.record("alias", 7)
        case "bad name":
            made.droplets[0] = builders.droplet(id=7, name="old", address="203.0.113.7")
            made.records[0] = Record(100, "a.b", "203.0.113.7")
        case "no database":
            made.clusters.pop(0)
        case "closed database":
            made.clusters[0] = builders.cluster(id="c-0", name="reporting", team="DBs 1")
            made.trusted["c-0"] = {Source("ip_addr", "198.51.100.1"), Source("droplet", "99"), Source("tag", "7")}
        case "two databases":
            made.trusted[made.cluster("db-postgresql-nyc3-99999-acme").id] = made.trusted["c-0"]
        case "far database":
            made.clusters[0] = builders.cluster(id="c-0", team="DBs 1", region="fra1")


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("no record", "no A record without an entry points to its address 203.0.113.7"),
        ("another address", "no A record without an entry points to its address 203.0.113.7"),
        ("no address", "it has no address yet"),
        ("two droplets", "another droplet has the same name"),
        ("two records", "there are two A records acme"),
        ("aliases", "more than one A record points to it: acme (100) and alias (102)"),
        ("bad name", "its record is called a.b, and a tenant's name is"),
        ("no database", "no database has its name, and none trusts its address 203.0.113.7"),
        ("closed database", "no database has its name, and none trusts its address 203.0.113.7"),
        ("two databases", "it is not clear which database is its own: db-postgresql-nyc3-72483-acme (DBs 1) and"),
        ("far database", "it is in nyc3 and its database db-postgresql-nyc3-52483-acme in fra1"),
    ],
)
def test_what_is_not_clear_is_left_with_its_reason(made: Accounts, what: str, words: str) -> None:
    made.instance("acme", 7)
    made.instance("bolt", 8)
    _break(made, what)
    found, left = made.found()
    assert list(found) == ["bolt"]
    (why,) = {why for it, why in left.items() if it.startswith("droplet") and "(7)" in it}
    assert why.startswith(words)


def test_two_instances_never_get_one_database(made: Accounts) -> None:
    for name, number in (("acme", 7), ("bolt", 8)):
        made.droplet(f"{name}.meltanodata.com", number)
        made.record(name, number)
    made.cluster("shared", "203.0.113.7", "203.0.113.8")
    found, left = made.found()
    assert found == {}
    assert left["droplet acme.meltanodata.com (7)"] == "its database shared also fits bolt"


def test_what_a_stack_is_about_to_destroy_is_not_brought_back(made: Accounts) -> None:
    made.instance("acme", 7)
    found, left = made.found(known=("7", "c-0"))
    assert found == {}
    assert {why for what, why in left.items() if not what.startswith("record")} == {
        "a stack's state has it, and no entry names it any more: the next `up` destroys it"
    }


def test_what_belongs_to_no_instance_is_listed(made: Accounts) -> None:
    made.record("blog", 50)
    made.cluster("db-postgresql-nyc3-1-gone")
    found, left = made.found()
    assert found == {}
    assert left == {
        "record blog (100)": "it points to 203.0.113.50, which no droplet without an entry has",
        "database db-postgresql-nyc3-1-gone (c-0, DBs 1)": (
            "its name fits no droplet, and it trusts no droplet that lacks a database"
        ),
    }
