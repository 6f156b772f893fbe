"""The script that sets Meltano's version and admin, in a folder that stands for /var/meltano.

In it `python` is a shell script that keeps a file as the version installed; the page answers as that version does.
"""

from __future__ import annotations

import errno
import json
import pathlib
import pwd
import sqlite3
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from meltanodata.droplet import files
from meltanodata.droplet.scripts import meltano

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PYTHON = """#!/bin/sh
cd {home}
echo "python $*" | head -1 >> calls
case "$*" in
*importlib*) cat .venv/installed ;;
*"pip install"*)
    for wanted; do :; done
    test "$wanted" != meltano==9.9.9 || {{ echo warning >&2; echo "ERROR: No matching distribution" >&2; exit 1; }}
    echo "${{wanted#meltano==}}" > .venv/installed ;;
*)
    cat > told
    printf "%s" "$1" > script
    test ! -e refuse || {{ echo noise >&2; echo "database is locked" >&2; exit 1; }}
    echo done ;;
esac
"""
OTHERS = """#!/bin/sh
echo "{name} $*" >> {home}/calls
"""


@dataclass
class World:
    home: Path
    broken: tuple[str, ...] = ()
    """Versions whose page does not come up."""

    @property
    def installed(self) -> str:
        return (self.home / ".venv/installed").read_text().strip()

    def page(self, host_name: str) -> int:
        assert host_name == "acme.meltanodata.com"
        return 500 if self.installed in self.broken else 401

    def rows(self) -> list[Any]:
        with sqlite3.connect(self.home / "project/.meltano/meltano.db") as connection:
            found = connection.execute("SELECT * FROM t").fetchall()
        connection.close()
        return found

    def calls(self) -> list[str]:
        """What was run, in short."""
        return [
            line.split(" --")[0] for line in (self.home / "calls").read_text().splitlines() if "importlib" not in line
        ]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    it = World(tmp_path / "meltano")
    (it.home / ".venv/bin").mkdir(parents=True)
    (it.home / "project/.meltano").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    (it.home / ".venv/installed").write_text("2.20.0\n")
    for path, text in {
        it.home / ".venv/bin/python": PYTHON.format(home=it.home),
        it.home / ".venv/bin/meltano": OTHERS.format(home=it.home, name="meltano"),
        tmp_path / "bin/systemctl": OTHERS.format(home=it.home, name="systemctl"),
    }.items():
        path.write_text(text)
        path.chmod(0o755)
    connection = sqlite3.connect(it.home / "project/.meltano/meltano.db")
    connection.executescript("CREATE TABLE t (a); INSERT INTO t VALUES ('before')")
    connection.close()
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.setattr(meltano, "HOME", it.home)
    monkeypatch.setattr(meltano, "PATIENCE", 0)
    monkeypatch.setattr(meltano, "as_meltano", list)
    monkeypatch.setattr(meltano, "as_user", lambda step: step())
    monkeypatch.setattr(meltano, "page", it.page)
    return it


def run(version: str | None = None, **told: Any) -> None:
    """Run the script for an entry with this version."""
    login = {"username": "meltano", "password": "p'w", "keep": False}
    meltano.main({"version": version, "host_name": "acme.meltanodata.com", "admin_script": "SCRIPT", **login, **told})


def refusal(version: str | None = None) -> str:
    with pytest.raises(SystemExit) as caught:
        run(version)
    return str(caught.value)


# The admin


