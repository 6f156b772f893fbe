"""A repository with a fleet, and the command run in it."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

from typer.testing import CliRunner

from meltanodata.cli.main import app
from tests.previews import Step, preview

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

SETTINGS = """\
config:
  meltanodata:domain: meltanodata.com
  meltanodata:project: Meltano
  meltanodata:database_version: "16"
  meltanodata:droplet_team: {name: Meltano, limit: 500}
  meltanodata:database_teams: [{name: MeltanoData DBs 1, limit: 60}]
"""


class Project:
    """A repository with a fleet of two on its branch main, and a branch checked out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "--quiet", "--initial-branch", "main")
        self.write("Pulumi.yaml", "name: meltanodata\nruntime: python\n")
        self.write("Pulumi.prod.yaml", SETTINGS)
        self.fleet("acme", "bolt")
        self.commit()
        self.git("switch", "--quiet", "--create", "change")

    def git(self, *arguments: str) -> None:
        who = ["-c", "user.name=Operator", "-c", "user.email=operator@meltanodata.com", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *who, *arguments], cwd=self.folder, check=True)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text, encoding="utf-8")

    def fleet(self, *keys: str) -> None:
        self.write("tenants.yaml", "".join(f"{key}:\n  database_team: MeltanoData DBs 1\n" for key in keys))

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "A change")

    def preview(self, *steps: Step) -> str:
        path = self.folder.parent / "preview.json"
        path.write_text(json.dumps(preview(*steps)), encoding="utf-8")
        return str(path)

    def plan(self, *arguments: str, steps: list[Step]) -> Result:
        return run("plan", "--stack", "prod", "--preview", self.preview(*steps), *arguments)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


TWO_STACKS = SETTINGS.replace("MeltanoData DBs 1", "MeltanoData DBs 2")


def rev(project: Project, name: str) -> str:
    done = subprocess.run(["git", "rev-parse", name], cwd=project.folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()
