"""Which versions of Pulumi's CLI run the program: decided here, from the SDK that pyproject.toml pins.

The CLI writes the state, and another minor version may write it differently, or print something else. So the program
runs with the minor version that its tests ran with: docs/decisions/one-version-of-pulumi.md.
"""

from __future__ import annotations

import functools
import importlib.metadata
import os
import re
import shutil
import subprocess

from meltanodata.errors import UserError

SDK = importlib.metadata.version("pulumi")
"""The SDK's version, and the one of the CLI that is installed or built; such as `3.1.0`."""

INSTALL = "in the checkout's folder: make pulumi && . .venv/bin/activate"
"""Where and how the right CLI is installed, and put first on the PATH."""

Version = tuple[int, int, int]

_SECONDS = 60


def parse(text: str) -> Version | None:
    """The numbers in the output of `pulumi version`, such as `v3.1.0`; None of a build without a version."""
    matched = re.match(r"v?(\d+)\.(\d+)\.(\d+)", text.strip())
    return (int(matched[1]), int(matched[2]), int(matched[3])) if matched else None


def fits(version: Version | None) -> bool:
    """Whether a CLI of this version runs the program: its minor version is the SDK's, whatever its patch version."""
    sdk = parse(SDK)
    return version is not None and sdk is not None and version[:2] == sdk[:2]


def refuse_other() -> None:
    """Stop unless the `pulumi` on the PATH is of the version that runs the program.

    Raises:
        UserError: there is none, it is of another version, or it does not say of which.
    """
    command = shutil.which("pulumi")
    if command is None:
        raise UserError(f"pulumi is not on the PATH. Install it {INSTALL}")
    if problem := _problem(command):
        raise UserError(problem)


@functools.cache  # a command calls the CLI several times
def _problem(command: str) -> str | None:
    """Why this CLI does not run the program."""
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        done = subprocess.run(
            [command, "version"],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env=environment,
            timeout=_SECONDS,
        )
    except OSError as error:
        return _unreadable(command, f"cannot be run: {error.strerror}")
    except subprocess.TimeoutExpired:
        return _unreadable(command, f"does not answer within {_SECONDS} seconds")
    version = parse(done.stdout)
    if done.returncode != 0 or version is None:
        said = " ".join((done.stdout.strip() or done.stderr.strip()).split())
        return _unreadable(command, f"says {said[:200]!r}, which is no version" if said else "says nothing")
    if not fits(version):
        return (
            f"{command} is Pulumi {'.'.join(map(str, version))}, but this checkout runs with Pulumi {_minor()} (any"
            f" patch version). It was not used. Install Pulumi {SDK} {INSTALL}"
        )
    return None


def _unreadable(command: str, what: str) -> str:
    return (
        f"the version of {command} is unknown: `pulumi version` {what}. This checkout runs with Pulumi {_minor()}."
        f" It was not used. Install Pulumi {SDK} {INSTALL}"
    )


def _minor() -> str:
    return ".".join(SDK.split(".")[:2])
