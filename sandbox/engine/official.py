"""Pulumi's own plugins: on PATH, in the sandbox, or downloaded from Pulumi."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import shutil
import subprocess
import threading
from typing import TYPE_CHECKING

from sandbox.home import Home, cache

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sandbox.engine.obtain import Engine

PACKAGES = ("digitalocean", "random", "command")
"""Those that the program uses."""
_INSTALL_SECONDS = 600
_FAILED_ONCE = "Will retry"
"""What the engine prints after a download that failed; it tries five times."""


def why_not_official(home: Home, engine: Engine, say: Callable[[str], None]) -> str | None:
    """Why the official plugins are not available in this sandbox; None if they are.

    Args:
        home: the sandbox; what is not on PATH is put into its PULUMI_HOME.
        engine: the CLI, which installs them.
        say: called with a line when something is downloaded.
    """
    for package in PACKAGES:
        if shutil.which(f"pulumi-resource-{package}") is not None:
            continue
        # The versions are those of the SDKs, which ask the engine for them.
        version = importlib.metadata.version(f"pulumi-{package}")
        plugin = f"resource-{package}-v{version}"
        own, shared = (folder / "plugins" / plugin for folder in (home.folder("pulumi"), cache() / "pulumi"))
        if own.exists():
            continue
        if not shared.exists():
            say(f"plugins: trying to download {package} {version}")
            if not _install(engine, shared.parent.parent, package, version) or not shared.exists():
                return f"pulumi-resource-{package} is neither on PATH nor can it be downloaded from here"
        _link(shared, own)
    return None


def _install(engine: Engine, pulumi_home: Path, package: str, version: str) -> bool:
    """Have the engine download a plugin; stopped at the first failure, as the others would only take longer."""
    pulumi_home.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PULUMI_HOME": str(pulumi_home), "PULUMI_SKIP_UPDATE_CHECK": "true"}
    argv = [str(engine.command), "--non-interactive", "plugin", "install", "resource", package, f"v{version}"]
    with subprocess.Popen(
        argv, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None  # noqa: S101 -- for the type checker: it is a pipe
        limit = threading.Timer(_INSTALL_SECONDS, process.kill)
        limit.start()
        with contextlib.closing(process.stdout) as lines:
            for line in lines:
                if _FAILED_ONCE in line:
                    process.kill()
        limit.cancel()
        return process.wait() == 0


def _link(shared: Path, own: Path) -> None:
    """The same files in the sandbox's folder, whole or not at all; the engine does not follow links to folders."""
    draft = own.with_name(f"{own.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        shutil.copytree(shared, draft, copy_function=os.link)
    except shutil.Error:  # another file system
        shutil.rmtree(draft)
        shutil.copytree(shared, draft)
    draft.rename(own)
