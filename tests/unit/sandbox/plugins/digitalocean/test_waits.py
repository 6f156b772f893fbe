"""The stand-in digitalocean plugin's waits, which must not be shorter than the real ones."""

from __future__ import annotations

import asyncio

import pytest

from sandbox.plugins.digitalocean.waits import Wait, retried, wait_for
from sandbox.plugins.package import ProviderError
from tests.fakes.clock import run

ACTIVE = Wait("active", frozenset({"new"}), 3600, 120)


def looks(wait: Wait, *states: str | None) -> tuple[list[float], str]:
    """When was looked, and how it ended; the last state stays for ever."""
    times: list[float] = []

    async def look() -> str | None:
        times.append(round(asyncio.get_running_loop().time(), 1))
        return states[min(len(times), len(states)) - 1]

    try:
        run(wait_for(wait, look))
    except ProviderError as error:
        return times, str(error)
    return times, "done"


def test_the_first_look_is_after_ten_seconds() -> None:
    assert looks(ACTIVE, "active") == ([10], "done")


def test_then_the_gaps_grow_to_ten_seconds() -> None:
    assert looks(ACTIVE, *["new"] * 6, "active") == ([10, 13, 19, 29, 39, 49, 59], "done")


def test_what_is_not_found_is_looked_for_again() -> None:
    assert looks(ACTIVE, None, None, "new", "active") == ([10, 13, 19, 29], "done")
    times, end = looks(ACTIVE, None)
    assert (len(times), end) == (121, "couldn't find resource (121 retries)")


def test_not_found_counts_in_a_row_only() -> None:
    wait = Wait("active", frozenset({"new"}), 3600, 2)
    assert looks(wait, None, None, "new", None, None, "active")[1] == "done"
    assert looks(wait, None, None, None)[1] == "couldn't find resource (3 retries)"


def test_another_state_ends_it() -> None:
    end = "unexpected state 'archive', wanted target 'active'. last error: %!s(<nil>)"
    assert looks(ACTIVE, "new", "archive") == ([10, 13], end)


@pytest.mark.parametrize(
    ("wait", "end"),
    [
        (Wait("active", frozenset({"new"}), 25), "(last state: 'new', timeout: 25s)"),
        (Wait("active", frozenset({"new"}), 90), "(last state: 'new', timeout: 1m30s)"),
        (ACTIVE, "(last state: 'new', timeout: 1h0m0s)"),
    ],
)
def test_time_runs_out(wait: Wait, end: str) -> None:
    times, said = looks(wait, "new")
    assert times[:3] == [10, 13, 19]
    assert times[-1] < wait.seconds <= times[-1] + 10
    assert said == f"timeout while waiting for state to become 'active' {end}"


def test_a_look_that_fails_ends_it() -> None:
    async def look() -> str | None:
        raise ProviderError("no")

    with pytest.raises(ProviderError, match=r"^no$"):
        run(wait_for(ACTIVE, look))


def test_work_is_tried_again_until_it_succeeds() -> None:
    times: list[float] = []

    async def work() -> bool:
        times.append(round(asyncio.get_running_loop().time(), 1))
        return len(times) == 7

    run(retried(work, 60))
    assert times == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 25.5]


def test_work_that_never_succeeds_ends_in_time() -> None:
    async def work() -> bool:
        return False

    with pytest.raises(ProviderError, match=r"\(timeout: 2m0s\)"):
        run(retried(work, 120))
