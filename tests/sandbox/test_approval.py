"""What an approval is for: the workflows' own steps run again later, on a light sandbox and the real engine."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from meltanodata.droplet import files
from meltanodata.engine import deployed_commit
from meltanodata.rollout.guard import DATA_LOSS
from tests.sandbox.repository import STACK, Repository

if TYPE_CHECKING:
    from tests.sandbox.world import World

TEAM = "database_team: MeltanoData DBs 2"


def entries(repository: Repository, acme: str = "") -> None:
    """Two tenants, one of them with more options."""
    more = f"acme:\n  {TEAM}\n{acme}"
    (repository.folder / "tenants.yaml").write_text(f"demo:\n  {TEAM}\n{more}", encoding="utf-8")


def pulumi(repository: Repository, *arguments: str) -> str:
    """What Pulumi's CLI prints of the stack."""
    values, environment = repository.runner.values, repository.runner.environment
    environment = {**environment, "PULUMI_BACKEND_URL": values["vars.PULUMI_BACKEND_URL"]}
    command = ["pulumi", *arguments, "--stack", STACK]
    done = subprocess.run(command, cwd=repository.folder, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def last(repository: Repository) -> str:
    """The commit that the stack says was deployed last."""
    return pulumi(repository, "stack", "tag", "get", deployed_commit.TAG)


def stops(repository: Repository) -> str:
    """The comment as a reader sees it."""
    return repository.comment().replace("**", "").replace("`", "").replace("\\", "")


def wipes(world: World) -> int:
    """How often acme's droplet was told to wipe its database."""
    told = world.control.executions(world.droplets()["acme"])
    return sum(files.placed("wipe").path in execution.command for execution in told)


def two_tenants(repository: Repository) -> None:
    entries(repository)
    first = repository.commit()
    repository.runner.run("deploy", "Deploy", repository.by_hand())
    assert last(repository) == first


def the_removal_that_was_approved_is_run_again(repository: Repository, world: World) -> None:
    """A tenant goes and comes back. Its first removal was approved, and that of the new one was not."""
    old = world.clusters()["acme"]
    repository.tenants("demo")
    repository.pull_request(DATA_LOSS)
    removal = repository.merge(DATA_LOSS)
    removed = repository.git("rev-parse", "HEAD")
    repository.runner.run("deploy", "Deploy", removal)
    assert set(world.clusters()) == {"demo"}

    entries(repository)
    repository.pull_request()
    repository.runner.run("deploy", "Deploy", repository.merge())
    added = repository.git("rev-parse", "HEAD")
    before, new = world.everything(), world.clusters()["acme"]
    assert new != old
    assert last(repository) == added

    # The job's own checkout, its own event, and what it was allowed.
    repository.git("checkout", "--quiet", "--detach", removed)
    said = repository.runner.run("deploy", "Deploy", removal, 1)
    assert f"{removed[:12]} is not deployed. It is older than {added[:12]}" in said
    assert world.everything() == before

    # Even if nobody knew which commit came last, the new tenant is not the one that was seen.
    pulumi(repository, "stack", "tag", "rm", deployed_commit.TAG)
    said = repository.runner.run("deploy", "Deploy", removal, 4)
    assert f"delete of database acme-database: {new}, but {old} was reviewed" in said
    assert world.everything() == before
    repository.git("switch", "--quiet", "main")

    # Whoever starts it by hand has the main branch as it is; that it was is noted although nothing was left to do.
    assert "no changes" in repository.runner.run("deploy", "Deploy", repository.by_hand())
    assert last(repository) == added
    assert world.everything() == before


def a_customer_is_made_a_demo_and_wiped_at_once(repository: Repository, world: World) -> None:
    """One request with both is refused before the merge by the check, and by the guard whatever the labels."""
    entries(repository, "  demo: true\n  wipe_database: 2026-11-20\n")
    repository.number += 1
    repository.git("switch", "--quiet", "--create", f"change-{repository.number}")
    head = repository.commit()
    repository.hub.pull(repository.number, head, [DATA_LOSS])
    running = repository.hub.run(head, f"change-{repository.number}", conclusion=None)
    event = {
        "github.event.pull_request.base.sha": repository.git("rev-parse", "main"),
        "github.event.pull_request.head.sha": head,
        "github.event.pull_request.number": str(repository.number),
        "github.run_id": str(running),
    }
    said = repository.runner.run("preview", "Check", event, 1)
    refused = "wipe_database is only for a tenant that is a demo already; remove it and merge demo: true first"
    assert f"acme: {refused}" in said
    repository.runner.run("preview", "Plan", event)
    plan = repository.folder / f"plan-{STACK}.json"
    repository.hub.upload(running, plan.stem, plan.read_bytes())
    plan.unlink()
    repository.judge(event, 3)
    assert "tenants that are not demos on the base branch: acme" in repository.comment()
    # Even a run that calls itself well.
    repository.hub.runs[-1]["conclusion"] = "success"
    said = repository.runner.run("deploy", "Deploy", repository.merge(DATA_LOSS), 3)
    assert "No label allows this" in said
    assert wipes(world) == 0
    repository.git("revert", "--no-edit", "--mainline", "1", "HEAD")


def a_demo_is_wiped(repository: Repository, world: World) -> None:
    """It takes two merges, and the label for the second."""
    entries(repository, "  demo: true\n")
    repository.pull_request()
    repository.runner.run("deploy", "Deploy", repository.merge())
    entries(repository, "  demo: true\n  wipe_database: 2026-11-20\n")
    repository.pull_request(code=3)
    assert (
        "Data loss for acme: the demo's database is wiped, except for the schema public. If this is intended, add"
        f" the label {DATA_LOSS} to the pull request."
    ) in stops(repository)
    repository.preview(DATA_LOSS)
    assert wipes(world) == 0
    repository.runner.run("deploy", "Deploy", repository.merge(DATA_LOSS))
    assert wipes(world) == 1


def a_rebuild_wants_the_label(repository: Repository) -> None:
    entries(repository, "  demo: true\n  wipe_database: 2026-11-20\n  rebuild: 1\n")
    repository.pull_request(code=3)
    assert "Data loss for acme: the droplet is replaced, and its disk (Meltano project, uploads)" in stops(repository)
    repository.preview(DATA_LOSS)


@pytest.mark.timeout(3600)
def test_an_approval_is_for_what_was_seen_and_every_loss_wants_one(repository: Repository, world: World) -> None:
    two_tenants(repository)
    the_removal_that_was_approved_is_run_again(repository, world)
    a_customer_is_made_a_demo_and_wiped_at_once(repository, world)
    a_demo_is_wiped(repository, world)
    a_rebuild_wants_the_label(repository)
