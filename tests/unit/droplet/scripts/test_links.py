"""Root follows no link where somebody else may write: the scripts for droplets, step by step.

The same raced for real, on a droplet, is in tests/sandbox/test_links_real.py.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import socket
from typing import TYPE_CHECKING, Any

import pytest

from meltanodata.droplet.layout import PROJECT
from meltanodata.droplet.scripts import descriptors, write_files
from tests.unit.droplet.samples import document, droplet_files, everything, run
from tests.unit.droplet.scripts.samples import facts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECRET = "PG_PASSWORD=tell-tale\nKEY=tell-tale too\n"
ENV = "var/meltano/project/.env"


@pytest.fixture
def theirs(droplet: Path) -> Path:
    """The droplet; below /var/meltano others may write."""
    for folder in ("var/meltano", "var/meltano/project", "var/meltano/.venv"):
        (droplet / folder).chmod(0o777)
    (droplet / "secret").write_text(SECRET)
    (droplet / "secret").chmod(0o600)
    return droplet


def env_alone() -> dict[str, Any]:
    return document(droplet_files()["/var/meltano/project/.env"])


def refusal(droplet: Path, told: dict[str, Any]) -> str:
    with pytest.raises(SystemExit) as caught:
        run(droplet, told)
    return str(caught.value)


def untouched(droplet: Path) -> bool:
    """Root's own file is what it was, and nothing of it is anywhere else."""
    secret = droplet / "secret"
    status = secret.stat()
    elsewhere = [
        path for path in droplet.rglob("*") if path.is_file() and not path.is_symlink() and not path.samefile(secret)
    ]
    return (
        secret.read_text() == SECRET
        and status.st_mode & 0o7777 == 0o600
        and status.st_uid == os.getuid()
        and not any(b"tell-tale" in path.read_bytes() for path in elsewhere)
    )


def to_link(path: Path, droplet: Path) -> None:
    path.symlink_to(droplet / "secret")


def to_pipe(path: Path, _: Path) -> None:
    os.mkfifo(path)


def to_folder(path: Path, _: Path) -> None:
    path.mkdir()


