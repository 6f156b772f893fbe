from __future__ import annotations

import re

from sandbox.acme.pebble import VERSION


def test_the_version_is_the_modules() -> None:
    assert re.fullmatch(r"2\.10\.\d+", VERSION)
