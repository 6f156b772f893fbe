"""What an earlier version made is left alone, or the changelog says what happens: real engine, light sandbox.

`make check` runs this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest
import yaml

from sandbox.home import Home
from tests.sandbox import changelog, kept
from tests.sandbox.fleet import Fleet
from tests.sandbox.world import started

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NEVER = {("droplet", "replace"), ("database", "replace"), ("droplet", "delete"), ("database", "delete")}
"""What no version does to an existing tenant by itself, whatever the changelog says."""


class Stack(NamedTuple):
    """A stack that is kept, on its sandbox."""

    commit: str
    """The version that made it."""
    fleet: Fleet
    tenants: dict[str, object]


@pytest.fixture(scope="module", params=kept.archives(), ids=lambda archive: archive.name.split(".")[0])
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    archive: Path = request.param
    home = Home(tmp_path_factory.mktemp("kept"))
    kept.unpack(archive, home)
    with started(home, "light"):
        fleet = Fleet(home)
        # An unprivileged sandbox has another port; that would be a change of this machine's.
        fleet.pulumi("config", "set", "meltanodata:ssh_port", str(kept.SSH_PORT))
        commit = archive.name.removeprefix("stack-of-").partition(".")[0]
        yield Stack(commit, fleet, yaml.safe_load(fleet.file.read_text()))


def test_the_state_is_of_the_world(stack: Stack) -> None:
    """Otherwise the preview would show nothing of worth: the objects in the state are those of the accounts."""
    droplets, _, clusters = stack.fleet.world.everything()
    resources = {it["urn"].rpartition("::")[2]: it for it in stack.fleet.export()["deployment"]["resources"]}
    for key in stack.tenants:
        assert resources[f"{key}-droplet"]["id"] == str(droplets[key])
        assert resources[f"{key}-database"]["id"] == clusters[key]


def test_the_first_plan_of_an_earlier_stack_shows_what_the_changelog_says(stack: Stack) -> None:
    shown = changelog.changes(stack.fleet.steps(), stack.tenants)
    assert shown.isdisjoint(NEVER), "an existing tenant would lose its droplet or its database"
    unsaid = shown - changelog.stated(stack.commit)
    newest = next(iter(changelog.sections()))
    assert not unsaid, (
        f"The first plan of a stack of {stack.commit} shows {sorted(unsaid)}. If that is meant, say why in"
        f" CHANGELOG.md, below `Since {newest}`, one line each, such as: - `files` runs again: WHY"
    )
    gone = changelog.sections()[stack.commit] - shown
    assert not gone, f"CHANGELOG.md says below `Since {stack.commit}` what the first plan does not show: {sorted(gone)}"
