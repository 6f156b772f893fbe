"""A stack of the program with a fleet file of its own, on a sandbox of its own, worked on as an operator does."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import yaml

from meltanodata.cli.exit_codes import STOPPED
from meltanodata.engine import urns
from meltanodata.rollout import preview_plan
from sandbox import pulumi
from sandbox.engine.obtain import obtain
from sandbox.home import PROJECT
from sandbox.keys import Keys
from sandbox.running import Running
from tests.sandbox.processes import kill
from tests.sandbox.programs import SECONDS
from tests.sandbox.world import World, started
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox.home import Home
    from sandbox.running import Kind


DEMO = {"database_team": "MeltanoData DBs 1"}
ACME = {"database_team": "MeltanoData DBs 2"}
LOSES = ("--allow", "guard:data-loss")
"""What an operator adds who means an edit that cannot be had back: a wipe, a rebuild."""
REMOVES = ("--allow", "guard:data-loss", "--allow", "guard:many-destroyed")
"""What `meltanodata up` is told where tenants are meant to go."""


class Fleet:
    """A stack of the program with a fleet file of its own, and the sandbox that it is on."""

    def __init__(self, home: Home) -> None:
        self.home = home
        running, engine = Running.load(home), obtain(lambda _: None)
        self.world = World(running)
        self.control = self.world.control
        self.folder = pulumi.prepare(home, running, engine)
        self.environment = pulumi.environment(home, running, engine) | {"PYTHONPATH": str(PROJECT)}
        self.file = home.path / "tenants.yaml"
        self.pulumi("config", "set", "meltanodata:tenants_file", str(self.file))

    def tenants(self, **entries: dict[str, Any]) -> None:
        """Edit the fleet file."""
        self.file.write_text(yaml.safe_dump(entries) if entries else "{}\n")

    def start(self, *argv: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        """Start a program on the stack; whoever starts it ends it."""
        return subprocess.Popen(
            argv,
            cwd=self.folder,
            env=self.environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def starting_up(self, *args: str) -> subprocess.Popen[str]:
        """`meltanodata up`, begun; with `REMOVES` where tenants go."""
        command = [sys.executable, "-c", "from meltanodata.cli.main import main; main()", "up"]
        return self.start(*command, "--yes", "--skip-preview", "--non-interactive", "--color", "never", *args)

    def pulumi(self, *args: str, code: int = 0) -> str:
        """What the CLI prints."""
        return _said(self.start("pulumi", "--non-interactive", "--color", "never", *args), code)

    def secret(self, setting: str, value: str) -> None:
        """Set a secret setting as an operator does, by standard input."""
        argv = ("pulumi", "--non-interactive", "config", "set", "--secret", f"meltanodata:{setting}")
        _said(self.start(*argv, stdin=subprocess.PIPE), 0, value)

    def up(self, *args: str, code: int = 0) -> str:
        """What `meltanodata up` prints to who means it; where the guard shall stop it, to who allows nothing."""
        return _said(self.starting_up(*args, *(() if code == STOPPED else LOSES)), code)

    def meltanodata(self, *args: str, code: int = 0) -> str:
        """What a command of `meltanodata` prints."""
        return _said(self.start(sys.executable, "-c", "from meltanodata.cli.main import main; main()", *args), code)

    def said(self, *argv: str, code: int = 0) -> str:
        """What a program prints."""
        return _said(self.start(*argv), code)

    def preview(self, *args: str, code: int = 0) -> str:
        """What a preview prints."""
        return self.pulumi("preview", *args, code=code)

    def steps(self) -> dict[str, str]:
        """What a preview would do, by the resource's name; what stays as it is is left out.

        `create`, `update`, `replace`, `delete` or `import`.
        """
        steps = json.loads(self.preview("--json"))["steps"]
        return {
            urns.name_of(it["urn"]): preview_plan.OPERATIONS[it["op"]]
            for it in steps
            if it["op"] in preview_plan.OPERATIONS
        }

    def unchanged(self) -> None:
        """A preview shows nothing to do, and no operation is left over in the state."""
        self.preview("--expect-no-changes")
        assert not self.export()["deployment"].get("pending_operations")

    def export(self, *args: str) -> dict[str, Any]:
        """The state."""
        found: dict[str, Any] = json.loads(self.pulumi("stack", "export", *args))
        return found

    def ids(self, key: str) -> dict[str, str]:
        """The ids of a tenant's resources by URN."""
        resources = self.export()["deployment"]["resources"]
        return {it["urn"]: it.get("id", "") for it in resources if it["urn"].rpartition("::")[2].startswith(f"{key}-")}

    def told(self, key: str) -> int:
        """How many commands a tenant's droplet was told."""
        return len(self.control.executions(self.world.droplets()[key]))

    def asked(self, method: str, path: str) -> Callable[[], bool]:
        """Whether a request of this method, whose path has this in it, has come since now."""
        since = time.time()
        return lambda: any(it.method == method and path in it.path for it in self.control.requests(since))

    def killed_when(self, moment: Callable[[], Any], *args: str) -> None:
        """Begin `meltanodata up`, and end its machine at a moment."""
        with self.starting_up(*args, *LOSES) as process:
            eventually(lambda: moment() or process.poll() is not None, SECONDS)
            assert process.poll() is None, process.communicate()[0]
            kill(process)


def _said(process: subprocess.Popen[str], code: int, stdin: str | None = None) -> str:
    with process:
        said, _ = process.communicate(stdin, timeout=SECONDS * 4)
    assert process.returncode == code, f"{process.returncode}\n{said}"
    return said


@contextmanager
def fleet_on(home: Home, kind: Kind) -> Iterator[Fleet]:
    """An empty fleet on a sandbox of its own."""
    with started(home, kind):
        yield Fleet(home)


def secrets_of(fleet: Fleet) -> dict[str, str]:
    """All that nobody may see, by what it is."""
    keys = Keys.ensure(fleet.home, fleet.world.running.domain)
    found = {f"token of {name}": team.token for name, team in fleet.world.running.teams.items()}
    for name, path in (("SSH key", keys.ssh_private_key), ("certificate's key", keys.wildcard_key)):
        found[name] = path.read_text().splitlines()[1]
    for resource in fleet.export("--show-secrets")["deployment"]["resources"]:
        name = resource["urn"].rpartition("::")[2]
        for output in ("result", "password", "bcryptHash"):
            value = resource.get("outputs", {}).get(output)
            if value:
                found[f"{name} {output}"] = json.loads(value["plaintext"])
    return found
