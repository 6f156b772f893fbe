"""Repositories with fleets, the command, and a fake of the engine's CLI."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from meltanodata.cli import main
from tests.fakes.pulumi import Cli
from tests.fleets import write_stack
from tests.unit.cli.operator import FLEET, Result
from tests.unit.cli.project import Project

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.cli.operator import Run


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return Project(folder)


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    return Cli(tmp_path, monkeypatch)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder with one stack and two tenants, which is the working directory."""
    (tmp_path / "Pulumi.yaml").write_text("name: meltanodata\n")
    write_stack(tmp_path, "prod")
    (tmp_path / "tenants.yaml").write_text(FLEET)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `meltanodata` with arguments, in a shell that names no stack."""
    monkeypatch.delenv("PULUMI_STACK", raising=False)

    def run(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["meltanodata", *arguments])
        code = 0
        try:
            main.main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        return Result(code, *capsys.readouterr())

    return run
