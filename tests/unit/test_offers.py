"""What the accounts must offer, and who lacks what."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from meltanodata import offers
from meltanodata.names import Existing
from tests.program.builders import DAY, accounts, cluster, droplet, settings, snapshot, tenant

PATTERN = settings().snapshot


def image(existing: Existing | None = None, snapshots: Any = (), **options: Any) -> str | None:
    return offers.image(tenant(**options), existing or Existing(), accounts(snapshots=snapshots), PATTERN)


def test_the_newest_snapshot_that_matches_in_the_region() -> None:
    later = dt.timedelta(days=1)
    snapshots = (
        snapshot(id="1"),
        snapshot(id="2", created_at=DAY + later),
        snapshot(id="3", created_at=DAY + 2 * later, name="Ubuntu meltano-1 copy"),
        snapshot(id="4", created_at=DAY + 2 * later, regions=frozenset({"fra1"})),
        snapshot(id="5", created_at=DAY - later),
    )
    assert image(snapshots=snapshots) == "2"
    assert image(snapshots=snapshots, region="fra1") == "4"
    assert image(snapshots=snapshots, region="ams3") is None


def test_a_tenants_own_snapshot_goes_by_its_whole_name() -> None:
    snapshots = (
        snapshot(id="1", name="Old one"),
        snapshot(id="2", name="Old one 2"),
        snapshot(id="3", name="An Old one"),
    )
    assert image(snapshots=snapshots, snapshot="Old one") == "1"
    assert image(snapshots=snapshots, snapshot="Old.one") is None


def test_a_droplet_that_exists_needs_no_snapshot() -> None:
    assert image(Existing(droplet())) == "300"
    assert image(Existing(droplet()), snapshots=(snapshot(),)) == "301"
    assert image(Existing(droplet(image=None))) is None


def problems(existing: Existing | None = None, held: dict[str, Any] | None = None, **options: Any) -> list[str]:
    one = tenant(**options)
    return list(offers.problems([one], {one.key: existing or Existing()}, accounts(**(held or {})), settings()))


def test_nothing_is_lacking() -> None:
    assert problems() == []


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ({"projects": {"other": "1", "another": "2"}}, "there is no project 'Meltano'; there is 'another' or 'other'"),
        ({"projects": {}}, "there is no project 'Meltano'; there is none"),
        ({"ssh_keys": ()}, "the team has no SSH key"),
        ({"snapshots": ()}, "there is no snapshot that matches"),
        ({"database_versions": ("14", "15")}, "PostgreSQL 16 cannot be had; DigitalOcean has 14 or 15"),
    ],
)
def test_what_is_lacking(held: dict[str, Any], said: str) -> None:
    (problem,) = problems(held=held)
    assert said in problem


def test_an_old_version_of_a_cluster_that_exists_is_no_problem() -> None:
    assert problems(Existing(cluster=cluster()), {"database_versions": ("17",)}) == []


IMPORTED = Existing(droplet(), None, cluster(), "7", None, "c0ffee")


def test_what_is_taken_over_is_described_as_it_is() -> None:
    assert problems(IMPORTED) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"region": "fra1"}, "acme: region is fra1, and the droplet 7, which is to be taken over, has nyc3"),
        ({"region": "fra1"}, "acme: region is fra1, and the database c0ffee, which is to be taken over, has nyc3"),
        ({"droplet_size": "s-4vcpu-8gb"}, "and the droplet 7, which is to be taken over, has s-2vcpu-2gb"),
        ({"database_size": "db-s-2vcpu-4gb"}, "and the database c0ffee, which is to be taken over, has db-s-1vcpu-1gb"),
    ],
)
def test_what_is_taken_over_is_not_changed_on_the_way(options: dict[str, Any], said: str) -> None:
    held = {"snapshots": (snapshot(regions=frozenset({"nyc3", "fra1"})),)}
    assert [problem for problem in problems(IMPORTED, held, **options) if said in problem]
    assert problems(Existing(droplet(), None, cluster()), held, **options) == []  # known already: an edit
