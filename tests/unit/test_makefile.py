"""`make setup` on a machine whose Python is too old; `make pulumi` with a release that is right, or is not."""

from __future__ import annotations

import hashlib
import io
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from meltanodata.engine.cli_version import SDK

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `make` in a checkout without a virtual environment; its Python is the script `python3`."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(PROJECT / name, tmp_path)

    def run(python: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        program = tmp_path / "bin" / "python3"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\n{python}\n")
        program.chmod(0o755)
        command = ["make", "--directory", str(tmp_path), *arguments]
        return subprocess.run(
            command, env={"PATH": f"{program.parent}:/usr/bin:/bin"}, capture_output=True, text=True, check=False
        )

    return run


def as_if(version: tuple[int, int, int]) -> str:
    """Shell that runs the code after `-c` by this Python, to which another version is pretended."""
    pretended = f"import sys; sys.version_info = {version}"
    return f'[ "$1" != -c ] || exec {shlex.quote(sys.executable)} -c "{pretended}\n$2"'


@pytest.mark.parametrize("target", ["setup", "sandbox", "test"])
def test_an_old_python_is_refused_in_our_words_before_anything_is_made(
    make: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, target: str
) -> None:
    others = 'case "$1" in --version) echo "Python 3.10.12";; *) touch "$(dirname "$0")/used"; exit 1;; esac'
    done = make(f"{as_if((3, 10, 12))}\n{others}", target)
    assert done.returncode != 0
    assert "MeltanoData needs Python 3.11 or newer; python3 is Python 3.10.12." in done.stderr
    assert f"make {target} PYTHON=python3.11" in done.stderr
    assert not (tmp_path / "bin" / "used").exists()
    assert not (tmp_path / ".venv").exists()


def test_a_missing_python_is_said(make: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = make("exit 0", "setup", "PYTHON=python3.99")
    assert done.returncode != 0
    assert "needs Python 3.11 or newer; python3.99 is " in done.stderr


def test_a_new_enough_python_goes_on(make: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = make(f"{as_if((3, 11, 0))}\n[ $1 = -m ] && echo asked for $2; exit 3", "setup")
    assert "asked for venv" in done.stdout
    assert "needs Python" not in done.stderr


class Release:
    """A checkout with a virtual environment, and what Pulumi publishes of a release, in folders of this machine."""

    def __init__(self, folder: Path) -> None:
        self.checkout, self.archives = folder / "check out", folder / "archives"
        self.programs = self.checkout / ".venv" / "bin"
        self.programs.mkdir(parents=True)
        self.archives.mkdir()
        for name in ("Makefile", "requirements.lock", "pyproject.toml"):
            shutil.copy(PROJECT / name, self.checkout)
        self.program(self.programs / "python", f"echo {SDK}")
        (self.checkout / ".venv" / ".ready").touch()
        machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
        self.archive = self.archives / f"pulumi-v{SDK}-{platform.system().lower()}-{machine}.tar.gz"
        self.checksums = folder / "release" / f"v{SDK}" / f"pulumi-{SDK}-checksums.txt"
        self.checksums.parent.mkdir(parents=True)
        with tarfile.open(self.archive, "w:gz") as tar:
            for name in ("pulumi", "pulumi-language-python"):
                content = f"#!/bin/sh\necho v{SDK}\n".encode()
                entry = tarfile.TarInfo(f"pulumi/{name}")
                entry.size, entry.mode = len(content), 0o755
                tar.addfile(entry, io.BytesIO(content))
        digest = hashlib.sha256(self.archive.read_bytes()).hexdigest()
        self.checksums.write_text(f"{'0' * 64}  pulumi-v{SDK}-plan9-x64.tar.gz\n{digest}  {self.archive.name}\n")

    @staticmethod
    def program(path: Path, text: str) -> None:
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def make(self, path: str = "") -> subprocess.CompletedProcess[str]:
        urls = [
            f"PULUMI_ARCHIVES=file://{self.archives}",
            f"PULUMI_CHECKSUMS=file://{self.checksums.parents[1]}",
        ]
        environment = {"PATH": os.pathsep.join(filter(None, [path, "/usr/bin:/bin"]))}
        command = ["make", "--directory", str(self.checkout), "pulumi", *urls]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def installed(self) -> set[str]:
        """The programs beside Python; nothing else of an attempt is left."""
        assert {path.name for path in self.programs.parent.iterdir()} == {"bin", ".ready"}
        return {path.name for path in self.programs.iterdir()} - {"python"}


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return Release(tmp_path)


def test_pulumi_is_installed_in_the_version_of_its_sdk(release: Release) -> None:
    done = release.make()
    assert done.returncode == 0, done.stderr
    assert f".venv/bin/pulumi is Pulumi {SDK}." in done.stdout
    assert release.installed() == {"pulumi", "pulumi-language-python"}
    assert os.access(release.programs / "pulumi", os.X_OK)
    release.archive.unlink()
    again = release.make()
    assert (again.returncode, again.stderr) == (0, "")
    assert f"{release.programs}/pulumi is Pulumi {SDK} already\n" in again.stdout


def test_another_version_of_pulumi_is_replaced(release: Release) -> None:
    release.program(release.programs / "pulumi", "echo v3.1.0")
    assert release.make().returncode == 0
    assert SDK in (release.programs / "pulumi").read_text()


def test_the_right_pulumi_that_is_on_the_path_is_kept(release: Release, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    release.program(tmp_path / "elsewhere" / "pulumi", f"echo v{SDK}")
    release.archive.unlink()
    done = release.make(path=str(tmp_path / "elsewhere"))
    assert done.returncode == 0, done.stderr
    assert release.installed() == set()


@pytest.mark.parametrize("wrong", ["archive", "checksum", "not listed", "empty list", "no list", "no archive"])
def test_a_pulumi_that_is_not_the_releases_is_not_installed(release: Release, wrong: str) -> None:
    release.program(release.programs / "pulumi", "echo v3.1.0")
    match wrong:
        case "archive":
            release.archive.write_bytes(release.archive.read_bytes() + b"x")
        case "checksum":
            release.checksums.write_text(f"{'1' * 64}  {release.archive.name}\n")
        case "not listed":
            release.checksums.write_text(release.checksums.read_text().splitlines()[0] + "\n")
        case "empty list":
            release.checksums.write_text("")
        case "no list":
            release.checksums.unlink()
        case _:
            release.archive.unlink()
    done = release.make()
    assert done.returncode != 0
    if not wrong.startswith("no "):
        assert f"{release.archive.name} is not what Pulumi's release says. Nothing was installed." in done.stderr
    assert release.installed() == {"pulumi"}
    assert "v3.1.0" in (release.programs / "pulumi").read_text()
