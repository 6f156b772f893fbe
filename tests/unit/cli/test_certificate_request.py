"""The renewal as a pull request: `meltanodata certificate renew --pull-request` with a fake of GitHub."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from meltanodata.certificate.acme_server import Issued
from meltanodata.cli import certificate_request
from meltanodata.config import certificates
from meltanodata.errors import UserError
from meltanodata.github import GitHub
from meltanodata.render import renewal_text
from tests.certificates import pem
from tests.fakes import github
from tests.fakes.github import REPOSITORY, TOKEN, Fault, Server
from tests.fakes.github_git import GitObjects
from tests.unit.cli.certificate_world import World, wildcard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.cli.operator import Result, Run

LABELS = ["guard:program-changed", "guard:unnamed-tenants"]


@pytest.fixture
def world(folder: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(folder, monkeypatch)
    for stack in ("prod", "prod-2"):
        world.has(stack, wildcard(61, 29))
    world.issued = Issued(wildcard(0, 90), pem())
    git(folder, "init", "--quiet", "--initial-branch", "main")
    commit(folder)
    return world


@pytest.fixture
def hub(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with github.serve() as server:
        server.repository = GitObjects(world.folder)
        values = {"GITHUB_REPOSITORY": REPOSITORY, "GITHUB_TOKEN": TOKEN, "GITHUB_API_URL": server.url}
        for name, value in {**values, "GITHUB_REF_NAME": "main"}.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made, on a clock that goes on by them alone."""
    pauses: list[float] = []
    clock = SimpleNamespace(sleep=pauses.append, monotonic=lambda: sum(pauses))
    monkeypatch.setattr(certificate_request, "time", clock)
    return pauses


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=Operator", "-c", "user.email=operator@meltanodata.com", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "A change")


def next_day(world: World, run: Run) -> Result:
    """The workflow's step on a new runner: the files are those of main."""
    git(world.folder, "reset", "--quiet", "--hard", "main")
    return run("certificate", "renew", "--pull-request")


def automatic(world: World) -> None:
    path = world.file("prod")
    content = yaml.safe_load(path.read_text())
    content["config"]["meltanodata:certificate_renewal"] = {"auto": True}
    path.write_text(yaml.safe_dump(content))
    commit(world.folder)


def only(hub: Server) -> dict[str, Any]:
    (pull,) = hub.pulls.values()
    return pull


def issue(hub: Server) -> str:
    """The one open issue."""
    (body,) = [it["body"] for it in hub.issues if it["state"] == "open"]
    return str(body)


def test_what_is_due_becomes_one_pull_request_of_the_stacks_files(run: Run, world: World, hub: Server) -> None:
    ended = run("certificate", "renew", "--pull-request")
    assert ended.code == 0, ended
    pull = only(hub)
    assert (pull["head"]["ref"], pull["base"]["ref"]) == ("certificate-renewal", "main")
    assert pull["title"] == "Renew the certificate for *.meltanodata.com"
    assert all(f"`{label}`" in pull["body"] for label in LABELS)
    assert "the web server restarts" in pull["body"]
    changed = git(world.folder, "diff", "--name-only", "main", "certificate-renewal").split()
    assert changed == ["Pulumi.prod-2.yaml", "Pulumi.prod.yaml"]
    assert git(world.folder, "rev-parse", "certificate-renewal^") == git(world.folder, "rev-parse", "main")
    git(world.folder, "checkout", "--quiet", "--force", "certificate-renewal")
    assert isinstance(world.issued, Issued)
    assert world.certificates == {world.issued.certificate}
    assert pull["labels"] == []
    assert hub.issues == []


def test_a_request_that_waits_is_left_alone_and_no_certificate_is_ordered_again(
    run: Run, world: World, hub: Server
) -> None:
    next_day(world, run)
    head = only(hub)["head"]["sha"]
    ended = next_day(world, run)
    assert (ended.code, world.orders) == (0, 1)
    assert f"The pull request {only(hub)['number']} has a certificate that is not due." in ended.out
    assert only(hub)["head"]["sha"] == head


