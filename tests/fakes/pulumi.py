"""The engine's CLI, faked: a `pulumi` on the PATH that prints what it is told.

A fake has to say which version it is: `VERSION` does so, in a shell's script.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meltanodata.engine.cli_version import SDK

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

VERSION = f'[ "$1" != version ] || {{ echo v{SDK}; exit; }}\n'


class Cli:
    """A `pulumi` on the PATH that prints what it is told."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        monkeypatch.setenv("PATH", str(folder), prepend=":")

    def prints(self, output: str, error: str = "", code: int = 0) -> None:
        (self.folder / "stdout").write_text(output)
        (self.folder / "stderr").write_text(error)
        script = self.folder / "pulumi"
        script.write_text(
            "#!/bin/sh\n"
            + VERSION
            + 'cd "$(dirname "$0")"\necho "$@" > arguments\ncat stdout; cat stderr >&2\n'
            + f"exit {code}\n"
        )
        script.chmod(0o755)
