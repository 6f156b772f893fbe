"""What every test starts from: no credentials of the person who runs them."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from sandbox.databases.light import LightDatabases

if TYPE_CHECKING:
    from collections.abc import Callable

# Read by clients at import or start-up, so before any test module is imported: a test must never reach
# a real account, whoever's machine it runs on. Tests of the engine set their own sandbox's.
_CREDENTIALS = ("DIGITALOCEAN_", "PULUMI_", "SPACES_", "OP_", "GITHUB_TOKEN", "MELTANODATA_TOKENS")

for _name in [name for name in os.environ if name.startswith(_CREDENTIALS)]:
    del os.environ[_name]
os.environ.pop("SSH_AUTH_SOCK", None)

# In the background of a shell script interrupts are ignored, and what is started there inherits it: those of the tests
# that interrupt something would wait for what does not come.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A machine that builds an engine beside the tests is slow at times; that is no failure of theirs.
settings.register_profile("meltanodata", deadline=None)
settings.load_profile("meltanodata")


# The clusters of a light sandbox in this process are online at once.
LightDatabases.seconds = 0.0

# Tests beside official plugins, for whoever has them: `make parity`. They are found as anybody's are, on PATH.
_OFFICIAL = os.environ.get("MELTANODATA_OFFICIAL_PLUGINS")
collect_ignore = [] if _OFFICIAL else ["parity"]
if _OFFICIAL:
    os.environ["PATH"] = os.pathsep.join([_OFFICIAL, os.environ["PATH"]])


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--update-golden` writes the expected files anew; look at the diff before you commit it."""
    parser.addoption("--update-golden", action="store_true", help="write tests/golden anew instead of comparing")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with a file of tests/golden."""

    def compare(name: str, text: str) -> None:
        path = Path(__file__).parent / "golden" / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")

    return compare
