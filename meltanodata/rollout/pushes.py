"""Which pull requests a push to the main branch is made of. Pure; asking and waiting are handed in.

A merge commit, a squash, the commits of a rebase and a merge queue's row of any of them look alike here: each commit of
the branch itself belongs to a request that was merged into it, by this push. GitHub knows which a while after the push.
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
"""Commits that a message names."""


@dataclass(frozen=True)
class Merged:
    """A pull request and what it brought to the branch."""

    request: PullRequest
    commits: tuple[str, ...]
    """Those of the branch itself, in its order."""


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
        branch: what was pushed to.
        ask: the pull requests that GitHub associates with a commit.
        wait: sleeps for so many seconds.
        say: tells the reader what it waits for.

    Raises:
        NotReviewedError: a commit belongs to none, and does not for two minutes.
    """
    found: dict[str, list[PullRequest]] = {}
    for pause in (*PAUSES, None):
        for commit in commits:
            if commit not in found and (mine := _merged_by(commit, commits, branch, ask(commit))):
                found[commit] = mine
        missing = [commit for commit in commits if commit not in found]
        if not missing:
            break
        if pause is None:
            raise NotReviewedError(_nobodys(missing, branch))
        say(f"GitHub names no pull request that brought {_short(missing)} to {branch} yet: asking again in {pause} s")
        wait(pause)
    by_number = {request.number: request for commit in commits for request in found[commit]}
    return [
        Merged(request, tuple(commit for commit in commits if request.number in {it.number for it in found[commit]}))
        for request in by_number.values()
    ]


def _merged_by(
    commit: str, commits: Sequence[str], branch: str, associated: Iterable[PullRequest]
) -> list[PullRequest]:
    """Those of the requests with a commit that this push merged into the branch; its own, where it has some.

    A request that was merged elsewhere, or that is still open, may have the same commit.
    """
    mine = [it for it in associated if it.merged_at is not None and it.base == branch and it.merge in commits]
    return [it for it in mine if it.merge == commit] or mine


def _nobodys(commits: Sequence[str], branch: str) -> str:
    return (
        f"No pull request brought {_short(commits)} to {branch}, as far as GitHub knows, so nobody has reviewed what it"
        " changes, and nothing is deployed. If GitHub is late, run this job again. If the commit was pushed without a"
        " pull request on purpose, look at the plan (meltanodata plan --stack STACK), then start the deploy workflow by"
        " hand."
    )


def _short(commits: Sequence[str]) -> str:
    return first_of((commit[:12] for commit in commits), _SHOWN)
