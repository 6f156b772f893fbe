"""Where the engine comes from: PATH, the cache, Pulumi's own installer, or its Go module.

What is installed or built is kept in `<cache>/engine/<version>/` with all that belongs to it, whole or not at all,
and made once however many processes want it at the same time.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from meltanodata.engine import cli_version
from sandbox.engine import build
from sandbox.home import cache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LANGUAGE_HOST = "pulumi-language-python"
_CONNECT_SECONDS = 5
_INSTALL_SECONDS = 900
# The SDK knows where Pulumi's installer is; a connection that does not come about must not hang.
_INSTALL = f"""
import socket, sys
socket.setdefaulttimeout({_CONNECT_SECONDS})
from pulumi.automation import PulumiCommand
PulumiCommand.install(root=sys.argv[1])
"""


class EngineError(Exception):
    """No engine is on this machine and none can be built; the message says what to do."""


@dataclass(frozen=True)
class Engine:
    """Pulumi's CLI on this machine."""

    command: Path
    """The executable `pulumi`."""
    version: str
    """Such as `3.1.0`."""
    language_host: bool
    """Whether the official Python language host is beside it or on PATH."""

    @property
    def folder(self) -> Path:
        """What goes first on PATH."""
        return self.command.parent


def obtain(say: Callable[[str], None]) -> Engine:
    """The engine, installed or built when there is none yet.

    Args:
        say: called with a line per step.

    Raises:
        EngineError: it cannot be built.
    """
    if engine := _on_path() or _in_cache():
        return engine
    folder = cache() / "engine"
    folder.mkdir(exist_ok=True)
    with locked(folder, say, "engine") as lock:
        # Another process may have made it while this one waited.
        if engine := _in_cache():
            return engine
        draft = folder / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        if not _install(draft, lock, say):
            try:
                build.build(build.PULUMI, draft, lock, say)
            except build.BuildError as error:
                raise EngineError(f"Pulumi's engine {cli_version.SDK} cannot be built: {error}") from error
        shutil.rmtree(folder / cli_version.SDK, ignore_errors=True)  # one that does not run
        draft.rename(folder / cli_version.SDK)
    engine = _in_cache()
    if engine is None:
        raise EngineError(f"the engine in {folder / cli_version.SDK} does not run")
    return engine


def _on_path() -> Engine | None:
    found = shutil.which("pulumi")
    return _engine(Path(found)) if found else None


def _in_cache() -> Engine | None:
    return _engine(cache() / "engine" / cli_version.SDK / "pulumi")


def _engine(command: Path) -> Engine | None:
    """The engine that the executable is, when its version fits."""
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        said = subprocess.run([command, "version"], capture_output=True, text=True, check=False, env=environment).stdout
    except OSError:
        return None
    version = cli_version.parse(said)
    if version is None or not cli_version.fits(version):
        return None
    beside = command.resolve().with_name(_LANGUAGE_HOST)
    return Engine(command, ".".join(map(str, version)), beside.exists() or shutil.which(_LANGUAGE_HOST) is not None)


def built(program: build.Program, folder: Path, say: Callable[[str], None]) -> Path:
    """The executable of a program in a folder of its own, built when it is not there yet.

    Raises:
        BuildError: it cannot be built.
    """
    executable = folder / program.name
    if executable.exists():
        return executable
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder, say, program.name) as lock:
        if not executable.exists():  # another process may have built it while this one waited
            draft = folder / "draft"
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir()
            build.build(program, draft, lock, say)
            (draft / program.name).rename(executable)
    return executable


@contextlib.contextmanager
def locked(folder: Path, say: Callable[[str], None], what: str) -> Iterator[IO[str]]:
    """Hold a folder's lock while `what` is made; programs that inherit the file hold it on, if this one is killed."""
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{what}: another process installs or builds it, waiting")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _install(draft: Path, lock: IO[str], say: Callable[[str], None]) -> bool:
    """Run Pulumi's installer, when it can be reached, and put what it brings into the draft."""
    say(f"engine: trying Pulumi's installer for {cli_version.SDK}")
    root = draft / "installed"
    try:
        subprocess.run(
            [sys.executable, "-c", _INSTALL, root],
            capture_output=True,
            check=True,
            timeout=_INSTALL_SECONDS,
            pass_fds=[lock.fileno()],
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        say("engine: the installer cannot be reached from here")
        shutil.rmtree(root, ignore_errors=True)
        return False
    for file in (root / "bin").iterdir():
        file.rename(draft / file.name)
    shutil.rmtree(root)
    return True
