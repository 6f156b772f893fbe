from __future__ import annotations

import io
import time
import tracemalloc
import zipfile
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from meltanodata.errors import UserError
from meltanodata.github import LARGEST_ARTIFACT, GitHub, PullRequest, unpacked
from tests.fakes import github
from tests.fakes.github import BOT, PERSON, REPOSITORY, TOKEN, Fault, Server

if TYPE_CHECKING:
    from collections.abc import Iterator

MARKER = "<!-- x -->"


@pytest.fixture
def server() -> Iterator[Server]:
    with github.serve() as server:
        yield server


@pytest.fixture
def waits() -> list[float]:
    """How long the client wanted to wait."""
    return []


@pytest.fixture
def client(server: Server, waits: list[float]) -> GitHub:
    return GitHub(REPOSITORY, TOKEN, server.url, wait=waits.append)


def said(server: Server) -> list[str]:
    return [it["body"] for it in server.comments]


def test_the_first_comment_is_posted_and_later_ones_take_its_place(server: Server, client: GitHub) -> None:
    server.comments = [
        {"id": 100 + number, "issue": 7, "user": PERSON, "body": f"A person's word {number}"} for number in range(3)
    ]
    server.comments.append({"id": 200, "issue": 8, "user": BOT, "body": f"{MARKER} of another request"})
    client.comment(7, MARKER, f"{MARKER}\nfirst")
    client.comment(7, MARKER, f"{MARKER}\nsecond")
    assert [body for body in said(server) if body.startswith(MARKER)] == [
        f"{MARKER} of another request",
        f"{MARKER}\nsecond",
    ]
    assert len(server.comments) == 5


def test_an_old_comment_alone_is_rewritten_if_told_so(server: Server, client: GitHub) -> None:
    client.comment(7, MARKER, f"{MARKER} nothing", new=False)
    assert server.comments == []
    client.comment(7, MARKER, f"{MARKER} something")
    client.comment(7, MARKER, f"{MARKER} nothing", new=False)
    assert said(server) == [f"{MARKER} nothing"]


@pytest.mark.parametrize("viewer", [None, {"login": "meltano-bot", "type": "User"}])
def test_somebody_elses_text_that_begins_like_ours_is_left_alone(
    server: Server, client: GitHub, viewer: dict[str, Any] | None
) -> None:
    server.viewer = viewer
    server.comments = [{"id": 100, "issue": 7, "user": PERSON, "body": f"{MARKER} theirs"}]
    server.comments += [{"id": 101, "issue": 7, "user": None, "body": f"{MARKER} of somebody who is gone"}]
    server.issues = [{"id": 1, "number": 102, "state": "open", "user": PERSON, "body": f"{MARKER} theirs"}]
    client.comment(7, MARKER, f"{MARKER} ours")
    client.comment(7, MARKER, f"{MARKER} ours again")
    client.issue(MARKER, "Drift", f"{MARKER} ours")
    client.issue(MARKER, "Drift", None)
    assert said(server) == [f"{MARKER} theirs", f"{MARKER} of somebody who is gone", f"{MARKER} ours again"]
    assert [(it["body"], it["state"]) for it in server.issues] == [
        (f"{MARKER} theirs", "open"),
        (f"{MARKER} ours", "closed"),
    ]


def test_an_issue_is_opened_rewritten_and_closed(server: Server, client: GitHub) -> None:
    server.issues = [
        {"id": number, "number": 100 + number, "state": "open", "user": PERSON, "body": None} for number in range(3)
    ]
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


MERGED = datetime(2026, 11, 23, 3, tzinfo=UTC)
REQUEST = PullRequest(7, (), "def", "change-7", "main", MERGED, "abc")


def test_the_pull_requests_with_a_commit(server: Server, client: GitHub) -> None:
    server.merge("abc", 7, ["blocked guard:data-loss", "bug"], head="def")
    server.pull(8, "abc", base="next")
    server.associated["abc"].append(8)
    merged = PullRequest(7, ("blocked guard:data-loss", "bug"), "def", "change-7", "main", MERGED, "abc")
    assert client.requests_with("abc") == [merged, PullRequest(8, (), "abc", "change-8", "next")]
    assert client.requests_with("def") == []
    assert client.pull_request(7) == merged


