"""Many tenants at a time: what one of them costs, the others do not wait for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bench import fleets
from bench.measure import CommandError
from bench.ours import Ours
from bench.world import world
from sandbox.api.messages import DropletFault

if TYPE_CHECKING:
    from pathlib import Path

    from bench.world import World

TENANTS = 20


def told(sandbox: World) -> dict[str, int]:
    """How many commands each droplet was told, by tenant."""
    droplets = sandbox.control.droplets()
    return {it.name.split(".")[0]: len(sandbox.control.executions(it.id)) for it in droplets}


@pytest.mark.timeout(1200)
def test_a_dead_droplet_costs_its_own_time_limit_only(tmp_path: Path) -> None:
    with world(tmp_path, "stand-in") as sandbox:
        (stack,) = fleets.stacks(TENANTS)
        ours = Ours(sandbox, [stack], requests_per_second=100)  # the waits for the API are not what is looked at
        ours.up(stack)
        before = told(sandbox)
        ids = {it.name.split(".")[0]: it.id for it in sandbox.control.droplets()}
        dead, hanging = "tenant-007", "tenant-011"
        sandbox.control.set_droplet_fault(ids[dead], DropletFault(kind="silent"))
        sandbox.control.set_droplet_fault(ids[hanging], DropletFault(kind="hang"))
        changed = replace(stack, tenants=tuple(replace(it, tls="self_signed") for it in stack.tenants))
        ours.edit(changed)
        with pytest.raises(CommandError, match=rf"\+-{2 * (TENANTS - 2)} replaced"):
            ours.up(changed, "--continue-on-error")
        after = told(sandbox)
        assert before.keys() == after.keys()
        # All of them in one run: the scripts, the files, and the verification after them.
        assert {key: after[key] - before[key] for key in after} == dict.fromkeys(after, 3) | {dead: 0, hanging: 1}

        for key in (dead, hanging):
            sandbox.control.set_droplet_fault(ids[key], None)
        ours.up(changed, "--continue-on-error")
        healed = told(sandbox)
        assert {key: healed[key] - after[key] for key in after if healed[key] != after[key]} == {dead: 3, hanging: 3}
