"""What an approval is for: the workflows' own steps run again later, on a light sandbox and the real engine."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from meltanodata import deployed
from meltanodata.guard import DATA_LOSS
from tests.sandbox.test_story import STACK, Repository, home, repository, world

if TYPE_CHECKING:
    from tests.sandbox.world import World

__all__ = ["home", "repository", "world"]  # fixtures, which pytest looks up in the module of the test

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
    return pulumi(repository, "stack", "tag", "get", deployed.TAG)


def two_tenants(repository: Repository) -> None:
    entries(repository)
    first = repository.commit()
    empty = repository.git("commit-tree", "-m", "Nothing", "4b825dc642cb6eb9a060e54bf8d69288fbee4904")
    repository.runner.run("deploy", "Deploy", repository.push(empty, first))
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
    pulumi(repository, "stack", "tag", "rm", deployed.TAG)
    said = repository.runner.run("deploy", "Deploy", removal, 4)
    assert f"delete of database acme-database: {new}, and {old} was reviewed" in said
    assert world.everything() == before
    repository.git("switch", "--quiet", "main")

    # Whoever starts it by hand has the main branch as it is; that it was is noted although nothing was left to do.
    assert "nothing changes" in repository.runner.run("deploy", "Deploy", repository.by_hand())
    assert last(repository) == added
    assert world.everything() == before


@pytest.mark.timeout(3600)
def test_an_approval_is_for_what_was_seen(repository: Repository, world: World) -> None:
    two_tenants(repository)
    the_removal_that_was_approved_is_run_again(repository, world)
