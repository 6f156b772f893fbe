"""A repository with its workflows and GitHub behind it, on a light sandbox: what GitHub would start, started here."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import yaml

from meltanodata.rollout.guard import Review
from sandbox import pulumi
from sandbox.engine.obtain import obtain
from sandbox.home import PROJECT, Home
from sandbox.running import Running
from tests.fakes import github
from tests.fakes.github import REPOSITORY, TOKEN
from tests.fakes.github_git import GitObjects

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

STACK = "sandbox"
WORKFLOWS = PROJECT / ".github" / "workflows"


class Runner:
    """A GitHub runner with a checkout of the repository."""

    def __init__(self, folder: Path, environment: dict[str, str], values: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.values = values
        """What GitHub's expressions stand for."""
        self.outputs: dict[str, str] = {}

    def start(self, workflow: str, name: str, event: Mapping[str, str]) -> subprocess.Popen[str]:
        """Begin a step of a workflow as GitHub does: its own text, its own environment and nothing else."""
        content = yaml.safe_load((WORKFLOWS / f"{workflow}.yml").read_text())
        steps = [step for job in content["jobs"].values() for step in job["steps"] if step.get("name") == name]
        given = {**self.values, **event}
        # The command is the checkout's own: whose code judges is what this is about.
        environment = {**self.environment, "PYTHONPATH": str(self.folder)}
        own = {key: given[re.sub(r"\$\{\{ ?| ?\}\}", "", text)] for key, text in steps[0].get("env", {}).items()}
        files = {key: str(self.folder / f".{key}") for key in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        return subprocess.Popen(
            ["bash", "-e", "-o", "pipefail", "-c", steps[0]["run"]],
            cwd=self.folder,
            env={**environment, **files, **own},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, workflow: str, name: str, event: Mapping[str, str], code: int = 0) -> str:
        """Run a step to its end; returns what it printed."""
        output = self.folder / ".GITHUB_OUTPUT"
        output.unlink(missing_ok=True)
        with self.start(workflow, name, event) as process:
            said = process.communicate(timeout=600)[0]
        assert process.returncode == code, said
        if output.exists():
            self.outputs |= dict(line.split("=", 1) for line in output.read_text().splitlines())
        return said


class Repository:
    """A git repository as an operator has it, with GitHub behind it."""

    def __init__(self, folder: Path, runner: Runner, hub: github.Server) -> None:
        self.folder, self.runner, self.hub = folder, runner, hub
        hub.repository = GitObjects(folder)
        self.number = 0
        self.git("init", "--quiet", "--initial-branch", "main")

    def git(self, *arguments: str) -> str:
        who = ["-c", "user.name=Operator", "-c", "user.email=operator@meltanodata.com", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *who, *arguments], cwd=self.folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def tenants(self, *keys: str) -> None:
        """Edit tenants.yaml."""
        text = "".join(f"{key}:\n  database_team: MeltanoData DBs {1 + len(key) % 3}\n" for key in keys)
        (self.folder / "tenants.yaml").write_text(text or "{}\n", encoding="utf-8")

    def setting(self, name: str, value: object) -> None:
        """Edit Pulumi.sandbox.yaml."""
        path = self.folder / f"Pulumi.{STACK}.yaml"
        content = yaml.safe_load(path.read_text())
        content["config"][f"meltanodata:{name}"] = value
        path.write_text(yaml.safe_dump(content, sort_keys=False))

    def commit(self) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "A change")
        return self.git("rev-parse", "HEAD")

    def pull_request(self, *labels: str, code: int = 0) -> Review:
        """Open one with what was edited, and let preview.yml run; `code` is that of the plan."""
        self.number += 1
        self.git("switch", "--quiet", "--create", f"change-{self.number}")
        self.commit()
        return self.preview(*labels, code=code)

    def preview(self, *labels: str, code: int = 0) -> Review:
        """Let preview.yml run for the branch that is checked out."""
        base, head, branch = (self.git("rev-parse", *name) for name in (["main"], ["HEAD"], ["--abbrev-ref", "HEAD"]))
        self.hub.pull(self.number, head, list(labels), branch=branch)
        running = self.hub.run(head, branch, conclusion=None)
        event = {
            "github.event.pull_request.base.sha": base,
            "github.event.pull_request.head.sha": head,
            "github.event.pull_request.number": str(self.number),
            "github.run_id": str(running),
        }
        self.runner.run("preview", "Check", event)
        self.runner.run("preview", "Stacks", event)
        assert json.loads(self.runner.outputs["stacks"]) == [STACK]
        self.runner.run("preview", "Plan", event)
        plan = self.folder / f"plan-{STACK}.json"
        review = Review.model_validate_json(plan.read_bytes())
        self.hub.upload(running, plan.stem, plan.read_bytes())
        plan.unlink()
        self.judge(event, code)
        self.hub.runs[-1]["conclusion"] = "failure" if code else "success"
        assert review.plan.digest in self.comment()
        return review

    def judge(self, event: Mapping[str, str], code: int) -> str:
        """Let the job that judges run: in a checkout of the branch that the request goes to."""
        with self.checkout("main") as runner:
            return runner.run("preview", "Comment", event, code)

    @contextmanager
    def checkout(self, branch: str) -> Iterator[Runner]:
        """Another runner, with a checkout of a branch, and all others as they are fetched."""
        with TemporaryDirectory() as folder:
            self.git("clone", "--quiet", "--branch", branch, str(self.folder), folder)
            Path(folder, ".venv").symlink_to(sys.prefix)
            yield Runner(Path(folder), self.runner.environment, self.runner.values)

    def comment(self) -> str:
        """The one comment of the last pull request."""
        (body,) = (it["body"] for it in self.hub.comments if it["issue"] == self.number)
        return str(body)

    def merge(self, *labels: str) -> dict[str, str]:
        """Merge the last pull request; returns the push that deploy.yml runs for."""
        branch, head, before = (self.git("rev-parse", *name) for name in (["--abbrev-ref", "HEAD"], ["HEAD"], ["main"]))
        self.git("switch", "--quiet", "main")
        self.git("merge", "--quiet", "--no-ff", "--message", f"Merge {branch}", branch)
        merged = self.git("rev-parse", "HEAD")
        self.hub.merge(merged, self.number, list(labels), head, branch=branch)
        return self.push(before, merged)

    @staticmethod
    def push(before: str, after: str) -> dict[str, str]:
        """What the expressions of deploy.yml stand for on a push to main."""
        return {
            "github.event.before": before,
            "github.event_name == 'push' && github.sha || ''": after,
            "inputs.stack && toJSON(inputs.stack)": "",
            "toJSON(inputs.labels)": "null",
            "inputs.refresh": "",
            "inputs.go_back_from": "",
        }

    def by_hand(self, *, labels: str = "", refresh: str = "") -> dict[str, str]:
        """The same for a deploy that somebody starts."""
        return self.push("", "") | {"toJSON(inputs.labels)": json.dumps(labels), "inputs.refresh": refresh}


