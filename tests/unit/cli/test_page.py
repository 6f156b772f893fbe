"""`meltanodata page`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.states import exported
from tests.unit.cli.project import Project, run

if TYPE_CHECKING:
    from tests.fakes.pulumi import Cli


def test_the_page_of_the_fleet(project: Project, cli: Cli) -> None:
    cli.prints(json.dumps(exported("acme", "bolt")))
    result = run("page", "index.html", "--revision", "abc1234")
    assert (result.exit_code, result.stdout) == (0, "index.html: 2 tenants\n")
    text = (project.folder / "index.html").read_text()
    assert "revision abc1234" in text
    assert "2 of 60 databases" in text
    assert (cli.folder / "arguments").read_text() == "stack export --stack prod\n"
