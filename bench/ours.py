"""The subject `ours`: this checkout's program and command, on Pulumi's engine."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from bench import measure
from bench.fleets import MOST, TEAM_SIZE
from bench.results import OURS
from sandbox import pulumi
from sandbox.engine.obtain import obtain
from sandbox.home import PROJECT, TEMPLATE
from sandbox.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.fleets import Stack
    from bench.measure import Cost
    from bench.world import World

_NAMESPACE = "meltanodata"

_ALLOWED = ("--allow", "guard:data-loss", "--allow", "guard:many-destroyed")


class Ours:
    """A project with one stack for each team."""

    name = OURS

    def __init__(
        self, world: World, stacks: Sequence[Stack], environment: Mapping[str, str] | None = None, **settings: object
    ) -> None:
        """Make the project and its stacks, in place of earlier ones.

        Args:
            world: the sandbox.
            stacks: with the tenants that they begin with.
            environment: further variables of the commands.
            settings: further settings of every stack.
        """
        self._world = world
        self._settings = settings
        engine = obtain(lambda _: None)
        shutil.rmtree(world.home.path / OURS, ignore_errors=True)
        self._folder = world.home.folder(OURS)
        self._file = self._folder / "tenants.yaml"
        self._log = self._folder / "output.log"
        pulumi.place_language_host(world.home.folder("pulumi"), engine)
        self._environment = {
            **pulumi.environment(world.home, world.running, engine),
            # Without metadata, like the sandbox's own stack.
            "PULUMI_BACKEND_URL": f"file://{world.home.folder(f'{OURS}/state')}?metadata=skip",
            **(environment or {}),
        }
        self._environment.pop("PULUMI_STACK")
        self._command = str(Path(sys.executable).with_name("meltanodata"))
        self._droplet_team = next(iter(world.running.teams))
        self._stacks = {stack.name: stack for stack in stacks}
        self._pulumi = pulumi.Caller(self._folder, engine, self._environment)
        self._prepare()

    def _prepare(self) -> None:
        """Set up one stack with the CLI. The others get its passphrase, and copies of its encrypted secrets."""
        passphrase = self._world.home.path / "passphrase"
        if not passphrase.exists():
            passphrase.touch(mode=0o600)
            passphrase.write_text("benchmark")
        project = yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())
        project |= {"main": str(PROJECT), "runtime": {"name": "python", "options": {"virtualenv": sys.prefix}}}
        (self._folder / "Pulumi.yaml").write_text(yaml.safe_dump(project))
        self._write_fleet()
        first, *others = self._stacks.values()
        path = self._path(first)
        path.write_text(yaml.safe_dump({"config": self._config(first)}))
        self._pulumi("stack", "init", first.name)
        for name, value in self._secrets().items():
            self._pulumi("config", "set", "--stack", first.name, "--secret", "--path", name, stdin=value)
        prepared = yaml.safe_load(path.read_text())
        for stack in self._stacks.values():
            config = prepared["config"] | self._config(stack)
            tokens = config[f"{_NAMESPACE}:tokens"]
            config[f"{_NAMESPACE}:tokens"] = {team: tokens[team] for team in (self._droplet_team, stack.team)}
            self._path(stack).write_text(yaml.safe_dump(prepared | {"config": config}))
        for stack in others:
            self._pulumi("stack", "init", stack.name)

    def _path(self, stack: Stack) -> Path:
        return self._folder / f"Pulumi.{stack.name}.yaml"

    def _config(self, stack: Stack) -> dict[str, object]:
        running = self._world.running
        checkout: dict[str, object] = yaml.safe_load(TEMPLATE.read_text())["config"]
        stack_settings = {
            "api_url": running.api_url,
            "ssh_port": running.ssh_port,
            "tenants_file": str(self._file),
            "database_version": running.database_versions[-1],
            "droplet_team": {"name": self._droplet_team, "limit": MOST + 1},
            "database_teams": [{"name": stack.team, "limit": TEAM_SIZE + 1}],
            **self._settings,
        }
        return checkout | {f"{_NAMESPACE}:{name}": value for name, value in stack_settings.items()}

    def _secrets(self) -> dict[str, str]:
        keys = Keys.ensure(self._world.home, self._world.running.domain)
        tokens = {f'tokens["{name}"]': access.token for name, access in self._world.running.teams.items()}
        files = {
            "ssh_private_key": keys.ssh_private_key,
            "certificate": keys.wildcard_certificate,
            "certificate_key": keys.wildcard_key,
        }
        secrets = tokens | {name: path.read_text() for name, path in files.items()}
        return {f"{_NAMESPACE}:{name}": value for name, value in secrets.items()}

    def _write_fleet(self) -> None:
        entries = {tenant.key: tenant.entry() for stack in self._stacks.values() for tenant in stack.tenants}
        self._file.write_text(yaml.safe_dump(entries) if entries else "{}\n")

    def edit(self, stack: Stack) -> None:
        """Replace a stack's tenants in the fleet file."""
        self._stacks[stack.name] = stack
        self._write_fleet()

    def state_bytes(self, stack: Stack) -> int:
        """The size of the stack's state in the backend."""
        (file,) = self._folder.glob(f"state/.pulumi/stacks/*/{stack.name}.json")
        return file.stat().st_size

    def preview(self, stack: Stack) -> Cost:
        """Run what the preview of a pull request runs."""
        return self._run(self._command, "plan", "--stack", stack.name, "--allow", "guard:data-loss")

    def up(self, stack: Stack, *more: str) -> Cost:
        """Apply, with further flags. The labels let the edits that remove tenants pass the guard."""
        flags = ("--yes", "--skip-preview", "--non-interactive", "--color", "never", *_ALLOWED, *more)
        return self._run(self._command, "up", "--stack", stack.name, *flags)

    def refresh(self, stack: Stack) -> Cost:
        """Read every object again, and restore what the files say."""
        return self.up(stack, "--refresh", "--run-program")

    def destroy(self, stack: Stack) -> Cost:
        """Destroy all tenants, by removing their entries."""
        self.edit(stack.emptied())
        return self.up(stack)

    def _run(self, *argv: str) -> Cost:
        beside = self._world.plugins()
        return measure.run(argv, self._folder, self._environment, self._log, beside=beside)