def test_the_admins_script_is_told_by_standard_input(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    run(keep=True)
    assert (world.home / "script").read_text() == "SCRIPT"
    assert json.loads((world.home / "told").read_text()) == {"username": "meltano", "password": "p'w", "keep": True}
    assert capsys.readouterr().out == "done\n"
    assert world.calls() == ["python SCRIPT"]


def test_a_failure_is_said_by_its_last_line(world: World) -> None:
    (world.home / "refuse").touch()
    assert refusal() == "the admin user is not set: database is locked"


@pytest.mark.parametrize("code", [0, 1])
def test_however_much_the_users_python_prints_one_short_plain_line_is_passed_on(
    world: World, capsys: pytest.CaptureFixture[str], code: int
) -> None:
    """It is the user's file: what it prints would be in the stack's state, and on the operator's terminal."""
    much = "head -c 5000000 /dev/zero | tr '\\0' x"
    (world.home / ".venv/bin/python").write_text(
        f"#!/bin/sh\n{much}; {much} >&2\nprintf '\\n\\033]0;title\\007%01000d\\n' 1 | tee /dev/stderr\nexit {code}\n"
    )
    said = refusal() if code else ""
    if not code:
        run()
        said = capsys.readouterr().out
    assert "]0;title" in said
    assert len(said) < 400
    assert said.strip().isprintable()


def test_the_admins_script_says_nothing_of_a_traceback(world: World, tmp_path: Path) -> None:
    """The script itself, where there is no Meltano."""
    script = tmp_path / "admin.py"
    script.write_text(files.placed("admin").content or "")
    (world.home / ".venv/bin/python").unlink()
    (world.home / ".venv/bin/python").symlink_to(sys.executable)
    with pytest.raises(SystemExit, match=r"^the admin user is not set: ModuleNotFoundError: No module named 'flask_"):
        run(admin_script=str(script))


# The version


def test_without_a_version_none_is_touched(world: World) -> None:
    run(None)
    assert world.installed == "2.20.0"


def test_the_version_that_is_there_already(world: World) -> None:
    run("2.20.0")
    assert world.calls() == ["python SCRIPT"]


def test_an_upgrade(world: World) -> None:
    run("2.21.0")
    assert world.installed == "2.21.0"
    assert world.calls() == [
        "python -m pip install",
        "meltano upgrade",
        "systemctl restart meltano",
        "python SCRIPT",
    ]
    assert sorted(path.name for path in world.home.glob(".venv*")) == [".venv"]
    assert [path.name for path in (world.home / "project/.meltano").iterdir()] == ["meltano.db"]
    assert world.rows() == [("before",)]


def test_a_second_run_after_an_upgrade_does_nothing(world: World) -> None:
    run("2.21.0")
    (world.home / "calls").unlink()
    run("2.21.0")
    assert world.calls() == ["python SCRIPT"]


def spoil(world: World) -> None:
    """Let the upgrade change Meltano's database."""
    script = world.home / ".venv/bin/meltano"
    script.write_text(f"{script.read_text()}rm {world.home}/project/.meltano/meltano.db\n")


def test_a_version_that_does_not_come_up_is_undone(world: World) -> None:
    world.broken = ("2.21.0",)
    spoil(world)
    assert refusal("2.21.0").startswith("Meltano 2.21.0 does not work, 2.20.0 is restored: it answers 500. Look at: ")
    assert world.installed == "2.20.0"
    assert world.rows() == [("before",)]
    assert sorted(path.name for path in world.home.glob(".venv*")) == [".venv"]
    assert world.calls()[-3:] == ["systemctl stop meltano", "systemctl start meltano", "systemctl restart meltano"]


def test_a_service_that_keeps_ending_is_not_waited_for(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The instance is down meanwhile."""
    monkeypatch.setattr(meltano, "PATIENCE", 3600)
    world.broken = ("2.21.0",)
    (tmp_path / "bin/systemctl").write_text('#!/bin/sh\ntest "$1" != show || echo 3\n')
    assert "2.21.0 does not work, 2.20.0 is restored: it crashed 3 times. Look at: " in refusal("2.21.0")


def test_neither_comes_up(world: World) -> None:
    world.broken = ("2.21.0", "2.20.0")
    assert "does not work: it answers 500" in refusal("2.21.0")
    assert "Neither does 2.20.0: it answers 500" in refusal("2.21.0")


def test_a_version_that_cannot_be_had(world: World) -> None:
    assert refusal("9.9.9") == "Meltano 9.9.9 does not work, 2.20.0 is restored: ERROR: No matching distribution"
    assert world.installed == "2.20.0"


def broken_off(world: World, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    """An upgrade of which nothing after a step happens."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(meltano, at, killed)
        with pytest.raises(KeyboardInterrupt):
            run("2.21.0")
    (world.home / "calls").write_text("")


@pytest.mark.parametrize("at", ["restart", "discard_copies"])
@pytest.mark.parametrize("wanted", ["2.21.0", "2.20.0", None])
def test_an_upgrade_that_was_broken_off_is_undone_first(
    world: World, monkeypatch: pytest.MonkeyPatch, at: str, wanted: str | None
) -> None:
    broken_off(world, monkeypatch, at)
    assert world.installed == "2.21.0"
    run(wanted)
    assert world.installed == (wanted or "2.20.0")
    assert world.calls()[:2] == ["systemctl stop meltano", "systemctl start meltano"]
    assert sorted(path.name for path in world.home.glob(".venv*")) == [".venv"]


def test_an_undo_that_was_broken_off_before_the_service_was_started_is_finished(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_off(world, monkeypatch, "restart")
    put_back = meltano.put_copies_back

    def killed() -> str:
        put_back()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(meltano, "put_copies_back", killed)
        with pytest.raises(KeyboardInterrupt):
            run()
    assert world.calls() == ["systemctl stop meltano"]
    run()
    assert world.calls()[1:] == ["systemctl stop meltano", "systemctl start meltano", "python SCRIPT"]
    assert world.installed == "2.20.0"
    assert sorted(path.name for path in world.home.glob(".venv*")) == [".venv"]


def test_an_environment_that_cannot_be_renamed_is_replaced_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of a lower layer or a mount: EXDEV."""
    rename = pathlib.Path.rename

    def refusing(path: Path, to: Path) -> Path:
        if path == world.home / ".venv":
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(path, to)

    monkeypatch.setattr(pathlib.Path, "rename", refusing)
    world.broken = ("2.21.0",)
    assert "2.20.0 is restored" in refusal("2.21.0")
    assert world.installed == "2.20.0"
    assert sorted(path.name for path in world.home.glob(".venv*")) == [".venv"]


def test_copies_that_cannot_be_kept_are_said_and_nothing_is_upgraded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> str:
        raise meltano.Failed("cp: No space left on device")

    monkeypatch.setattr(meltano, "keep_copies", fails)
    assert refusal("2.21.0") == "Meltano's version cannot be set: cp: No space left on device"
    assert world.installed == "2.20.0"


@pytest.mark.parametrize(
    ("step", "said"),
    [(lambda: "yes", "yes"), (lambda: "", "")],
)
def test_a_step_as_the_user_says_what_it_returns(
    monkeypatch: pytest.MonkeyPatch, step: Callable[[], str], said: str
) -> None:
    monkeypatch.setattr(meltano, "drop_privileges", lambda: None)
    assert meltano.as_user(step) == said


def test_a_step_is_not_taken_as_root_if_root_cannot_be_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fails() -> None:
        raise PermissionError("no")

    monkeypatch.setattr(meltano, "drop_privileges", fails)
    with pytest.raises(meltano.Failed, match="PermissionError: no"):
        meltano.as_user(lambda: str((tmp_path / "done").write_text("")))
    assert not (tmp_path / "done").exists()


def test_half_a_copy_is_not_put_back(world: World) -> None:
    (world.home / ".venv.before.part").mkdir()
    run("2.21.0")
    assert world.installed == "2.21.0"
    assert not (world.home / ".venv.before.part").exists()


def test_a_system_database_elsewhere_is_left_alone(world: World) -> None:
    (world.home / "project/.meltano/meltano.db").unlink()
    world.broken = ("2.21.0",)
    refusal("2.21.0")
    assert world.installed == "2.20.0"
    assert not list((world.home / "project/.meltano").iterdir())


def test_as_the_user_meltano(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()

    class Entry:
        pw_dir = "/home/meltano"

    monkeypatch.setattr(pwd, "getpwnam", {"meltano": Entry}.__getitem__)
    assert " ".join(meltano.as_meltano()) == (
        "runuser --user meltano -- env -i --chdir=/var/meltano/project HOME=/home/meltano"
        " PATH=/var/meltano/.venv/bin:/usr/bin:/bin LANG=C.UTF-8 NO_COLOR=1"
    )
