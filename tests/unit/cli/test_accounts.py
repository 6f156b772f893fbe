"""`capacity`; for `adopt` see tests/sandbox/test_adopt.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.cli.operator import Run


@pytest.mark.usefixtures("folder")
def test_capacity(run: Run) -> None:
    ended = run("capacity")
    assert (ended.code, ended.err) == (0, "")
    rows = [line.rstrip() for line in ended.out.splitlines()]
    assert rows[1] == "Meltano (droplets)       2 / 500  █░░░░░░░░░░░░░░░░░░░  0 %"
    assert rows[-1] == "118 more tenants fit: there is room for 118 databases and 498 droplets."
