from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from urllib3.util import Retry

from meltanodata.errors import UserError
from meltanodata.github import GitHub, PullRequest
from tests import github
from tests.github import REPOSITORY, TOKEN, Server

if TYPE_CHECKING:
    from collections.abc import Iterator

MARKER = "<!-- x -->"


@pytest.fixture
def server() -> Iterator[Server]:
    with github.serve() as server:
        yield server


@pytest.fixture
def client(server: Server) -> GitHub:
    return GitHub(REPOSITORY, TOKEN, server.url)


def test_the_first_comment_is_posted_and_later_ones_take_its_place(server: Server, client: GitHub) -> None:
    server.comments = [{"id": 100 + number, "issue": 7, "body": f"A person's word {number}"} for number in range(3)]
    server.comments.append({"id": 200, "issue": 8, "body": f"{MARKER} of another request"})
    client.comment(7, MARKER, f"{MARKER}\nfirst")
    client.comment(7, MARKER, f"{MARKER}\nsecond")
    assert [it["body"] for it in server.comments if it["body"].startswith(MARKER)] == [
        f"{MARKER} of another request",
        f"{MARKER}\nsecond",
    ]
    assert len(server.comments) == 5


def test_an_old_comment_alone_is_rewritten_if_told_so(server: Server, client: GitHub) -> None:
    client.comment(7, MARKER, f"{MARKER} nothing", new=False)
    assert server.comments == []
    client.comment(7, MARKER, f"{MARKER} something")
    client.comment(7, MARKER, f"{MARKER} nothing", new=False)
    assert [it["body"] for it in server.comments] == [f"{MARKER} nothing"]


def test_an_issue_is_opened_rewritten_and_closed(server: Server, client: GitHub) -> None:
    server.issues = [{"number": 100 + number, "state": "open", "body": None} for number in range(3)]
    client.issue(MARKER, "Drift", None)
    assert len(server.issues) == 3
    client.issue(MARKER, "Drift", f"{MARKER} one")
    client.issue(MARKER, "Drift again", f"{MARKER} two")
    ours = server.issues[-1]
    assert (len(server.issues), ours["title"], ours["body"], ours["state"]) == (
        4,
        "Drift again",
        f"{MARKER} two",
        "open",
    )
    client.issue(MARKER, "Drift", None)
    assert ours["state"] == "closed"
    client.issue(MARKER, "Drift", f"{MARKER} three")
    assert [it["state"] for it in server.issues[3:]] == ["closed", "open"]


def test_the_pull_request_of_a_merge(server: Server, client: GitHub) -> None:
    server.merge("abc", 7, ["guard:data-loss", "bug"], head="def")
    assert client.pull_request_of("abc") == PullRequest(7, ("guard:data-loss", "bug"), "def")


def test_a_commit_that_was_pushed_has_none(server: Server, client: GitHub) -> None:
    server.pulls["abc"] = [{"number": 7, "merged_at": None, "labels": [], "head": {"sha": "abc"}}]
    assert client.pull_request_of("abc") is None
    assert client.pull_request_of("def") is None


def test_the_newest_artifact_of_the_commit(server: Server, client: GitHub) -> None:
    server.upload("plan-prod", "abc", b"old")
    server.upload("plan-prod", "abc", b"new")
    server.upload("plan-prod", "other", b"another commit's")
    server.upload("plan-prod", "abc", b"gone", expired=True)
    assert client.artifact("plan-prod", "abc") == b"new"
    assert client.artifact("plan-prod-2", "abc") is None
    assert client.artifact("plan-prod", "def") is None


@pytest.mark.parametrize(
    ("status", "hint"),
    [(403, "the workflow's `permissions` do not allow it"), (404, "there is none"), (422, "with 422")],
)
def test_a_refusal_says_what_was_asked(server: Server, client: GitHub, status: int, hint: str) -> None:
    server.fails_with = status
    with pytest.raises(UserError, match=f"GitHub answers GET /commits/abc/pulls with {status}") as error:
        client.pull_request_of("abc")
    assert hint in str(error.value)


def test_a_wrong_token_is_told_without_the_token(server: Server) -> None:
    with pytest.raises(UserError, match="the token is refused") as error:
        GitHub(REPOSITORY, "wrong-token", server.url).pull_request_of("abc")
    assert "wrong-token" not in str(error.value)


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Retry, "sleep", lambda *_: None)
    with pytest.raises(UserError, match="GitHub cannot be reached"):
        GitHub(REPOSITORY, TOKEN, "http://127.0.0.1:9").pull_request_of("abc")


def test_the_environment_names_the_repository(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"REPOSITORY": REPOSITORY, "TOKEN": TOKEN, "API_URL": server.url}.items():
        monkeypatch.setenv(f"GITHUB_{name}", value)
    server.merge("abc", 7, [], head="def")
    assert GitHub.from_environment().pull_request_of("abc") is not None


def test_outside_of_a_workflow_the_message_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    with pytest.raises(UserError, match="GITHUB_REPOSITORY and GITHUB_TOKEN must be set"):
        GitHub.from_environment()
