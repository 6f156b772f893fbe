"""A droplet: a folder that stands for its root."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meltanodata.droplet.scripts import write_files

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def droplet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root folder with the folders of the snapshot, and a systemctl that keeps what it is told in `calls`."""
    monkeypatch.setattr(write_files.Service, "_listens", lambda service: (tmp_path / "active" / service.name).exists())
    for folder in ("etc/caddy", "var/meltano/project", "var/meltano/.venv", "active"):
        (tmp_path / folder).mkdir(parents=True)
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(
        f"""#!/bin/sh
cd {tmp_path}
echo "$@" >> calls
case $1 in
is-active) test -e active/$2 ;;
restart) test ! -e broken-$2 && touch active/$2 || {{ echo no way >&2; exit 1; }} ;;
esac
"""
    )
    systemctl.chmod(0o755)
    return tmp_path
