"""Where a sandbox keeps its things."""

from pathlib import Path

import pytest

from sandbox.home import Home


def test_home_is_the_folder_named_in_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SANDBOX_HOME", str(tmp_path))
    assert Home.default().path == tmp_path


def test_folders_are_private(tmp_path: Path) -> None:
    assert Home(tmp_path).folder("state").stat().st_mode & 0o777 == 0o700
