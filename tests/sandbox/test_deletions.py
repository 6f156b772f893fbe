"""No database is deleted without a word, whichever way the engine is run: on the real engine and a light sandbox."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from meltanodata.engine import deletions
from meltanodata.engine.stack_state import StackState
from sandbox.home import Home
from tests.sandbox.fleet import REMOVES, Fleet, fleet_on

if TYPE_CHECKING:
    from collections.abc import Iterator

DEMO = {"database_team": "MeltanoData DBs 1", "demo": True, "wipe_database": "2026-11-20"}
ACME = {"database_team": "MeltanoData DBs 2"}
UP = ("up", "--yes", "--skip-preview")
DESTROY = ("destroy", "--yes", "--skip-preview")
WORD = "MELTANODATA_DELETE_DATABASES"


class Kept:
    """A fleet of two tenants, and what there was of them."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.begin()
        fleet.up()
        self.everything = fleet.world.everything()
        self.passwords = self._passwords()

    def begin(self) -> None:
        self.fleet.tenants(demo=DEMO, acme=ACME)

    def _passwords(self) -> Any:
        return json.loads(self.fleet.pulumi("stack", "output", "--json", "--show-secrets"))

    def refused(self, *args: str, may_go: str = "") -> str:
        """What the engine says; afterwards everything in the world is as it was."""
        started = time.time()
        said = self.pulumi(*args, may_go=may_go, code=1)
        assert self.fleet.world.everything() == self.everything
        changed = {it.method for it in self.fleet.control.requests(started)} - {"GET"}
        assert changed == set()
        return said

    def pulumi(self, *args: str, may_go: str = "", code: int = 0) -> str:
        """The CLI, with a word for these tenants."""
        done = subprocess.run(
            ["pulumi", "--non-interactive", "--color", "never", *args],
            cwd=self.fleet.folder,
            env={**self.fleet.environment, WORD: may_go},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def healed(self) -> None:
        """With its entries back, the next up leaves everything as it was: logins, and nothing is wiped once more."""
        told = self.fleet.told("demo")
        self.begin()
        self.fleet.up()
        self.fleet.unchanged()
        assert self.fleet.world.everything() == self.everything
        assert self._passwords() == self.passwords
        assert "wipe" not in "".join(it.command for it in self.executions("demo")[told:])

    def executions(self, key: str) -> list[Any]:
        return list(self.fleet.control.executions(self.fleet.world.droplets()[key]))

    def hooks(self) -> dict[str, list[str]]:
        resources = self.fleet.export()["deployment"]["resources"]
        return {it["urn"].rpartition("::")[2]: it.get("resourceHooks", {}).get("BeforeDelete", []) for it in resources}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """Two tenants; each test leaves them so."""
    with fleet_on(Home(tmp_path_factory.mktemp("kept") / "home"), "light") as fleet:
        yield Kept(fleet)


def test_an_empty_file_deletes_nothing(kept: Kept) -> None:
    kept.fleet.tenants()
    said = kept.fleet.up(code=3)
    assert "data loss" in said
    assert "Data loss for acme, demo: the database is deleted with its backups" in said
    assert "In a shell, add --allow guard:data-loss." in said
    assert "add --allow guard:many-destroyed." in kept.fleet.up("--allow", "guard:data-loss", code=3)
    said = kept.refused(*UP)
    assert f"{WORD}=acme" in said or f"{WORD}=demo" in said
    assert "Traceback" not in said
    said = kept.refused(*UP, "--continue-on-error", may_go="acm")
    assert f"{WORD}=acme" in said
    assert f"{WORD}=demo" in said
    kept.healed()


def test_destroy_deletes_nothing_by_itself(kept: Kept) -> None:
    said = kept.refused(*DESTROY)
    assert "--run-program" in said
    assert WORD in said
    assert f"{WORD}=" in kept.refused(*DESTROY, "--run-program")
    said = kept.refused(*DESTROY, "--run-program", "--continue-on-error", may_go="core")
    assert f"{WORD}=acme" in said
    assert f"{WORD}=demo" in said
    kept.healed()


def test_a_database_is_not_replaced_either(kept: Kept) -> None:
    replace = ("--replace", "**::acme-database")
    assert "--allow guard:data-loss" in kept.fleet.up(*replace, code=3)
    said = kept.refused(*UP, *replace)
    assert f"{WORD}=acme" in said
    kept.healed()


def test_what_is_replaced_in_everyday_life_needs_no_word(kept: Kept) -> None:
    """A new certificate, a new record's address, a wipe: predecessors go."""
    kept.fleet.tenants(demo={**DEMO, "wipe_database": "2026-11-21", "tls": "self_signed"}, acme={**ACME, "rebuild": 1})
    said = kept.pulumi(*UP)
    assert "demo: its database was wiped" in said
    kept.fleet.tenants(demo={**DEMO, "wipe_database": "2026-11-21"}, acme={**ACME, "rebuild": 1})
    kept.fleet.up()
    kept.fleet.unchanged()
    # Nor does a demo that is none any more, and is one again.
    kept.fleet.tenants(demo={"database_team": DEMO["database_team"]}, acme={**ACME, "rebuild": 1})
    assert kept.fleet.steps() == {"demo": "update", "demo-wipe": "delete"}
    kept.pulumi(*UP)
    kept.fleet.tenants(demo={**DEMO, "wipe_database": "2026-11-21"}, acme={**ACME, "rebuild": 1})
    kept.fleet.up()
    kept.fleet.unchanged()
    assert kept.fleet.world.clusters() == kept.everything[2]
    kept.everything = kept.fleet.world.everything()


def test_a_state_of_an_older_version_shows_no_change_and_is_guarded_from_the_first_run(kept: Kept) -> None:
    entries = {"demo": {**DEMO, "wipe_database": "2026-11-21"}, "acme": {**ACME, "rebuild": 1}}
    exported = kept.fleet.export()
    for resource in exported["deployment"]["resources"]:
        resource.get("resourceHooks", {}).pop("BeforeDelete", None)
    older = kept.fleet.home.path / "older.json"
    older.write_text(json.dumps(exported))
    kept.pulumi("stack", "import", "--file", str(older))
    assert not any(kept.hooks().values())
    kept.fleet.unchanged()
    assert kept.fleet.steps() == {}

    # Its tenant goes in the very run that brings the hooks.
    kept.fleet.tenants(demo=entries["demo"])
    assert set(kept.fleet.steps().values()) == {"delete"}
    started = time.time()
    assert f"{WORD}=acme" in kept.refused(*UP)
    assert "--allow guard:data-loss" in kept.fleet.up(code=3)
    assert {it.method for it in kept.fleet.control.requests(started)} <= {"GET"}
    assert not any(kept.hooks().values())

    # A run that changes nothing brings them, to everybody.
    kept.fleet.tenants(**entries)
    assert "no changes" in kept.fleet.up()
    guarded = {name for name, hooks in kept.hooks().items() if deletions.HOOK in hooks}
    assert guarded == {*(f"acme-{it}" for it in ("database", "record", "verify"))} | {
        f"demo-{it}" for it in ("database", "record", "verify", "wipe")
    }
    assert deletions.unguarded(StackState(kept.fleet.export()), []) == []


def test_who_is_named_goes_and_nobody_else(kept: Kept) -> None:
    said = kept.pulumi(*DESTROY, "--run-program", "--continue-on-error", may_go="acme", code=1)
    assert f"{WORD}=demo" in said
    assert [set(it) for it in kept.fleet.world.everything()] == [{"demo"}] * 3
    kept.fleet.tenants()
    kept.fleet.up(*REMOVES)
    assert kept.fleet.world.everything() == ({}, set(), {})
