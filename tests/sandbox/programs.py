"""Small Pulumi programs on the real engine, with the stand-in plugins or with official ones.

MELTANODATA_OFFICIAL_PLUGINS names a folder that holds `pulumi-resource-digitalocean`, `pulumi-resource-random` and
`pulumi-resource-command`, and `pulumi-language-python` if need be: every test of the engine then runs with those, which
shows that the stand-ins behave alike.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

from sandbox.pulumi import place_language_host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandbox.engine.obtain import Engine

OFFICIAL = "MELTANODATA_OFFICIAL_PLUGINS" in os.environ
PLUGINS = "official" if OFFICIAL else "stand-in"
"""What `python -m sandbox start --plugins` is told."""
OFFICIAL_HOST = shutil.which("pulumi-language-python") is not None
PASSPHRASE = "correct horse"
SECONDS = 120
"""Within which every call of the CLI ends."""


@contextlib.contextmanager
def plugin_server() -> Iterator[str]:
    """Serve the stand-in plugins; yields the value for PULUMI_DEBUG_PROVIDERS."""
    argv = [sys.executable, "-m", "sandbox.plugins"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin
        assert server.stdout
        try:
            yield server.stdout.readline().strip()
        finally:
            server.stdin.close()
            assert server.wait(SECONDS) == 0


class Program:
    """A project with a stack `test` in a folder of its own."""

    def __init__(self, folder: Path, engine: Engine, attach: str) -> None:
        self.folder = folder
        self.engine = engine
        home = folder / "home"
        (folder / "state").mkdir(parents=True)
        options = {"virtualenv": sys.prefix}
        project = {"name": "project", "runtime": {"name": "python", "options": options}}
        (folder / "Pulumi.yaml").write_text(json.dumps(project))
        self.environment = {
            **os.environ,
            "PATH": os.pathsep.join([str(engine.folder), os.environ["PATH"]]),
            "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PULUMI_HOME": str(home),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }
        if not OFFICIAL:
            self.environment["PULUMI_DEBUG_PROVIDERS"] = attach
        place_language_host(home, engine)
        self.write("")
        self.pulumi("stack", "init", "test")

    def write(self, code: str) -> None:
        """Make this the program."""
        (self.folder / "__main__.py").write_text(textwrap.dedent(code))

    def start(self, *args: str) -> subprocess.Popen[str]:
        """Start the CLI; whoever starts it ends it."""
        argv = [str(self.engine.command), "--non-interactive", "--color", "never", *args]
        return subprocess.Popen(
            argv,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def pulumi(self, *args: str, status: int = 0) -> str:
        """Run the CLI; returns what it printed, stdout and stderr together."""
        with self.start(*args) as process:
            said, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == status, f"{process.returncode}\n{said}"
        return said

    def up(self, *args: str, status: int = 0) -> str:
        """Apply the program."""
        return self.pulumi("up", "--yes", "--skip-preview", *args, status=status)

    def unchanged(self) -> None:
        """A preview shows nothing to do."""
        self.pulumi("preview", "--expect-no-changes")

    def plan(self) -> list[tuple[str, str]]:
        """What a preview would do: operation and resource name, in its order; without the stack itself."""
        with subprocess.Popen(
            [str(self.engine.command), "--non-interactive", "preview", "--json"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            said, _ = process.communicate(timeout=SECONDS)
        steps = [(step["op"], step["urn"].rpartition("::")[2]) for step in json.loads(said)["steps"]]
        return [step for step in steps if step[1] != "project-test"]

    def state(self) -> str:
        """The stack's state as it is kept, secrets encrypted."""
        return self.pulumi("stack", "export")

    def resources(self) -> dict[str, dict[str, Any]]:
        """The state's resources by name, secrets encrypted."""
        found = json.loads(self.state())["deployment"].get("resources", [])
        return {resource["urn"].rpartition("::")[2]: resource for resource in found}

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, secrets decrypted."""
        return dict(json.loads(self.pulumi("stack", "output", "--json", "--show-secrets")))
