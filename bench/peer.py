"""The subject `terraform+ansible`: the same tenants with the files in `peer/`.

Terraform or OpenTofu makes the objects at DigitalOcean, Ansible configures the droplets. Ansible comes from PyPI into a
virtual environment of its own; Terraform's providers come from wherever its own configuration says.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from bench import measure
from bench.measure import Cost
from sandbox import pulumi
from sandbox.home import PROJECT, cache
from sandbox.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.fleets import Stack
    from bench.world import World

_ANSIBLE = "ansible-core==2.19.14"  # the newest for Python 3.11
_HERE = Path(__file__).parent / "peer"
_FOLDER = "peer"


class MissingError(Exception):
    """This machine cannot run the peer; the message says why."""


def command() -> str:
    """Terraform or OpenTofu: MELTANODATA_TERRAFORM, or the first of `tofu` and `terraform` on PATH.

    Raises:
        MissingError: there is neither.
    """
    program = os.environ.get("MELTANODATA_TERRAFORM") or shutil.which("tofu") or shutil.which("terraform")
    if program is None:
        raise MissingError("neither tofu nor terraform is on PATH, and MELTANODATA_TERRAFORM names none")
    return program


def name() -> str:
    """The subject's name."""
    return f"{'opentofu' if 'tofu' in Path(command()).name else 'terraform'}+ansible"


def _ansible() -> Path:
    """The folder of Ansible's programs."""
    folder = cache() / "bench-ansible"
    if not (folder / ".ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([folder / "bin" / "pip", "install", "--quiet", _ANSIBLE], check=True)
        (folder / ".ready").touch()
    return folder / "bin"


class Peer:
    """A root module a stack, each with a state of its own, and one playbook."""

    def __init__(self, world: World, stacks: Sequence[Stack]) -> None:
        """Initialize the modules.

        Raises:
            MissingError: Terraform has no provider.
        """
        self.name = name()
        self._world = world
        self._terraform = command()
        shutil.rmtree(world.home.path / _FOLDER, ignore_errors=True)
        self._folder = world.home.folder(_FOLDER)
        self._file = self._folder / "tenants.yaml"
        self._log = self._folder / "output.log"
        self._stacks = {stack.name: stack for stack in stacks}
        keys = Keys.ensure(world.home, world.running.domain)
        self._environment = {
            **{name: value for name, value in os.environ.items() if name not in pulumi.foreign(os.environ)},
            "PATH": os.pathsep.join([str(_ansible()), os.environ["PATH"]]),
            "ANSIBLE_CONFIG": str(_HERE / "ansible.cfg"),
            "ANSIBLE_LOCAL_TEMP": str(world.home.folder("ansible")),
            "TF_IN_AUTOMATION": "true",
            "TF_INPUT": "false",
            "CHECKPOINT_DISABLE": "true",
            "TF_VAR_tenants_file": str(self._file),
            "TF_VAR_api_url": world.running.api_url,
            "TF_VAR_droplet_token": next(iter(world.running.teams.values())).token,
            "TF_VAR_requests_per_second": "4",
            "TF_VAR_database_version": world.running.database_versions[-1],
            "TF_VAR_domain": world.running.domain,
        }
        self._vars = {
            "ansible_port": world.running.ssh_port,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(keys.ssh_private_key),
            "certificate": str(keys.wildcard_certificate),
            "certificate_key": str(keys.wildcard_key),
        }
        self._write_fleet()
        for stack in stacks:
            self._init(stack)

    def _init(self, stack: Stack) -> None:
        folder = self._root(stack)
        shutil.copy(_HERE / "main.tf", folder)
        done = subprocess.run(
            [self._terraform, "init", "-no-color"],
            cwd=folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise MissingError(f"terraform init cannot install the providers: {done.stderr.strip()[-1000:]}")

    def _root(self, stack: Stack) -> Path:
        return self._world.home.folder(f"{self._folder.name}/{stack.name}")

    def _write_fleet(self) -> None:
        entries = {tenant.key: tenant.entry() for stack in self._stacks.values() for tenant in stack.tenants}
        self._file.write_text(yaml.safe_dump(entries) if entries else "{}\n")

    def edit(self, stack: Stack) -> None:
        """Replace a stack's tenants in the fleet file."""
        self._stacks[stack.name] = stack
        self._write_fleet()

    def preview(self, stack: Stack) -> Cost:
        """Plan, and check what the playbook would change on the existing droplets."""
        return self._run(stack, "plan") + self._playbook(stack, "--check")

    def up(self, stack: Stack) -> Cost:
        """Apply, and run the playbook on every droplet, because nothing says which of them needs it."""
        return self._run(stack, "apply", "-auto-approve") + self._playbook(stack)

    def refresh(self, stack: Stack) -> Cost:
        """Read every object again."""
        return self._run(stack, "apply", "-refresh-only", "-auto-approve")

    def destroy(self, stack: Stack) -> Cost:
        """Destroy every tenant."""
        return self._run(stack, "destroy", "-auto-approve")

    def _run(self, stack: Stack, *args: str) -> Cost:
        token = self._world.running.teams[stack.team].token
        environment = {**self._environment, "TF_VAR_team": stack.team, "TF_VAR_database_token": token}
        return measure.run([self._terraform, *args, "-no-color"], self._root(stack), environment, self._log)

    def _playbook(self, stack: Stack, *args: str) -> Cost:
        hosts = self._hosts(stack)
        if not hosts:
            return Cost()
        inventory = self._root(stack) / "inventory.json"
        inventory.touch(mode=0o600)
        inventory.write_text(json.dumps({"tenants": {"hosts": hosts, "vars": self._vars}}))
        argv = ["ansible-playbook", "--inventory", str(inventory), *args, str(_HERE / "playbook.yaml")]
        return measure.run(argv, PROJECT, self._environment, self._log)

    def _hosts(self, stack: Stack) -> dict[str, object]:
        done = subprocess.run(
            [self._terraform, "output", "-json"],
            cwd=self._root(stack),
            env=self._environment,
            capture_output=True,
            text=True,
            check=True,
        )
        hosts: dict[str, object] = json.loads(done.stdout).get("hosts", {}).get("value", {})
        return hosts
