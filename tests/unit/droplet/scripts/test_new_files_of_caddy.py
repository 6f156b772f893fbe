"""New files of Caddy's: asked before the restart whether it takes them, and the old ones put back if it does not.

What Caddy 1 and 2 themselves say to a bad certificate is in tests/sandbox/test_links_real.py.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from meltanodata.droplet import files
from meltanodata.droplet.scripts import write_files
from tests.unit.droplet.samples import document, droplet_files, run

if TYPE_CHECKING:
    from collections.abc import Callable

CRT = "etc/caddy/com.meltanodata.crt"
FOLDER = "etc/caddy"
NOTE, BEFORE = "var/lib/meltanodata/restart/caddy", "var/lib/meltanodata/before/caddy.json"


@pytest.fixture
def caddy(droplet: Path) -> Path:
    """A droplet whose Caddy refuses REFUSED and ends at DEADLY certificates; `served` is what it started with."""
    program = droplet / "caddy"
    program.write_text(
        f"""#!/bin/sh
echo "asked $* $HOSTNAME $CADDYPATH" >> {droplet}/asked
if grep -q SLOW {droplet}/{CRT}; then sleep 60; fi
if grep -q OLD_BUILD {droplet}/{CRT}; then echo "flag provided but not defined: -validate"; exit 2; fi
if grep -q REFUSED {droplet}/{CRT}; then echo noise; echo "tls: bad certificate" >&2; exit 1; fi
"""
    )
    program.chmod(0o755)
    (droplet / "systemctl").write_text(
        f"""#!/bin/sh
cd {droplet}
echo "$@" >> calls
case $1 in
is-active) test -e active/$2 && echo active || {{ echo failed; exit 3; }} ;;
restart)
    rm -f active/$2
    test $2 = caddy || {{ touch active/$2; exit; }}
    cat {CRT} > served
    grep -q "REFUSED\\|DEADLY" {CRT} || touch active/caddy ;;
show)
    echo "ExecStart={{ path={program} ; argv[]={program} -conf=x ; ignore_errors=no }}"
    echo "Environment=CADDYPATH=/var/lib/caddy"
    echo "EnvironmentFiles=/etc/caddy/environment (ignore_errors=no)" ;;
