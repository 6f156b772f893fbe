"""From pull request to production, on a light sandbox: the workflows' own steps, a real repository, the real engine.

Of GitHub there is what the steps talk to (tests.fakes.github), and this file, which starts them as GitHub would.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import yaml

from meltanodata.rollout.guard import Review
from sandbox import pulumi
from sandbox.api.messages import DropletFault
from sandbox.engine.obtain import obtain
from sandbox.home import PROJECT, Home
from sandbox.running import Running
from tests.fakes import github
from tests.fakes.github import REPOSITORY, TOKEN
from tests.sandbox.conftest import eventually, new_droplet
from tests.sandbox.programs import PLUGINS
from tests.sandbox.world import World, kill

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
        self.hub.pull(self.number, head, list(labels))
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
        branch, head, before = f"change-{self.number}", self.git("rev-parse", "HEAD"), self.git("rev-parse", "main")
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


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A light sandbox, started as a person would."""
    folder = tmp_path_factory.mktemp("sandbox")
    environment = {**os.environ, "SANDBOX_HOME": str(folder)}
    modes = ["--droplets", "light", "--databases", "light", "--plugins", PLUGINS]
    subprocess.run([sys.executable, "-m", "sandbox", "start", *modes], cwd=PROJECT, env=environment, check=True)
    try:
        yield Home(folder)
    finally:
        subprocess.run([sys.executable, "-m", "sandbox", "stop"], cwd=PROJECT, env=environment, check=True)


@pytest.fixture
def world(home: Home) -> World:
    return World(Running.load(home))


@pytest.fixture
def repository(home: Home, tmp_path: Path) -> Iterator[Repository]:
    """A repository with one tenant in its fleet file, that was never deployed."""
    running, engine = Running.load(home), obtain(lambda _: None)
    prepared = pulumi.prepare(home, running, engine)
    environment = pulumi.environment(home, running, engine)
    passphrase = Path(environment.pop("PULUMI_CONFIG_PASSPHRASE_FILE")).read_text()
    folder = tmp_path / "repository"
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
        }
        made = Repository(folder, Runner(folder, environment, values), hub)
        for name in ("Pulumi.yaml", f"Pulumi.{STACK}.yaml"):
            shutil.copy(prepared / name, folder)
        # The program is the repository's own, so that a request can change it.
        project = yaml.safe_load((folder / "Pulumi.yaml").read_text())
        del project["main"]
        (folder / "Pulumi.yaml").write_text(yaml.safe_dump(project))
        shutil.copy(PROJECT / "__main__.py", folder)
        shutil.copytree(PROJECT / "meltanodata", folder / "meltanodata", ignore=shutil.ignore_patterns("__pycache__"))
        (folder / ".venv").symlink_to(sys.prefix)
        (folder / ".gitignore").write_text("/.venv\n/.GITHUB_*\n/plan*\n/site\n__pycache__/\n")
        made.setting("rollout", {"canaries": ["demo"], "batch": 20, "pause": 0})
        made.tenants("demo")
        made.commit()
        yield made


def the_first_push(repository: Repository, world: World) -> None:
    """The repository's first push: nothing was reviewed, so it is deployed by hand, and the guard alone decides."""
    push = repository.push("0" * 40, repository.git("rev-parse", "HEAD"))
    repository.runner.run("deploy", "Stacks", push)
    assert json.loads(repository.runner.outputs["stacks"]) == [STACK]
    said = repository.runner.run("deploy", "Deploy", push, 4)
    assert "its changes were not reviewed, and nothing is deployed" in said
    assert world.everything() == ({}, set(), {})
    repository.runner.run("deploy", "Deploy", repository.by_hand())
    assert set(world.droplets()) == set(world.records()) == set(world.clusters()) == {"demo"}


