"""The `pulumi config` commands that messages tell an operator to run. Pure.

A secret comes from a file and never stands in a command line.
"""

from __future__ import annotations

import json
import re
import shlex
from typing import TypeAlias

from meltanodata.config.settings import NAMESPACE

Steps: TypeAlias = tuple[str | int, ...]
"""The way to a value: the setting's name, then names and indices within it."""

SECRET_FILES = {
    "ssh_private_key": "id_ed25519",
    "certificate": "com.meltanodata.crt",
    "certificate_key": "com.meltanodata.key",
}
"""The secrets that are one value each, with the file that a command reads each from."""


def dotted(path: Steps) -> str:
    """Pulumi's notation: https://www.pulumi.com/docs/iac/concepts/config/#structured-configuration."""
    return str(path[0]) + "".join(_step(part) for part in path[1:])


def _step(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    return f".{part}" if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", part) else f"[{json.dumps(part, ensure_ascii=False)}]"


def key(path: Steps) -> str:
    """The same with the namespace, as Pulumi names a value in a stack's config."""
    return f"{NAMESPACE}:{dotted(path)}"


def set_plain(stack: str, path: Steps, value: object) -> str:
    """The command that sets a value that is no secret."""
    return _command("set", stack, *_flags(path), key(path), str(value))


def set_secret(stack: str, name: str) -> str:
    """The command for one of `SECRET_FILES`."""
    return f"{_command('set', stack, '--secret', key((name,)))} < {SECRET_FILES[name]}"


def set_token(stack: str, team: str) -> str:
    """The command for a team's token."""
    path = "tokens", team
    return f"{_command('set', stack, '--secret', *_flags(path), key(path))} < token.txt"


def remove(stack: str, path: Steps) -> str:
    """The command that removes a value."""
    return _command("rm", stack, "--path", key(path))


def _flags(path: Steps) -> list[str]:
    return ["--path"] if len(path) > 1 else []


def _command(verb: str, stack: str, *arguments: str) -> str:
    return shlex.join(["pulumi", "config", verb, "--stack", stack, *arguments])
