"""What the accounts must offer, and who lacks what."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from meltanodata.inventory import availability
from meltanodata.inventory.accounts import DatabaseOffer, DropletSize
from meltanodata.inventory.names import Existing
from tests.program.builders import DAY, accounts, cluster, droplet, settings, snapshot, tenant

PATTERN = settings().snapshot


def image(snapshots: Any = (), **options: Any) -> str | None:
    newest = availability.snapshot(tenant(**options), accounts(snapshots=snapshots), PATTERN)
    return newest.id if newest else None


def test_the_newest_snapshot_that_matches_in_the_region() -> None:
    later = dt.timedelta(days=1)
    snapshots = (
        snapshot(id="1"),
        snapshot(id="2", created_at=DAY + later),
        snapshot(id="3", created_at=DAY + 2 * later, name="Ubuntu meltano-1 copy"),
        snapshot(id="4", created_at=DAY + 2 * later, regions=frozenset({"fra1"})),
        snapshot(id="5", created_at=DAY - later),
    )
    assert image(snapshots) == "2"
    assert image(snapshots, region="fra1") == "4"
    assert image(snapshots, region="ams3") is None


def test_a_tenants_own_snapshot_goes_by_its_whole_name() -> None:
    names = {"1": "Old one", "2": "Old one 2", "3": "An Old one"}
    snapshots = [snapshot(id=id_, name=name) for id_, name in names.items()]
    assert image(snapshots, snapshot="Old one") == "1"
    assert image(snapshots, snapshot="Old.one") is None


def problems(
    existing: Existing | None = None, held: dict[str, Any] | None = None, made_with: int | None = 0, **options: Any
) -> list[str]:
    one = tenant(**options)
    rebuilds = {} if made_with is None else {"acme": made_with}
    return list(
        availability.problems([one], {one.key: existing or Existing()}, accounts(**(held or {})), settings(), rebuilds)
    )


def test_nothing_is_lacking() -> None:
    assert problems() == []


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ({"projects": {"other": "1", "another": "2"}}, "no project 'Meltano'; the projects are: 'another' or 'other'"),
        ({"projects": {}}, "no project 'Meltano'; the projects are: none"),
        ({"ssh_keys": ()}, "the team has no SSH key"),
        ({"snapshots": ()}, "acme: there is no snapshot that matches"),
    ],
)
def test_what_the_accounts_lack(held: dict[str, Any], said: str) -> None:
    (problem,) = problems(held=held)
    assert said in problem


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"database_version": "17"}, "acme: PostgreSQL 17 is not available; DigitalOcean offers 15 or 16"),
        ({"droplet_size": "s-2vcpu-3gb"}, "is not available in nyc3. Did you mean 's-2vcpu-2gb'?"),
        (
            {"droplet_size": "c-32"},
            "droplet_size c-32 is not available in nyc3. Available: s-2vcpu-2gb and s-4vcpu-8gb",
        ),
        ({"database_size": "db-s-1vcpu-9gb"}, "is not available. Did you mean 'db-s-1vcpu-"),
        ({"region": "ams3"}, "droplets are not available in region ams3; they are available in fra1 or nyc3"),
        ({"region": "ams3"}, "databases are not available in region ams3; they are available in fra1 or nyc3"),
        ({"region": "ams3"}, "there is no snapshot that matches"),
        ({"region": "fra1", "droplet_size": "s-4vcpu-8gb"}, "droplet_size s-4vcpu-8gb is not available in fra1."),
    ],
)
def test_what_a_tenant_asks_for_and_cannot_get(options: dict[str, Any], said: str) -> None:
    for existing in (Existing(), KNOWN):
        if existing == Existing() or "version" not in said:
            assert [problem for problem in problems(existing, **options) if said in problem]


KNOWN = Existing(droplet(), None, cluster())


def test_what_exists_needs_nothing_but_a_snapshot() -> None:
    nothing = {"droplet_sizes": {}, "database": DatabaseOffer((), frozenset(), frozenset())}
    assert problems(KNOWN, nothing) == []


@pytest.mark.parametrize(
    ("existing", "said"),
    [
        (Existing(droplet(region=""), None, cluster()), "the region of its droplet 7"),
        (Existing(droplet(region="", size=""), None, cluster()), "the region and size of its droplet 7"),
        (Existing(droplet(), None, cluster(version="")), "the version of its database c0ffee"),
    ],
)
def test_without_what_digitalocean_should_say_nobody_is_told_to_rebuild(existing: Existing, said: str) -> None:
    assert problems(existing, region="fra1", database_version="15", states_database_version=True) == [
        f"acme: DigitalOcean's answer lacks {said}. Wait a minute, then run this again"
    ]


def test_what_digitalocean_does_not_offer_is_reported() -> None:
    nothing = {"droplet_sizes": {}, "database": DatabaseOffer((), frozenset(), frozenset())}
    said = problems(None, nothing)
    assert "acme: droplets are not available in region nyc3; they are available in none" in said
    assert any("DigitalOcean offers none" in problem for problem in said)


@pytest.mark.parametrize(
    ("stated", "has", "status", "upgraded"),
    [
        ("16", "15", "online", True),
        ("16", "9", "online", True),
        ("16", "16", "online", False),
        ("15", "16", "online", False),
        ("16", "15", "upgrading", False),
        (None, "15", "online", False),
    ],
)
def test_only_a_version_that_the_entry_states_upgrades(
    stated: str | None, has: str, status: str, upgraded: bool
) -> None:
    one = tenant(**({"database_version": stated} if stated else {}))
    assert availability.upgrades(one, Existing(cluster=cluster(version=has, status=status))) == upgraded
    assert not availability.upgrades(one, Existing())


def test_a_version_that_a_cluster_is_upgraded_to_has_to_be_offered() -> None:
    (problem,) = problems(KNOWN, database_version="17")
    assert "PostgreSQL 17 is not available" in problem


def test_a_database_does_not_go_back() -> None:
    newer = Existing(droplet(), None, cluster(version="17"))
    (problem,) = problems(newer, database_version="16")
    assert problem == (
        "acme: database_version is 16, and its database has PostgreSQL 17 and cannot be downgraded."
        ' Write database_version: "17"'
    )
    assert problems(newer) == []  # the stack's version, which is for new clusters


IMPORTED = Existing(droplet(), None, cluster(), "7", None, "c0ffee")


def test_an_entry_describes_what_it_adopts() -> None:
    assert problems(IMPORTED) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"region": "fra1"}, "acme: region is fra1, and the droplet 7, which is to be adopted, has nyc3"),
        ({"region": "fra1"}, "acme: region is fra1, and the database c0ffee, which is to be adopted, has nyc3"),
        ({"droplet_size": "s-4vcpu-8gb"}, "and the droplet 7, which is to be adopted, has s-2vcpu-2gb"),
        ({"database_size": "db-s-2vcpu-4gb"}, "and the database c0ffee, which is to be adopted, has db-s-1vcpu-1gb"),
    ],
)
def test_an_adoption_changes_nothing_at_once(options: dict[str, Any], said: str) -> None:
    everywhere = frozenset({"nyc3", "fra1"})
    held = {
        "snapshots": (snapshot(regions=everywhere),),
        "database": DatabaseOffer(("16",), everywhere, frozenset({"db-s-1vcpu-1gb", "db-s-2vcpu-4gb"})),
    }
    assert [problem for problem in problems(IMPORTED, held, **options) if said in problem]
    known_already = problems(KNOWN, held, **options)  # then it is an edit
    assert known_already == [] or "rebuild: 1" in known_already[0]


EVERYWHERE = frozenset({"nyc3", "fra1"})
HELD: dict[str, Any] = {
    "snapshots": (snapshot(regions=EVERYWHERE),),
    "droplet_sizes": {
        "s-1vcpu-1gb": DropletSize(EVERYWHERE, 25),
        "s-1vcpu-2gb": DropletSize(EVERYWHERE, 50),
        "s-2vcpu-2gb": DropletSize(EVERYWHERE, 60),
        "s-2vcpu-4gb": DropletSize(EVERYWHERE, 80),
    },
}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"region": "fra1"}, "acme: region is fra1, and its droplet is in nyc3 and cannot move; write rebuild: 1"),
        (
            {"droplet_size": "s-1vcpu-2gb"},
            "has a disk of 50 GB, and its droplet's has 60 GB and cannot shrink; write re",
        ),
    ],
)
def test_what_takes_a_new_droplet_takes_a_rebuild(options: dict[str, Any], said: str) -> None:
    (problem,) = problems(KNOWN, HELD, **options)
    assert said in problem
    assert problems(KNOWN, HELD, None, **options) == [problem]
    assert problems(KNOWN, HELD, rebuild=1, **options) == []
    (still,) = problems(KNOWN, HELD, 1, rebuild=1, **options)
    assert "write rebuild: 2 as well" in still
    assert problems(Existing(), HELD, **options) == []


def test_a_larger_droplet_takes_none() -> None:
    assert problems(KNOWN, HELD, droplet_size="s-2vcpu-4gb") == []
    smaller_disk = Existing(droplet(size="s-2vcpu-4gb", disk=60), None, cluster())  # resized by hand, without the disk
    assert problems(smaller_disk, HELD, droplet_size="s-2vcpu-2gb") == []


@pytest.mark.parametrize("made_with", [0, None])
def test_a_droplet_is_not_destroyed_for_one_that_cannot_be_had(made_with: int | None) -> None:
    """It goes before its successor is made."""
    sold_out = {**HELD, "droplet_sizes": {"s-2vcpu-4gb": DropletSize(EVERYWHERE, 80)}}
    assert problems(KNOWN, sold_out, made_with) == []
    (problem,) = problems(KNOWN, sold_out, 0, rebuild=1)
    assert "droplet_size s-2vcpu-2gb is not available in nyc3. Did you mean 's-2vcpu-4gb'?" in problem
    (problem,) = problems(KNOWN, HELD, 0, rebuild=1, droplet_size="s-1vcpu-1gb")
    assert problem == (
        "acme: droplet_size s-1vcpu-1gb has a disk of 25 GB, and the snapshot 'Ubuntu meltano-123456789' needs 50 GB"
    )
