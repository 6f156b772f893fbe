"""The sandbox's project folder."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from meltanodata.config import fleet
from sandbox import project
from sandbox.home import PROJECT, Home
from sandbox.keys import Keys

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "project"
    path.mkdir()
    project.make(path, project.described())
    return path


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys.ensure(Home(tmp_path / "home"), "meltanodata.com")


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def test_it_begins_with_the_checkouts_tenants_and_keeps_what_somebody_wrote(folder: Path) -> None:
    file = folder / "tenants.yaml"
    assert file.read_text() == (PROJECT / "tenants.yaml").read_text()
    file.write_text("{}\n")
    project.make(folder, project.described())
    assert file.read_text() == "{}\n"
    loaded, problems = fleet.load(file)
    assert (loaded.rows, problems) == ((), [])


def test_it_is_a_repository_whose_main_branch_can_be_compared_with(folder: Path, keys: Keys) -> None:
    project.equip(folder, keys, "meltanodata.com")
    assert git(folder, "rev-parse", "HEAD") == git(folder, "rev-parse", "origin/main")
    assert git(folder, "status", "--short") == ""
    assert not [name for name in git(folder, "ls-files").splitlines() if name.startswith("com.meltanodata")]


def test_the_repository_of_a_hook_around_it_is_left_alone(
    folder: Path, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    project.equip(folder, keys, "meltanodata.com")
    assert (folder / ".git").is_dir()
    assert not list((other / ".git" / "refs" / "heads").iterdir())


def test_the_renewed_certificate_is_another_than_the_stacks_and_its_key_is_private(folder: Path, keys: Keys) -> None:
    project.equip(folder, keys, "meltanodata.com")
    certificate, key = folder / "com.meltanodata.crt", folder / "com.meltanodata.key"
    renewed, ca = x509.load_pem_x509_certificates(certificate.read_bytes())
    first = x509.load_pem_x509_certificates(keys.wildcard_certificate.read_bytes())[0]
    assert renewed.serial_number != first.serial_number
    assert ca.public_bytes(serialization.Encoding.PEM) == keys.ca_certificate.read_bytes()
    assert key.stat().st_mode & 0o777 == 0o600
    content = key.read_bytes()
    project.equip(folder, keys, "meltanodata.com")
    assert key.read_bytes() == content
