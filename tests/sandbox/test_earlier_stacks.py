"""A stack that an earlier version made is left alone by this one, on the real engine and a light sandbox."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from meltanodata.droplet import files
from sandbox.home import Home
from tests.sandbox import kept
from tests.sandbox.fleet import Fleet
from tests.sandbox.world import started

if TYPE_CHECKING:
    from collections.abc import Iterator

ARCHIVE = Path(__file__).with_name("stack-of-bb035a3.tar.xz")
"""Two tenants, demo as the defaults have it and acme with a self-signed certificate, made by commit bb035a3."""
KEYS = ("demo", "acme")
SCRIPTS = {"files": "write_files", "meltano": "meltano", "verify": "verify"}
"""The Commands that run a script on the droplet, which the state has by its content: each runs once when that changes.
Nothing else has a reason to change.
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    home = Home(tmp_path_factory.mktemp("kept"))
    kept.unpack(ARCHIVE, home)
    with started(home, "light"):
        fleet = Fleet(home)
        # An unprivileged sandbox has another port; that would be a change of this machine's.
        fleet.pulumi("config", "set", "meltanodata:ssh_port", str(kept.SSH_PORT))
        yield fleet


def test_the_state_is_of_the_world(fleet: Fleet) -> None:
    """Otherwise the preview would show nothing of worth: the objects in the state are those of the accounts."""
    droplets, _, clusters = fleet.world.everything()
    resources = {it["urn"].rpartition("::")[2]: it for it in fleet.export()["deployment"]["resources"]}
    for key in KEYS:
        assert resources[f"{key}-droplet"]["id"] == str(droplets[key])
        assert resources[f"{key}-database"]["id"] == clusters[key]


def test_a_stack_of_an_earlier_version_previews_without_surprise(fleet: Fleet) -> None:
    """Nothing is created, updated, replaced or deleted but Commands whose script has another text."""
    resources = {it["urn"].rpartition("::")[2]: it for it in fleet.export()["deployment"]["resources"]}
    scripts = {f"{key}-{role}": files.placed(script).path for key in KEYS for role, script in SCRIPTS.items()}
    run_again = {name for name, path in scripts.items() if not resources[name]["inputs"]["create"].endswith(f" {path}")}
    assert fleet.steps() == dict.fromkeys(run_again, "replace")
