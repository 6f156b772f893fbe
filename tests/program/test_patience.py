"""When a cluster that could not be made is tried again."""

from __future__ import annotations

import asyncio

import pulumi
import pytest

from meltanodata import patience

TAKEN = "Error creating database cluster: POST https://…/v2/databases: 422 cluster name is not available"


@pytest.fixture(autouse=True)
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(patience, "_PAUSE", 0)
    monkeypatch.setattr(pulumi.log, "info", lines.append)
    return lines


def again(operation: str, *errors: str) -> bool:
    args = pulumi.ErrorHookArgs(
        "urn",
        "",
        "acme-database",
        "digitalocean:index/databaseCluster:DatabaseCluster",
        {},
        None,
        None,
        operation,
        list(errors),
    )
    return asyncio.run(patience._again(args))


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
