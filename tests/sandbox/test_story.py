"""From pull request to production, on a light sandbox: the workflows' own steps, a real repository, the real engine.

Of GitHub there is what the steps talk to (tests.fakes.github), and tests.sandbox.repository, which starts them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from sandbox.api.messages import DropletFault
from tests.sandbox.api import new_droplet
from tests.sandbox.processes import kill
from tests.sandbox.repository import STACK, Repository
from tests.waiting import eventually

if TYPE_CHECKING:
    from tests.sandbox.world import World


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
        f"add the label {label}" in repository.comment() for label in ("guard:data-loss", "guard:many-destroyed")
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
    guard = repository.folder / "meltanodata" / "rollout" / "guard.py"
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
