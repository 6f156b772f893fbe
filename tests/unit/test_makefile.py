"""`make setup` on a machine whose Python is too old."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `make` in a checkout without a virtual environment; its Python is the script `python3`."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(PROJECT / name, tmp_path)

    def run(python: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        program = tmp_path / "bin" / "python3"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\n{python}\n")
        program.chmod(0o755)
        command = ["make", "--directory", str(tmp_path), *arguments]
        return subprocess.run(
            command, env={"PATH": f"{program.parent}:/usr/bin:/bin"}, capture_output=True, text=True, check=False
        )

    return run


def as_if(version: tuple[int, int, int]) -> str:
    """Shell that runs the code after `-c` by this Python, to which another version is pretended."""
    pretended = f"import sys; sys.version_info = {version}"
    return f'[ "$1" != -c ] || exec {shlex.quote(sys.executable)} -c "{pretended}\n$2"'


@pytest.mark.parametrize("target", ["setup", "sandbox", "test"])
def test_an_old_python_is_refused_in_our_words_before_anything_is_made(
    make: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, target: str
) -> None:
    others = 'case "$1" in --version) echo "Python 3.10.12";; *) touch "$(dirname "$0")/used"; exit 1;; esac'
    done = make(f"{as_if((3, 10, 12))}\n{others}", target)
    assert done.returncode != 0
    assert "MeltanoData needs Python 3.11 or newer; python3 is Python 3.10.12." in done.stderr
    assert f"make {target} PYTHON=python3.11" in done.stderr
    assert not (tmp_path / "bin" / "used").exists()
    assert not (tmp_path / ".venv").exists()


def test_a_missing_python_is_said(make: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = make("exit 0", "setup", "PYTHON=python3.99")
    assert done.returncode != 0
    assert "needs Python 3.11 or newer; python3.99 is " in done.stderr


def test_a_new_enough_python_goes_on(make: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = make(f"{as_if((3, 11, 0))}\n[ $1 = -m ] && echo asked for $2; exit 3", "setup")
    assert "asked for venv" in done.stdout
    assert "needs Python" not in done.stderr
