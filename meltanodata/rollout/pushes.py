"""The pull requests that a push to the main branch merged. Pure: asking and waiting are passed in.

Merge commits, squashes, rebases and merge queues are handled alike: each commit of the branch itself belongs to a pull
request that this push merged into it. GitHub knows which a while after the push.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meltanodata.errors import NotReviewedError
from meltanodata.text import first_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from meltanodata.github import PullRequest

PAUSES = (2, 4, 8, 16, 30, 60)
"""Seconds before each further attempt: two minutes. GitHub takes some seconds."""

_SHOWN = 5
"""The most commits that a message names."""


@dataclass(frozen=True)
class Merged:
    """A pull request and its commits on the branch."""

    request: PullRequest
    commits: tuple[str, ...]
    """In the branch's order."""


def requests(
    commits: Sequence[str],
    branch: str,
    *,
    ask: Callable[[str], Iterable[PullRequest]],
    wait: Callable[[float], None],
    say: Callable[[str], None],
) -> list[Merged]:
    """The pull requests that a push merged, in the order of the branch.

    Args:
        commits: the branch's own commits in the push, in its order.
        branch: the branch's name.
        ask: the pull requests that GitHub associates with a commit.
        wait: sleeps for so many seconds.
        say: prints a line.

    Raises:
        NotReviewedError: after two minutes a commit still belongs to none.
    """
    found: dict[str, list[PullRequest]] = {}
    for pause in (*PAUSES, None):
        for commit in commits:
            if commit not in found and (merging := _merged_by(commit, commits, branch, ask(commit))):
                found[commit] = merging
        missing = [commit for commit in commits if commit not in found]
        if not missing:
            break
        if pause is None:
            raise NotReviewedError(_not_reviewed(missing, branch))
        say(f"GitHub does not know the pull request of {_short(missing)} on {branch} yet; asking again in {pause} s")
        wait(pause)
    by_number = {request.number: request for commit in commits for request in found[commit]}
    return [
        Merged(request, tuple(commit for commit in commits if request.number in {it.number for it in found[commit]}))
        for request in by_number.values()
    ]


def _merged_by(
    commit: str, commits: Sequence[str], branch: str, associated: Iterable[PullRequest]
) -> list[PullRequest]:
    """The pull requests with a commit that this push merged; only those whose merge it is, if there are any.

    A pull request that was merged elsewhere, or that is still open, may have the same commit.
    """
    merged = [pull for pull in associated if pull.merged_at and pull.base == branch and pull.merge in commits]
    return [pull for pull in merged if pull.merge == commit] or merged


def _not_reviewed(commits: Sequence[str], branch: str) -> str:
    return (
        f"GitHub knows no pull request that merged {_short(commits)} into {branch}. So its changes were not reviewed,"
        " and nothing is deployed. If GitHub is late, run this job again. If the commit was pushed without a pull"
        " request on purpose, look at the plan (meltanodata plan --stack STACK), then start the deploy workflow by"
        " hand."
    )


def _short(commits: Sequence[str]) -> str:
    return first_of((commit[:12] for commit in commits), _SHOWN)
