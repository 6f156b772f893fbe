"""The command as a whole: usage, help, the shell's completion, and how fast it starts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import typer

from meltanodata.cli.main import app as meltanodata
from meltanodata.cli.usage import INSTEAD
from sandbox.__main__ import app as sandbox
from sandbox.home import PROJECT
from tests.fleets import write_stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.cli.operator import Run

COMMANDS = {command.name for command in typer.main.get_command(meltanodata).commands.values()}  # type: ignore[attr-defined]  # a group


@pytest.mark.parametrize("arguments", [["check", "--bogus"], ["bogus"], ["new"], ["check", "a", "b"]])
@pytest.mark.usefixtures("folder")
def test_wrong_usage(run: Run, arguments: list[str]) -> None:
    ended = run(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert "Usage: meltanodata" in ended.err


@pytest.mark.parametrize("command", ["check", "assign", "capacity"])
@pytest.mark.usefixtures("folder")
def test_a_tenants_name_in_place_of_the_file_gets_the_command_that_takes_one(run: Run, command: str) -> None:
    ended = run(command, "acme")
    assert (ended.code, ended.out) == (2, "")
    assert "acme is a tenant." in ended.err
    assert "meltanodata doctor acme" in ended.err


@pytest.mark.parametrize("command", ["plan", "up", "deploy", "drift"])
@pytest.mark.usefixtures("folder")
def test_a_tenants_name_after_a_command_for_the_whole_stack_gets_the_right_one(run: Run, command: str) -> None:
    ended = run(command, "acme", "--stack", "prod")
    assert (ended.code, ended.out) == (2, "")
    assert f"Leave acme out: meltanodata {command}. " in ended.err
    assert "meltanodata doctor acme" in ended.err


@pytest.mark.usefixtures("folder")
def test_a_file_that_does_not_exist_and_is_no_tenant_is_named(run: Run) -> None:
    ended = run("check", "acne")
    assert (ended.code, ended.err) == (1, "acne: there is no such file\n")


@pytest.mark.parametrize("word", sorted(INSTEAD))
def test_a_word_of_another_program_gets_the_command_that_does_it_here(run: Run, word: str) -> None:
    ended = run(word, "acme")
    assert (ended.code, ended.out) == (2, "")
    assert INSTEAD[word] in ended.err
    destroying = {"up", "deploy", "destroy", "rename", "move"} if word in {"remove", "delete", "destroy"} else set()
    named = re.findall(r"meltanodata ([a-z]+)", ended.err.partition("Instead:")[2])
    assert named
    assert set(named) <= COMMANDS - destroying


def help_pages(app: typer.Typer) -> Iterator[tuple[str, str]]:
    """Each command's name and its help."""

    def of(command: Any, name: str, parent: Any) -> Iterator[tuple[str, str]]:
        context = typer.Context(command, info_name=name, parent=parent)
        yield name, command.get_help(context)
        for key, inner in getattr(command, "commands", {}).items():
            yield from of(inner, f"{name} {key}", context)

    return of(typer.main.get_command(app), "", None)


@pytest.mark.parametrize("app", [meltanodata, sandbox], ids=["meltanodata", "sandbox"])
def test_help_has_one_style_of_placeholders(app: typer.Typer) -> None:
    wrong = {
        name: found
        for name, text in help_pages(app)
        if (
            found := re.findall(
                r"\{\w+\}|<[^>]+>| --[a-z-]+ [a-z]+\b  |^ +[a-z]+ +[A-Z].*\[required\]", text, re.MULTILINE
            )
        )
    }
    assert wrong == {}


@pytest.mark.parametrize("app", [meltanodata, sandbox], ids=["meltanodata", "sandbox"])
def test_help_says_whole_sentences(app: typer.Typer) -> None:
    parameters = [
        (name, parameter.name, parameter.help)
        for name, command in commands_of(app)
        for parameter in command.params
        if getattr(parameter, "help", None) and parameter.name not in {"install_completion", "show_completion", "help"}
    ]
    assert len(parameters) > 15
    assert [it for it in parameters if not (it[2].endswith((".", ".)")) and it[2].split()[0] != "Such")] == []


def commands_of(app: typer.Typer) -> Iterator[tuple[str, Any]]:
    """Every command of a program by its name."""
    commands: dict[str, Any] = dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined]  # a group
    for name, command in commands.items():
        yield name, command
        yield from getattr(command, "commands", {}).items()


def test_help_begins_with_the_three_commands_of_every_day(run: Run) -> None:
    lines = run("--help").out.splitlines()[:8]
    assert [line.split()[1] for line in lines if line.startswith("  meltanodata ")] == ["check", "plan", "up"]


def test_every_command_with_a_stack_takes_it_from_the_same_variable_and_option() -> None:
    stacks = {
        name: (parameter.envvar, parameter.opts)
        for name, command in commands_of(meltanodata)
        for parameter in command.params
        if parameter.name == "stack"
    }
    assert len(stacks) > 10
    assert {name: given for name, given in stacks.items() if given != ("PULUMI_STACK", ["--stack", "-s"])} == {}


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
