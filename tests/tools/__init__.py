"""Programs for tests and checks that are Go modules: `go.mod` and `go.sum` here pin them.

    python -m tests.tools actionlint ARGUMENTS…

Each is built once, into the same cache as the engine.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

from sandbox.engine import build
from sandbox.engine.obtain import locked
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
    executable = folder / name
    if executable.exists():
        return executable
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder, print) as lock:
        if not executable.exists():  # another process may have built it meanwhile
            draft = folder / "draft"
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir()
            wanted = build.Program(name, f"{name} {_version(name)}", FOLDER, PACKAGES[name], "a minute on 2 cores")
            build.build(wanted, draft, lock, print)
            (draft / name).rename(executable)
    return executable


def _version(name: str) -> str:
    """The version in go.mod."""
    module = "/".join(PACKAGES[name].split("/")[:3])
    matched = re.search(rf"{re.escape(module)} v(\S+)", (FOLDER / "go.mod").read_text())
    assert matched
    return matched[1]
