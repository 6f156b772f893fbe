"""Somebody who has only the pages: what `start` prints and the how-to pages say, typed word for word."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from sandbox import pulumi
from sandbox.home import PROJECT
from tests.sandbox.programs import PLUGINS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOW_TO = PROJECT / "docs" / "how-to"


class Newcomer:
    """A shell in the checkout, which knows no stack and has no command on its PATH but the machine's."""

    def __init__(self, home: Path) -> None:
        foreign = {*pulumi.foreign(os.environ), "SANDBOX_HOME"}
        self._environment = {name: value for name, value in os.environ.items() if name not in foreign}
        self._environment["SANDBOX_HOME"] = str(home)
        self.there: list[str] = []
        """The lines that lead to the sandbox's project, as `start` printed them."""

    def types(self, *lines: str, code: int = 0) -> str:
        """Type lines, the last of which ends with this exit code; returns what they printed."""
        script = "\n".join(["set -e", *self.there, "set +e", *lines])
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=PROJECT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == code, f"{script}\n{done.stdout}"
        return done.stdout

    def sandbox(self, *arguments: str) -> str:
        return self.types(shlex.join([sys.executable, "-m", "sandbox", *arguments]))


def block(page: str, heading: str = "") -> list[str]:
    """The first block of commands below a heading of a how-to page; nobody is there to answer `up`."""
    text = (HOW_TO / f"{page}.md").read_text().partition(f"## {heading}\n" if heading else "\n")[2]
    lines = re.search(r"(?:^ {4,}\S.*\n)+", text, flags=re.MULTILINE)
    assert lines is not None
    return [re.sub(r"^meltanodata up\b", "meltanodata up --yes", line.strip()) for line in lines[0].splitlines()]


def entries(newcomer: Newcomer, text: str) -> None:
    """Edit tenants.yaml in the sandbox's project."""
    newcomer.types(f"printf %s {shlex.quote(text)} > tenants.yaml")


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[Newcomer]:
    newcomer = Newcomer(tmp_path / "home")
    said = newcomer.sandbox("start", "--droplets", "light", "--databases", "light", "--plugins", PLUGINS, "--acme")
    try:
        newcomer.there = [line.strip() for line in said.splitlines() if line.startswith("  ")]
        assert [line.split()[0] for line in newcomer.there] == ["eval", "cd", "meltanodata", "meltanodata"]
        del newcomer.there[2:]
        yield newcomer
    finally:
        newcomer.there = []
        newcomer.sandbox("stop")


def test_the_printed_lines_and_the_pages_work_word_for_word(newcomer: Newcomer) -> None:
    tracked = subprocess.run(["git", "diff", "HEAD"], cwd=PROJECT, capture_output=True, check=True).stdout
    # As `start` prints it, then `Add` and the renewal of the certificate.
    assert "2 created" in newcomer.types("meltanodata plan")
    said = newcomer.types(*block("tenants", "Add"), "meltanodata check --base origin/main", "meltanodata up --yes")
    assert "bolt is ready: https://bolt.meltanodata.com" in said
    said = newcomer.types(*block("certificates", "Use a certificate of your own"), "meltanodata plan")
    assert "sandbox: 3 changed" in said
    assert said.rstrip().endswith("sandbox: no changes")
    # The sandbox's certificate is not due, so the page's lines need a first one that is forced.
    said = newcomer.types(
        "meltanodata certificate renew --force", *block("certificates", "Renew the wildcard certificate")
    )
    assert "issued by Pebble" in said
    assert "No renewal is due before" in said
    assert "sandbox: 3 changed" in said
    # A wipe and a removal lose data; the pages name the label that both need.
    page = (HOW_TO / "wipe-demo.md").read_text()
    demo = re.search(r"```yaml\n(demo:\n.*?)```", page, flags=re.DOTALL)
    assert demo is not None
    entries(newcomer, f"{demo[1]}acme:\n  database_team: MeltanoData DBs 2\n")
    said = newcomer.types(*block("wipe-demo"))
    assert "Allowed by the label guard:data-loss" in said
    # A team moves to a stack of its own.
    said = newcomer.types(
        "pulumi stack init prod-2",
        'meltanodata move "MeltanoData DBs 2" --to prod-2',
        "meltanodata plan --stack prod-2",
    )
    assert "prod-2: no changes" in said
    # In the checkout nothing was touched, and the stack is not there.
    assert subprocess.run(["git", "diff", "HEAD"], cwd=PROJECT, capture_output=True, check=True).stdout == tracked
    said = newcomer.types(f"cd {shlex.quote(str(PROJECT))}", "meltanodata plan", code=1)
    assert "you are in the checkout" in said
    assert f"cd {newcomer.there[1].removeprefix('cd ')}" in said


def test_a_light_sandbox_starts_light_again_and_reset_makes_the_project_anew(newcomer: Newcomer) -> None:
    entries(newcomer, "{}\n")
    newcomer.sandbox("stop")
    there, newcomer.there = newcomer.there, []
    said = newcomer.sandbox("start", "--plugins", PLUGINS)
    assert re.findall(r"^(droplets|databases) +(\w+)", said, flags=re.MULTILINE) == [
        ("droplets", "light"),
        ("databases", "light"),
    ]
    newcomer.there = there
    assert newcomer.types("cat tenants.yaml") == "{}\n"
    said = newcomer.types("python -m sandbox reset", "cat tenants.yaml", "git status --short")
    assert said.endswith((PROJECT / "tenants.yaml").read_text())
    said = newcomer.types("python -m sandbox browse acme", code=1)
    assert "light droplets, which serve no pages" in said
