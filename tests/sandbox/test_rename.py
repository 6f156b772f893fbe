"""A tenant gets another name, and nothing of it is lost, on the real engine and a light sandbox."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sandbox.home import Home
from tests.fakes import onepassword as connect
from tests.sandbox.fleet import ACME, DEMO, fleet_on
from tests.sandbox.processes import KILLER
from tests.sandbox.programs import SECONDS
from tests.sandbox.team import Team

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sandbox.fleet import Fleet

STACK = ("--stack", "sandbox")
FILE = """\
# The fleet.

# Ours.
demo:
  database_team: MeltanoData DBs 1

# A customer since 2021.
acme:  # of Mrs Smith
  database_team: MeltanoData DBs 2  # for ever
  rebuild: 0
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Two tenants."""
    with fleet_on(Home(tmp_path_factory.mktemp("rename") / "home"), "light") as fleet:
        fleet.file.write_text(FILE)
        fleet.up()
        yield fleet


@contextmanager
def undone(fleet: Fleet) -> Iterator[None]:
    """Whatever happens to state and file is undone afterwards; the world must not need it."""
    world, writes = fleet.world.everything(), fleet.world.writes()
    state = fleet.home.folder("state")
    with tempfile.TemporaryDirectory() as kept:
        shutil.copytree(state, Path(kept, "state"))
        yield
        shutil.rmtree(state)
        shutil.copytree(Path(kept, "state"), state)
    fleet.file.write_text(FILE)
    assert (fleet.world.everything(), fleet.world.writes()) == (world, writes)


@pytest.fixture
def fleet(made: Fleet) -> Iterator[Fleet]:
    with undone(made):
        yield made


def cluster_of(fleet: Fleet, key: str) -> str:
    """A database's name."""
    (found,) = [
        it["outputs"]["name"]
        for it in fleet.export()["deployment"]["resources"]
        if it["urn"].endswith(f"::{key}-database")
    ]
    return str(found)


def held(fleet: Fleet) -> dict[str, dict[str, str]]:
    """What the state has of each tenant: the ids by what they are."""
    resources = fleet.export()["deployment"]["resources"]
    names = [it["urn"].rpartition("::")[2] for it in resources if it["type"] == "meltanodata:index:Tenant"]
    return {
        key: {
            it["urn"].rpartition("::")[2].removeprefix(f"{key}-"): it.get("id", "")
            for it in resources
            if it.get("parent", "").endswith(f"::{key}")
        }
        for key in names
    }


def refused(fleet: Fleet, *words: str) -> None:
    """Neither a preview nor an up does anything, and both say why."""
    for said in (fleet.preview(code=1), fleet.up(code=1)):
        text = " ".join(said.split())
        assert [word for word in words if word not in text] == []
        assert "Traceback" not in text


def test_a_tenant_that_is_renamed_in_the_file_alone_is_neither_adopted_nor_destroyed(fleet: Fleet) -> None:
    database = cluster_of(fleet, "acme")
    names = {"droplet": "acme.meltanodata.com", "record": "acme", "database": database}
    advice = "If acme2 is acme under a new name: meltanodata rename acme acme2"
    fleet.tenants(demo=DEMO, acme2={**ACME, "adopt": names})
    refused(fleet, "acme2: the droplet", "and the database", "are in the state of the stack sandbox", advice)
    # Its database alone, and its host alone.
    fleet.tenants(demo=DEMO, acme2={**ACME, "adopt": {"database": database}})
    refused(fleet, "acme2: the database", "is in the state of the stack sandbox", "It belongs to acme", advice)
    fleet.tenants(demo=DEMO, acme2={**ACME, "adopt": {"record": "acme"}})
    refused(fleet, "acme2: the droplet", "and the record", "They belong to acme", advice)
    # Two that swap what they have.
    mine = {"record": "demo", "database": cluster_of(fleet, "demo")}
    fleet.tenants(
        demo={**DEMO, "adopt": {"record": "acme", "database": database}, "database_team": ACME["database_team"]},
        acme={**ACME, "adopt": mine, "database_team": DEMO["database_team"]},
    )
    refused(fleet, "its database is in 'MeltanoData DBs 1' and cannot move to 'MeltanoData DBs 2'")
    fleet.tenants(demo={**DEMO, "adopt": {"record": "acme"}}, acme={**ACME, "adopt": {"record": "demo"}})
    refused(fleet, "which its entry names, belongs to acme in the stack's state", "meltanodata rename")


