"""Pulumi's CLI on the sandbox's stack.

The stack has a project folder of its own, `<home>/project`: it runs the checkout's program, its tenants.yaml begins as
the checkout's, and its Pulumi.sandbox.yaml is `home.TEMPLATE` with what only a running sandbox knows. State, plugins
and passphrase are in the home too, so that nothing of the person who runs it is touched or used.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from meltanodata.engine import cli_version
from sandbox import project
from sandbox.home import TEMPLATE, Home
from sandbox.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sandbox.engine.obtain import Engine
    from sandbox.running import Running

STACK = "sandbox"
_NAMESPACE = "meltanodata"
_VERSION = f"{_NAMESPACE}:database_version"
_LANGUAGE_HOST = Path(__file__).parent / "engine" / "language.py"
_OTHERS = ("DIGITALOCEAN_", "PULUMI_", "SPACES_", "SSH_AUTH_SOCK")
"""Variables that lead to other accounts, stacks or keys than the sandbox's."""
_NO_ACME = "https://acme.invalid/directory"
"""Without an ACME server of its own, the sandbox asks none: its domain is not the one that it is called like."""
_UNPROXIED = "127.0.0.1,localhost,198.18.0.0/15"


class PulumiError(Exception):
    """The CLI refused what the sandbox asked of it; a person reads the text."""


