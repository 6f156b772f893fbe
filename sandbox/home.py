"""A sandbox's folder, and the cache that all sandboxes share."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
"""The checkout: Pulumi.yaml, the program and the sandbox are here."""

TEMPLATE = PROJECT / "sandbox" / "Pulumi.sandbox.yaml"
"""The settings of the sandbox's stack. They are not beside Pulumi.yaml, where the CLI would write into them."""


@dataclass(frozen=True)
class Home:
    """One sandbox's folder; several sandboxes live side by side in folders of their own."""

    path: Path

    @classmethod
    def default(cls) -> Home:
        """The folder named by SANDBOX_HOME, else `.sandbox` in the checkout."""
        return cls(Path(os.environ.get("SANDBOX_HOME", PROJECT / ".sandbox")).absolute())

    def folder(self, name: str) -> Path:
        """A folder inside, made when it is missing, mode 700."""
        path = self.path / name
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path


def cache() -> Path:
    """The folder for what is built once (engine, snapshot): MELTANODATA_CACHE, else the user's cache folder."""
    base = os.environ.get("MELTANODATA_CACHE")
    if base is None:
        base = str(Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "meltanodata")
    path = Path(base)
    path.mkdir(mode=0o755, parents=True, exist_ok=True)
    return path