def test_the_plan_that_a_merged_request_showed_last(server: Server, client: GitHub) -> None:
    server.pull(7, "def")
    old, new = server.run("def"), server.run("def")
    server.upload(old, "plan-prod", b"old")
    server.upload(new, "plan-prod", b"new")
    server.upload(server.run("other"), "plan-prod", b"another commit's")
    server.upload(new, "plan-prod", b"gone", expired=True)
    server.upload(new, "plan-prod", b"nobody saw it before the merge", created_at="2026-11-23T03:00:01Z")
    assert client.reviewed_artifact(REQUEST, "plan-prod") == b"new"
    assert client.reviewed_artifact(REQUEST, "plan-prod-2") is None


@pytest.mark.parametrize(
    "run",
    [
        {"head_repository": {"full_name": "mallory/meltanodata"}},
        {"head_repository": None},
        {"path": ".github/workflows/other.yml"},
        {"path": "other/.github/workflows/preview.yml"},
        {"event": "push"},
        {"event": "workflow_dispatch"},
        {"conclusion": "failure"},
        {"conclusion": "cancelled"},
        {"conclusion": None, "status": "in_progress"},
        {"head_branch": "somebody-elses"},
        {"pull_requests": [{"number": 8}]},
    ],
    ids=str,
)
def test_an_artifact_of_any_other_run_is_none_of_the_requests(
    server: Server, client: GitHub, run: dict[str, Any]
) -> None:
    server.pull(7, "def")
    server.upload(server.run("def", **run), "plan-prod", b"forged")
    assert client.reviewed_artifact(REQUEST, "plan-prod") is None
    server.upload(server.run("def", pull_requests=[{"number": 7}, {"number": 8}]), "plan-prod", b"ours")
    assert client.reviewed_artifact(REQUEST, "plan-prod") == b"ours"


def test_a_run_of_the_same_commit_that_went_to_another_branch_does_not_count(server: Server, client: GitHub) -> None:
    server.pull(7, "def")
    server.upload(server.run("def"), "plan-prod", b"by whose workflow?")
    server.pull(9, "def", branch="change-7", base="evil", state="closed")
    assert client.reviewed_artifact(REQUEST, "plan-prod") is None
    server.pull(9, "an earlier use of the branch", branch="change-7", base="evil", state="closed")
    assert client.reviewed_artifact(REQUEST, "plan-prod") == b"by whose workflow?"


def test_a_run_from_before_the_request_went_to_this_branch_does_not_count(server: Server, client: GitHub) -> None:
    server.pull(7, "def")
    server.upload(server.run("def"), "plan-prod", b"by the other branch's workflow")
    server.events[7] = [
        {"event": "labeled", "created_at": "2026-11-23T02:30:00Z"},
        {"event": "base_ref_changed", "created_at": "2026-11-23T02:00:00Z"},
    ]
    assert client.reviewed_artifact(REQUEST, "plan-prod") is None
    server.upload(server.run("def", created_at="2026-11-23T02:00:01Z"), "plan-prod", b"ours")
    assert client.reviewed_artifact(REQUEST, "plan-prod") == b"ours"


def test_the_plans_of_a_run_are_its_own(server: Server, client: GitHub) -> None:
    run = server.run("def")
    server.upload(run, "plan-prod", b"first attempt")
    server.upload(run, "plan-prod", b"second attempt")
    server.upload(server.run("def"), "plan-prod", b"another run's")
    assert client.artifact_of_run(run, "plan-prod") == b"second attempt"
    assert client.artifact_of_run(run, "plan-prod-2") is None


def test_an_artifact_has_one_file_of_its_own_name(server: Server, client: GitHub) -> None:
    run = server.run("def")
    server.upload(run, "plan-prod", b"x", file="plan-prod-2.json")
    with pytest.raises(UserError, match=r"other files than plan-prod\.json"):
        client.artifact_of_run(run, "plan-prod")