def test_a_tenant_gets_another_name_and_the_world_stays_as_it_is(fleet: Fleet) -> None:
    before, told, database = held(fleet), fleet.told("acme"), cluster_of(fleet, "acme")
    outputs = json.loads(fleet.pulumi("stack", "output", "--json", "--show-secrets"))["tenants"]
    password = fleet.meltanodata("credentials", "acme", *STACK)
    keep = ("credentials", "--onepassword", "--yes", *STACK)
    with connect.serve() as server:
        vault = server.add_vault("meltanodata.com")
        fleet.environment |= {"OP_CONNECT_HOST": server.url, "OP_CONNECT_TOKEN": connect.TOKEN}
        fleet.meltanodata(*keep)
        items = server.items(vault)

        said = fleet.meltanodata("rename", "acme", "acme2", *STACK)
        assert "Renaming acme to acme2, in sandbox" in said
        assert "The instance stays at https://acme.meltanodata.com" in said
        assert fleet.file.read_text() == FILE.replace("acme:  #", "acme2:  #").replace(
            "# for ever\n", f"# for ever\n  adopt: {{record: acme, database: {database}}}\n"
        )
        fleet.unchanged()
        assert "sandbox: no changes" in fleet.meltanodata("plan", *STACK)
        assert held(fleet) == {"demo": before["demo"], "acme2": before["acme"]}
        now = json.loads(fleet.pulumi("stack", "output", "--json", "--show-secrets"))["tenants"]
        assert now == {"demo": outputs["demo"], "acme2": outputs["acme"]}
        assert fleet.meltanodata("check", str(fleet.file), *STACK)
        # Its login goes by the new name, and its item in the vault by its host name still.
        assert fleet.meltanodata("credentials", "acme2", *STACK) == password
        assert "there is no tenant acme" in fleet.meltanodata("credentials", "acme", *STACK, code=1)
        assert "2 logins up to date" in fleet.meltanodata(*keep)
        assert server.items(vault) == items
        assert "https://acme.meltanodata.com" in _page(fleet)
    fleet.up()
    fleet.unchanged()
    assert fleet.told("acme") == told
    # Nothing is left to do, and it goes back.
    assert "acme is already called acme2" in fleet.meltanodata("rename", "acme", "acme2", *STACK)
    fleet.meltanodata("rename", "acme2", "acme", *STACK)
    assert held(fleet) == before
    fleet.unchanged()
    # The names that it states now are its own, and need not stay.
    fleet.file.write_text(FILE)
    assert fleet.steps() == {"acme": "update"}


def _page(fleet: Fleet) -> str:
    file = fleet.home.path / "page.html"
    fleet.meltanodata("page", str(file), *STACK)
    return file.read_text()


def test_an_entry_that_was_renamed_by_hand_first_is_followed_by_the_state(fleet: Fleet) -> None:
    names = {"record": "acme", "database": cluster_of(fleet, "acme")}
    fleet.tenants(demo=DEMO, acme2={**ACME, "adopt": {"record": "acme"}})
    said = fleet.meltanodata("rename", "acme", "acme2", *STACK, code=1)
    assert f"add to its adopt: database: {names['database']}" in said
    fleet.tenants(demo=DEMO, acme2={**ACME, "adopt": names})
    text = fleet.file.read_text()
    fleet.meltanodata("rename", "acme", "acme2", *STACK)
    assert fleet.file.read_text() == text
    fleet.unchanged()
    # The names are not needed in the entry for the objects to stay: they are known by their ids. A host name is another
    # matter, and a team never changes.
    fleet.tenants(demo=DEMO, acme2={**ACME, "adopt": {"record": "acme"}})
    assert fleet.steps() == {"acme2": "update"}
    fleet.tenants(demo=DEMO, acme2={**DEMO, "adopt": {"record": "acme"}})
    assert "its database is in 'MeltanoData DBs 2' and cannot move" in fleet.preview(code=1)
    fleet.tenants(demo=DEMO, acme2={**ACME, "adopt": {"record": "acme", "database": "another"}})
    assert f"adopt: database is another, and its database is {names['database']}" in fleet.preview(code=1)


