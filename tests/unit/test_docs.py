"""The documentation's links lead somewhere, and the files, commands and tests that it names exist."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer.main

from meltanodata.cli.main import app as meltanodata
from meltanodata.config.settings import Secrets, Settings
from sandbox.__main__ import app as sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).parents[2]
PAGES = sorted([*PROJECT.glob("*.md"), PROJECT / "bench" / "README.md", *(PROJECT / "docs").rglob("*.md")])
FILES = [
    f"/{path.relative_to(PROJECT)}"
    for pattern in (
        "*",
        ".github/**/*",
        *(f"{top}/**/*" for top in ("bench", "docs", "meltanodata", "sandbox", "tests")),
    )
    for path in PROJECT.glob(pattern)
]
GUIDE = PROJECT / "docs" / "reference" / "guide.md"


def without_code(page: Path) -> str:
    """A page's text without its blocks of code and what is in backquotes."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", lambda found: re.sub(r"\S", "x", found[0]), text)


def anchors(page: Path) -> set[str]:
    """What GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", without_code(page))
    lost = []
    for link in links:
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        if "://" not in link and (not target.exists() or (anchor and anchor not in anchors(target))):
            lost.append(link)
    assert lost == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_the_files_that_a_page_names_exist(page: Path) -> None:
    named = set(re.findall(r"`([\w./-]*\w\.(?:py|md|toml|yml))`", page.read_text()))
    assert [name for name in sorted(named) if not any(file.endswith(f"/{name}") for file in FILES)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_a_name_is_in_the_file_that_a_page_says(page: Path) -> None:
    said = re.findall(r"`(\w+)`(?:, `(\w+)`)? in `([\w/]+/\w+\.py)`", page.read_text())
    lost = []
    for *names, path in said:
        text = (PROJECT / path).read_text() if (PROJECT / path).exists() else ""
        defined = set(re.findall(r"^ *(?:async )?(?:def|class) (\w+)|^(\w+)(?::[^=]+)? = ", text, flags=re.MULTILINE))
        lost += [
            f"{name} in {path}" for name in names if name and name not in {one for pair in defined for one in pair}
        ]
    assert lost == []


def commands(page: Path, program: str) -> Iterator[list[str]]:
    """The arguments of each call of a program in a page: blocks of code, and what is in backquotes."""
    text = page.read_text()
    lines = re.findall(r"^ {4,}(.*)$|`([^`\n]+)`", text, flags=re.MULTILINE)
    for line in (block or inline for block, inline in lines):
        for call in re.findall(rf"(?:^|[ /]){program} ([^|;>#)]*)", line.removeprefix("$ ")):
            yield re.split(r"\s+", call.strip())


@pytest.mark.parametrize(
    ("program", "app"), [("meltanodata", meltanodata), ("python -m sandbox", sandbox)], ids=["meltanodata", "sandbox"]
)
def test_the_commands_in_the_pages_exist_with_their_options(program: str, app: typer.Typer) -> None:
    wrong = []
    whole: Any = typer.main.get_command(app)
    calls = [(page, call) for page in PAGES for call in commands(page, program)]
    assert len(calls) > 15
    for page, call in calls:
        command = whole
        rest = list(call)
        while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
            name = rest.pop(0)
            found = command.commands.get(name)
            if found is None:
                wrong.append(f"{page.name}: {program} {' '.join(call)}")
                break
            command = found
        options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        own = rest[: rest.index("--")] if "--" in rest else rest
        passed_on = {"up", "pulumi"} & set(call[:1])
        for word in own:
            option = word.split("=")[0]
            if re.fullmatch(r"--?[a-z][a-z-]*", option) and option not in {*options, "--help"} and not passed_on:
                wrong.append(f"{page.name}: {program} {' '.join(call)}: {option}")
    assert wrong == []


HOW_TO = sorted((PROJECT / "docs" / "how-to").glob("*.md"))


def command_lines(page: Path, program: str) -> list[list[str]]:
    """The arguments of each call of a program that a page tells to type: in its blocks, not in what is printed."""
    lines = re.findall(r"^ {4,}(?:\$ )?(?:[A-Z_]+=\S+ )?([a-z].*)$", page.read_text(), flags=re.MULTILINE)
    words = [
        shlex.split(re.split(r" #|[|<>;](?= |$)", line)[0], posix=True) for line in lines if line.startswith(program)
    ]
    length = len(program.split())
    return [call[length:] for call in words if " ".join(call[:length]) == program]


@pytest.mark.parametrize("page", HOW_TO, ids=lambda page: page.stem)
def test_each_command_line_of_a_how_to_page_is_one_that_the_program_takes(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_STACK", "prod")
    for program, app in (("meltanodata", meltanodata), ("python -m sandbox", sandbox)):
        whole: Any = typer.main.get_command(app)
        for call in command_lines(page, program):
            command, rest, context = whole, list(call), typer.Context(whole, info_name=program)
            while hasattr(command, "commands"):
                if rest[0].startswith("--"):  # an option of the program itself, such as --install-completion
                    break
                name, command, rest = command.resolve_command(context, rest)
                context = typer.Context(command, info_name=name, parent=context)
            else:
                command.make_context(command.name, rest, parent=context)


def test_most_how_to_pages_have_command_lines() -> None:
    counted = {page.stem: len(command_lines(page, "meltanodata")) for page in HOW_TO}
    assert sum(counted.values()) > 35
    assert [stem for stem, number in counted.items() if number == 0] == []


@pytest.mark.parametrize("page", HOW_TO, ids=lambda page: page.stem)
def test_a_how_to_page_can_be_followed_on_the_sandbox_because_it_names_no_stack_to_work_on(page: Path) -> None:
    lines = re.findall(r"^ {4,}((?:meltanodata|pulumi) .*--stack \S+.*)$", page.read_text(), flags=re.MULTILINE)
    lines = [line for line in lines if "database_teams[0].full" not in line]  # what `check` prints
    assert [
        line for line in lines if not line.startswith("meltanodata plan --stack prod-2 ")
    ] == []  # the page's new one


def test_the_settings_in_the_pages_exist() -> None:
    known = {*Settings.model_fields, *Secrets.model_fields}
    named = {name for page in PAGES for name in re.findall(r"\bmeltanodata:([a-z_]+)", page.read_text())}
    assert len(named) > 5
    assert named - known == {"deployed"}  # a tag of the stack


def test_the_targets_in_the_pages_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(), flags=re.MULTILINE))
    named = {
        target for page in PAGES for target in re.findall(r"(?:^ {4}|`)make ([a-z]+)", page.read_text(), re.MULTILINE)
    }
    assert len(named) > 5
    assert named <= targets


def functions(path: Path) -> set[str]:
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


def test_the_tests_that_prove_a_procedure_exist() -> None:
    named = re.findall(r"`(test_\w+\.py)::(\w+)`", GUIDE.read_text())
    assert len(named) > 20
    folder = PROJECT / "tests" / "sandbox"
    assert [(file, name) for file, name in named if name not in functions(folder / file)] == []


def test_every_row_names_a_test_on_real_droplets() -> None:
    rows = [line for line in GUIDE.read_text().splitlines() if line.startswith("| ") and not line.startswith("| The ")]
    assert len(rows) > 30
    assert [row for row in rows if "_real.py::" not in row] == []