@pytest.mark.parametrize("names", [[], ["plan-prod.json", "more.json"], ["../plan-prod.json"], ["plan-prod.json"] * 2])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_with_other_files_is_refused(names: list[str]) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in names:
            archive.writestr(name, "{}")
    with pytest.raises(UserError, match="other files"):
        unpacked(packed.getvalue(), "plan-prod.json")


def test_a_zip_bomb_is_not_unpacked(server: Server, client: GitHub) -> None:
    run = server.run("def")
    server.upload(run, "plan-prod", bytes(8 * LARGEST_ARTIFACT))
    assert server.artifacts[-1]["size_in_bytes"] < 200_000
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="more than 16777216 bytes"):
            client.artifact_of_run(run, "plan-prod")
        assert tracemalloc.get_traced_memory()[1] < 4 * LARGEST_ARTIFACT
    finally:
        tracemalloc.stop()


def test_a_large_artifact_is_not_even_fetched(server: Server, client: GitHub) -> None:
    run = server.run("def")
    server.upload(run, "plan-prod", b"{}", size_in_bytes=LARGEST_ARTIFACT + 1)
    with pytest.raises(UserError, match="more than 16777216 bytes"):
        client.artifact_of_run(run, "plan-prod")
    assert not [it for it in server.asked if it.endswith("/zip")]


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip file", bytes(200)])
def test_what_is_no_archive_is_said(content: bytes) -> None:
    with pytest.raises(UserError, match=r"plan-prod\.json cannot be unpacked: BadZipFile"):
        unpacked(content, "plan-prod.json")


@pytest.mark.parametrize(
    ("status", "hint"),
    [(403, "the workflow's `permissions` do not allow it"), (404, "it does not exist"), (422, "with 422")],
)
def test_a_refusal_says_what_was_asked(server: Server, client: GitHub, status: int, hint: str) -> None:
    server.fails_with = status
    with pytest.raises(UserError, match=f"GitHub answers GET /commits/abc/pulls with {status}") as error:
        client.requests_with("abc")
    assert hint in str(error.value)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 524, 599])
def test_where_github_is_out_of_order_it_is_asked_again_and_then_said(
    server: Server, client: GitHub, waits: list[float], status: int
) -> None:
    server.pull(7, "def")
    server.faults = [("GET pulls/7", Fault(status, body=b"<html>"))] * 2
    assert client.pull_request(7).head == "def"
    assert len(waits) == 2
    server.fails_with = status
    with pytest.raises(UserError, match=f"with {status}: an error at GitHub. Try again later"):
        client.pull_request(7)
    assert len(waits) == 2 + 4


@pytest.mark.parametrize(
    ("status", "headers", "body", "waited"),
    [
        (403, {"retry-after": "37"}, b"{}", 37),
        (429, {"Retry-After": "37"}, b"{}", 37),
        (429, {}, b"", 60),
        (403, {}, b'{"message": "You have exceeded a secondary rate limit. Please wait."}', 60),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "soon"}, b"{}", 60),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1"}, b"{}", 1),
    ],
)
def test_a_limit_of_requests_is_waited_for_and_said(  # noqa: PLR0917
    server: Server,
    client: GitHub,
    waits: list[float],
    capsys: pytest.CaptureFixture[str],
    status: int,
    headers: dict[str, str],
    body: bytes,
    waited: float,
) -> None:
    server.faults = [("POST issues", Fault(status, headers, body))]
    client.comment(7, MARKER, f"{MARKER} ours")
    assert (waits, said(server)) == ([waited], [f"{MARKER} ours"])
    assert f"rate limit is used up: waiting {waited} s" in capsys.readouterr().err