def test_a_request_whose_base_has_other_settings_by_now_is_renewed_with_the_same_certificate(
    run: Run, world: World, hub: Server
) -> None:
    next_day(world, run)
    git(world.folder, "reset", "--quiet", "--hard", "main")
    automatic(world)
    world.file("prod").write_text(world.file("prod").read_text().replace("auto: true", "auto: false"))
    commit(world.folder)
    ended = next_day(world, run)
    assert (ended.code, world.orders, len(hub.pulls)) == (0, 1, 1), ended
    assert "auto: false" in git(world.folder, "show", "certificate-renewal:Pulumi.prod.yaml")
    assert git(world.folder, "rev-parse", "certificate-renewal^") == git(world.folder, "rev-parse", "main")


@pytest.mark.usefixtures("slept")
@pytest.mark.parametrize("trick", ["on top", "instead", "below", "a setting"])
def test_with_auto_a_branch_to_which_somebody_pushed_is_replaced_and_never_merged(
    trick: str, run: Run, world: World, hub: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    automatic(world)
    hub.refuses_merge = "not yet"
    monkeypatch.setattr(GitHub, "preview_conclusion", lambda *_: "success")
    next_day(world, run)
    program, branch = world.folder / "__main__.py", "certificate-renewal"
    files = {path: git(world.folder, "show", f"{branch}:{path.name}") for path in world.folder.glob("Pulumi.*.yaml")}
    git(world.folder, "reset", "--quiet", "--hard")
    git(world.folder, "switch", "--quiet", "--force-create", branch, branch if trick == "on top" else "main")
    if trick == "a setting":
        files = {path: text.replace("meltanodata.com", "mallory.example") for path, text in files.items()}
    else:
        program.write_text("print('mallory')\n")
    if trick == "below":
        commit(world.folder)
    for path, text in files.items():
        path.write_text(text)
    commit(world.folder)
    mallorys = git(world.folder, "rev-parse", "HEAD").strip()
    git(world.folder, "switch", "--quiet", "main")
    only(hub)["head"]["sha"] = mallorys
    hub.refuses_merge = ""

    assert next_day(world, run).code == 0

    assert only(hub)["merged_at"]
    assert only(hub)["head"]["sha"] != mallorys
    assert "mallory" not in git(world.folder, "log", "--patch", "main")


def test_a_request_that_cannot_be_used_is_replaced(run: Run, world: World, hub: Server) -> None:
    world.issued = Issued(wildcard(30, 15), pem())
    next_day(world, run)
    world.issued = Issued(wildcard(0, 90), pem())
    assert next_day(world, run).code == 0
    assert world.orders == 2
    only(hub)


def test_with_auto_the_request_is_merged_once_its_preview_has_passed(
    run: Run, world: World, hub: Server, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    automatic(world)
    conclusions = iter([None, "cancelled", None, "success"])
    monkeypatch.setattr(GitHub, "preview_conclusion", lambda *_: next(conclusions))
    ended = run("certificate", "renew", "--pull-request")
    assert ended.code == 0, ended
    assert [label["name"] for label in only(hub)["labels"]] == LABELS
    assert only(hub)["merged_at"]
    assert len(slept) == 3
    git(world.folder, "reset", "--quiet", "--hard", "main")
    assert isinstance(world.issued, Issued)
    assert world.certificates == {world.issued.certificate}


def test_with_auto_a_preview_that_failed_merges_nothing_and_an_issue_says_so(
    run: Run, world: World, hub: Server, slept: list[float]
) -> None:
    automatic(world)
    posted = hub.answer

    def with_a_failed_preview(method: str, target: str, body: dict[str, Any]) -> tuple[int, Any]:
        answer = posted(method, target, body)
        if (method, target.rpartition("/")[2]) == ("POST", "labels"):
            head = only(hub)["head"]["sha"]
            hub.run(head, "certificate-renewal", conclusion="success")
            hub.run(head, "certificate-renewal", conclusion="failure", created_at="2026-11-23T02:00:00Z")
        return answer

    hub.answer = with_a_failed_preview  # type: ignore[method-assign]
    ended = run("certificate", "renew", "--pull-request")
    assert (ended.code, only(hub)["merged_at"], slept) == (1, None, [])
    assert "was not merged: its preview failed" in issue(hub)


def test_with_auto_a_merge_that_github_refuses_is_tried_again_the_next_day(
    run: Run, world: World, hub: Server, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    automatic(world)
    monkeypatch.setattr(GitHub, "preview_conclusion", lambda *_: "success")
    hub.refuses_merge = 'Required status check "test" is expected.'
    assert next_day(world, run).code == 1
    assert sum(slept) >= 40 * 60
    assert 'GitHub refuses: Required status check "test" is expected., within 40 minutes' in issue(hub)
    hub.refuses_merge = ""
    assert next_day(world, run).code == 0
    assert (world.orders, [it["state"] for it in hub.issues]) == (1, ["closed"])
    assert only(hub)["merged_at"]


def test_with_auto_a_repository_that_wants_squashes_gets_one(
    run: Run, world: World, hub: Server, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    automatic(world)
    monkeypatch.setattr(GitHub, "preview_conclusion", lambda *_: "success")
    refusal = b'{"message": "Merge commits are not allowed on this repository."}'
    hub.faults.append(("PUT pulls/", Fault(status=405, body=refusal)))
    assert run("certificate", "renew", "--pull-request").code == 0
    assert (only(hub)["merged_at"] is None, slept) == (False, [])


def test_github_that_does_not_answer_leaves_no_request_and_the_next_run_makes_it(
    run: Run, world: World, hub: Server
) -> None:
    for request in ("POST git/trees", "POST git/commits", "POST git/refs", "POST pulls"):
        hub.faults.append((request, Fault(status=502)))
        ended = next_day(world, run)
        assert (ended.code, hub.pulls) == (1, {}), request
        assert f"GitHub answers {request.replace(' ', ' /')} with 502" in issue(hub)
    assert next_day(world, run).code == 0
    assert only(hub)["state"] == "open"
    assert [it["state"] for it in hub.issues] == ["closed"]


def test_a_refusal_is_told_in_one_issue_which_the_next_success_closes(run: Run, world: World, hub: Server) -> None:
    issued, world.issued = world.issued, UserError("acme.example.com limits requests: `'@everyone'`\n```\n# Hello")
    for _ in range(2):
        ended = next_day(world, run)
        assert (ended.code, "limits requests" in ended.err) == (1, True)
    assert hub.pulls == {}
    assert issue(hub).startswith(renewal_text.MARKER)
    assert issue(hub).count("```") == 2
    world.issued = issued
    assert next_day(world, run).code == 0
    assert [it["state"] for it in hub.issues] == ["closed"]


def test_droplets_that_do_not_serve_what_was_merged_are_told_in_the_issue(run: Run, world: World, hub: Server) -> None:
    new = wildcard(0, 90)
    for stack in ("prod", "prod-2"):
        world.has(stack, new)
    commit(world.folder)
    world.served = "another"
    ended = run("certificate", "renew", "--pull-request")
    assert ended.code == 1
    assert "prod: the droplets of acme, bolt do not serve the certificate that the config has" in issue(hub)
    assert all(label in issue(hub) for label in LABELS)
    world.served = certificates.fingerprint(new)
    assert run("certificate", "renew", "--pull-request").code == 0
    assert [it["state"] for it in hub.issues] == ["closed"]


def test_a_request_is_no_dry_run(run: Run, world: World, hub: Server) -> None:
    assert run("certificate", "renew", "--pull-request", "--dry-run").code == 2
    assert (world.orders, hub.requests) == (0, [])
