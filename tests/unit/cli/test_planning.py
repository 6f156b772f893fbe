"""`meltanodata plan`, `comment` and `stacks`."""

from __future__ import annotations

import json

import pytest

from meltanodata.errors import UserError
from meltanodata.render import report
from meltanodata.rollout.guard import Review
from tests.fakes import github
from tests.previews import created, destroyed, renewed
from tests.unit.cli.project import SETTINGS, TWO_STACKS, Project, run


def test_a_plan_on_the_terminal(project: Project) -> None:
    project.fleet("acme", "bolt", "core")
    result = project.plan("--base", "main", steps=created("core"))
    assert result.exit_code == 0
    assert "https://core.meltanodata.com" in result.stdout


def test_nothing_to_do(project: Project) -> None:
    result = project.plan(steps=[])
    assert (result.exit_code, result.stdout) == (0, "prod: no changes\n")


def test_json_says_how_full_the_teams_become(project: Project) -> None:
    project.fleet("acme", "bolt", "core")
    result = project.plan("--json", steps=created("core"))
    teams = Review.model_validate_json(result.stdout).plan.teams
    assert [(team.name, team.before, team.after, team.limit) for team in teams] == [
        ("Meltano", 2, 3, 500),
        ("MeltanoData DBs 1", 2, 3, 60),
    ]


def test_markdown_is_the_comment(project: Project) -> None:
    steps = created("core")
    project.fleet("acme", "bolt", "core")
    (project.folder / "plan-prod.json").write_text(project.plan("--json", steps=steps).stdout)
    now = project.plan("--base", "main", "--markdown", steps=steps).stdout
    assert run("comment", "--base", "main", "plan-prod.json").stdout == now


def test_a_plan_that_the_guard_stops_is_shown_and_ends_with_3(project: Project) -> None:
    project.fleet("acme")
    result = project.plan("--base", "main", "--json", steps=destroyed("bolt"))
    assert result.exit_code == 3
    assert "add the label guard:data-loss to the pull request" in result.stderr
    assert [stop.label for stop in Review.model_validate_json(result.stdout).stops] == ["guard:data-loss"]


def test_the_label_lets_it_through(project: Project) -> None:
    project.fleet("acme")
    arguments = ("--base", "main", "--allow", "bug", "--allow", "guard:data-loss")
    assert project.plan(*arguments, steps=destroyed("bolt")).exit_code == 0


def test_a_tenant_that_the_branch_does_not_change_is_unnamed(project: Project) -> None:
    project.fleet("acme", "bolt", "core")
    result = project.plan("--base", "main", steps=[*created("core"), *renewed("bolt")])
    assert result.exit_code == 3
    assert "touches 1 tenant that the pull request does not name: bolt." in result.stderr


def test_what_happened_on_the_base_since_is_not_the_branchs_doing(project: Project) -> None:
    project.fleet("acme", "bolt", "core")
    project.commit()
    project.git("switch", "--quiet", "main")
    project.fleet("acme", "bolt", "dax")
    project.commit()
    project.git("switch", "--quiet", "change")
    result = project.plan("--base", "main", steps=[*created("core"), *renewed("dax")])
    assert result.exit_code == 3
    assert "does not name: dax." in result.stderr


def test_thresholds_are_those_of_the_base(project: Project) -> None:
    project.write("Pulumi.prod.yaml", SETTINGS + "  meltanodata:guard: {destroyed: 99, destroyed_percent: 100}\n")
    project.fleet("x")
    steps = [*destroyed("acme"), *destroyed("bolt"), *destroyed("core")]
    labels = ("--allow", "guard:data-loss", "--allow", "guard:unnamed-tenants")
    assert "guard:many-destroyed" in project.plan("--base", "main", *labels, steps=steps).stderr
    project.commit()
    assert project.plan("--base", "HEAD", *labels, steps=steps).exit_code == 0


def test_a_stack_that_the_base_does_not_know_has_the_usual_thresholds(project: Project) -> None:
    project.git("rm", "--quiet", "--cached", "Pulumi.prod.yaml")
    project.git("commit", "--quiet", "--message", "No stack yet")
    assert project.plan("--base", "HEAD", steps=[]).exit_code == 0
    project.write("Pulumi.prod.yaml", SETTINGS + "  meltanodata:guard: {destroyed: 99, destroyed_percent: 100}\n")
    project.commit()
    steps = [*destroyed("acme"), *destroyed("bolt"), *destroyed("core")]
    assert "guard:many-destroyed" in project.plan("--base", "HEAD^", steps=steps).stderr


def test_the_plan_that_was_reviewed_may_be_applied(project: Project) -> None:
    project.fleet("acme", "bolt", "core")
    (project.folder / "reviewed.json").write_text(project.plan("--json", steps=created("core")).stdout)
    assert project.plan("--expect", "reviewed.json", steps=created("core")).exit_code == 0
    assert project.plan("--expect", "reviewed.json", steps=created("core")[3:]).exit_code == 0


