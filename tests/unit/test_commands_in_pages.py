"""The command lines in the pages can be typed: nothing in them is stale, misspelt or incomplete.

The program's own commands are parsed by the program, without running them. Pulumi's are compared with a record of its
CLI. Commands of others have to be a shell's.
"""

from __future__ import annotations

import itertools
import os
import re
import subprocess
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import pytest
import typer.main
import yaml
from typer._click.exceptions import MissingParameter, UsageError

from bench.__main__ import app as bench
from meltanodata.cli.main import app as meltanodata
from meltanodata.config.settings import Secrets, Settings
from sandbox.__main__ import app as sandbox
from tests.pages import (
    PAGES,
    PROGRAMS,
    PROJECT,
    Line,
    first_words,
    lines,
    mentions,
    pulumi_commands,
    quoted,
    simple_commands,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

COMMANDS: dict[str, Any] = {
    "meltanodata": typer.main.get_command(meltanodata),
    "sandbox": typer.main.get_command(sandbox),
    "bench": typer.main.get_command(bench),
}
MAKEFILE = (PROJECT / "Makefile").read_text()
_EAGER = frozenset(("--help", "-h", "--install-completion", "--show-completion"))
"""Options that act while a command line is parsed."""


class StaleError(Exception):
    """What is wrong with a command line."""


def check(line: Line) -> None:
    """Parse a command line of a page.

    Raises:
        StaleError: it cannot be typed as it stands.
    """
    shell = subprocess.run(["bash", "-n", "-c", line.text], capture_output=True, text=True, check=False)
    if shell.returncode:
        raise StaleError(shell.stderr)
    for program, *words in simple_commands(line.text):
        # In backquotes, a command without arguments is its name, and a decision names commands with one option.
        is_name = len(words) <= 1 or " ".join(words) in pulumi_commands()
        in_a_decision = line.page.is_relative_to(PROJECT / "docs" / "decisions")
        complete = "…" not in words and (line.block or not (is_name or in_a_decision))
        match program:
            case "meltanodata":
                check_own("meltanodata", words, complete=complete)
            case "python" if words[:1] == ["-m"]:
                check_own(words[1], words[2:], complete=complete)
            case "pulumi":
                check_pulumi(words, complete=complete)
            case "make":
                check_make(words)
            case "gh":
                check_gh(words)
            case _:
                check_files(program, words)


def check_own(name: str, words: Sequence[str], *, complete: bool) -> None:
    """Parse a command of this project as click does before it runs it."""
    if name not in COMMANDS:
        raise StaleError(f"there is no module {name}")
    if "--" not in words and (eager := _EAGER & set(words)):
        raise_unknown(eager, {*options_of(COMMANDS[name]), *_EAGER})
        words = [word for word in words if word not in _EAGER]
    command = COMMANDS[name]
    rest = [re.sub(r"\$[A-Z_]+", "7", word) for word in words]  # a shell's variable may hold a number
    context = None
    try:
        while hasattr(command, "commands") and rest:
            context = command.make_context(command.name, rest, parent=context)
            _, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        if not hasattr(command, "commands"):
            context = command.make_context(command.name, rest, parent=context)
    except MissingParameter as error:
        if complete:
            raise StaleError(error.format_message()) from None
    except UsageError as error:
        raise StaleError(error.format_message()) from None
    else:
        if command.name in {"up", "pulumi"} and context is not None:
            check_pulumi([*(["up"] if command.name == "up" else []), *context.args], complete=complete)


def options_of(command: Any) -> set[str]:
    """The options of a command."""
    return {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}


def options_below(command: Any) -> set[str]:
    """The options of a command and of its subcommands."""
    return options_of(command).union(*map(options_below, getattr(command, "commands", {}).values()))


def raise_unknown(words: set[str] | frozenset[str], known: set[str]) -> None:
    """Refuse words that are not known."""
    if unknown := sorted(set(words) - known):
        raise StaleError(f"unknown: {', '.join(unknown)}")


def check_pulumi(words: Sequence[str], *, complete: bool) -> None:
    """Compare a command of Pulumi's with the recorded ones."""
    known = pulumi_commands()
    global_options = known[""].options
    rest = list(words)
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        raise_unknown({option}, set(global_options))
        rest = rest[1:] if global_options[option] else rest
    if "…" in rest[:1]:
        return
    name = max((name for name in known if name.split() == rest[: len(name.split())]), key=len)
    if not name:
        raise StaleError(f"pulumi {' '.join(rest)}: there is no such command in the record")
    command = known[name]
    arguments = []
    remaining = iter(rest[len(name.split()) :])
    for word in remaining:
        if not word.startswith("-"):
            arguments.append(word)
            continue
        option, equals, _ = word.partition("=")
        raise_unknown({option}, set(command.options))
        if command.options[option] and not equals and next(remaining, None) is None:
            raise StaleError(f"{option} needs a value")
    if len(arguments) > command.most or (complete and len(arguments) < command.least):
        raise StaleError(f"pulumi {name} takes {command.least} to {command.most} arguments, not {arguments}")
    if name == "config set" and arguments:
        check_setting(arguments[0], secret="--secret" in rest)


def check_setting(path: str, *, secret: bool) -> None:
    """Follow a setting's path through the models."""
    first, *rest = re.findall(r"\w+|\[[^]]*\]", path.removeprefix("meltanodata:"))
    raise_unknown({first}, set((Secrets if secret else Settings).model_fields))
    schema: dict[str, Any] = (Secrets if secret else Settings).model_json_schema()
    at = schema["properties"][first]
    for part in rest:
        at = schema["$defs"][at["$ref"].rsplit("/", 1)[-1]] if "$ref" in at else at
        if part.startswith("["):
            at = at.get("items") or at.get("additionalProperties") or {}
        else:
            raise_unknown({part}, set(at.get("properties", {})))
            at = at["properties"][part]


def check_make(words: Sequence[str]) -> None:
    """Compare a call of make with the Makefile."""
    for word in words:
        variable, equals, value = word.partition("=")
        if equals:
            raise_unknown({variable}, set(re.findall(r"\$\((?:if \$\()?([A-Z]+)\)", MAKEFILE)))
        else:
            raise_unknown({word}, set(re.findall(r"^([a-z]+):", MAKEFILE, flags=re.MULTILINE)))
        if variable == "ARGS":
            check_own("bench", value.split(), complete=True)


def check_gh(words: Sequence[str]) -> None:
    """Compare the start of a workflow with its inputs."""
    if list(words[:2]) != ["workflow", "run"]:
        raise StaleError("gh: only `gh workflow run` is expected")
    workflow = PROJECT / ".github" / "workflows" / f"{words[2]}.yml"
    if not workflow.exists():
        raise StaleError(f"there is no workflow {words[2]}")
    # YAML 1.1 reads the key `on` as true.
    inputs = (yaml.safe_load(workflow.read_text())[True]["workflow_dispatch"] or {}).get("inputs", {})
    fields = {after.partition("=")[0] for word, after in itertools.pairwise(words) if word == "--field"}
    raise_unknown(fields, set(inputs))


def check_files(program: str, words: Sequence[str]) -> None:
    """Find the project's files that a command line names."""
    named = [program, *(words if program.endswith("/pytest") else [])]
    for word in named:
        if "/" in word and not word.startswith(".venv/") and not (PROJECT / word).exists():
            raise StaleError(f"there is no file {word}")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No option comes from the environment but the stack, which docs/README.md and `make sandbox` say to set."""
    for name in list(os.environ):
        if name.startswith(("PULUMI", "MELTANODATA")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PULUMI_STACK", "prod")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_every_command_line_of_a_page_can_be_typed(page: Path) -> None:
    wrong = []
    for line in [*lines(page), *mentions(page)]:
        try:
            check(line)
        except StaleError as error:
            wrong.append(f"{line}: {error}")
    assert wrong == []


def test_the_pages_have_command_lines() -> None:
    typed = [line for page in PAGES for line in lines(page) if line.block]
    without = {page.name for page in (PROJECT / "docs" / "how-to").glob("*.md")} - {line.page.name for line in typed}
    assert without == set()
    assert len(typed) > 80


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_no_program_is_misspelt(page: Path) -> None:
    words = {word for word in first_words(page) - {*PROGRAMS} if re.fullmatch(r"[a-z-]+", word)}
    assert [word for word in words if get_close_matches(word, PROGRAMS, cutoff=0.85)] == []


@pytest.mark.parametrize("name", sorted(COMMANDS["meltanodata"].commands))
def test_the_examples_in_a_commands_help_can_be_typed(name: str) -> None:
    examples = re.findall(r"^ *(meltanodata .*)$", COMMANDS["meltanodata"].commands[name].help, flags=re.MULTILINE)
    for example in examples:
        check(Line(PROJECT / "README.md", example, block=True))


def commands_without_the_program() -> Iterator[tuple[Path, str]]:
    """What stands in backquotes like `check --base REV` or `--write`."""
    names = set(COMMANDS["meltanodata"].commands)
    for page in PAGES:
        for text in quoted(page):
            first, _, rest = text.partition(" ")
            if (first.startswith("--") and first != "--") or (first in names and rest.startswith("-")):
                yield page, text


def test_options_that_a_page_names_exist() -> None:
    own = {name: options_below(command) for name, command in COMMANDS["meltanodata"].commands.items()}
    own["up"] |= {*pulumi_commands()["up"].options, "--plan"}  # which Pulumi's help does not show
    groups = [COMMANDS["sandbox"], *COMMANDS["sandbox"].commands.values(), COMMANDS["bench"]]
    all_options = {
        *(option for options in own.values() for option in options),
        *(option for command in groups for option in options_of(command)),
        *(option for command in pulumi_commands().values() for option in command.options),
    }
    named = list(commands_without_the_program())
    assert len(named) > 10
    wrong = []
    for page, text in named:
        known = all_options if text.startswith("-") else own[text.split()[0]]
        wrong += [
            f"{page.name}: {text}" for word in text.split() if word.startswith("-") and word not in {*known, "--"}
        ]
    assert wrong == []


def test_the_settings_in_the_pages_exist() -> None:
    known = {*Settings.model_fields, *Secrets.model_fields}
    named = {name for page in PAGES for name in re.findall(r"\bmeltanodata:([a-z_]+)", page.read_text())}
    assert len(named) > 5
    assert named - known == {"deployed"}  # a tag of the stack


def test_the_variables_in_the_pages_are_read() -> None:
    sources = [
        path for folder in ("meltanodata", "sandbox", "bench", "tests") for path in (PROJECT / folder).rglob("*.py")
    ]
    read = "".join(path.read_text() for path in sources) + MAKEFILE
    named = {name for page in PAGES for name in re.findall(r"\b(?:MELTANODATA|SANDBOX)_[A-Z_]+", page.read_text())}
    assert len(named) > 3
    assert {name for name in named if name not in read} == set()


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("meltanodata remove acme", "There is no command 'remove'"),
        ("meltanodata plan --stack prod --colour", "No such option: --colour"),
        ("meltanodata plan --stack prod acme", "unexpected extra argument"),
        ("meltanodata rename acme", "Missing argument 'NEW'"),
        ("meltanodata up --stack prod --replac x", "unknown: --replac"),
        ("meltanodata up --stack prod --replace", "--replace needs a value"),
        ("meltanodata --instal-completion", "No such option"),
        ("meltanodata credentials acme --generation two", "No such option"),
        ("python -m sandbox fault add stik --path /v2/droplets", "'stik'"),
        ("python -m sandbox pulumi dance", "there is no such command"),
        ("python -m sandbx start", "there is no module sandbx"),
        ('eval "$(python -m sandbox environment)"', "No such command 'environment'"),
        ("pulumi config set --stack prod --hidden meltanodata:certificate < file", "unknown: --hidden"),
        ("pulumi config set meltanodata:certificate < file", "unknown: certificate"),
        ("pulumi config set --secret meltanodata:certificates < file", "unknown: certificates"),
        ("pulumi config set --path meltanodata:guard.destroy 5", "unknown: destroy"),
        ("pulumi config set --path 'meltanodata:database_teams[0].marked' true", "unknown: marked"),
        ("pulumi config set meltanodata:region nyc 3", "arguments"),
        ("pulumi stack init --stak prod", "unknown: --stak"),
        ("MELTANODATA_DELETE_DATABASES=acme pulumi destroi", "there is no such command"),
        ("make chek", "unknown: chek"),
        ("make demo HEAVY=1", "unknown: HEAVY"),
        ("make bench ARGS=--reports", "No such option"),
        ("gh workflow run deploy --field stacks=prod", "unknown: stacks"),
        ("gh workflow run deployment", "there is no workflow deployment"),
        ("git clone <this repository> && cd meltanodata", "syntax error"),
        ("docs/images/renewed", "there is no file"),
        (".venv/bin/pytest tests/unit/test_gone.py", "there is no file"),
    ],
)
def test_a_stale_command_line_is_found(text: str, because: str) -> None:
    with pytest.raises(StaleError, match=re.escape(because)):
        check(Line(PROJECT / "README.md", text, block=True))
