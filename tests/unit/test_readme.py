"""The README shows what the program does today: its picture, its comment, the figures of the benchmark."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from bench import report as bench
from meltanodata.render import report
from meltanodata.rollout.guard import Review

if TYPE_CHECKING:
    import pytest

PROJECT = Path(__file__).parents[2]
README = PROJECT / "README.md"
PLAN = PROJECT / "docs" / "images" / "plan.json"
_COMMENT = re.compile(r"(<!-- plan: comment -->\n)(.*?)(<!-- end -->\n)", re.DOTALL)


def layers_drawn(text: str) -> list[set[str]]:
    """The layers of the Mermaid picture, the uppermost first."""
    (picture,) = re.findall(r"^```mermaid\nflowchart TB\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)
    layers: list[set[str]] = []
    for arrow in picture.strip().splitlines():
        upper, lower = (set(side.strip().split(" & ")) for side in arrow.split("-->"))
        assert layers in ([], [*layers[:-1], upper]), f"{arrow.strip()} does not go on where the line before it ended"
        layers += [lower] if layers else [upper, lower]
    return layers


def test_the_picture_of_the_packages_is_the_contract_of_the_imports() -> None:
    tools = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]
    (contract,) = (one for one in tools["importlinter"]["contracts"] if one["type"] == "layers")
    assert layers_drawn(README.read_text()) == [set(layer.split(" | ")) for layer in contract["layers"]]


def test_the_table_of_the_packages_names_every_one() -> None:
    first_cells = re.findall(r"^\| (`[^|]*`) \|", README.read_text(), flags=re.MULTILINE)
    named = {name for cell in first_cells for name in re.findall(r"`([^`]+)`", cell)}
    modules = (PROJECT / "meltanodata").glob("[!_]*")
    assert {path.name for path in modules if path.suffix == ".py" or (path / "__init__.py").exists()} <= named


def test_the_comment_is_what_the_program_makes_of_the_plan_beside_the_screenshot(
    request: pytest.FixtureRequest,
) -> None:
    comment = report.comment([Review.model_validate_json(PLAN.read_bytes())])
    if request.config.getoption("--update-golden"):
        README.write_text(_COMMENT.sub(lambda match: match[1] + comment + match[3], README.read_text()))
    assert [match[2] for match in _COMMENT.finditer(README.read_text())] == [comment]


def test_the_screenshot_is_small() -> None:
    content = (PROJECT / "docs" / "images" / "fleet.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) < 200_000


def test_the_figures_are_those_of_the_committed_results() -> None:
    for path, text in bench.pages(json.loads(bench.RESULTS.read_text())).items():
        assert path.read_text() == text, f"{path.name}: write it with python -m bench --report"