def two_tenants_are_added(repository: Repository, world: World) -> None:
    """A pull request adds two tenants. Its preview has read-only tokens and changes nothing."""
    repository.tenants("demo", "acme", "bolts")
    before = world.writes()
    review = repository.pull_request()
    assert world.writes() == before
    assert [(row.tenant, row.change) for row in review.plan.rows] == [("acme", "created"), ("bolts", "created")]
    comment = repository.comment()
    assert "2 created; +$66.30 a month" in comment
    assert "new URL: `https://acme.meltanodata.com`" in comment

    # Merged, it happens, and to nobody else. What others called a plan of this commit is none, and GitHub is late.
    for run in (
        {"head_repository": {"full_name": "mallory/meltanodata"}},
        {"conclusion": "failure"},
        {"path": "x.yml"},
    ):
        head, branch = repository.git("rev-parse", "HEAD"), f"change-{repository.number}"
        repository.hub.upload(repository.hub.run(head, branch, **run), f"plan-{STACK}", b"forged")
    push = repository.merge()
    repository.hub.unknown[repository.git("rev-parse", "HEAD")] = 1
    repository.runner.run("deploy", "Stacks", push)
    assert json.loads(repository.runner.outputs["stacks"]) == [STACK]
    demo = world.droplets()["demo"]
    said = repository.runner.run("deploy", "Deploy", push)
    assert "on main yet; asking again in 2 s" in said
    assert f"Pull request {repository.number}, labels: none" in said
    assert "batch 1 of 1: acme, bolts" in said
    assert set(world.droplets()) == set(world.records()) == set(world.clusters()) == {"demo", "acme", "bolts"}
    assert world.droplets()["demo"] == demo
    summary = (repository.folder / ".GITHUB_STEP_SUMMARY").read_text()
    assert "✅ `sandbox`: 2 of 2 tenants deployed" in summary


def everybody_changes_and_the_canary_is_unwell(repository: Repository, world: World) -> None:
    """The guard wants a label for tenants that nobody named. The canary goes first, and does not get well."""
    demo = world.droplets()["demo"]
    repository.setting("caddy_version", "2")
    repository.pull_request(code=3)
    assert (
        "does not name: acme, bolts, demo. If this is intended, add the label guard:unnamed-tenants"
        in repository.comment()
    )
    assert "settings in Pulumi.sandbox.yaml (caddy_version)" in repository.comment()
    assert repository.comment().count("[!CAUTION]") == 2
    labels = ("guard:unnamed-tenants", "guard:program-changed")
    repository.preview(*labels)
    assert "caddy_version: `1` → `2`" in repository.comment()
    push = repository.merge(*labels)
    world.control.set_droplet_fault(demo, DropletFault(kind="exit", status=1, text="caddy.service failed"))
    told = {name: len(world.control.executions(id_)) for name, id_ in world.droplets().items()}
    said = repository.runner.run("deploy", "Deploy", push, 5)
    assert "canaries: demo" in said
    assert "caddy.service failed" in said
    after = {name: len(world.control.executions(id_)) for name, id_ in world.droplets().items()}
    assert after["demo"] > told["demo"]
    assert (after["acme"], after["bolts"]) == (told["acme"], told["bolts"])
    # Its droplet works again, but its name leads elsewhere, which no Command on it can know: doctor does.
    world.control.set_droplet_fault(demo, None)
    record = f"/v2/domains/meltanodata.com/records/{world.records()['demo']['id']}"
    right = world.records()["demo"]["data"]
    world.meltano.put(record, {"type": "A", "data": "203.0.113.9"})
    said = repository.runner.run("deploy", "Deploy", push, 5)
    assert "examining demo" in said
    told_all = (repository.folder / ".GITHUB_STEP_SUMMARY").read_text()
    assert f"dns: demo.meltanodata.com points to 203.0.113.9, not to {right}" in told_all.replace("\\", "")
    after = {name: len(world.control.executions(id_)) for name, id_ in world.droplets().items()}
    assert (after["acme"], after["bolts"]) == (told["acme"], told["bolts"])
    # As long as it is not mended, the same run again goes no further, although nothing is left to be done to it.
    said = repository.runner.run("deploy", "Deploy", push, 5)
    assert "examining the canaries: demo" in said
    assert "batch 1 of 1" not in said
    # Mended, the same run again does all that is left. One tenant that fails does not hold up the other.
    world.meltano.put(record, {"type": "A", "data": right})
    acme = world.droplets()["acme"]
    world.control.set_droplet_fault(acme, DropletFault(kind="refuse"))
    said = repository.runner.run("deploy", "Deploy", push, 5)
    assert said.index("examining the canaries: demo") < said.index("batch 1 of 1: acme, bolts")
    summary = (repository.folder / ".GITHUB_STEP_SUMMARY").read_text().splitlines()
    assert [line[:14] for line in summary[-3:] if line.startswith(("| ✅", "| ❌"))] == [
        "| ❌ | **acme**",
        "| ✅ | **bolts*",
    ]
    world.control.set_droplet_fault(acme, None)
    assert "batch 1 of 1: acme\n" in repository.runner.run("deploy", "Deploy", push)
    assert "no changes" in repository.runner.run("deploy", "Deploy", push)


