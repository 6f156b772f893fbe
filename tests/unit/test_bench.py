"""The benchmarks' own arithmetic."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench import fleets, report
from bench.results import Run, Runs, exponent, line, summarize
from bench.world import count
from sandbox.api.traffic import Seen

PROJECT = Path(__file__).parents[2]
RUN = Run(10, "create", "ours", seconds=20.0, cpu_seconds=5.0, peak_mib=300.0, bytes_written=1000, requests=90)


@pytest.mark.parametrize(("fleet", "sizes"), [(1, [1]), (60, [60]), (61, [60, 1]), (500, [60] * 8 + [20])])
def test_a_fleet_has_a_stack_a_team(fleet: int, sizes: list[int]) -> None:
    stacks = fleets.stacks(fleet)
    assert [len(stack.tenants) for stack in stacks] == sizes
    assert len({stack.team for stack in stacks}) == len(sizes)
    assert len({tenant.key for stack in stacks for tenant in stack.tenants}) == fleet


def test_an_edit_touches_one_tenant() -> None:
    (stack,) = fleets.stacks(2)
    first, second = stack.tenants
    assert stack.added("new").tenants == (first, second, fleets.Tenant("new", stack.team))
    assert stack.changed(first.key).tenants == (replace(first, tls="self_signed"), second)
    assert stack.changed(first.key).changed(first.key) == stack
    assert stack.removed(first.key).tenants == (second,)
    assert stack.emptied() == replace(stack, tenants=())


def test_a_cell_is_a_median_with_its_spread() -> None:
    (cell,) = summarize([replace(RUN, seconds=seconds, refused=1) for seconds in (30.0, 10.0, 12.0)])
    assert {name: cell[name] for name in ("fleet", "operation", "subject", "seconds", "requests", "refused")} == {
        "fleet": 10,
        "operation": "create",
        "subject": "ours",
        "seconds": 12.0,
        "requests": 90,
        "refused": 3,
    }
    assert (cell["seconds_min"], cell["seconds_max"], cell["runs"]) == (10.0, 30.0, 3)


def test_runs_are_kept_and_single_cells_forgotten(tmp_path: Path) -> None:
    runs = Runs(tmp_path / "runs.jsonl")
    assert runs.all() == []
    runs.add(RUN)
    runs.add(replace(RUN, operation="refresh"))
    runs.forget([RUN.cell])
    assert [run.operation for run in runs.all()] == ["refresh"]


def test_the_tables_are_written_after_each_fleet() -> None:
    runs = [
        replace(RUN, operation=operation, requests_per_token={"Meltano": 40}) for operation in ("create", "refresh")
    ]
    document = {"machine": report.machine(), "peer_missing": "no terraform", "results": summarize(runs)}
    tables = report.pages(document)
    readme, decision = tables[PROJECT / "README.md"], tables[PROJECT / "docs/decisions/where-the-time-goes.md"]
    assert "| 10 tenants, one stack | ours: seconds | MiB | requests |" in readme
    assert "| create: the least seconds, at 4 requests a second | 10 |" in decision
    assert "The comparison is left out: no terraform." in tables[PROJECT / "bench/README.md"]


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_growth_is_the_power_of_the_size(power: float) -> None:
    assert exponent([(size, 3 * size**power) for size in (1, 10, 60)]) == pytest.approx(power)


def test_a_line_has_a_start_and_a_slope() -> None:
    assert line([(size, 5 + 2 * size) for size in (1, 10, 60)]) == pytest.approx((5, 2))


def test_the_busiest_minute_slides() -> None:
    def seen(time: float, team: str = "Meltano", status: int = 200) -> Seen:
        return Seen(time=time, team=team, read_only=False, method="GET", path="/", status=status)

    found = count([seen(0), seen(59), seen(59, "other"), seen(61), seen(62, status=429), seen(130)])
    assert found.by_token == {"Meltano": 5, "other": 1}
    assert (found.total, found.most_a_minute, found.refused) == (6, 2, 1)
