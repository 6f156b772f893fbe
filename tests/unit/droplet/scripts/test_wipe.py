"""The script that wipes a demo's database, with a psycopg2 that keeps what it is told."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import pytest

from meltanodata.droplet.scripts import wipe

if TYPE_CHECKING:
    from collections.abc import Callable

TOLD = {"host": "db.example.com", "port": 25060, "database": "defaultdb", "user": "doadmin", "password": "s3cret"}


class DatabaseError(Exception):
    """psycopg2's."""


class SQL(str):
    """psycopg2.sql's, in as far as it is used."""

    __slots__ = ()


@pytest.fixture
def psycopg2(monkeypatch: pytest.MonkeyPatch) -> MagicMock:
    module = MagicMock(Error=DatabaseError)
    monkeypatch.setitem(sys.modules, "psycopg2", module)
    names: dict[str, Callable[[str], Any]] = {"SQL": SQL, "Identifier": '"{}"'.format}
    monkeypatch.setitem(sys.modules, "psycopg2.sql", SimpleNamespace(**names))
    return module


def cursor(psycopg2: MagicMock, *schemas: str) -> MagicMock:
    """The cursor that the script gets, for a database with these schemas."""
    it: MagicMock = psycopg2.connect.return_value.cursor.return_value.__enter__.return_value
    it.fetchall.return_value = [(schema,) for schema in schemas]
    return it


def test_every_schema_is_dropped_in_one_transaction(psycopg2: MagicMock, capsys: pytest.CaptureFixture[str]) -> None:
    it = cursor(psycopg2, "tap_gitlab", 'od"d')
    wipe.main(TOLD)
    asked, *dropped = [call.args[0] for call in it.execute.call_args_list]
    assert "NOT LIKE 'pg\\_%'" in asked
    assert "NOT IN ('information_schema', 'public')" in asked
    assert dropped == ['DROP SCHEMA "tap_gitlab" CASCADE', 'DROP SCHEMA "od"d" CASCADE']
    assert psycopg2.connect.return_value.__enter__.call_count == 1
    assert json.loads(capsys.readouterr().out) == {"dropped": ["tap_gitlab", 'od"d']}


def test_the_connection_is_encrypted_and_waits_for_nobody_for_ever(psycopg2: MagicMock) -> None:
    cursor(psycopg2)
    wipe.main(TOLD)
    assert psycopg2.connect.call_args.kwargs == {
        "host": "db.example.com",
        "port": 25060,
        "dbname": "defaultdb",
        "user": "doadmin",
        "password": "s3cret",
        "sslmode": "require",
        "connect_timeout": 30,
        "options": "-c lock_timeout=60s",
    }


def test_nothing_to_drop(psycopg2: MagicMock, capsys: pytest.CaptureFixture[str]) -> None:
    it = cursor(psycopg2)
    wipe.main(TOLD)
    assert it.execute.call_count == 1
    assert json.loads(capsys.readouterr().out) == {"dropped": []}


def test_a_failure_is_said(psycopg2: MagicMock) -> None:
    cursor(psycopg2, "busy").execute.side_effect = [None, DatabaseError("canceling statement due to lock timeout")]
    psycopg2.connect.return_value.__exit__.return_value = False
    psycopg2.connect.return_value.cursor.return_value.__exit__.return_value = False
    with pytest.raises(SystemExit, match=r"^nothing was dropped: canceling statement due to lock timeout$"):
        wipe.main(TOLD)
