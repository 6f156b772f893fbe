"""The repository's tenants on real droplets, looked at as `make demo` does, and harder."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from meltanodata.engine.stack_state import opened
from sandbox import checks, demo
from sandbox.home import Home
from tests.sandbox.real import REASON, World, real_tenants
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.checks import Check

pytestmark = [
    pytest.mark.skipif(REASON is not None, reason=f"real droplets and databases: {REASON}"),
    pytest.mark.timeout(1500),  # the first time on a machine the engine and the snapshot are made
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with real_tenants(Home(tmp_path_factory.mktemp("home"))) as world:
        yield world


def findings(found: list[Check]) -> list[str]:
    wrong = []
    for check in found:
        try:
            check.look()
        except checks.CheckError as error:
            wrong.append(f"{check.title}: {error}")
    return wrong


def test_everything_that_a_person_looks_at(world: World) -> None:
    for instance in world.instances:
        others = [other for other in world.instances if other != instance]
        found = checks.working(world.person, instance, others)
        assert len(found) == 9
        assert findings(found) == []


def test_a_second_preview_shows_no_change(world: World) -> None:
    world.sandbox.pulumi("preview", "--expect-no-changes")


def secrets(world: World) -> set[str]:
    """What nobody may see who was not given it."""
    found = {world.person.running.control_token}
    found |= {token for team in world.person.running.teams.values() for token in (team.token, team.read_token)}
    for resource in world.stack.state.resources:
        outputs = opened(resource.outputs)
        names = ("result", "password", "bcryptHash")
        found |= {outputs[name] for name in names if isinstance(outputs.get(name), str) and outputs[name]}
    keys = world.person.keys
    for path in (keys.ssh_private_key, keys.wildcard_key):
        found |= set(path.read_text().splitlines()[1:-1])
    return found


def test_no_secret_is_shown_logged_or_kept_in_the_open(world: World) -> None:
    hidden = secrets(world)
    assert len(hidden) > 15
    state = "".join(path.read_text() for path in (world.sandbox.home.path / "state").rglob("*.json"))
    assert world.instances[0].address in state
    shown = {
        "preview and up": world.said,
        "process list": "\n".join(world.arguments),
        "the sandbox's log": (world.sandbox.home.path / "sandbox.log").read_text(),
        "state": state,
        "the stack's settings": (world.sandbox.home.path / "project" / "Pulumi.sandbox.yaml").read_text(),
    }
    for instance in world.instances:
        shown[f"journal of {instance.key}"] = world.person.on_droplet(instance, "journalctl --no-pager")
    assert "systemd-nspawn" in shown["process list"]
    leaks = {place for place, text in shown.items() for secret in hidden if secret in text}
    assert leaks == set()


def test_a_reboot_changes_nothing(world: World) -> None:
    instance = world.instances[0]
    boots = "journalctl --list-boots --no-pager | wc -l; cat /proc/sys/kernel/random/boot_id; systemctl show -P ActiveEnterTimestampMonotonic caddy"  # noqa: E501
    before = world.person.on_droplet(instance, boots)
    with pytest.raises((checks.CheckError, subprocess.SubprocessError)):
        world.person.on_droplet(instance, "systemctl reboot && sleep 60")
    found = checks.working(world.person, instance, [])
    eventually(lambda: findings(found) == [], seconds=90)
    assert world.person.on_droplet(instance, boots) != before
    world.sandbox.pulumi("preview", "--expect-no-changes")


def test_a_sandbox_that_was_stopped_comes_back_as_it_was(world: World) -> None:
    world.sandbox.run("stop")
    world.sandbox.run("start", "--droplets=real", "--databases=real")
    person = world.sandbox.person()
    for instance in world.instances:
        found = checks.working(person, instance, [])
        eventually(lambda found=found: findings(found) == [], seconds=90)  # type: ignore[misc]  # a default's type
    world.person = person
    world.sandbox.pulumi("preview", "--expect-no-changes")


def test_removing_one_tenant_leaves_nothing_of_it_and_the_other_alone(world: World) -> None:
    kept, removed = world.instances
    before = checks.contacts(world.person, kept)
    copy = world.sandbox.home.path / demo.FLEET.name
    demo._without(removed.key, copy)
    world.sandbox.pulumi("config", "set", "meltanodata:tenants_file", str(copy))
    plan = json.loads(world.sandbox.pulumi("preview", "--json", show=False))
    assert set(plan["changeSummary"]) == {"delete", "same"}
    world.sandbox.pulumi("up", "--yes", "--skip-preview", may_go=removed.key)
    assert findings(checks.gone(world.person, removed)) == []
    assert "same ids" in demo._same_ids(kept.key, world.stack, world.sandbox.stack())
    assert "none ran again" in checks.left_alone(world.person, kept, before)
    assert findings(checks.working(world.person, kept, [])) == []
