"""The documentation's links lead somewhere, and the files and tests that it names exist."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from tests.pages import PAGES, PROJECT, lines

if TYPE_CHECKING:
    from pathlib import Path

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


@pytest.mark.parametrize("page", sorted((PROJECT / "docs" / "how-to").glob("*.md")), ids=lambda page: page.stem)
def test_a_how_to_page_works_on_any_stack_because_its_lines_name_none(page: Path) -> None:
    typed = [line.text for line in lines(page) if line.block]
    named = [text for text in typed if "--stack" in text and "#" not in text and "STACK" not in text]
    others = ("meltanodata plan --stack prod-2", "meltanodata status --stack prod")  # one beside the shell's own
    assert [text for text in named if not text.startswith(others)] == []


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


@pytest.mark.parametrize("page", ["debug", "interrupted", "pull-requests"])
def test_where_a_page_tells_to_look_for_causes_it_warns_of_verbose_logs(page: str) -> None:
    text = (PROJECT / "docs" / "how-to" / f"{page}.md").read_text()
    assert re.search(r"secrets?\]\(interrupted\.md#verbose-logs-hold-every-secret\)|\]\(#verbose-logs-hold-", text)


def test_the_warning_names_the_option_that_makes_such_a_log_and_what_to_do_instead() -> None:
    text = (PROJECT / "docs" / "how-to" / "interrupted.md").read_text()
    section = text.partition("\n## Verbose logs hold every secret\n")[2].partition("\n## ")[0]
    assert "`-v=9`" in section
    assert "(sandbox.md)" in section