def to_socket(path: Path, _: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (to_link, "is a symbolic link to"),
        (to_pipe, "is not a file"),
        (to_folder, "is not a file"),
        (to_socket, "is not a file"),
    ],
)
@pytest.mark.parametrize("name", [".env", "ui.cfg"])
def test_what_is_no_file_is_refused_with_what_to_do(
    theirs: Path, make: Callable[[Path, Path], None], said: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(theirs)  # a socket's path is short
    path = f"/var/meltano/project/{name}"
    make(theirs / path.lstrip("/"), theirs)
    told = refusal(theirs, document(droplet_files()[path]))
    assert f"{path} {said}" in told
    assert re.search(rf"runuser -u \S+ -- mv --no-clobber {path} {path}\.odd", told)
    assert untouched(theirs)


@pytest.mark.parametrize("folder", ["var/meltano/project", "var/meltano/.venv"])
def test_a_folder_that_is_a_link_is_refused_and_everything_else_is_done(theirs: Path, folder: str) -> None:
    (theirs / "elsewhere").mkdir()
    (theirs / folder).rmdir()
    (theirs / folder).symlink_to(theirs / "elsewhere")
    told = refusal(theirs, everything())
    assert f"/{folder} is not reached: " in told
    assert "mount --bind" in told
    assert list((theirs / "elsewhere").iterdir()) == []
    assert (theirs / "etc/caddy/com.meltanodata.crt").read_text() == "CERTIFICATE\n"
    assert (theirs / "var/meltano/constraints.txt").exists()


def test_a_hard_link_of_somebody_elses_file_is_refused(theirs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.link(theirs / "secret", theirs / ENV)
    monkeypatch.setattr(pwd, "getpwnam", lambda _: os_user(4711))
    monkeypatch.setattr(os, "fchown", lambda *_: None)
    told = refusal(theirs, env_alone())
    assert "may be a hard link to a file from elsewhere (names: 2)" in told
    assert untouched(theirs)


def test_a_file_of_another_owners_is_refused_where_hard_links_are_not_protected(
    theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its other name may have been removed since."""
    (theirs / ENV).write_text("TAP=1\n")
    monkeypatch.setattr(descriptors, "hard_links_are_protected", lambda: False)
    monkeypatch.setattr(pwd, "getpwnam", lambda _: os_user(4711))
    monkeypatch.setattr(os, "fchown", lambda *_: None)
    assert "may be a hard link" in refusal(theirs, env_alone())
    assert (theirs / ENV).read_text() == "TAP=1\n"


def test_a_file_that_root_wrote_in_the_users_folder_is_given_back(
    theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after `meltano config` run as root: nobody can read it but root, and every page is a 500."""
    (theirs / ENV).write_text("TAP=1\n")
    (theirs / ENV).chmod(0o600)
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(descriptors, "hard_links_are_protected", lambda: True)
    monkeypatch.setattr(pwd, "getpwnam", lambda _: os_user(4711))
    monkeypatch.setattr(os, "fchown", lambda _, owner, group: given.append((owner, group)))
    run(theirs, env_alone())
    assert given == [(4711, os.getgid())]
    assert (theirs / ENV).read_text().startswith("TAP=1\nPG_USERNAME=")
    assert (theirs / ENV).stat().st_mode & 0o7777 == 0o620


class os_user:  # noqa: N801 - stands for pwd's
    def __init__(self, uid: int) -> None:
        self.pw_uid, self.pw_name, self.pw_dir = uid, "meltano", "/"


def test_a_file_of_endless_size_is_not_read(theirs: Path) -> None:
    with (theirs / ENV).open("wb") as file:
        file.truncate(1 << 40)
    assert f"has more than {descriptors.LARGEST} bytes" in refusal(theirs, env_alone())


# Between any two steps


CALLS = ("open", "fstat", "fchown", "fchmod", "replace", "unlink", "readlink", "fsync", "dup", "close")
"""What the script asks the kernel."""


def attacked(droplet: Path, at: int, told: dict[str, Any], attack: Callable[[], None]) -> bool:
    """Run the script with an attack before a certain one of its calls; whether there was such a call."""
    count = 0
    patch = pytest.MonkeyPatch()

    def hooked(call: Callable[..., Any]) -> Callable[..., Any]:
        def hook(*args: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count == at:
                attack()
            return call(*args, **options)

        return hook

    with patch.context():
        for name in CALLS:
            patch.setattr(os, name, hooked(getattr(os, name)))
        try:
            write_files.main(told, droplet, str(droplet / "systemctl"))
        except SystemExit:
            pass
        finally:
            patch.undo()
    return count >= at


@pytest.mark.parametrize("what", ["file", "folder", "temporary"])
@pytest.mark.parametrize("differs", [True, False])
def test_a_link_swapped_in_before_any_step_leads_root_nowhere(theirs: Path, what: str, differs: bool) -> None:
    project, env, aside = theirs / "var/meltano/project", theirs / ENV, theirs / "var/meltano/aside"
    (theirs / "rootish").mkdir()
    os.link(theirs / "secret", theirs / "rootish/.env")  # what is found if the folder is a link

    def attack() -> None:
        if what == "file":
            env.unlink(missing_ok=True)
            env.symlink_to(theirs / "secret")
        elif what == "folder" and not project.is_symlink():
            project.rename(aside)
            project.symlink_to(theirs / "rootish")
        else:
            for temporary in project.glob(".meltanodata-*"):
                temporary.unlink()
                temporary.symlink_to(theirs / "secret")

    steps = 0
    while True:
        if project.is_symlink():
            project.unlink()
            aside.rename(project)
        env.unlink(missing_ok=True)
        if differs:
            env.write_text("TAP=1\nPG_PASSWORD=old\n")
        else:
            run(theirs, env_alone())
            env.chmod(0o600)
        steps += 1
        if not attacked(theirs, steps, env_alone(), attack):
            break
        assert untouched(theirs)
        assert {path.name for path in (theirs / "rootish").iterdir()} == {".env"}
    assert steps > 10


def test_where_root_alone_may_write_its_own_links_are_followed_and_replaced(
    droplet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An instance made by hand may have its certificate from elsewhere, or its configuration on another disk."""
    monkeypatch.setattr(os, "umask", None)
    (droplet / "etc/caddy").rmdir()
    (droplet / "opt/caddy").mkdir(parents=True)
    (droplet / "etc/caddy").symlink_to("../opt/caddy")
    (droplet / "live.crt").write_text("LIVE")
    (droplet / "opt/caddy/com.meltanodata.crt").symlink_to(droplet / "live.crt")
    run(droplet, everything())
    assert (droplet / "live.crt").read_text() == "LIVE"
    assert not (droplet / "opt/caddy/com.meltanodata.crt").is_symlink()
    assert (droplet / "etc/caddy/com.meltanodata.crt").read_text() == "CERTIFICATE\n"


# The doctor


def test_the_doctor_shows_nothing_through_a_link(
    root: Path, programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = root / PROJECT.lstrip("/")
    for folder in (project, project / ".meltano", project / ".meltano/run"):
        folder.chmod(0o777)
    (root / "secret.log").write_text("[ERROR] tell-tale\n")
    (project / ".meltano/run/x.log").symlink_to(root / "secret.log")
    os.mkfifo(project / ".meltano/run/y.log")
    (project / ".env").unlink()
    (project / ".env").symlink_to(root / "secret.log")
    os.mkfifo(project / "z")
    (project / "ui.cfg").unlink()
    (project / "z").rename(project / "ui.cfg")
    found = facts(root, programs, capsys)
    assert found["errors"] == {}
    assert found["env"]["kind"] == "link"
    assert "tell-tale" not in json.dumps(found)


def test_the_doctor_goes_into_no_folder_through_a_link(
    root: Path, programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = root / PROJECT.lstrip("/")
    (root / "elsewhere").mkdir()
    (root / "elsewhere/x.log").write_text("[ERROR] tell-tale\n")
    (project / ".meltano").chmod(0o777)
    (project / ".meltano/run").rmdir()
    (project / ".meltano/run").symlink_to(root / "elsewhere")
    assert facts(root, programs, capsys)["errors"] == {}
