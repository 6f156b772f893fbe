"""The short form of `make bench`: what a stack costs grows with its tenants, and not with their square."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from bench import fleets
from bench.ours import Ours
from bench.world import world

if TYPE_CHECKING:
    from pathlib import Path

FEW, MANY = 8, 32


@pytest.mark.timeout(1200)
def test_a_stack_costs_in_proportion_to_its_tenants(tmp_path: Path) -> None:
    """Processor time within one run on one machine; what every run costs, whatever its tenants, is the leeway.

    That is most of what few tenants take: many take about half of what they may, so that a machine which is busy with
    other tests at the wrong moment fails nobody. Of our own program's work, test_run.py asks for more: there it is
    counted, not timed.

    The engine's checkpoints are left out. There are two an operation, of the whole state, and so they cost the square
    of the tenants by the engine's design (docs/decisions/where-the-time-goes.md): more than half of a create of 24, in
    which anything else would be lost. What they are made of, the state, is measured by itself.
    """
    cpu: dict[str, dict[int, float]] = {"preview-first": {}, "create": {}, "preview-unchanged": {}}
    state, requests = {}, {}
    with world(tmp_path, "stand-in") as sandbox:
        for size in (FEW, MANY):
            sandbox.empty()
            (stack,) = fleets.stacks(size)
            # As fast as the API allows for so few: the waits are not what is measured.
            ours = Ours(sandbox, [stack], {"PULUMI_SKIP_CHECKPOINTS": "true"}, requests_per_second=100)
            cpu["preview-first"][size] = min(ours.preview(stack).cpu_seconds for _ in range(2))
            began = time.time()
            cpu["create"][size] = ours.up(stack).cpu_seconds
            requests[size] = sandbox.requests(began).total
            cpu["preview-unchanged"][size] = min(ours.preview(stack).cpu_seconds for _ in range(2))
            state[size] = ours.state_bytes(stack)
    for operation, seconds in cpu.items():
        assert seconds[MANY] < seconds[FEW] * MANY / FEW, (operation, cpu)
    assert state[MANY] < 1.05 * state[FEW] * MANY / FEW, state
    assert requests[MANY] < 1.05 * requests[FEW] * MANY / FEW, requests
