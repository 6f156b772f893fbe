"""A droplet's disk is changed from outside, whatever its root put in the way."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sandbox.droplets import disk
from sandbox.process import ProgramError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def upper(tmp_path: Path) -> Path:
    made = tmp_path / "upper"
    made.mkdir()
    return made


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_files_and_folders_are_made_with_the_modes_that_they_need(upper: Path) -> None:
    disk.write(upper, "etc/hostname", "acme\n")
    disk.write(upper, "root/.ssh/authorized_keys", "key\n", private=True)
    assert (upper / "etc" / "hostname").read_text() == "acme\n"
    assert (mode(upper / "etc"), mode(upper / "etc" / "hostname")) == (0o755, 0o644)
    assert (mode(upper / "root" / ".ssh"), mode(upper / "root" / ".ssh" / "authorized_keys")) == (0o700, 0o600)
    disk.write(upper, "etc/hostname", "a\n")
    assert disk.read(upper, "etc/hostname") == "a\n"


def test_a_link_in_a_files_place_is_replaced_and_not_followed(upper: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (upper / "etc").mkdir()
    (upper / "etc" / "hostname").symlink_to(victim)
    os.link(victim, upper / "etc" / "hosts")
    assert disk.read(upper, "etc/hostname") == ""
    disk.write(upper, "etc/hostname", "acme\n")
    disk.write(upper, "etc/hosts", "acme\n")
    assert victim.read_text() == "untouched"
    assert not (upper / "etc" / "hostname").is_symlink()
    assert (upper / "etc" / "hosts").read_text() == "acme\n"


@pytest.mark.parametrize("on_the_way", ["etc", "root/.ssh"])
def test_a_link_in_a_folders_place_is_an_error(upper: Path, tmp_path: Path, on_the_way: str) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (upper / on_the_way).parent.mkdir(exist_ok=True)
    (upper / on_the_way).symlink_to(victim)
    with pytest.raises(ProgramError, match=f"/{on_the_way} of the droplet's disk is not a folder"):
        disk.write(upper, f"{on_the_way}/ssh_host_key", "text")
    (victim / "ssh_host_key").write_text("untouched")
    disk.remove(upper, on_the_way, "ssh_host_")
    assert disk.read(upper, f"{on_the_way}/ssh_host_key") == ""
    assert [path.name for path in victim.iterdir()] == ["ssh_host_key"]


def test_a_folder_in_a_files_place_is_an_error(upper: Path) -> None:
    (upper / "etc" / "hostname").mkdir(parents=True)
    with pytest.raises(ProgramError, match="/etc/hostname of the droplet's disk is not a file"):
        disk.write(upper, "etc/hostname", "acme\n")


def test_a_pipe_is_not_waited_for(upper: Path) -> None:
    os.mkfifo(upper / "motd")
    assert disk.read(upper, "motd") == ""


def test_files_go_by_how_their_names_begin(upper: Path) -> None:
    for name in ("ssh_host_rsa_key", "ssh_host_rsa_key.pub", "sshd_config"):
        disk.write(upper, f"etc/ssh/{name}", "text")
    disk.remove(upper, "etc/ssh", "ssh_host_")
    disk.remove(upper, "etc/nowhere", "ssh_host_")
    assert [path.name for path in (upper / "etc" / "ssh").iterdir()] == ["sshd_config"]
