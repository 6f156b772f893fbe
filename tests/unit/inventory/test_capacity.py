"""How full the teams are, counted in their accounts."""

from __future__ import annotations

from meltanodata.config import placement
from meltanodata.config.placement import Use
from meltanodata.inventory import capacity
from tests.fleets import fleet_of, settings
from tests.program import builders


def test_what_was_made_by_hand_takes_a_place_too() -> None:
    fleet = fleet_of(
        {
            "acme": {"database_team": "DBs 1"},
            "bolt": {"database_team": "DBs 1", "adopt": {"droplet": "old-bolt", "database": "odd"}},
            "core": {"database_team": "DBs 2"},
        }
    )
    held = builders.accounts(
        droplets=tuple(builders.droplet(name=name) for name in ("acme.meltanodata.com", "old-bolt", "controller")),
        clusters=(
            builders.cluster(id="1", team="DBs 1"),
            builders.cluster(id="2", team="DBs 1", name="odd"),
            builders.cluster(id="3", team="DBs 1", name="by-hand"),
            builders.cluster(id="4", team="DBs 2", name="by-hand-2"),
        ),
        cluster_counts={"DBs 1": 4, "DBs 2": 1},
    )
    stacks = [settings()]
    databases = placement.database_uses(fleet, stacks)
    uses = capacity.counted(
        fleet, placement.droplet_use(fleet, stacks), databases, {"DBs 1": held, "DBs 2": held}, "meltanodata.com"
    )
    assert uses == [
        Use("Meltano", 3, 500, in_account=3, beside=1),
        Use("DBs 1", 2, 60, in_account=4, beside=2),  # one of another engine
        Use("DBs 2", 1, 60, in_account=1, beside=1),  # core's is not made yet, and needs a place beside
    ]
    assert [use.taken for use in uses] == [4, 4, 2]
    assert [use.free for use in uses] == [496, 56, 58]
