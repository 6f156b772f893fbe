"""Whether the process that took a lock is at work: here, in a container, or where it cannot be seen."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from meltanodata.engine import processes

MAY_BE_HIDDEN = "import sys; from meltanodata.engine import processes; print(processes.may_be_hidden(sys.argv[1]))"


def hidden_in_a_container(since: datetime, *more: str) -> str:
    """What a process says that is in a PID namespace of its own, and in others."""
    when = since.isoformat(timespec="microseconds").replace("+00:00", "Z")
    command = ["unshare", "--pid", "--fork", "--mount-proc", *more, sys.executable, "-c", MAY_BE_HIDDEN, when]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_outside_of_containers_everything_is_seen() -> None:
    assert not processes.may_be_hidden("2026-11-23T00:44:22.5Z")


def test_in_a_container_whoever_came_before_it_or_shares_the_machines_name_may_be_hidden() -> None:
    now = datetime.now(UTC)
    hour = timedelta(hours=1)
    assert hidden_in_a_container(now - hour, "--uts") == "True"
    assert hidden_in_a_container(now + hour, "--uts") == "False"
    assert hidden_in_a_container(now + hour) == "True"


@pytest.mark.parametrize(
    ("since", "older"),
    [
        ("1970-01-01T00:00:00Z", True),
        ("1970-01-01T00:00:00.123456789+02:00", True),
        ("2970-01-01T00:00:00.123456789-02:00", False),
        ("no time", True),
        ("", True),
    ],
)
def test_a_time_that_cannot_be_compared_is_older(since: str, older: bool) -> None:
    assert processes._is_older(since) is older


def test_no_process_has_a_number_beyond_all() -> None:
    assert not processes.runs(1 << 80)
    assert not processes.runs(os.getpid())  # which is not a Pulumi