def the_file_is_emptied(repository: Repository, world: World) -> None:
    """A pull request empties the file. Neither its preview nor its merge gets past the guard."""
    everything = world.everything()
    repository.tenants()
    repository.pull_request(code=3)
    assert "🚨 `sandbox`: 3 destroyed; -$99.45 a month" in repository.comment()
    assert all(
        f"put the label {label}" in repository.comment() for label in ("guard:data-loss", "guard:many-destroyed")
    )
    # Merged all the same, with one label of two: a preview that failed was no review, by hand there is the guard.
    said = repository.runner.run("deploy", "Deploy", repository.merge("guard:data-loss"), 4)
    assert f"There is no reviewed plan of {STACK} in pull request {repository.number}" in said
    said = repository.runner.run("deploy", "Deploy", repository.by_hand(labels="guard:data-loss"), 3)
    assert "destroys 3 tenants of 3 (100 %), more than 2 and 10 %" in said
    assert world.everything() == everything
    repository.git("revert", "--no-edit", "--mainline", "1", "HEAD")


def somebody_changes_things_by_hand(repository: Repository, world: World) -> None:
    """A record is changed, and a droplet made, by somebody who was not asked. At night one issue says so."""
    record = world.records()["acme"]
    world.meltano.put(f"/v2/domains/meltanodata.com/records/{record['id']}", {"type": "A", "data": "203.0.113.9"})
    body = new_droplet(world.meltano, name="stray.meltanodata.com")
    stray = world.meltano.post("/v2/droplets", body, 202)["droplet"]["id"]
    repository.runner.run("drift", "Drift", {})
    (issue,) = repository.hub.issues
    assert f"record value: `203.0.113.9` → `{record['data']}`" in issue["body"]
    assert f"| droplet | `stray.meltanodata.com` | `{stray}` | Meltano |" in issue["body"]
    # The next deploy that looks mends the one; the other is somebody's to delete, and then the issue closes by itself.
    repository.runner.run("deploy", "Deploy", repository.by_hand(refresh="true"))
    assert world.records()["acme"]["data"] == record["data"]
    repository.runner.run("drift", "Drift", {})
    assert "Differences from the repository" not in issue["body"]
    assert issue["state"] == "open"
    world.meltano.delete(f"/v2/droplets/{stray}")
    repository.runner.run("drift", "Drift", {})
    assert issue["state"] == "closed"
    assert len(repository.hub.issues) == 1


def the_runner_is_killed(repository: Repository, world: World) -> None:
    """The runner goes away in the middle of an up. The next one explains, goes on, and makes nothing twice."""
    repository.tenants("demo", "acme", "bolts", "core")
    repository.pull_request()
    push = repository.merge()

    def databases() -> int:
        # Not by the API, whose requests are limited: the run needs them.
        return sum(team.databases for team in world.control.status().teams)

    before = databases()
    with repository.runner.start("deploy", "Deploy", push) as process:
        eventually(lambda: databases() > before or process.poll() is not None, 600)
        assert process.poll() is None, process.communicate()[0]
        kill(process)
    droplets, clusters = world.droplets(), world.clusters()
    said = repository.runner.run("deploy", "Deploy", push)
    assert "Removed the lock of" in said
    assert "An earlier run was interrupted" in said
    assert world.clusters()["core"] == clusters["core"]
    assert set(world.droplets()) == set(world.records()) == set(world.clusters()) == {"demo", "acme", "bolts", "core"}
    assert world.droplets() | droplets == world.droplets()


def a_lock_of_another_machine(repository: Repository) -> None:
    """A lock that nobody here can judge is explained, and stays."""
    locks = Path(urlsplit(repository.runner.values["vars.PULUMI_BACKEND_URL"]).path, ".pulumi", "locks")
    lock = locks / "organization" / "meltanodata" / STACK / "0.json"
    lock.parent.mkdir(parents=True, exist_ok=True)
    holder = {"pid": 1, "username": "runner", "hostname": "fv-az123", "timestamp": "2026-11-23T02:00:00Z"}
    lock.write_text(json.dumps(holder))
    said = repository.runner.run("deploy", "Deploy", repository.by_hand(), 1)
    assert "the stack is locked by runner@fv-az123 (process 1) since 2026-11-23 02:00:00" in said
    assert lock.exists()
    lock.unlink()


