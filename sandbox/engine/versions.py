"""Which versions of Pulumi's CLI run the program: decided here, from the SDK that pyproject.toml pins."""

from __future__ import annotations

import importlib.metadata
import re

SDK = importlib.metadata.version("pulumi")
"""The version to install or build; `go.mod` names the same."""

Version = tuple[int, int, int]


def parse(text: str) -> Version | None:
    """The numbers in the output of `pulumi version`, such as `v3.259.0`; None of a build without a version."""
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", text.strip())
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def fits(version: Version | None) -> bool:
    """Whether a CLI of this version runs the program: not older than the SDK, and of its major version."""
    sdk = parse(SDK)
    return version is not None and sdk is not None and sdk <= version < (sdk[0] + 1, 0, 0)
