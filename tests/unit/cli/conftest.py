"""A repository with a fleet, and a fake of the engine's CLI."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fakes.pulumi import Cli
from tests.unit.cli.project import Project

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return Project(folder)


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    return Cli(tmp_path, monkeypatch)
