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

FEW, MANY = 8, 24


@pytest.mark.timeout(1200)
def test_a_stack_costs_in_proportion_to_its_tenants(tmp_path: Path) -> None:
    """Processor time within one run on one machine; what every run costs, whatever its tenants, is the leeway.

    That is a third to a half of what few tenants cost, so that a machine which is busy with other tests at the wrong
    moment fails nobody. Of our own program's work, test_program.py asks for more: there it is counted, not timed.
    """
    cpu: dict[str, dict[int, float]] = {"preview-first": {}, "create": {}, "preview-unchanged": {}}
    state, requests = {}, {}
    with world(tmp_path, "stand-in") as sandbox:
        for size in (FEW, MANY):
            sandbox.empty()
            (stack,) = fleets.stacks(size)
            # As fast as the API allows for so few: the waits are not what is measured.
            ours = Ours(sandbox, [stack], requests_per_second=100)
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
