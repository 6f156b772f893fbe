"""Programs for tests and checks that are Go modules: `go.mod` and `go.sum` here pin them.

    python -m tests.tools actionlint ARGUMENTS…

Each is built once, into the same cache as the engine.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from sandbox.engine import build
from sandbox.engine.obtain import built
from sandbox.home import cache

FOLDER = Path(__file__).parent
PACKAGES = {
    "actionlint": "github.com/rhysd/actionlint/cmd/actionlint",
    "act": "github.com/nektos/act",
}


def program(name: str) -> Path:
    """The executable, built when it is not there yet.

    Raises:
        build.BuildError: it cannot be built.
    """
    folder = cache() / "tools" / hashlib.sha256((FOLDER / "go.sum").read_bytes()).hexdigest()[:16]
    wanted = build.Program(name, f"{name} {_version(name)}", FOLDER, PACKAGES[name], "a minute on 2 cores")
    return built(wanted, folder, print)


def _version(name: str) -> str:
    """The version in go.mod."""
    module = "/".join(PACKAGES[name].split("/")[:3])
    matched = re.search(rf"{re.escape(module)} v(\S+)", (FOLDER / "go.mod").read_text())
    assert matched
    return matched[1]
