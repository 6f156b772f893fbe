"""The short form of `make bench`: what a stack costs grows with its tenants, and not with their square."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench import fleets
from bench.ours import Ours
from bench.world import world

if TYPE_CHECKING:
    from pathlib import Path

SIZES = (1, 8, 24)
WORST = {"create": 2.5, "preview-unchanged": 1.8}
"""By how much the cost of one tenant more may grow when there are three times as many: 1 is linear, 2.8 the square.
A create has the engine's own square in it, 1.8 at this size: the whole state is written at every step."""


@pytest.mark.timeout(1200)
def test_a_stack_costs_in_proportion_to_its_tenants(tmp_path: Path) -> None:
    """Processor time within one run on one machine: that says the same however busy the machine is."""
    costs: dict[str, dict[int, float]] = {operation: {} for operation in WORST}
    with world(tmp_path, "stand-in") as sandbox:
        for size in SIZES:
            sandbox.empty()
            (stack,) = fleets.stacks(size)
            # As fast as the API allows for so few: the waits are not what is measured.
            ours = Ours(sandbox, [stack], requests_per_second=100)
            costs["create"][size] = ours.up(stack).cpu_seconds
            costs["preview-unchanged"][size] = min(ours.preview(stack).cpu_seconds for _ in range(2))
    one, few, many = SIZES
    for operation, cpu in costs.items():
        before, after = ((cpu[size] - cpu[one]) / (size - one) for size in (few, many))
        assert after < WORST[operation] * before, (operation, cpu)
