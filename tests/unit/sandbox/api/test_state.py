"""What the API remembers survives it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from sandbox.api.state import Domain, Record, State

if TYPE_CHECKING:
    from pathlib import Path


def record(number: int, **changes: object) -> Record:
    return Record(
        **{"id": number, "team": "t", "domain": "d", "type": "A", "name": "a", "data": "1.2.3.4", "ttl": 60, **changes}  # type: ignore[arg-type]  # of mixed types
    )


def test_objects_and_their_order_survive(tmp_path: Path) -> None:
    with contextlib.closing(State(tmp_path / "state")) as state:
        for number in (3, 1, 2):
            state.records.put(record(number))
        state.records.put(record(3, data="4.3.2.1"))  # a change does not move it
        state.domains.put(Domain("d", "t"))
    with contextlib.closing(State(tmp_path / "state")) as state:
        assert list(state.records) == [record(3, data="4.3.2.1"), record(1), record(2)]
        assert state.domains.get("d") == Domain("d", "t")


def test_nobody_else_can_read_the_tokens_in_it(tmp_path: Path) -> None:
    file = tmp_path / "state"
    file.touch(mode=0o644)  # of an earlier version
    with contextlib.closing(State(file)) as state:
        state.domains.put(Domain("d", "t"))
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_what_was_not_committed_together_is_lost_together(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    state.records.put(record(1))
    state.commit()
    state.records.remove(record(1))
    state.domains.put(Domain("d", "t"))
    # Nobody commits: as if the process had been killed here.
    with contextlib.closing(State(tmp_path / "state")) as after:
        assert list(after.records) == [record(1)]
        assert list(after.domains) == []
    state.close()


def test_ids_grow_and_go_on_after_a_restart(tmp_path: Path) -> None:
    ids = []
    for _ in range(3):
        with contextlib.closing(State(tmp_path / "state")) as state:
            ids += [state.next_id("droplet", 412_000_000) for _ in range(5)]
    assert ids == sorted(set(ids))
    assert all(len(str(number)) == 9 for number in ids)


def test_addresses_come_in_turn() -> None:
    with contextlib.closing(State(":memory:")) as state:
        assert [state.next_index("a", 3) for _ in range(5)] == [0, 1, 2, 0, 1]
        assert state.next_index("b", 3) == 0


def test_clearing_keeps_teams_and_counters() -> None:
    with contextlib.closing(State(":memory:")) as state:
        number = state.next_id("record", 0)
        state.records.put(record(number))
        state.clear()
        assert len(state.records) == 0
        assert state.records.get(number) is None
        assert state.next_id("record", 0) > number
