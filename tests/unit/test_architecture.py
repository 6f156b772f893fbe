"""The packages import in one direction, and the tests mirror them."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.home import PROJECT

TESTS = PROJECT / "tests"
MIRRORS = {
    "meltanodata": TESTS / "unit",
    "meltanodata/program": TESTS / "program",
    "sandbox": TESTS / "unit" / "sandbox",
}
"""Where the tests of each folder of code are; those of its packages are in folders of the same names."""
OF_NO_MODULE = {
    "unit/cli/test_output.py": "terminal.py and main.py: outputs that end or are full, and full disks",
    "unit/test_architecture.py": "it holds the packages together",
    "unit/test_bench.py": "of bench/",
    "unit/test_changelog.py": "of CHANGELOG.md",
    "unit/test_commands_in_pages.py": "of docs/ and README.md: the command lines",
    "unit/test_docs.py": "of docs/",
    "unit/test_makefile.py": "of the Makefile",
    "unit/test_readme.py": "of README.md",
    "unit/test_workflows.py": "of .github/",
    "unit/droplet/scripts/test_links.py": "descriptors.py: links that others leave for root",
    "unit/droplet/scripts/test_new_files_of_caddy.py": "write_files.py: Caddy's files are tried before the restart",
    "unit/sandbox/plugins/digitalocean/test_package.py": "__init__.py: the schema that the plugin has",
    "unit/sandbox/plugins/digitalocean/test_resources.py": "all resources: each from creation to deletion",
}
"""Test files that are not named after a module, each with what it is about."""
LINT_IMPORTS = (str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--no-logo")


def packages(folder: str) -> set[str]:
    """A folder of code and its packages, relative to the project: `meltanodata/cli`."""
    return {str(path.parent.relative_to(PROJECT)) for path in (PROJECT / folder).rglob("__init__.py")}


def folder_for(package: str) -> Path:
    """The folder with the tests of a package."""
    code, tests = max(
        (it for it in MIRRORS.items() if f"{package}/".startswith(f"{it[0]}/")), key=lambda it: len(it[0])
    )
    return tests / Path(package).relative_to(code)


def imported(path: Path) -> set[str]:
    """The modules that a file imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            modules |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return modules


def test_no_test_imports_a_test() -> None:
    tests = {path: str(path.relative_to(PROJECT).with_suffix("")).replace("/", ".") for path in TESTS.rglob("*.py")}
    assert len(tests) > 100
    collected = {name for name in tests.values() if name.rpartition(".")[2].startswith("test_")}
    collected |= {name for name in tests.values() if name.endswith(".conftest")}
    assert [f"{name}: {it}" for path, name in tests.items() for it in sorted(imported(path) & collected)] == []
    # Neither does a program that a test starts.
    texts = [(name, line.strip()) for path, name in tests.items() for line in path.read_text().splitlines()]
    assert [it for it in texts if it[1].startswith(("from tests.", "import tests.")) and ".test_" in it[1]] == []


def test_each_package_has_its_folder_of_tests() -> None:
    names = packages("meltanodata") - {"meltanodata"}
    assert {"meltanodata/engine", "meltanodata/droplet/scripts"} < names
    assert [name for name in sorted(names) if not list(folder_for(name).glob("test_*.py"))] == []


def test_each_test_file_is_named_after_a_module() -> None:
    folders = {folder_for(name): PROJECT / name for name in packages("meltanodata") | packages("sandbox")}
    files = sorted(path for folder in {*MIRRORS.values()} for path in folder.rglob("test_*.py"))
    assert len(files) > 70
    nameless = {
        str(path.relative_to(TESTS))
        for path in files
        if path.parent not in folders or not (folders[path.parent] / path.name.removeprefix("test_")).exists()
    }
    assert nameless == set(OF_NO_MODULE)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the code and its contract."""
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PROJECT / "meltanodata", tmp_path / "meltanodata", ignore=ignored)
    return tmp_path


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """What `make check` runs, on the code in a folder."""
    # The script puts the working directory first, before the checkout that is installed.
    return subprocess.run(LINT_IMPORTS, cwd=folder, capture_output=True, text=True, check=False)


def test_the_imports_of_the_checkout_keep_the_contract() -> None:
    done = lint_imports(PROJECT)
    assert done.returncode == 0, done.stdout
    contract = (PROJECT / "pyproject.toml").read_text(encoding="utf-8").partition("[tool.importlinter]")[2]
    assert "ignore_imports" not in contract


@pytest.mark.parametrize(
    ("importing", "line", "told"),
    [
        ("config/fleet.py", "from meltanodata.cli import main", "meltanodata.config.fleet -> meltanodata.cli.main"),
        ("errors.py", "import meltanodata.text", "meltanodata.errors -> meltanodata.text"),
        ("engine/resource_types.py", "import pulumi", "meltanodata.engine.resource_types -> pulumi"),
    ],
    ids=["a package imports one above it", "the lowest module imports another", "the SDK outside the program"],
)
def test_a_forbidden_import_fails_the_check(checkout: Path, importing: str, line: str, told: str) -> None:
    file = checkout / "meltanodata" / importing
    file.write_text(f"{file.read_text(encoding='utf-8')}\n{line}\n", encoding="utf-8")
    done = lint_imports(checkout)
    assert done.returncode == 1, done.stdout
    assert told in done.stdout


def test_a_circle_inside_a_package_fails_the_check(checkout: Path) -> None:
    for name, other in (("hen", "egg"), ("egg", "hen")):
        (checkout / "meltanodata" / "config" / f"{name}.py").write_text(f"from meltanodata.config import {other}\n")
    done = lint_imports(checkout)
    assert done.returncode == 1, done.stdout
    assert "No circle inside a package BROKEN" in done.stdout
    assert ".egg" in done.stdout
    assert ".hen" in done.stdout
