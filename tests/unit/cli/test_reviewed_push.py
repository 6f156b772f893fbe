"""What a push to the main branch may deploy: its pull requests, their plans and their labels."""

from __future__ import annotations

from functools import partialmethod
from typing import TYPE_CHECKING

import pytest
import typer

from meltanodata.cli.context import StackContext
from meltanodata.cli.reviewed_push import Request, of_push
from meltanodata.errors import NotReviewedError, UserError
from meltanodata.github import GitHub
from meltanodata.rollout import approval, preview_plan, pushes
from meltanodata.rollout.guard import Review
from tests.fakes import github
from tests.previews import Step, created, destroyed, preview, renewed
from tests.unit.cli.project import SETTINGS, Project, rev, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fakes.github import Server

DATA_LOSS, MANY, UNNAMED = "guard:data-loss", "guard:many-destroyed", "guard:unnamed-tenants"


class Main:
    """The main branch of a repository with a fleet of nine, and GitHub behind it."""

    def __init__(self, project: Project, hub: Server) -> None:
        self.project, self.hub = project, hub
        self.keys = [f"t{number}" for number in range(9)]
        project.git("switch", "--quiet", "main")
        project.fleet(*self.keys)
        project.commit()
        self.before = rev(project, "HEAD")

    def commit(self, *, add: str = "", remove: str = "", file: str = "") -> str:
        """A commit of the branch that adds a tenant, removes some or touches a file."""
        self.keys = [key for key in [*self.keys, *add.split()] if key not in remove.split()]
        self.project.fleet(*self.keys)
        if file:
            self.project.write(file, "# changed")
        self.project.commit()
        return rev(self.project, "HEAD")

    def request(self, number: int, *commits: str, labels: tuple[str, ...] = (), plan: list[Step] | None = None) -> int:
        """A pull request that brought these commits, with the plan that it showed; returns the run."""
        head = f"head-{number}"
        for commit in commits:
            self.hub.associated.setdefault(commit, []).append(number)
        merged = {"merged_at": "2026-11-23T03:00:00Z", "merge_commit_sha": commits[-1], "state": "closed"}
        self.hub.pull(number, head, list(labels), **merged)
        running = self.hub.run(head, f"change-{number}")
        if plan is not None:
            review = Review(plan=preview_plan.read(preview(*plan)))
            self.hub.upload(running, "plan-prod", review.model_dump_json().encode())
        return running

    def pushed(self) -> Request:
        return of_push(StackContext("prod"), rev(self.project, "HEAD"), self.before)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited."""
    waited: list[float] = []
    monkeypatch.setattr("meltanodata.cli.reviewed_push.time.sleep", waited.append)
    monkeypatch.setattr(GitHub, "__init__", partialmethod(GitHub.__init__, pauses=()))
    return waited


@pytest.fixture
def main(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: list[float]) -> Iterator[Main]:
    assert waits == []
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with github.serve() as hub:
        environment = {"REPOSITORY": github.REPOSITORY, "TOKEN": github.TOKEN, "API_URL": hub.url, "REF_NAME": "main"}
        for name, value in environment.items():
            monkeypatch.setenv(f"GITHUB_{name}", value)
        yield Main(Project(folder), hub)


def tenants(request: Request) -> list[str]:
    return [row.tenant for row in request.reviewed.rows] if request.reviewed else []


def test_the_request_of_a_merge_is_what_was_reviewed(main: Main) -> None:
    main.request(7, main.commit(add="acme"), labels=("bug", DATA_LOSS), plan=created("acme"))
    found = main.pushed()
    assert (found.base, found.labels, tenants(found)) == (main.before, ("bug", DATA_LOSS), ["acme"])


def test_the_commits_of_a_rebase_are_one_request(main: Main) -> None:
    main.request(7, main.commit(add="acme"), main.commit(add="bolt"), plan=[*created("acme"), *created("bolt")])
    assert tenants(main.pushed()) == ["acme", "bolt"]


def test_what_a_merge_brings_along_is_asked_for_by_the_merge_alone(main: Main) -> None:
    git = main.project.git
    git("switch", "--quiet", "--create", "feature")
    main.commit(add="acme")
    git("switch", "--quiet", "main")
    git("merge", "--quiet", "--no-ff", "--message", "Merge", "feature")
    main.request(7, rev(main.project, "HEAD"), plan=created("acme"))
    assert tenants(main.pushed()) == ["acme"]
    assert len([it for it in main.hub.asked if it.startswith("GET commits/")]) == 1


def test_a_request_that_github_does_not_know_yet_is_waited_for_and_its_labels_count(
    main: Main, waits: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    merged = main.commit(add="acme")
    main.request(7, merged, labels=("skip-deploy",), plan=created("acme"))
    main.hub.unknown[merged] = 2
    assert main.pushed().labels == ("skip-deploy",)
    assert waits == [2, 4]
    assert "GitHub does not know the pull request" in capsys.readouterr().out


@pytest.mark.usefixtures("waits")
def test_without_a_pull_request_nothing_is_deployed(main: Main) -> None:
    pushed = main.commit(add="acme")
    result = run("deploy", "--stack", "prod", "--base", main.before, "--merged", pushed)
    assert result.exit_code == 4
    assert f"GitHub knows no pull request that merged {pushed[:12]} into main" in result.stderr
    assert "start the deploy workflow by hand" in result.stderr


def test_the_first_push_of_a_branch_is_deployed_by_hand(main: Main) -> None:
    result = run("deploy", "--stack", "prod", "--base", "0" * 40, "--merged", main.commit(add="acme"))
    assert result.exit_code == 4
    assert "This is the first push of main" in result.stderr


def test_a_branch_that_was_rewritten_is_not_deployed(main: Main) -> None:
    main.project.git("commit", "--quiet", "--amend", "--message", "Rewritten")
    main.request(7, rev(main.project, "HEAD"), plan=[])
    with pytest.raises(UserError, match="the branch was rewritten"):
        main.pushed()


def test_a_request_to_another_branch_with_the_same_commit_is_none_of_it(main: Main) -> None:
    merged = main.commit(add="acme")
    main.request(8, merged, labels=(DATA_LOSS,), plan=destroyed("t1"))
    main.hub.pulls[8]["base"]["ref"] = "next"
    main.request(7, merged, plan=created("acme"))
    found = main.pushed()
    assert (found.labels, tenants(found)) == ((), ["acme"])


@pytest.mark.parametrize(
    "run",
    [
        {"head_repository": {"full_name": "mallory/meltanodata"}},
        {"path": ".github/workflows/other.yml"},
        {"conclusion": "failure"},
    ],
)
def test_a_plan_of_a_forks_of_another_or_of_a_failed_run_was_not_reviewed(main: Main, run: dict[str, object]) -> None:
    main.request(7, main.commit(add="acme"), plan=created("acme"))
    main.hub.runs[-1] |= run
    with pytest.raises(NotReviewedError, match="There is no reviewed plan of prod in pull request 7"):
        main.pushed()


def test_a_plan_that_is_none_is_not_what_was_reviewed(main: Main) -> None:
    running = main.request(7, main.commit(add="acme"))
    main.hub.upload(running, "plan-prod", b'{"plan": "reviewed"}')
    with pytest.raises(UserError, match="The plan of prod in pull request 7: the preview's output is not a plan"):
        main.pushed()


def test_a_merge_queues_push_may_do_what_its_requests_showed_together(main: Main) -> None:
    main.request(7, main.commit(add="acme"), plan=created("acme"))
    main.request(8, main.commit(remove="t1"), labels=(DATA_LOSS,), plan=destroyed("t1"))
    main.request(9, main.commit(file="docs/x.md"))
    found = main.pushed()
    assert (found.labels, tenants(found)) == ((DATA_LOSS,), ["acme", "t1"])
    assert found.reviewed is not None
    assert (
        approval.unreviewed(found.reviewed, preview_plan.read(preview(*created("acme"), *destroyed("t1"))), begun=False)
        == []
    )
    assert (
        approval.unreviewed(found.reviewed, preview_plan.read(preview(*created("acme"), *destroyed("t2"))), begun=False)
        != []
    )


def refused(main: Main, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(typer.Exit) as ended:
        main.pushed()
    assert ended.value.exit_code == 3
    return capsys.readouterr().err


def test_a_label_of_one_request_does_not_cover_another_one(main: Main, capsys: pytest.CaptureFixture[str]) -> None:
    main.request(7, main.commit(add="acme"), labels=(DATA_LOSS,), plan=created("acme"))
    main.request(8, main.commit(remove="t1"), plan=destroyed("t1"))
    said = refused(main, capsys)
    assert "Pull request 8: Data loss for t1: " in said
    assert "Pull request 7:" not in said


def test_a_tenant_that_another_request_of_the_push_names_is_not_named_by_this_one(
    main: Main, capsys: pytest.CaptureFixture[str]
) -> None:
    main.request(7, main.commit(add="acme"), plan=created("acme"))
    main.request(8, main.commit(add="bolt"), plan=[*created("bolt"), *renewed("acme")])
    assert "Pull request 8: The plan touches 1 tenant that the pull request does not name: acme." in refused(
        main, capsys
    )


@pytest.mark.parametrize("plan", [[], None])
def test_a_change_of_the_program_in_one_request_wants_its_label_there(
    main: Main, capsys: pytest.CaptureFixture[str], plan: list[Step] | None
) -> None:
    main.request(7, main.commit(add="acme"), labels=("guard:program-changed",), plan=created("acme"))
    main.request(8, main.commit(file="meltanodata/rollout/guard.py"), plan=plan)
    said = "Pull request 8: The pull request changes more than tenants: program (meltanodata/rollout/guard.py)"
    assert said in refused(main, capsys)


def test_a_request_of_the_same_push_cannot_raise_the_thresholds_for_another_one(
    main: Main, capsys: pytest.CaptureFixture[str]
) -> None:
    main.project.write("Pulumi.prod.yaml", SETTINGS + "  meltanodata:guard: {destroyed: 99, destroyed_percent: 100}\n")
    main.request(7, main.commit(add="acme"), labels=("guard:program-changed",), plan=created("acme"))
    gone = [step for key in ("t1", "t2", "t3") for step in destroyed(key)]
    main.request(8, main.commit(remove="t1 t2 t3"), labels=(DATA_LOSS,), plan=gone)
    assert "Pull request 8: The plan destroys" in refused(main, capsys)


@pytest.mark.parametrize(
    ("first", "second", "covered"), [((), (), False), ((MANY,), (), False), ((MANY,), (MANY,), True)]
)
def test_few_each_and_many_together_want_the_label_on_each(
    main: Main, first: tuple[str, ...], second: tuple[str, ...], *, covered: bool
) -> None:
    main.request(7, main.commit(remove="t1"), labels=(DATA_LOSS, *first), plan=destroyed("t1"))
    gone = [*destroyed("t2"), *destroyed("t3")]
    main.request(8, main.commit(remove="t2 t3"), labels=(DATA_LOSS, *second), plan=gone)
    assert (MANY in main.pushed().labels) is covered


def test_one_request_of_a_push_cannot_be_left_out(main: Main) -> None:
    main.request(7, main.commit(add="acme"), labels=("skip-deploy",), plan=created("acme"))
    main.request(8, main.commit(add="bolt"), plan=created("bolt"))
    with pytest.raises(
        UserError, match=r"Only pull request 7 must not be deployed \(label skip-deploy\), but pull request 8 cannot"
    ):
        main.pushed()
    main.hub.pulls[8]["labels"] = [{"name": "skip-deploy"}]
    assert main.pushed().reviewed is None


def test_the_branch_has_to_be_known(main: Main, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_REF_NAME")
    with pytest.raises(UserError, match="GITHUB_REF_NAME must be set"):
        main.pushed()


def test_waiting_has_an_end(main: Main, waits: list[float]) -> None:
    main.commit(add="acme")
    with pytest.raises(NotReviewedError):
        main.pushed()
    assert waits == list(pushes.PAUSES)
