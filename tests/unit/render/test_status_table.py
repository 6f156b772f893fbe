"""The table of `status`, and what it says to do."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

import pytest
from rich.console import Console

from meltanodata.config.checks import Check
from meltanodata.doctor.diagnosis import Finding, Level
from meltanodata.engine.deployments import Deployment
from meltanodata.render import status_table
from meltanodata.render.status_table import InState, Row

OK = Finding(Check.DNS, Level.OK, "it points there")
SOON = Finding(Check.CERTIFICATE, Level.WARNING, "it ends soon", "Renew it")
WRONG = Finding(Check.PAGE, Level.WRONG, "https://acme answers\n::error::502", "Do it")
DEPLOYED = Deployment(datetime(2026, 11, 20, 10, 5, 7, tzinfo=UTC), "[bold]Ann\x1b[2J", "a1b2c3d4" * 5)


def row(**changes: object) -> Row:
    values: dict[str, object] = {"tenant": "acme", "stack": "prod", "in_file": True, "in_state": InState.YES}
    return Row(**{**values, **changes})  # type: ignore[arg-type]  # the tests' own


def text(*rows: Row) -> str:
    console = Console(file=io.StringIO(), width=250)
    for part in status_table.shown(rows):
        console.print(part, soft_wrap=True, markup=False)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_one_row_a_tenant() -> None:
    said = text(row(findings=(OK,), deployed=DEPLOYED), row(tenant="bolt", findings=(OK, WRONG, SOON)))
    (acme, bolt) = (line for line in said.splitlines() if "│ prod" in line)
    assert [cell.strip() for cell in acme.strip("│").split("│")] == [
        *("acme", "prod", "yes", "yes", "✅", "2026-11-20 10:05 UTC", "[bold]Ann\\x1b[2J (a1b2c3d4a1b2)"),
    ]
    assert "❌ page: https://acme answers" in bolt
    assert "certificate: it ends soon" in bolt
    assert "\n::error::" not in said
    assert said.splitlines()[-1] == "2 tenants, 2 deployed, 1 well, 1 not well"


def test_without_probes_nothing_is_said_of_health() -> None:
    assert text(row()).splitlines()[-1] == "1 tenant, 1 deployed"


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({}, None),
        ({"findings": (OK,)}, None),
        ({"findings": (SOON,)}, "meltanodata doctor acme --stack prod"),
        ({"in_state": InState.NO}, "Not deployed yet: meltanodata up --stack prod"),
        ({"in_state": InState.UNFINISHED, "findings": (WRONG,)}, "A run was interrupted or is still running."),
        ({"in_state": InState.UNKNOWN}, None),
        ({"in_file": False}, "Its entry is gone, so the next `meltanodata up --stack prod` would delete it. To keep"),
        ({"stack": None, "in_state": InState.NO}, "Its entry names no team of a stack: meltanodata check"),
    ],
)
def test_what_to_do_is_said_beside_the_table(changes: dict[str, object], hint: str | None) -> None:
    assert (row(**changes).hint or "").startswith(hint or "")
    assert bool(row(**changes).hint) == bool(hint)


def test_json_has_what_is_unknown_as_null() -> None:
    rows = [row(findings=(OK, WRONG), deployed=DEPLOYED), row(tenant="new", stack=None, in_state=InState.NO)]
    assert json.loads(json.dumps(status_table.plain(rows))) == {
        "acme": {
            "stack": "prod",
            "in_file": True,
            "in_state": "yes",
            "health": "wrong",
            "problems": ["page: https://acme answers ::error::502"],
            "deployed": {"at": "2026-11-20T10:05:07+00:00", "author": "[bold]Ann\x1b[2J", "commit": "a1b2c3d4" * 5},
        },
        "new": {
            "stack": None,
            "in_file": True,
            "in_state": "no",
            "health": None,
            "problems": None,
            "deployed": None,
        },
    }