def test_a_limit_that_ends_in_an_hour_is_said_and_not_waited_for(
    server: Server, client: GitHub, waits: list[float]
) -> None:
    reset = str(int(time.time()) + 3600)
    server.faults = [("GET", Fault(403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": reset}))]
    with pytest.raises(UserError, match=r"rate limit is used up until \d\d:\d\d:\d\d UTC") as error:
        client.requests_with("abc")
    assert "The token and its permissions are fine" in str(error.value)
    assert waits == []


def test_limits_are_waited_for_within_bounds(server: Server, client: GitHub, waits: list[float]) -> None:
    server.faults = [("GET", Fault(403, {"retry-after": "100"}))] * 9
    with pytest.raises(UserError, match="rate limit is used up until"):
        client.requests_with("abc")
    assert waits == [100, 100, 100]


@pytest.mark.parametrize("fault", [Fault(502), Fault(504), Fault(520), Fault(reset=True)])
@pytest.mark.parametrize("effective", [False, True])
def test_a_post_whose_answer_is_lost_makes_one_comment(
    server: Server, client: GitHub, fault: Fault, *, effective: bool
) -> None:
    lost = Fault(fault.status, reset=fault.reset, effective=effective)
    server.faults = [("POST issues/7/comments", lost), ("POST issues", lost)]
    client.comment(7, MARKER, f"{MARKER} ours")
    client.issue(MARKER, "Drift", f"{MARKER} ours")
    assert said(server) == [f"{MARKER} ours"]
    assert [it["body"] for it in server.issues] == [f"{MARKER} ours"]


def test_a_post_that_never_works_is_said(server: Server, client: GitHub) -> None:
    server.faults = [("POST", Fault(502))] * 9
    with pytest.raises(UserError, match="GitHub answers POST /issues/7/comments with 502"):
        client.comment(7, MARKER, f"{MARKER} ours")
    assert server.comments == []


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"<html>", "is not JSON, although its status is 200"),
        (b"", "is not JSON, although its status is 200"),
        (b"{}", "differs from its API"),
        (b"null", "differs from its API"),
        (b"[null]", "differs from its API: 0: "),
        (b'[{"number": "seven"}]', "differs from its API"),
    ],
)
def test_an_answer_that_is_none_is_said_without_a_traceback(
    server: Server, client: GitHub, body: bytes, told: str
) -> None:
    server.faults = [("GET commits", Fault(200, body=body))]
    with pytest.raises(UserError, match="GitHub's answer to GET /commits/abc/pulls") as error:
        client.requests_with("abc")
    assert told in str(error.value)


def test_an_answer_without_end_is_cut_off(server: Server) -> None:
    client = GitHub(REPOSITORY, TOKEN, server.url, largest=100_000)
    server.faults = [("GET commits", Fault(200, body=b"[" + b" " * 100_000))]
    with pytest.raises(UserError, match="has more than 100000 bytes"):
        client.requests_with("abc")


def test_a_wrong_token_is_told_without_the_token(server: Server) -> None:
    with pytest.raises(UserError, match="the token is refused") as error:
        GitHub(REPOSITORY, "wrong-token", server.url).requests_with("abc")
    assert "wrong-token" not in str(error.value)


def test_nobody_there(waits: list[float]) -> None:
    with pytest.raises(UserError, match="GitHub cannot be reached"):
        GitHub(REPOSITORY, TOKEN, "http://127.0.0.1:9", wait=waits.append).requests_with("abc")
    assert len(waits) == 4


def test_the_environment_names_the_repository(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"REPOSITORY": REPOSITORY, "TOKEN": TOKEN, "API_URL": server.url}.items():
        monkeypatch.setenv(f"GITHUB_{name}", value)
    server.merge("abc", 7, [], head="def")
    assert len(GitHub.from_environment().requests_with("abc")) == 1


def test_outside_of_a_workflow_the_message_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    with pytest.raises(UserError, match="GITHUB_REPOSITORY and GITHUB_TOKEN must be set"):
        GitHub.from_environment()


@pytest.mark.parametrize("token", ["one\ntwo", "tokén€", "a b", "a\x01b"])
def test_a_token_that_is_none_is_told_and_not_shown(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    """Put into a request, it would stand in the library's error."""
    monkeypatch.setenv("GITHUB_REPOSITORY", REPOSITORY)
    monkeypatch.setenv("GITHUB_TOKEN", token)
    with pytest.raises(UserError, match="GITHUB_TOKEN is not a token: a token is one word") as caught:
        GitHub.from_environment()
    assert token not in str(caught.value)
