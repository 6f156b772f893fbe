"""A droplet for the script that examines it: its root folder and its programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meltanodata.droplet.layout import PROJECT
from tests.fakes.caddy import HOST
from tests.unit.droplet.scripts.samples import DATABASE, PASSWORD, SALT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A droplet on which all is well."""
    project = tmp_path / "root" / PROJECT.lstrip("/")
    (project / ".meltano/run").mkdir(parents=True)
    (project / ".env").write_text(f"PG_ADDRESS={DATABASE}\nPG_PASSWORD='{PASSWORD}'\nTAP_PIN=4711\nTAP_KEY=roses # x\n")
    (project / ".env").chmod(0o620)
    (project / "ui.cfg").write_text(f'SERVER_NAME = "{HOST}"\nSECURITY_PASSWORD_SALT = "{SALT}"\n')
    (project / "meltano.yml").write_text("config:\n  api_token: tulips\n  start_date: 2026-01-01\n")
    return tmp_path / "root"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """systemctl says what `failed` has; the journal of a unit is the file of its name."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name, text in {
        "systemctl": """case $1 in
is-system-running) test -e failed && echo degraded || echo running ;;
list-units) test -e failed && cat failed ;;
is-active) grep -qs "^$2.service" failed && echo failed || echo active ;;
esac""",
        "journalctl": 'test -e "$2" && cat "$2"',
        "python": f'echo \'{{"address": "{DATABASE}", "problem": null}}\'',
    }.items():
        (folder / name).write_text(f"#!/bin/sh\ncd {folder}\n{text}\n")
        (folder / name).chmod(0o755)
    return folder
