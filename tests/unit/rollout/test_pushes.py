from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from meltanodata.errors import NotReviewedError
from meltanodata.github import PullRequest
from meltanodata.rollout.pushes import PAUSES, requests

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MERGED = datetime(2026, 11, 23, 3, tzinfo=UTC)


def pull(number: int, merge: str | None, *, base: str = "main", merged: bool = True) -> PullRequest:
    return PullRequest(number, (), f"head-{number}", f"change-{number}", base, MERGED if merged else None, merge)


class Hub:
    """What GitHub associates with each commit, after so many answers that it knows nothing."""

    def __init__(self, associated: Mapping[str, Sequence[PullRequest]], late: int = 0) -> None:
        self.associated, self.late = associated, late
        self.waits: list[float] = []
        self.said: list[str] = []

    def ask(self, commit: str) -> Sequence[PullRequest]:
        return self.associated.get(commit, []) if len(self.waits) >= self.late else []

    def of(self, *commits: str) -> dict[int, tuple[str, ...]]:
        found = requests(commits, "main", ask=self.ask, wait=self.waits.append, say=self.said.append)
        return {it.request.number: it.commits for it in found}


@pytest.mark.parametrize(
    ("associated", "commits", "found"),
    [
        ({"m": [pull(7, "m")]}, ["m"], {7: ("m",)}),  # a merge commit, or a squash
        ({it: [pull(7, "c")] for it in "abc"}, ["a", "b", "c"], {7: ("a", "b", "c")}),  # a rebase
        ({"a": [pull(7, "a")], "b": [pull(8, "b")]}, ["a", "b"], {7: ("a",), 8: ("b",)}),  # a merge queue
        ({"a": [pull(7, "b")], "b": [pull(7, "b"), pull(8, "b")]}, ["a", "b"], {7: ("a", "b"), 8: ("b",)}),
        ({}, [], {}),
    ],
)
def test_each_commit_of_the_branch_belongs_to_the_request_that_brought_it(
    associated: dict[str, list[PullRequest]], commits: list[str], found: dict[int, tuple[str, ...]]
) -> None:
    hub = Hub(associated)
    assert (hub.of(*commits), hub.waits) == (found, [])


@pytest.mark.parametrize(
    "other",
    [
        pull(8, "m", base="next"),  # merged into another branch
        pull(8, None, merged=False),  # open, on the same commit
        pull(8, "m", merged=False),  # open: its merge is only tried
        pull(8, "earlier"),  # merged by an earlier push
        pull(8, None),
    ],
)
def test_of_several_requests_with_a_commit_the_one_counts_that_this_push_merged_into_the_branch(
    other: PullRequest,
) -> None:
    assert Hub({"m": [other, pull(7, "m")]}).of("m") == {7: ("m",)}
    with pytest.raises(NotReviewedError):
        Hub({"m": [other]}).of("m")


def test_a_request_that_github_does_not_know_yet_is_waited_for() -> None:
    hub = Hub({"m": [pull(7, "m")]}, late=3)
    assert hub.of("m") == {7: ("m",)}
    assert hub.waits == list(PAUSES[:3])
    assert hub.said[0] == "GitHub does not know the pull request of m on main yet; asking again in 2 s"


def test_one_commit_without_a_request_stops_all_of_them_after_two_minutes() -> None:
    hub = Hub({"a": [pull(7, "a")]})
    with pytest.raises(NotReviewedError, match="GitHub knows no pull request that merged b into main") as error:
        hub.of("a", "b")
    assert hub.waits == list(PAUSES)
    assert 100 <= sum(PAUSES) <= 180
    assert "start the deploy workflow by hand" in str(error.value)