esac
"""
    )
    return droplet


def told(certificate: str) -> dict[str, Any]:
    made = droplet_files(certificate=files.Certificate(f"{certificate}\n", f"{certificate} KEY\n"))
    return document(*(file for path, file in made.items() if path.startswith("/etc/caddy")))


def of_caddy(droplet: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mode) for path in (droplet / FOLDER).iterdir()}


def settled(droplet: Path) -> bool:
    """Nothing is left to be done, or to be put back."""
    return not (droplet / NOTE).exists() and not (droplet / BEFORE).exists()


def failure(droplet: Path, certificate: str) -> str:
    with pytest.raises(SystemExit) as caught:
        run(droplet, told(certificate))
    return str(caught.value)


@pytest.mark.parametrize("version", [1, 2])
def test_each_version_of_caddy_is_asked_in_its_own_way(version: Any) -> None:
    made = droplet_files(caddy_version=version)
    asked = {path: file["check"] for path, file in made.items() if "check" in file}
    way = {
        1: ["-validate", "-conf", "/etc/caddy/Caddyfile"],
        2: ["validate", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"],
    }
    assert asked == {"/etc/caddy/Caddyfile": way[version]}


def test_caddy_is_asked_with_what_its_unit_gives_it_and_then_restarted(caddy: Path) -> None:
    assert run(caddy, told("GOOD")) == ["caddy"]
    expected = "asked -validate -conf /etc/caddy/Caddyfile acme.meltanodata.com /var/lib/caddy\n"
    assert (caddy / "asked").read_text() == expected
    assert (caddy / "served").read_text() == "GOOD\n"
    assert settled(caddy)
    assert run(caddy, told("GOOD")) == []
    assert (caddy / "asked").read_text() == expected


def test_files_that_caddy_refuses_are_taken_back_and_it_is_not_even_restarted(caddy: Path) -> None:
    run(caddy, told("GOOD"))
    before = of_caddy(caddy)
    (caddy / "calls").unlink()
    said = failure(caddy, "REFUSED")
    assert said.startswith("caddy rejects its new files: tls: bad certificate\nThe old files are restored, and ca")
    assert of_caddy(caddy) == before
    assert "restart" not in (caddy / "calls").read_text()
    assert settled(caddy)
    assert run(caddy, told("BETTER")) == ["caddy"]
    assert (caddy / "served").read_text() == "BETTER\n"


def test_caddy_that_does_not_start_with_its_new_files_runs_with_the_old_ones(caddy: Path) -> None:
    """systemctl says that all is well: the program ends a moment later."""
    run(caddy, told("GOOD"))
    before = of_caddy(caddy)
    said = failure(caddy, "DEADLY")
    assert said.startswith("caddy does not start with its new files: it is failed right after its start\nThe old fil")
    assert "caddy runs with them" in said
    assert of_caddy(caddy) == before
    assert (caddy / "served").read_text() == "GOOD\n"
    assert (caddy / "active/caddy").exists()
    assert settled(caddy)


def test_a_new_droplet_gets_back_the_files_of_its_snapshot(caddy: Path) -> None:
    (caddy / FOLDER / "Caddyfile").write_text("of the snapshot")
    (caddy / FOLDER / "Caddyfile").chmod(0o604)
    before = of_caddy(caddy)
    assert "The old files are restored" in failure(caddy, "REFUSED")
    assert of_caddy(caddy) == before


def test_a_link_of_roots_is_put_back_as_a_link(caddy: Path) -> None:
    (caddy / "live.crt").write_text("GOOD\n")
    (caddy / CRT).symlink_to(caddy / "live.crt")
    failure(caddy, "REFUSED")
    assert (caddy / CRT).readlink() == caddy / "live.crt"


def test_neither_the_new_nor_the_old_ones_do(caddy: Path) -> None:
    (caddy / CRT).write_text("DEADLY\n")
    said = failure(caddy, "REFUSED")
    assert "The old files are restored, but it does not start with them either: it is failed right after" in said
    assert run(caddy, told("GOOD")) == ["caddy"]
    assert settled(caddy)


def test_a_program_that_cannot_be_asked_is_restarted(caddy: Path) -> None:
    assert run(caddy, told("OLD_BUILD")) == ["caddy"]


def test_a_program_that_does_not_answer_is_no_yes(caddy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_files, "CHECK_SECONDS", 1)
    assert "its check of them timed out after 1 seconds\nThe old files are restored" in failure(caddy, "SLOW")


def test_the_other_services_files_are_written_all_the_same(caddy: Path) -> None:
    both = told("REFUSED")
    both["files"] += document(droplet_files()["/var/meltano/project/ui.cfg"])["files"]
    with pytest.raises(SystemExit, match="caddy rejects its new files"):
        run(caddy, both)
    assert (caddy / "var/meltano/project/ui.cfg").exists()
    assert (caddy / "active/meltano").exists()


def test_what_caddy_says_is_shown_on_one_line_and_not_endless(caddy: Path) -> None:
    (caddy / "caddy").write_text("#!/bin/sh\nhead -c 100000 /dev/zero | tr '\\0' x; printf '\\033[31m'; exit 1\n")
    said = failure(caddy, "GOOD")
    assert len(said) < 800
    assert "\033" not in said


def test_the_old_files_are_kept_where_root_alone_can_read_them(caddy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(caddy, told("GOOD"))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(write_files.Service, "settle", killed)
        with pytest.raises(KeyboardInterrupt):
            run(caddy, told("BETTER"))
    assert (caddy / BEFORE).stat().st_mode & 0o7777 == 0o600
    assert (caddy / BEFORE).parent.stat().st_mode & 0o7777 == 0o700


# Killed


KILLED = 9


def killed_at(step: int, droplet: Path, certificate: str) -> bool:
    """Run the script in a process that ends at once at a certain step; whether it came that far."""
    child = os.fork()
    if child == 0:
        try:
            die_at(step)
            write_files.main(told(certificate), droplet, str(droplet / "systemctl"))
        except SystemExit:
            pass
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED


def die_at(step: int) -> None:
    """Before what changes a file, and before and after each run of a program."""
    count = 0

    def hooked(call: Callable[..., Any], *, after: bool) -> Callable[..., Any]:
        def tick() -> None:
            nonlocal count
            count += 1
            if count == step:
                os._exit(KILLED)

        def hook(*args: Any, **options: Any) -> Any:
            tick()
            done = call(*args, **options)
            if after:
                tick()
            return done

        return hook

    for name in ("replace", "unlink", "fchmod"):
        setattr(os, name, hooked(getattr(os, name), after=True))
    setattr(subprocess, "run", hooked(subprocess.run, after=True))  # noqa: B010 - as those above
    setattr(Path, "touch", hooked(Path.touch, after=True))  # noqa: B010 - likewise


@pytest.mark.timeout(300)
@pytest.mark.parametrize("killed_with", ["BETTER", "REFUSED", "DEADLY"])
@pytest.mark.parametrize("next_with", ["BETTER", "REFUSED"])
def test_a_run_killed_at_any_step_is_finished_or_undone_by_the_next(
    caddy: Path, killed_with: str, next_with: str
) -> None:
    steps = 0
    while True:
        steps += 1
        run(caddy, told("GOOD"))
        good = of_caddy(caddy)
        came_so_far = killed_at(steps, caddy, killed_with)
        for left in (caddy / FOLDER).glob(".meltanodata-*"):
            left.unlink()
        if next_with == "REFUSED":
            failure(caddy, next_with)
            # Which of the two good ones depends on how far the killed run came.
            serves = (caddy / "served").read_text()
            assert serves in {"GOOD\n", f"{killed_with}\n"} - {"REFUSED\n", "DEADLY\n"}
            assert (caddy / CRT).read_text() == serves
            if serves == "GOOD\n":
                assert of_caddy(caddy) == good
        else:
            run(caddy, told(next_with))
            assert (caddy / "served").read_text() == (caddy / CRT).read_text() == f"{next_with}\n"
        assert (caddy / "active/caddy").exists()
        assert settled(caddy)
        if not came_so_far:
            break
    assert steps > 15