@contextmanager
def repository_on(home: Home, folder: Path) -> Iterator[Repository]:
    """A repository with one tenant in its fleet file, that was never deployed."""
    running, engine = Running.load(home), obtain(lambda _: None)
    prepared = pulumi.prepare(home, running, engine)
    environment = pulumi.environment(home, running, engine)
    passphrase = Path(environment.pop("PULUMI_CONFIG_PASSPHRASE_FILE")).read_text()
    folder.mkdir()
    with github.serve() as hub:
        environment |= {"GITHUB_REPOSITORY": REPOSITORY, "GITHUB_API_URL": hub.url, "GITHUB_REF_NAME": "main"}
        values = {
            "matrix.stack": environment.pop("PULUMI_STACK"),
            "vars.PULUMI_BACKEND_URL": environment.pop("PULUMI_BACKEND_URL"),
            "secrets.PULUMI_CONFIG_PASSPHRASE": passphrase,
            "secrets.STATE_ACCESS_KEY_ID": "",
            "secrets.STATE_SECRET_ACCESS_KEY": "",
            "secrets.READ_ONLY_TOKENS": json.dumps({name: team.read_token for name, team in running.teams.items()}),
            "github.token": TOKEN,
            "steps.app.outputs.token": TOKEN,
        }
        made = Repository(folder, Runner(folder, environment, values), hub)
        for name in ("Pulumi.yaml", f"Pulumi.{STACK}.yaml"):
            shutil.copy(prepared / name, folder)
        # The program is the repository's own, so that a request can change it.
        project = yaml.safe_load((folder / "Pulumi.yaml").read_text())
        project.pop("main", None)
        (folder / "Pulumi.yaml").write_text(yaml.safe_dump(project))
        shutil.copy(PROJECT / "__main__.py", folder)
        shutil.copytree(PROJECT / "meltanodata", folder / "meltanodata", ignore=shutil.ignore_patterns("__pycache__"))
        (folder / ".venv").symlink_to(sys.prefix)
        (folder / ".gitignore").write_text("/.venv\n/.GITHUB_*\n/plan*\n/site\n__pycache__/\n")
        made.setting("rollout", {"canaries": ["demo"], "batch": 20, "pause": 0})
        made.tenants("demo")
        made.commit()
        yield made
