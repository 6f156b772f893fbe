"""The short form of `make bench`: what a stack costs grows with its tenants, and not with their square."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from bench import fleets
from bench.ours import Ours
from bench.world import world

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Growth:
    """Of one operation."""

    sizes: tuple[int, int, int]
    """Tenants; the first stands for what every run costs."""
    worst: float
    """By how much the cost of one tenant more may grow from the second size to the third; 1 is linear."""


GROWTH = {
    # The square would be 4.1.
    "preview-first": Growth((1, 15, 60), 1.8),
    # The square would be 2.8, as for a create, which has 1.8 by the engine: the state is written at every step.
    "preview-unchanged": Growth((1, 8, 24), 1.8),
    "create": Growth((1, 8, 24), 2.5),
}


@pytest.mark.timeout(1200)
def test_a_stack_costs_in_proportion_to_its_tenants(tmp_path: Path) -> None:
    """Processor time within one run on one machine: that says the same however busy the machine is."""
    costs: dict[str, dict[int, float]] = {operation: {} for operation in GROWTH}
    with world(tmp_path, "stand-in") as sandbox:
        for size in sorted({size for growth in GROWTH.values() for size in growth.sizes}):
            sandbox.empty()
            (stack,) = fleets.stacks(size)
            # As fast as the API allows for so few: the waits are not what is measured.
            ours = Ours(sandbox, [stack], requests_per_second=100)
            if size in GROWTH["preview-first"].sizes:
                costs["preview-first"][size] = min(ours.preview(stack).cpu_seconds for _ in range(2))
            if size in GROWTH["create"].sizes:
                costs["create"][size] = ours.up(stack).cpu_seconds
                costs["preview-unchanged"][size] = min(ours.preview(stack).cpu_seconds for _ in range(2))
    for operation, growth in GROWTH.items():
        cpu, (one, few, many) = costs[operation], growth.sizes
        before, after = ((cpu[size] - cpu[one]) / (size - one) for size in (few, many))
        assert after < growth.worst * before, (operation, cpu)
