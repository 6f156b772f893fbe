"""The scripts that set the admin user: the one that hands over, with a Python in Meltano's place."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from meltanodata import files
from meltanodata.files import meltano

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def droplet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the project, and this Python as that of Meltano's virtual environment."""
    monkeypatch.setattr(meltano, "PROJECT", str(tmp_path))
    monkeypatch.setattr(meltano, "PYTHON", sys.executable)
    return tmp_path


def run(script: str, **told: Any) -> None:
    meltano.main({"admin_script": script, "username": "meltano", "password": "p'w", **told}, ["env"])


def test_the_admins_script_is_told_by_standard_input(droplet: Path) -> None:
    run("import os, sys; open('told', 'w').write(sys.stdin.read()); print(*sys.argv, os.getcwd())")
    assert json.loads((droplet / "told").read_text()) == {"username": "meltano", "password": "p'w"}


def test_what_was_done_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    run("print('set the password of meltano')")
    assert capsys.readouterr().out == "set the password of meltano\n"


def test_a_failure_is_said_in_one_line() -> None:
    with pytest.raises(SystemExit) as caught:
        run("import sys; print('a log line', file=sys.stderr); sys.exit('OperationalError: database is locked')")
    assert str(caught.value) == "the admin user is not set: OperationalError: database is locked"


def test_nothing_of_a_traceback_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """The admin's script itself, where there is no Meltano."""
    with pytest.raises(SystemExit, match="not set: ModuleNotFoundError: No module named 'flask_security'"):
        run(files.script("admin"))
    assert not capsys.readouterr().out
