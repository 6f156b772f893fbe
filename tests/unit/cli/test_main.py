"""The command as a whole: usage, help, the shell's completion, and how fast it starts."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sandbox.home import PROJECT
from tests.fleets import write_stack

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.operator import Run


@pytest.mark.parametrize("arguments", [["check", "--bogus"], ["bogus"], ["new"], ["check", "a", "b"]])
@pytest.mark.usefixtures("folder")
def test_wrong_usage(run: Run, arguments: list[str]) -> None:
    ended = run(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert "Usage: meltanodata" in ended.err


@pytest.mark.parametrize("command", ["check", "assign", "new", "capacity", "schema", "adopt", "credentials"])
def test_help_has_examples(run: Run, command: str) -> None:
    ended = run(command, "--help")
    assert ended.code == 0
    assert f"\n  meltanodata {command}" in ended.out


def complete(folder: Path, line: str) -> list[str]:
    """What the shell would propose for a line."""
    asked = {"_MELTANODATA_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    program = "import sys; sys.argv[0] = 'meltanodata'; from meltanodata.cli.main import main; main()"
    environment = {**os.environ, **asked, "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_shell_completes_commands_and_stacks(folder: Path) -> None:
    write_stack(folder, "prod-2")
    assert complete(folder, "meltanodata ch") == ["check"]
    assert complete(folder, "meltanodata check --stack p") == ["prod", "prod-2"]


def test_the_command_starts_without_the_engines_sdk() -> None:
    slow = {"pulumi", "rich.table", "cryptography", "requests", "httpx", "asyncssh", "jinja2"}
    program = f"import sys, meltanodata.cli.main; print({slow} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