JUDGE = """

def review(plan, thresholds, *, named, allowed=()):
    return Review(plan=plan, stops=(Stop(label=DATA_LOSS, message="Reviewed by @boss.", allowed=True),))
"""


def a_request_brings_its_own_judge(repository: Repository, world: World) -> None:
    """A pull request changes the guard and the fleet file's name, and removes a tenant: the base branch judges it."""
    everything = world.everything()
    guard = repository.folder / "meltanodata" / "guard.py"
    guard.write_text(guard.read_text() + JUDGE)
    repository.git("mv", "tenants.yaml", "customers.yaml")
    repository.tenants("demo", "acme", "core")
    (repository.folder / "tenants.yaml").rename(repository.folder / "customers.yaml")
    repository.setting("tenants_file", "customers.yaml")
    review = repository.pull_request("guard:data-loss", code=3)
    assert [(row.tenant, row.change) for row in review.plan.rows] == [("bolts", "destroyed")]
    comment = repository.comment().replace("\\", "")
    assert "program (customers.yaml, meltanodata/rollout/guard.py)" in comment
    assert "tenants_file: its default → customers.yaml" in comment
    assert "add the label guard:program-changed to the pull request" in comment
    assert "touches 1 tenant that the pull request does not name: bolts." in comment
    assert "customers.yaml instead of tenants.yaml" in comment
    assert "Reviewed by" not in comment
    # Merged all the same, it stops before anything is touched, although the guard on main is the request's now.
    said = repository.runner.run("deploy", "Deploy", repository.merge("guard:data-loss"), 4)
    assert "There is no reviewed plan" in said
    assert world.everything() == everything
    repository.git("revert", "--no-edit", "--mainline", "1", "HEAD")


def one_push_has_two_requests(repository: Repository, world: World) -> None:
    """A merge queue's push: one request removes a tenant, the other adds one. Both happen, without a run by hand."""
    before = repository.git("rev-parse", "main")
    repository.tenants("demo", "acme", "core")
    repository.pull_request("guard:data-loss")
    assert "its entry is gone" in repository.comment()
    repository.git("switch", "--quiet", "main")
    repository.tenants("demo", "acme", "bolts", "core", "ely")
    repository.pull_request()
    repository.git("branch", "queue", "main")
    first = repository.number - 1
    for number, labels in ((first, ["guard:data-loss"]), (repository.number, [])):
        head = repository.git("rev-parse", f"change-{number}")
        repository.git("switch", "--quiet", "queue")
        repository.git("merge", "--quiet", "--no-ff", "--message", f"Merge {number}", f"change-{number}")
        repository.hub.merge(repository.git("rev-parse", "HEAD"), number, labels, head)
    repository.git("branch", "--force", "main", "queue")
    repository.git("switch", "--quiet", "main")
    push = repository.push(before, repository.git("rev-parse", "main"))
    said = repository.runner.run("deploy", "Deploy", push)
    assert f"Pull request {first}, labels: guard:data-loss" in said
    assert f"Pull request {repository.number}, labels: none" in said
    names = {"demo", "acme", "core", "ely"}
    assert set(world.droplets()) == set(world.records()) == set(world.clusters()) == names


def a_merge_deploys_nothing(repository: Repository, world: World) -> None:
    """What was merged without a deployment waits for somebody to start one."""
    repository.tenants("demo", "acme", "core", "dax", "ely")
    repository.pull_request("skip-deploy")
    said = repository.runner.run("deploy", "Deploy", repository.merge("skip-deploy"))
    assert "nothing is deployed, because the pull request has the label skip-deploy" in said
    assert "dax" not in world.droplets()


def the_page(repository: Repository) -> None:
    repository.runner.run("deploy", "Page", {})
    page = (repository.folder / "site" / "index.html").read_text()
    assert all(f"https://{tenant}.meltanodata.com" in page for tenant in ("demo", "acme", "core"))
    assert "bolts" not in page


@pytest.mark.timeout(3600)
def test_from_pull_request_to_production(repository: Repository, world: World) -> None:
    the_first_push(repository, world)
    two_tenants_are_added(repository, world)
    everybody_changes_and_the_canary_is_unwell(repository, world)
    the_file_is_emptied(repository, world)
    somebody_changes_things_by_hand(repository, world)
    the_runner_is_killed(repository, world)
    a_lock_of_another_machine(repository)
    a_request_brings_its_own_judge(repository, world)
    one_push_has_two_requests(repository, world)
    a_merge_deploys_nothing(repository, world)
    the_page(repository)
