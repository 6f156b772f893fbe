"""The last commit that was deployed: a real repository, and a stack's tags."""

from __future__ import annotations

import subprocess
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from meltanodata.cli import deploying
from meltanodata.engine import deployed_commit, pulumi_cli
from meltanodata.errors import UserError
from tests.fakes.pulumi import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

WHO = ["-c", "user.name=Operator", "-c", "user.email=operator@meltanodata.com", "-c", "commit.gpgsign=false"]


class Repository:
    """A project in git, and what its stack's tags say."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.tags: dict[str, str] = {}
        self.written: list[str] = []
        self._numbers = count()
        folder.mkdir()
        (folder / "Pulumi.yaml").write_text("name: meltanodata\nruntime: python\n")
        monkeypatch.setattr(pulumi_cli, "tags", lambda *_: dict(self.tags))
        monkeypatch.setattr(pulumi_cli, "set_tag", self._set)

    def _set(self, stack: str, root: Path, name: str, value: str) -> None:
        assert (stack, root, name) == ("prod", self.folder, "meltanodata:deployed")
        self.tags[name] = value
        self.written.append(value)

    def git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *WHO, *arguments], cwd=self.folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self) -> str:
        self.git("add", "--all")
        # Two that say the same in the same second would be one.
        self.git("commit", "--quiet", "--allow-empty", "--message", f"Change {next(self._numbers)}")
        return self.git("rev-parse", "HEAD")

    def checkout(self, commit: str) -> None:
        self.git("checkout", "--quiet", "--detach", commit)

    def note(self, back_from: str | None = None) -> None:
        deployed_commit.note("prod", self.folder, back_from)

    def refuse(self, back_from: str | None = None) -> None:
        deployed_commit.refuse_older("prod", self.folder, back_from)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    found = Repository(tmp_path / "project", monkeypatch)
    found.git("init", "--quiet", "--initial-branch", "main")
    found.commit()
    return found


def test_the_first_deployment_is_noted_and_the_next_ones_follow(repository: Repository) -> None:
    first = repository.git("rev-parse", "HEAD")
    repository.refuse()
    assert repository.written == []
    repository.note()
    second = repository.commit()
    repository.refuse()
    repository.note()
    repository.note()
    assert repository.written == [first, second]


def test_what_was_edited_and_not_committed_does_not_matter(repository: Repository) -> None:
    repository.note()
    (repository.folder / "Pulumi.yaml").write_text("name: meltanodata\nruntime: python\n# edited\n")
    repository.refuse()
    assert repository.written == [repository.git("rev-parse", "HEAD")]


def test_an_older_commit_is_not_deployed(repository: Repository) -> None:
    old = repository.git("rev-parse", "HEAD")
    new = repository.commit()
    repository.note()
    repository.checkout(old)
    for attempt in (repository.refuse, repository.note):
        with pytest.raises(UserError) as error:
            attempt()
        assert f"prod: {old[:12]} is not deployed. It is older than {new[:12]}" in str(error.value)
        assert "start the deploy workflow by hand" in str(error.value)
        assert f"meltanodata deploy --stack prod --go-back-from {new}" in str(error.value)
    assert repository.written == [new]


def test_the_same_commit_may_be_deployed_again_and_goes_on(repository: Repository) -> None:
    assert not deployed_commit.has_begun("prod", repository.folder)
    repository.note()
    repository.refuse()
    assert deployed_commit.has_begun("prod", repository.folder)
    repository.commit()
    assert not deployed_commit.has_begun("prod", repository.folder)


def test_a_merge_of_what_was_deployed_contains_it(repository: Repository) -> None:
    repository.git("switch", "--quiet", "--create", "change")
    repository.commit()
    repository.note()
    repository.git("switch", "--quiet", "main")
    repository.commit()
    repository.git("merge", "--quiet", "--no-ff", "--message", "Merge", "change")
    repository.note()
    assert len(repository.written) == 2


def test_another_branch_than_the_deployed_one_is_refused(repository: Repository) -> None:
    repository.git("switch", "--quiet", "--create", "change")
    change = repository.commit()
    repository.note()
    repository.git("switch", "--quiet", "main")
    main = repository.commit()
    with pytest.raises(UserError, match=rf"{main[:12]} is not deployed. It does not contain {change[:12]}"):
        repository.refuse()


@pytest.mark.parametrize("last", ["5" * 40, "not a commit", "", "--help", "5" * 39])
def test_a_commit_that_git_does_not_have_stops_it(repository: Repository, last: str) -> None:
    repository.tags[deployed_commit.TAG] = last
    with pytest.raises(UserError, match=r"Git does not have that one here, so it may be newer\. Fetch it"):
        repository.note()
    assert repository.written == []


def test_a_shallow_clone_is_told_to_fetch_the_rest(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.git("switch", "--quiet", "--create", "change")
    change = repository.commit()
    repository.git("switch", "--quiet", "main")
    repository.commit()
    clone = tmp_path / "clone"
    url = f"file://{repository.folder}"
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", "--no-single-branch", url, clone], check=True)
    monkeypatch.setattr(pulumi_cli, "tags", lambda *_: {deployed_commit.TAG: change})
    with pytest.raises(UserError, match="git fetch --unshallow"):
        deployed_commit.refuse_older("prod", clone)


def test_who_goes_back_says_from_where(repository: Repository) -> None:
    old = repository.git("rev-parse", "HEAD")
    new = repository.commit()
    repository.note()
    repository.checkout(old)
    for wrong in (old, new[:6], ""):
        with pytest.raises(UserError, match="is older than"):
            repository.refuse(wrong)
    repository.refuse(new[:7])
    repository.note(new)
    assert repository.written == [new, old]
    repository.note()


def test_a_newer_deployment_stops_one_that_waits_between_two_stages(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = repository.git("rev-parse", "HEAD")
    applied: list[Sequence[str] | None] = []

    def up(_stack: str, _root: Path, targets: Sequence[str] | None, **_: bool) -> Iterator[Any]:
        applied.append(targets)
        return iter([])

    monkeypatch.setattr(pulumi_cli, "up", up)
    pulumi = deploying._Engine("prod", repository.folder, refresh=False, back_from=None)
    pulumi.up(["a"])
    repository.commit()
    repository.note()
    repository.checkout(old)
    with pytest.raises(UserError, match="is older than"):
        pulumi.up(["b"])
    assert applied == [["a"]]


@pytest.mark.parametrize("ignored", [False, True])
def test_without_a_repository_nothing_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ignored: bool
) -> None:
    """The sandbox's project is a folder that the checkout ignores: to switch branches is no deployment."""
    if ignored:
        subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    found = Repository(tmp_path / "project", monkeypatch)
    found.tags[deployed_commit.TAG] = "5" * 40
    found.note()
    assert found.written == []
    assert not deployed_commit.has_begun("prod", found.folder)


def test_a_repository_that_git_refuses_to_read_is_none_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").write_text("gitdir: /nowhere\n")
    found = Repository(tmp_path / "project", monkeypatch)
    with pytest.raises(UserError, match=r"git cannot read the repository of .*not a git repository"):
        found.note()


@pytest.mark.parametrize(("said", "told"), [("null", "cannot be read"), ("", "")])
def test_tags_that_cannot_be_read_are_not_no_tags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, told: str
) -> None:
    script = tmp_path / "pulumi"
    script.write_text(f"#!/bin/sh\n{VERSION}echo '{said or '{}'}'\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    if told:
        with pytest.raises(UserError, match=told):
            pulumi_cli.tags("prod", tmp_path)
    else:
        assert pulumi_cli.tags("prod", tmp_path) == {}
