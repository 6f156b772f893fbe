"""`meltanodata comment` on plans of stacks."""

from __future__ import annotations

import pytest

from meltanodata.errors import UserError
from meltanodata.render import report
from tests.fakes import github
from tests.previews import created
from tests.unit.cli.project import TWO_STACKS, Project, run


def test_comment_of_several_stacks_from_their_plans(project: Project) -> None:
    project.write("Pulumi.prod-2.yaml", TWO_STACKS)
    plan = project.plan("--json", steps=created("core")).stdout
    (project.folder / "plan-prod.json").write_text(plan)
    (project.folder / "plan-prod-2.json").write_text(
        plan.replace("pulumi:prod:", "pulumi:prod-2:").replace('"prod"', '"prod-2"')
    )
    result = run("comment", "plan-prod.json", "plan-prod-2.json")
    assert result.exit_code == 0
    assert result.stdout.startswith(report.MARKER)
    assert result.stdout.count("### ✅ ") == 2


def test_a_plans_file_says_whose_it_is(project: Project) -> None:
    (project.folder / "a.json").write_text(project.plan("--json", steps=created("core")).stdout)
    assert "a.json: call it plan-STACK.json" in str(run("comment", "a.json").exception)
    (project.folder / "a.json").rename(project.folder / "plan-prod-2.json")
    result = run("comment", "plan-prod-2.json")
    assert "### ❌ `prod-2`: what the preview wrote is the plan of another stack" in result.stdout
    assert isinstance(result.exception, UserError)


def test_a_comment_is_posted(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    (project.folder / "plan-prod.json").write_text(project.plan("--json", steps=created("core")).stdout)
    with github.serve() as server:
        server.pull(7, "def")
        for name, value in {"REPOSITORY": github.REPOSITORY, "TOKEN": github.TOKEN, "API_URL": server.url}.items():
            monkeypatch.setenv(f"GITHUB_{name}", value)
        result = run("comment", "plan-prod.json", "--pull-request", "7")
    assert result.exit_code == 0
    assert [(it["issue"], it["body"]) for it in server.comments] == [(7, result.stdout)]


def test_a_comment_says_which_preview_failed(project: Project) -> None:
    (project.folder / "plan-prod.json").write_text(project.plan("--json", steps=created("core")).stdout)
    (project.folder / "plan-prod-2.json").write_text("")
    text = run("comment", "plan-prod.json", "plan-prod-2.json").stdout
    assert "### ❌ `prod-2`: the preview failed" in text
    assert "### ✅ `prod`" in text


@pytest.mark.usefixtures("project")
def test_a_pull_request_that_touches_no_stack() -> None:
    assert run("comment").stdout == f"{report.MARKER}\n\nNo tenant is touched.\n"