def test_what_cannot_be_renamed_is_refused_and_left_as_it_is(fleet: Fleet) -> None:
    state, text = fleet.export(), fleet.file.read_text()

    def refuses(old: str, new: str, words: str) -> None:
        assert words in fleet.meltanodata("rename", old, new, *STACK, code=1)
        assert (fleet.export(), fleet.file.read_text()) == (state, text)

    refuses("acme", "Acme 2", "'Acme 2': a tenant's name is 1 to 63 of a-z")
    refuses("acme", "demo", "demo exists already")
    refuses("acne", "acme2", "there is no tenant 'acne'. Did you mean 'acme'?")
    refuses("acme", "acme", "acme is already its name")
    lock = fleet.home.folder("state") / ".pulumi/locks/organization/meltanodata/sandbox/0.json"
    lock.parent.mkdir(parents=True, exist_ok=True)
    holder = {"pid": 1, "username": "runner", "hostname": "fv-az123", "timestamp": "2026-11-23T02:00:00Z"}
    lock.write_text(json.dumps(holder))
    refuses("acme", "acme2", "the stack is locked by runner@fv-az123 (process 1)")
    lock.unlink()
    file = next(fleet.home.folder("state").rglob("sandbox.json"))
    kept = file.read_text()
    checkpoint = json.loads(kept)
    droplet = next(it for it in state["deployment"]["resources"] if it["urn"].endswith("::acme-droplet"))
    checkpoint["checkpoint"]["latest"]["pending_operations"] = [{"resource": droplet, "type": "updating"}]
    file.write_text(json.dumps(checkpoint))
    said = fleet.meltanodata("rename", "acme", "acme2", *STACK, code=1)
    assert "a run of the stack sandbox was interrupted (updating acme-droplet)" in said
    file.write_text(kept)
    fleet.tenants(demo=DEMO, acme=ACME, bolt=dict(ACME))
    said = fleet.meltanodata("rename", "bolt", "bolt2", *STACK, code=1)
    assert "the state of sandbox does not have bolt: it is not deployed or adopted yet" in said


@pytest.mark.timeout(1800)
def test_killed_after_any_step_it_harms_nobody_and_is_finished_by_the_next(made: Fleet) -> None:
    folder, counted = made.home.folder("killer"), made.home.path / "count"
    real = shutil.which("pulumi", path=made.environment["PATH"])
    (folder / "pulumi").write_text(KILLER.format(count=counted, real=real))
    (folder / "pulumi").chmod(0o755)
    between = []
    for number in count(1):
        with undone(made):
            counted.write_text("0")
            path = f"{folder}:{made.environment['PATH']}"
            done = subprocess.run(
                [
                    sys.executable,
                    "-c",
                    "from meltanodata.cli.main import main; main()",
                    "rename",
                    "acme",
                    "acme2",
                    *STACK,
                ],
                cwd=made.folder,
                env=made.environment | {"PATH": path, "KILL_AFTER": str(number)},
                capture_output=True,
                timeout=SECONDS,
                check=False,
            )
            assert done.returncode in {0, -signal.SIGKILL}, done.stderr
            now = sorted(held(made))
            if done.returncode == 0:
                break
            if now not in between:
                between.append(now)
                # The file has the old name still: nobody destroys, changes or adopts anything.
                if "acme2" in now:
                    refused(
                        made, "acme: the droplet", "If acme is acme2 under a new name: meltanodata rename acme2 acme"
                    )
                else:
                    made.unchanged()
                made.meltanodata("rename", "acme", "acme2", *STACK)
                assert sorted(held(made)) == ["acme2", "demo"]
                made.unchanged()
    assert between == [["acme", "demo"], ["acme2", "demo"]]


def test_another_host_name_is_a_change_of_its_own_and_keeps_database_and_login(made: Fleet) -> None:
    """The last test of the module: it changes the world."""
    fleet, keep = made, ("credentials", "--onepassword", "--yes", *STACK)
    before, database = held(fleet)["acme"], cluster_of(fleet, "acme")
    with connect.serve() as server:
        vault = server.add_vault("meltanodata.com")
        fleet.environment |= {"OP_CONNECT_HOST": server.url, "OP_CONNECT_TOKEN": connect.TOKEN}
        fleet.meltanodata(*keep)
        item = server.items(vault)["acme.meltanodata.com"]["id"]
        password = fleet.meltanodata("credentials", "acme", *STACK).split()[-1]
        fleet.meltanodata("rename", "acme", "acme2", *STACK)
        fleet.tenants(demo=DEMO, acme2={**ACME, "adopt": {"database": database}})
        commands = dict.fromkeys(("acme2-files", "acme2-meltano", "acme2-verify"), "replace")
        assert fleet.steps() == {**dict.fromkeys(("acme2", "acme2-droplet", "acme2-record"), "update"), **commands}
        fleet.up()
        fleet.unchanged()
        now = held(fleet)["acme2"]
        assert {it: now[it] for it in ("droplet", "record", "database")} == {
            it: before[it] for it in ("droplet", "record", "database")
        }
        meltano = Team(fleet, "Meltano")
        droplet = meltano.client.get(f"/v2/droplets/{now['droplet']}")["droplet"]
        assert droplet["name"] == "acme2.meltanodata.com"
        # The item is the same one, so that whatever people noted in it stays.
        assert "update" in fleet.meltanodata(*keep)
        renamed: dict[str, Any] = server.items(vault)["acme2.meltanodata.com"]
        assert renamed["id"] == item
        assert password in [field["value"] for field in renamed["fields"]]
        assert len(server.items(vault)) == 2
        assert "2 logins up to date" in fleet.meltanodata(*keep)
    assert yaml.safe_load(fleet.file.read_text())["acme2"]["adopt"] == {"database": database}