def test_another_plan_than_the_one_that_was_reviewed_ends_with_4_and_says_what_is_new(project: Project) -> None:
    (project.folder / "reviewed.json").write_text(project.plan("--json", steps=created("core")).stdout)
    result = project.plan("--expect", "reviewed.json", steps=[*created("core"), *renewed("acme")])
    assert result.exit_code == 4
    assert "This is not the reviewed plan" in result.stderr
    assert "- acme: changed, and the reviewed plan does not touch it (certificate" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--base", "nowhere"], "'nowhere' is not a revision that git has"),
        (["--allow", "guard:everything"], "the guard has no such label"),
        (["--expect", "Pulumi.yaml"], "is not a plan. Write one with: meltanodata plan --json"),
        (["--expect", "missing.json"], "is not a plan. Write one with: meltanodata plan --json"),
        (["--preview", "Pulumi.yaml"], "not an output of `pulumi preview --json`"),
    ],
)
def test_mistakes_are_told(project: Project, arguments: list[str], message: str) -> None:
    result = project.plan(*arguments, steps=[])
    assert isinstance(result.exception, UserError)
    assert message in str(result.exception)


def test_two_formats_at_once_are_wrong_usage(project: Project) -> None:
    assert project.plan("--json", "--markdown", steps=[]).exit_code == 2


def test_a_workflow_gives_the_options_by_its_environment(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.fleet("acme")
    monkeypatch.setenv("PULUMI_STACK", "prod")
    monkeypatch.setenv("MELTANODATA_BASE", "main")
    monkeypatch.setenv("MELTANODATA_LABELS", "")
    steps = destroyed("bolt")
    assert run("plan", "--preview", project.preview(*steps)).exit_code == 3
    monkeypatch.setenv("MELTANODATA_LABELS", '["good first issue", "guard:data-loss"]')
    assert run("plan", "--preview", project.preview(*steps)).exit_code == 0


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("null", 3),
        ("[]", 3),
        ('""', 3),
        ('["blocked guard:data-loss"]', 3),  # a label with a blank in it
        ('["guard:data-loss"]', 0),
        ('"guard:data-loss"', 0),  # what somebody typed who started a deployment
        ('"guard:data-loss, guard:unnamed-tenants"', 0),
        ("guard:data-loss guard:unnamed-tenants", 0),
        ('"blocked guard:data-loss"', "'blocked': the guard has no such label"),
        ("blocked guard:data-loss", "is not a JSON list of labels"),
        ('{"guard:data-loss": 1}', "is not a JSON list of labels"),
        ("[1]", "is not a JSON list of labels"),
    ],
)
def test_a_label_allows_something_by_its_whole_name_alone(
    project: Project, monkeypatch: pytest.MonkeyPatch, given: str, code: int | str
) -> None:
    project.fleet("acme")
    monkeypatch.setenv("MELTANODATA_LABELS", given)
    result = project.plan("--base", "main", steps=destroyed("bolt"))
    assert (code in str(result.exception)) if isinstance(code, str) else (result.exit_code == code)


@pytest.mark.parametrize(
    ("file", "text", "touched"),
    [
        ("README.md", "Hello", []),
        ("tenants.yaml", "acme: {database_team: MeltanoData DBs 1}\nnew: {database_team: MeltanoData DBs 2}\n", [1, 2]),
        ("tenants.yaml", "acme: {database_team: MeltanoData DBs 1}\n", [1]),
        ("Pulumi.prod-2.yaml", TWO_STACKS + "  meltanodata:region: ams3\n", [2]),
        ("Pulumi.yaml", "name: meltanodata\nruntime: python\ndescription: x\n", [1, 2]),
        ("meltanodata/text.py", "", [1, 2]),
        ("yaml.py", "# takes a library's place", [1, 2]),
        ("extra/sizes.json", "{}", [1, 2]),
        ("docs/how-to.md", "", []),
        ("Makefile", "setup:", []),
        (".github/workflows/preview.yml", "on: push", []),
    ],
)
def test_the_stacks_that_a_change_touches(project: Project, file: str, text: str, touched: list[int]) -> None:
    project.write("Pulumi.prod-2.yaml", TWO_STACKS)
    project.write("meltanodata/text.py", "# the program\n")
    project.commit()
    project.git("tag", "base")
    project.write(file, text)
    project.commit()
    names = [{1: "prod", 2: "prod-2"}[number] for number in touched]
    assert run("stacks", "--base", "base").stdout.split() == names
    assert json.loads(run("stacks", "--base", "base", "--json").stdout) == names


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
    assert "a.json: rename it to plan-STACK.json" in str(run("comment", "a.json").exception)
    (project.folder / "a.json").rename(project.folder / "plan-prod-2.json")
    result = run("comment", "plan-prod-2.json")
    assert "### ❌ `prod-2`: the preview's output is the plan of another stack" in result.stdout
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
    assert run("comment").stdout == f"{report.MARKER}\n\nNo tenant changes.\n"
