"""A passphrase that is missing: the variable comes first, then what Pulumi said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meltanodata.engine import passphrase, pulumi_cli
from meltanodata.errors import UserError
from tests.fakes.pulumi import Cli

if TYPE_CHECKING:
    from pathlib import Path

VARIABLE = "PULUMI_CONFIG_PASSPHRASE_FILE"
UNSET = (
    "error: getting stack configuration: get stack secrets manager: passphrase must be set with"
    " PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE environment variables"
)
UNREADABLE = f"error: unable to read {VARIABLE}: open /nowhere/passphrase: no such file or directory"
WRONG = "error: getting secrets manager: incorrect passphrase"


@pytest.mark.parametrize("call", [pulumi_cli.preview, pulumi_cli.config, pulumi_cli.outputs])
def test_the_missing_variable_is_said_first(call: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    Cli(tmp_path, monkeypatch).prints("", UNSET, 255)
    with pytest.raises(UserError) as caught:
        call("prod", tmp_path)  # type: ignore[operator]  # one of the three
    said = str(caught.value)
    assert said.startswith(f"{VARIABLE} is not set, ")
    assert f"export {VARIABLE}=" in said.splitlines()[0]
    assert UNSET in said


def test_a_missing_file_is_told_from_one_that_cannot_be_read(tmp_path: Path) -> None:
    missing, there = tmp_path / "missing", tmp_path
    assert f"{missing}', and that file does not exist. " in str(passphrase.advice(UNREADABLE, {VARIABLE: str(missing)}))
    assert "cannot be read" in str(passphrase.advice(UNREADABLE, {VARIABLE: str(there)}))


def test_a_wrong_passphrase_says_where_it_came_from() -> None:
    assert "names ('/x')" in str(passphrase.advice(WRONG, {VARIABLE: "/x"}))
    assert "in the environment" in str(passphrase.advice(WRONG, {}))


def test_other_failures_are_not_about_the_passphrase() -> None:
    assert passphrase.advice("error: no stack named 'prod' found", {}) is None
