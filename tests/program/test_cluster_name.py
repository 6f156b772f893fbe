"""When a cluster that could not be made is tried again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pulumi
import pytest

from meltanodata.errors import UserError
from meltanodata.program import cluster_name
from tests.program import builders

if TYPE_CHECKING:
    from meltanodata.inventory.accounts import Cluster

TAKEN = "Error creating database cluster: POST https://…/v2/databases: 422 cluster name is not available"


@pytest.fixture(autouse=True)
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(pulumi.log, "info", lines.append)
    return lines


class Looks:
    """What `made_by_us` is asked, and finds."""

    def __init__(self, found: Cluster | UserError | None = None) -> None:
        self.found = found
        self.asked: list[tuple[str, str]] = []
        self.last: list[bool] = []

    async def made_by_us(self, key: str, name: str, *, last: bool) -> Cluster | None:
        self.asked.append((key, name))
        self.last.append(last)
        if isinstance(self.found, UserError):
            raise self.found
        return self.found


def again(operation: str, *errors: str, looks: Looks | None = None) -> bool:
    args = pulumi.ErrorHookArgs(
        "urn",
        "",
        "acme-database",
        "digitalocean:index/databaseCluster:DatabaseCluster",
        {"name": "db-postgresql-nyc3-11799-acme"},
        None,
        None,
        operation,
        list(errors),
    )
    return asyncio.run(cluster_name._again(args, (looks or Looks()).made_by_us, pause=0))


def test_a_name_that_is_taken_is_waited_for(said: list[str]) -> None:
    assert again("create", TAKEN)
    assert said == ["acme-database waits for its name: DigitalOcean says that it is not available yet"]
    assert again("create", TAKEN, TAKEN)
    assert len(said) == 1


@pytest.mark.parametrize(
    ("operation", "errors"),
    [
        ("create", ["422 invalid size", TAKEN]),
        ("update", [TAKEN]),
        ("delete", [TAKEN]),
        ("create", [TAKEN] * 60),
    ],
)
def test_nothing_else_is(said: list[str], operation: str, errors: list[str]) -> None:
    assert not again(operation, *errors)
    assert said == []


@pytest.mark.parametrize("error", [TAKEN, "rpc error: code = Unavailable desc = error reading from server: EOF"])
def test_a_cluster_that_was_made_all_the_same_is_said_at_once(error: str) -> None:
    looks = Looks(builders.cluster(created_at="2026-11-28T04:00:00Z"))
    with pytest.raises(UserError) as told:
        again("create", error, looks=looks)
    assert looks.asked == [("acme", "db-postgresql-nyc3-11799-acme")]
    for words in ("c0ffee", "team MeltanoData DBs 1", "created 2026-11-28T04:00:00Z", "`meltanodata up` again", error):
        assert words in str(told.value)


def test_it_is_seldom_asked_for_while_a_name_is_waited_for() -> None:
    looks = Looks()
    for attempts in range(1, 60):
        assert again("create", *[TAKEN] * attempts, looks=looks)
    assert looks.last == [False] * 6
    assert not again("create", *[TAKEN] * 60, looks=looks)
    assert looks.last == [*[False] * 6, True]


def test_a_failure_stays_what_it_is_where_nobody_knows_of_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", warned.append)
    assert not again("create", "500 later", looks=Looks(UserError("the API cannot be reached")))
    (line,) = warned
    assert line.endswith("exists nevertheless failed: the API cannot be reached")
    assert not again("update", "500 later", looks=Looks(UserError("never asked")))
    assert len(warned) == 1
