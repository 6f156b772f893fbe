"""What becomes of a command whose output nobody reads, or whose disk is full: the printing ends, and nothing else."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandbox.home import PROJECT
from tests.unit.cli.operator import FLEET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.cli.operator import Run

PROGRAM = "from meltanodata.cli.main import main; main()"
COMMANDS = (["check"], ["capacity"], ["new", "cork"], ["plan", "--help"], ["--help"], ["stacks"])
"""Commands that only read and print, in each of the ways that we have: `print`, typer's, and rich's."""


def started(*arguments: str, stdout: int | None, stderr: int | None = subprocess.PIPE) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    environment.pop("PYTHONUNBUFFERED", None)
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.Popen(command, env=environment, stdout=stdout, stderr=stderr, text=True)


def code_of(*arguments: str) -> int:
    with started(*arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        return process.wait()


@pytest.fixture
def unread() -> Iterator[int]:
    """A pipe that nobody reads any more."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
@pytest.mark.usefixtures("folder")
def test_a_reader_that_goes_away_is_no_error(arguments: list[str], unread: int) -> None:
    with started(*arguments, stdout=unread) as process:
        assert process.communicate()[1] == ""
    assert process.returncode == code_of(*arguments) == 0


@pytest.mark.usefixtures("folder")
def test_a_mistake_keeps_its_exit_code_where_nobody_reads_it(unread: int) -> None:
    for arguments, code in ((["check", "missing.yaml"], 1), (["check", "--bogus"], 2)):
        with started(*arguments, stdout=unread, stderr=unread) as process:
            assert process.wait() == code


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
@pytest.mark.usefixtures("folder")
def test_output_that_a_full_disk_takes_is_said(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full, started(*arguments, stdout=full.fileno()) as process:
        said = process.communicate()[1]
    assert said.startswith(f"standard output: {os.strerror(errno.ENOSPC)}. ")
    assert (said.count("\n"), process.returncode) == (1, 1)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.usefixtures("folder")
def test_a_stream_that_was_closed_before_is_nowhere(closed: str) -> None:
    """And no file that the command opens gets its number, and what is printed."""
    done = shell(f'exec {closed}; exec "$0" -c "$1" check')
    assert (done.returncode, done.stderr) == (0, "")


def shell(script: str, *wrapped: str) -> subprocess.CompletedProcess[str]:
    """A script that gets Python as $0, and the command's program as $1."""
    return subprocess.run(
        [*wrapped, "sh", "-c", script, sys.executable, PROGRAM],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )


# A file must not get longer than this: what a full disk does, without one.
LIMIT = 16


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No file gets more than a few bytes, as on a full disk."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def no_team(folder: Path) -> None:
    (folder / "tenants.yaml").write_text("acme: {}\nbolt: {}\n")


def old_schema(folder: Path) -> None:
    (folder / "tenants.schema.json").write_text("{}")


def nothing(_: Path) -> None:
    pass


@pytest.mark.parametrize("command", ["new cork --write", "assign", "schema"])
def test_a_file_that_a_full_disk_does_not_take_is_as_it_was(
    folder: Path, run: Run, request: pytest.FixtureRequest, command: str
) -> None:
    if command == "assign":
        (folder / "tenants.yaml").write_text("acme: {}\nbolt: {}\n")
    file = "tenants.schema.json" if command == "schema" else "tenants.yaml"
    (folder / "tenants.schema.json").write_text("{}")
    before, names = (folder / file).read_bytes(), sorted(folder.iterdir())
    request.getfixturevalue("full")
    ended = run(*command.split())
    assert (ended.code, ended.out) == (1, "")
    said = (
        f"{file}: cannot be written: {os.strerror(errno.EFBIG)}. The file is unchanged. Mend that, then run this again"
    )
    assert ended.err == f"{said}\n"
    assert (folder / file).read_bytes() == before
    assert sorted(folder.iterdir()) == names


@pytest.mark.parametrize(
    ("mount", "said"),
    [
        ("mount -t tmpfs -o size=8k none data && cp tenants.yaml data; cat /dev/zero > data/full", "No space left"),
        ("mount --bind data data && mount -o remount,bind,ro data", "Read-only file system"),
    ],
    ids=["full", "read-only"],
)
def test_a_disk_that_takes_nothing_is_said_and_the_file_is_whole(folder: Path, mount: str, said: str) -> None:
    (folder / "data").mkdir()
    (folder / "data/tenants.yaml").write_text(FLEET)
    script = f'{mount}; "$0" -c "$1" new cork data/tenants.yaml --write; echo "code $?"; cat data/tenants.yaml'
    done = shell(script, "unshare", "--mount")
    assert f"data/tenants.yaml: cannot be written: {said}" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == f"code 1\n{FLEET}"
