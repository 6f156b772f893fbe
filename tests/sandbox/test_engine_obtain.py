"""How the engine is had, with programs in the place of Go, Pulumi's installer and the CLI."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from meltanodata.engine.cli_version import SDK
from sandbox.engine import obtain as module
from sandbox.engine.obtain import Engine, EngineError, obtain
from sandbox.engine.official import PACKAGES, why_not_official
from sandbox.home import PROJECT, Home
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CLI = f"#!/bin/sh\necho v{SDK}\n"
UNREACHABLE = "raise SystemExit(1)"
PROCESS = f"""
from sandbox.engine import obtain
obtain._INSTALL = {UNREACHABLE!r}
print(obtain.obtain(lambda line: print(line, flush=True)).command)
"""


class Machine:
    """A folder of programs that is the whole PATH, beside the system's, and a cache."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = folder / "bin"
        self.programs.mkdir()
        self.engine = folder / "cache" / "engine" / SDK / "pulumi"
        self.said: list[str] = []

    def program(self, name: str, text: str) -> None:
        path = self.programs / name
        path.write_text(text)
        path.chmod(0o755)

    def go(self, during: str = "") -> None:
        """A Go that writes the CLI, counts its builds in the file `builds` and does something meanwhile."""
        (self.folder / "cli").write_text(CLI)
        self.program(
            "go",
            f"""#!/bin/sh
[ "$1" = env ] && {{ echo go1.99.0; exit; }}
echo build >> {self.folder}/builds
while [ "$1" != -o ]; do shift; done
echo "go: downloading example.org/module v1.0.0" >&2
{during}
cp {self.folder}/cli "$2" && chmod +x "$2"
""",
        )

    def builds(self) -> int:
        path = self.folder / "builds"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def start(self) -> subprocess.Popen[str]:
        """Another process that wants the engine."""
        return subprocess.Popen([sys.executable, "-c", PROCESS], cwd=PROJECT, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path)
    monkeypatch.setenv("PATH", os.pathsep.join([str(machine.programs), "/usr/bin", "/bin"]))
    monkeypatch.setenv("MELTANODATA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "_INSTALL", UNREACHABLE)
    return machine


def test_one_on_path_that_fits_is_taken(machine: Machine) -> None:
    machine.program("pulumi", CLI)
    engine = obtain(machine.said.append)
    assert engine == Engine(machine.programs / "pulumi", SDK, language_host=False)
    assert machine.said == []
    machine.program("pulumi-language-python", "#!/bin/sh\n")
    assert obtain(machine.said.append).language_host


def test_one_that_does_not_fit_is_passed_over(machine: Machine) -> None:
    machine.program("pulumi", "#!/bin/sh\necho v3.1.0\n")
    machine.go()
    assert obtain(machine.said.append).command == machine.engine


def test_the_installer_is_preferred_to_a_build(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.go()
    installer = f"""
import pathlib, sys
folder = pathlib.Path(sys.argv[1], "bin")
folder.mkdir(parents=True)
for name in ("pulumi", "pulumi-language-python"):
    (folder / name).write_text({CLI!r})
    (folder / name).chmod(0o755)
"""
    monkeypatch.setattr(module, "_INSTALL", installer)
    assert obtain(machine.said.append) == Engine(machine.engine, SDK, language_host=True)
    assert machine.builds() == 0
    assert sorted(path.name for path in machine.engine.parent.iterdir()) == ["pulumi", "pulumi-language-python"]


def test_it_is_built_once_and_kept(machine: Machine) -> None:
    machine.go()
    assert obtain(machine.said.append) == Engine(machine.engine, SDK, language_host=False)
    assert any("building" in line and "minutes" in line for line in machine.said)
    machine.said.clear()
    obtain(machine.said.append)
    assert machine.said == []
    assert machine.builds() == 1


def test_two_processes_build_it_once(machine: Machine) -> None:
    machine.go(f"while [ ! -e {machine.folder}/go-on ]; do sleep 0.05; done")
    with machine.start() as first:
        eventually(machine.builds, 60)
        with machine.start() as second:
            assert second.stdout
            assert "waiting" in second.stdout.readline()
            (machine.folder / "go-on").touch()
            assert second.stdout.read().strip() == str(machine.engine)
        assert first.communicate()[0].splitlines()[-1] == str(machine.engine)
    assert machine.builds() == 1


def test_a_killed_build_leaves_nothing_half(machine: Machine) -> None:
    machine.go(f"while [ ! -e {machine.folder}/go-on ]; do sleep 0.05; done")
    with machine.start() as first:
        eventually(machine.builds, 60)
        first.kill()
    assert not machine.engine.parent.exists()
    with machine.start() as second:
        assert second.stdout
        # Go outlives whoever started it, and nobody writes where it still does.
        assert "waiting" in second.stdout.readline()
        (machine.folder / "go-on").touch()
        assert second.stdout.read().splitlines()[-1] == str(machine.engine)
    assert machine.builds() == 2
    assert not (machine.engine.parent.parent / "draft").exists()


def test_a_build_that_fails_says_why_and_can_be_tried_again(machine: Machine) -> None:
    machine.go("echo 'no space left on device' >&2; exit 1")
    with pytest.raises(EngineError, match=r"3\.\d+\.\d+ cannot be built: (.|\n)*no space left on device"):
        obtain(machine.said.append)
    machine.go()
    assert obtain(machine.said.append).command == machine.engine


def test_one_in_the_cache_that_does_not_run_is_made_anew(machine: Machine) -> None:
    machine.go()
    machine.engine.parent.mkdir(parents=True)
    machine.engine.write_text("half")
    assert obtain(machine.said.append).command == machine.engine
    assert machine.builds() == 1


def plugin_engine(machine: Machine, install: str) -> Engine:
    """An engine that knows nothing but `plugin install resource NAME VERSION`."""
    machine.program("engine", f"#!/bin/sh\nplugin=$PULUMI_HOME/plugins/$4-$5-$6\n{install}\n")
    return Engine(machine.programs / "engine", SDK, language_host=False)


@pytest.fixture
def obstacle(machine: Machine) -> Callable[[Engine], str | None]:
    home = Home(machine.folder / "home")
    return lambda engine: why_not_official(home, engine, machine.said.append)


def test_official_plugins_on_path_need_no_download(machine: Machine, obstacle: Callable[[Engine], str | None]) -> None:
    for package in PACKAGES:
        machine.program(f"pulumi-resource-{package}", "#!/bin/sh\n")
    assert obstacle(plugin_engine(machine, "exit 1")) is None
    assert machine.said == []


def test_official_plugins_are_downloaded_once_for_all(
    machine: Machine, obstacle: Callable[[Engine], str | None]
) -> None:
    assert obstacle(plugin_engine(machine, "mkdir -p $plugin && touch $plugin/binary")) is None
    assert len(machine.said) == 3
    placed = list((machine.folder / "home" / "pulumi" / "plugins").glob("*/binary"))
    assert len(placed) == 3
    nothing_more = plugin_engine(machine, "exit 1")
    assert obstacle(nothing_more) is None
    assert why_not_official(Home(machine.folder / "another"), nothing_more, machine.said.append) is None
    assert len(machine.said) == 3


@pytest.mark.parametrize("failure", ["echo 'Will retry in 20ms'; exec sleep 600", "exit 1", "exit 0"])
def test_plugins_that_cannot_be_downloaded_are_not_waited_for(
    machine: Machine, obstacle: Callable[[Engine], str | None], failure: str
) -> None:
    assert "pulumi-resource-digitalocean" in (obstacle(plugin_engine(machine, failure)) or "")
