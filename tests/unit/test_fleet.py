"""tenants.yaml becomes typed tenants, or every problem with its place."""

from pathlib import Path

from meltanodata import fleet

PROJECT = Path(__file__).resolve().parents[2]


def test_the_repositorys_own_fleet_is_right() -> None:
    loaded, problems = fleet.load(PROJECT / "tenants.yaml")
    assert problems == []
    assert [row.key for row in loaded.rows] == ["demo", "acme"]