def variables(home: Home, running: Running, engine: Engine) -> dict[str, str]:
    """What a client of the sandbox's stack has in its environment, beside PATH and without any of `foreign`."""
    unproxied = _joined(",", os.environ.get("NO_PROXY", os.environ.get("no_proxy", "")), _UNPROXIED)
    commands = str(Path(sys.executable).parent)
    values = {
        "DIGITALOCEAN_API_URL": running.api_url,
        # Without metadata: it is written beside each file, and not atomically; a kill at that moment would leave a
        # state that cannot be loaded any more ("failed to load checkpoint: EOF").
        "PULUMI_BACKEND_URL": f"file://{home.folder('state')}?metadata=skip",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(home.path / "passphrase"),
        "PULUMI_HOME": str(home.folder("pulumi")),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_STACK": STACK,
        "NO_PROXY": unproxied,
        "no_proxy": unproxied,
        "PATH": _joined(os.pathsep, commands, str(engine.folder), os.environ.get("PATH", os.defpath)),
    }
    if running.acme is not None:
        values["REQUESTS_CA_BUNDLE"] = str(running.acme.ca_file)
    if running.plugin_ports:
        values["PULUMI_DEBUG_PROVIDERS"] = ",".join(f"{name}:{port}" for name, port in running.plugin_ports.items())
        values["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"
    return values


def _joined(separator: str, *lists: str) -> str:
    """Lists as one, in which nothing is there twice."""
    return separator.join(dict.fromkeys(part for text in lists for part in text.split(separator) if part))


def foreign(environment: Mapping[str, str]) -> list[str]:
    """The variables that must not reach the CLI, as they lead to something else than the sandbox."""
    return [name for name in environment if name.startswith(_OTHERS)]


def environment(home: Home, running: Running, engine: Engine) -> dict[str, str]:
    """The whole environment for the CLI on the sandbox's stack."""
    kept = {name: value for name, value in os.environ.items() if name not in foreign(os.environ)}
    return {**kept, **variables(home, running, engine)}


def run(home: Home, running: Running, engine: Engine, args: Sequence[str]) -> int:
    """Run the CLI on the sandbox's stack, with this process's terminal, and return its exit status.

    Raises:
        PulumiError: the stack cannot be prepared.
    """
    folder = prepare(home, running, engine)
    process = subprocess.Popen([engine.command, *args], cwd=folder, env=environment(home, running, engine))
    # Ctrl-C reaches the engine by itself, and it ends in its own time.
    with _ignored(signal.SIGINT):
        return process.wait()


def prepare(home: Home, running: Running, engine: Engine) -> Path:
    """Make the project folder and the stack, or bring them up to date; returns the folder.

    Settings that somebody changed with `pulumi config set` stay, until the template changes them again.

    Raises:
        PulumiError: the CLI refused.
    """
    folder = home.folder("project")
    place_language_host(home.folder("pulumi"), engine)
    passphrase = home.path / "passphrase"
    if not passphrase.exists():
        _write_private(passphrase, secrets.token_urlsafe(32))
    checkout = yaml.safe_load(TEMPLATE.read_text())["config"]
    plain, secret = _generated(home, running)
    if checkout.get(_VERSION) not in running.database_versions:  # real databases are of what is installed
        plain[_VERSION] = running.database_versions[-1]
    # The digest stands for everything below, secrets too: it is of no use without the passphrase.
    described = project.described()
    wanted = json.dumps([passphrase.read_text(), described, checkout, plain, secret, engine.version], sort_keys=True)
    digest = hashlib.sha256(wanted.encode()).hexdigest()
    done = folder / ".prepared"
    if done.exists() and done.read_text() == digest:
        return folder
    project.make(folder, described)
    _merge(folder, checkout, plain)
    call = Caller(folder, engine, environment(home, running, engine))
    call("stack", "select", "--create", STACK)
    for path, value in secret.items():
        call("config", "set", "--secret", "--path", path, stdin=value)
    done.write_text(digest)
    return folder


def _generated(home: Home, running: Running) -> tuple[dict[str, Any], dict[str, str]]:
    """The settings that only this sandbox knows: plain ones by key, secret ones by path."""
    keys = Keys.ensure(home, running.domain)
    plain = {
        f"{_NAMESPACE}:api_url": running.api_url,
        f"{_NAMESPACE}:ssh_port": running.ssh_port,
        f"{_NAMESPACE}:resolver": "{}:{}".format(*running.resolver),
        f"{_NAMESPACE}:unchecked": _unchecked(running),
        f"{_NAMESPACE}:certificate_renewal": {"directory": running.acme.directory if running.acme else _NO_ACME},
    }
    secret = {f"{_NAMESPACE}:tokens[{json.dumps(name)}]": access.token for name, access in running.teams.items()}
    secret |= {
        f"{_NAMESPACE}:ssh_private_key": keys.ssh_private_key.read_text(),
        f"{_NAMESPACE}:certificate": keys.wildcard_certificate.read_text(),
        f"{_NAMESPACE}:certificate_key": keys.wildcard_key.read_text(),
    }
    return plain, secret


def _unchecked(running: Running) -> list[str]:
    """What `meltanodata doctor` cannot find well where there is only something that answers like it."""
    if running.droplets == "light":
        return ["system", "logs", "env", "ftp", "database", "certificate", "page"]
    return ["database"] if running.databases == "light" else []


def _merge(folder: Path, checkout: dict[str, Any], plain: dict[str, Any]) -> None:
    """Write Pulumi.sandbox.yaml: what is there, what the template changed since the last time, and `plain`."""
    path, last = folder / f"Pulumi.{STACK}.yaml", folder / ".checkout.yaml"
    document = yaml.safe_load(path.read_text()) if path.exists() else {}
    before = yaml.safe_load(last.read_text()) if last.exists() else {}
    config = document.get("config", {})
    for name in before.keys() - checkout.keys():
        config.pop(name, None)
    config |= {name: value for name, value in checkout.items() if before.get(name) != value}
    config |= plain
    path.write_text(yaml.safe_dump(document | {"config": config}, sort_keys=False))
    last.write_text(yaml.safe_dump(checkout))


def place_language_host(pulumi_home: Path, engine: Engine) -> None:
    """Put the stand-in where the engine looks for plugins, unless the official one is beside the engine or on PATH."""
    if engine.language_host:
        return
    folder = pulumi_home / "plugins" / f"language-python-v{cli_version.SDK}"
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "pulumi-language-python"
    text = f'#!/bin/sh\nexec {shlex.join([sys.executable, str(_LANGUAGE_HOST)])} "$@"\n'
    if not script.exists() or script.read_text() != text:
        draft = script.with_suffix(".new")
        draft.write_text(text)
        draft.chmod(0o755)
        draft.replace(script)


class Caller:
    """Calls of the CLI whose output nobody needs unless they fail."""

    def __init__(self, folder: Path, engine: Engine, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._engine = engine
        self._environment = environment

    def __call__(self, *args: str, stdin: str = "") -> None:
        """Run `pulumi ARGS…`.

        Raises:
            PulumiError: it failed.
        """
        argv = [str(self._engine.command), "--non-interactive", *args]
        result = subprocess.run(
            argv, cwd=self._folder, env=self._environment, input=stdin, capture_output=True, text=True, check=False
        )
        if result.returncode:
            raise PulumiError(f"pulumi {shlex.join(args)}: {(result.stderr or result.stdout).strip()}")


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


@contextlib.contextmanager
def _ignored(number: signal.Signals) -> Iterator[None]:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(number, before)
