"""The workflows as they are, from a pull request to the page, run by `act` on a light sandbox: see `actions.py`."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from sandbox.api.messages import DropletFault
from sandbox.home import PROJECT
from tests import tools
from tests.sandbox.actions import DEPENDABOT, Act
from tests.sandbox.repository import STACK

if TYPE_CHECKING:
    from pathlib import Path

    from tests.sandbox.repository import Repository
    from tests.sandbox.world import World

OTHER = "other"
LINT = ("-no-color", "-shellcheck=", "-pyflakes=")
"""The options of `make check`."""


@pytest.fixture
def act(repository: Repository, tmp_path: Path) -> Act:
    (tmp_path / "act").mkdir()
    return Act(repository, tmp_path / "act")


def the_first_deployment_is_started_by_hand(act: Act, world: World) -> None:
    act.run("deploy", "workflow_dispatch", {"ref": "refs/heads/main", "inputs": {"stack": STACK}})
    assert set(world.droplets()) == {"demo"}
    assert "https://demo.meltanodata.com" in (act.page / "index.html").read_text()


def two_stacks_get_a_tenant_each(act: Act, world: World) -> None:
    """One comment shows both plans, and the merge deploys both."""
    act.repository.tenants("demo", "acme", "bolts")
    act.add_stack(OTHER, "MeltanoData DBs 3")
    act.pull_request(code=1)
    assert "guard:program-changed" in act.repository.comment()  # the settings of a stack are no tenant's entry
    before = world.writes()
    act.pull_request("guard:program-changed")
    assert world.writes() == before
    comment = act.repository.comment()
    assert all(f"`{stack}`: 1 created" in comment for stack in (STACK, OTHER))
    log = act.run("deploy", "push", act.merge("guard:program-changed"))
    assert log.count("labels: guard:program-changed") == 2
    assert set(world.droplets()) == set(world.records()) == set(world.clusters()) == {"demo", "acme", "bolts"}
    assert all(f"https://{key}.meltanodata.com" in (act.page / "index.html").read_text() for key in world.droplets())


def one_tenant_fails_and_the_other_stack_does_not_wait(act: Act, world: World) -> None:
    """Re-run after it is mended, the same push does what is left."""
    for stack in (STACK, OTHER):
        path = act.repository.folder / f"Pulumi.{stack}.yaml"
        path.write_text(path.read_text().replace("meltanodata:caddy_version: '1'", "meltanodata:caddy_version: '2'"))
    labels = ("guard:program-changed", "guard:unnamed-tenants")
    act.pull_request(*labels)
    push = act.merge(*labels)
    acme = world.droplets()["acme"]
    told = len(world.control.executions(world.droplets()["bolts"]))
    world.control.set_droplet_fault(acme, DropletFault(kind="refuse"))
    log = act.run("deploy", "push", push, code=1)
    assert "1 of 2 tenants deployed" in log
    assert len(world.control.executions(world.droplets()["bolts"])) > told
    world.control.set_droplet_fault(acme, None)
    log = act.run("deploy", "push", push)
    assert "batch 1 of 1: acme" in log


def a_removal_waits_for_its_label(act: Act, world: World) -> None:
    act.repository.tenants("demo", "bolts")
    act.pull_request(code=1)
    assert "add the label guard:data-loss" in act.repository.comment()
    act.pull_request("guard:data-loss")
    assert "[!CAUTION]" not in act.repository.comment()
    act.run("deploy", "push", act.merge("guard:data-loss"))
    assert set(world.droplets()) == set(world.clusters()) == {"demo", "bolts"}


def drift_has_one_issue(act: Act, world: World) -> None:
    record = world.records()["bolts"]
    path = f"/v2/domains/meltanodata.com/records/{record['id']}"
    world.meltano.put(path, {"type": "A", "data": "203.0.113.9"})
    act.run("drift", "schedule", {})
    (issue,) = act.repository.hub.issues
    assert f"record value: `203.0.113.9` → `{record['data']}`" in issue["body"]
    world.meltano.put(path, {"type": "A", "data": record["data"]})
    act.run("drift", "schedule", {})
    assert issue["state"] == "closed"


def who_gets_no_secrets_is_told_so(act: Act) -> None:
    """A fork's request and a bot's: neither has a preview, and neither fails."""
    act.repository.tenants("demo", "bolts", "core")
    comments = len(act.repository.hub.comments)
    log = act.pull_request(repository="mallory/meltanodata")
    assert "a fork's pull request gets no access to the accounts" in log
    log = act.pull_request(actor=DEPENDABOT)
    assert "GitHub gives Dependabot's runs no secrets" in log
    assert len(act.repository.hub.comments) == comments
    act.pull_request()  # a person's push to the same branch
    assert "1 created" in act.repository.comment()


@pytest.mark.timeout(3600)
def test_the_workflows_run_from_a_request_to_the_page(act: Act, world: World) -> None:
    the_first_deployment_is_started_by_hand(act, world)
    two_stacks_get_a_tenant_each(act, world)
    one_tenant_fails_and_the_other_stack_does_not_wait(act, world)
    a_removal_waits_for_its_label(act, world)
    drift_has_one_issue(act, world)
    who_gets_no_secrets_is_told_so(act)


def test_a_workflow_that_cannot_run_fails_the_check(tmp_path: Path) -> None:
    workflow = tmp_path / "workflow.yml"
    text = (PROJECT / ".github" / "workflows" / "drift.yml").read_text()
    workflow.write_text(text)
    lint = [str(tools.program("actionlint")), *LINT, str(workflow)]
    assert subprocess.run(lint, check=False, cwd=tmp_path).returncode == 0
    workflow.write_text(text.replace("runs-on:", "needs: nobody\n    runs-on:"))
    done = subprocess.run(lint, check=False, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert 'needs job "nobody" which does not exist' in done.stdout
