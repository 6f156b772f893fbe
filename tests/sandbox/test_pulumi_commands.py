"""The record of Pulumi's commands that the pages' command lines are compared with is what the engine says."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import TYPE_CHECKING

from tests.pages import PULUMI, PulumiCommand

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from sandbox.engine.obtain import Engine

COMMANDS = (
    "",
    "cancel",
    "config set",
    "destroy",
    "login",
    "preview",
    "refresh",
    "stack import",
    "stack init",
    "stack output",
    "stack rm",
    "stack tag get",
    "state move",
    "state rename",
    "up",
)
"""The commands that the pages name."""
_OPTION = re.compile(r"^ +(?:(-\w), +)?(--[\w-]+)(?: (?=\S)([^ \[]+))?(\[=\S+\])?(?:  |$)", re.MULTILINE)
_WITHOUT_LIMIT = 99


def described(text: str) -> PulumiCommand:
    """What the help text of a command says."""
    options: dict[str, bool] = {}
    for short, name, value, optional in _OPTION.findall(text):
        takes_next_word = bool(value) and not optional
        options |= {option: takes_next_word for option in (short, name) if option}
    (usage,) = re.findall(r"^Usage:\n +(.*)$", text, flags=re.MULTILINE)
    optional = re.findall(r"\[(?!flags|--\])[^]]+\]", usage)
    needed = len(re.findall(r"<[^>]+>", re.sub(r"\[[^]]*\]", "", usage)))
    return PulumiCommand(
        dict(sorted(options.items())), needed, needed + len(optional) if "..." not in usage else _WITHOUT_LIMIT
    )


def test_the_recorded_commands_are_the_engines(engine: Engine, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    recorded = {}
    for name in COMMANDS:
        call = [str(engine.command), *name.split(), "--help"]
        environment = {"PATH": os.environ["PATH"], "PULUMI_HOME": str(tmp_path), "PULUMI_SKIP_UPDATE_CHECK": "true"}
        answer = subprocess.run(call, env=environment, capture_output=True, text=True, check=True)
        recorded[name] = described(answer.stdout)
    text = json.dumps(recorded, indent=1) + "\n"
    if request.config.getoption("--update-golden"):
        PULUMI.write_text(text)
    assert PULUMI.read_text() == text
