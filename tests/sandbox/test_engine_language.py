"""The Python language host: what a program prints, raises and exits with reaches the person who runs the engine."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pulumi import automation as auto

from tests.sandbox.programs import OFFICIAL_HOST, SECONDS
from tests.waiting import eventually

if TYPE_CHECKING:
    from tests.sandbox.programs import Program

WAITS = """
    import os
    import pathlib
    import time

    pathlib.Path("pid").write_text(str(os.getpid()))
    time.sleep(600)
"""


def diagnostics(said: str) -> str:
    return said.partition("Diagnostics:")[2]


def test_what_a_program_prints_is_shown(program: Program) -> None:
    program.write("""
        import sys

        print("said on stdout")
        print("said on stderr", file=sys.stderr)
    """)
    said = diagnostics(program.pulumi("preview"))
    assert "said on stdout" in said
    assert "said on stderr" in said


def test_a_run_error_is_its_message(program: Program) -> None:
    program.write("""
        import pulumi

        raise pulumi.RunError("tenants.yaml:3: no such team")
    """)
    said = diagnostics(program.pulumi("preview", status=1))
    assert "error: tenants.yaml:3: no such team" in said
    assert "Traceback" not in said


def test_an_exception_shows_where_in_the_program(program: Program) -> None:
    (program.folder / "helper.py").write_text("def fail():\n    raise ValueError('boom')\n")
    program.write("""
        import helper

        helper.fail()
    """)
    said = diagnostics(program.pulumi("preview", status=1))
    assert "error: Program failed with an unhandled exception:" in said
    assert f'File "{program.folder}/__main__.py", line 4, in <module>' in said
    assert f'File "{program.folder}/helper.py", line 2, in fail' in said
    assert "ValueError: boom" in said
    assert "runpy" not in said
    assert "exec" not in said


def test_an_exception_in_an_apply_fails_the_update(program: Program) -> None:
    program.write("""
        import pulumi

        def fail(_):
            raise ValueError("boom")

        pulumi.export("x", pulumi.Output.from_input(1).apply(fail))
    """)
    assert "ValueError: boom" in diagnostics(program.up(status=1))


def test_a_status_of_its_own_is_told(program: Program) -> None:
    program.write("""
        import sys

        sys.exit(3)
    """)
    assert "program exited with non-zero exit code: 3" in program.pulumi("preview", status=1)


def test_a_folder_without_a_program_is_said_so(program: Program) -> None:
    (program.folder / "__main__.py").unlink()
    assert "__main__.py" in program.pulumi("preview", status=1)


def test_a_program_knows_its_stack_settings_and_folder(program: Program) -> None:
    program.pulumi("config", "set", "plain", "seen")
    program.pulumi("config", "set", "--secret", "hidden", "hunter2")
    program.write("""
        import os
        import sys

        import pulumi

        config = pulumi.Config()
        pulumi.export("plain", config.require("plain"))
        pulumi.export("hidden", config.require_secret("hidden"))
        pulumi.export("names", [pulumi.get_project(), pulumi.get_stack(), pulumi.get_organization()])
        pulumi.export("preview", pulumi.runtime.is_dry_run())
        pulumi.export("folder", os.getcwd())
        pulumi.export("root", pulumi.get_root_directory())
        pulumi.export("python", sys.prefix)
    """)
    said = program.up()
    assert "hunter2" not in said
    assert "hunter2" not in program.state()
    outputs = program.outputs()
    assert (outputs["plain"], outputs["hidden"]) == ("seen", "hunter2")
    assert outputs["names"] == ["project", "test", "organization"]
    assert outputs["preview"] is False
    assert outputs["folder"] == outputs["root"] == str(program.folder)


def test_main_may_be_another_folder(program: Program, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "__main__.py").write_text("import os, pulumi\npulumi.export('folder', os.getcwd())\n")
    project = program.folder / "Pulumi.yaml"
    project.write_text(project.read_text().replace('"runtime"', f'"main": "{elsewhere}", "runtime"'))
    program.up()
    assert program.outputs()["folder"] == str(elsewhere)


def test_destroy_and_refresh_can_run_the_program(program: Program) -> None:
    program.write("""
        import pulumi
        import pulumi_random as random

        print("the program runs")
        random.RandomPassword("password", length=8)
    """)
    program.up()
    assert "the program runs" in program.pulumi("refresh", "--yes", "--run-program")
    assert "the program runs" not in program.pulumi("refresh", "--yes")
    assert "the program runs" in program.pulumi("destroy", "--yes", "--run-program")
    assert "password" not in program.resources()


def test_about_names_the_interpreter_and_its_packages(program: Program) -> None:
    said = program.pulumi("about", "--transitive")
    assert "This project is written in python: executable=" in said
    assert any(
        line.split()[:2] == ["pulumi-random", "4.21.4"] or line.startswith("pulumi_random")
        for line in said.splitlines()
    )


def test_the_automation_api_runs_a_program_of_a_folder(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", program.environment["PATH"])
    program.write("""
        import pulumi

        pulumi.export("answer", 42)
    """)
    workspace = auto.LocalWorkspace(work_dir=str(program.folder), env_vars=program.environment)
    stack = auto.Stack.select("test", workspace)
    assert stack.up(suppress_progress=True).outputs["answer"].value == 42
    program.write("raise ValueError('boom')")
    with pytest.raises(auto.CommandError, match="boom"):
        stack.preview()


def test_an_environment_that_is_missing_is_named(program: Program) -> None:
    project = program.folder / "Pulumi.yaml"
    project.write_text('{"name": "project", "runtime": {"name": "python", "options": {"virtualenv": "nowhere"}}}')
    said = program.pulumi("preview", status=1) if not OFFICIAL_HOST else str(program.folder / "nowhere")
    assert str(program.folder / "nowhere") in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["interrupted", "killed"])
def test_a_program_ends_with_its_engine(program: Program, number: signal.Signals) -> None:
    program.write(WAITS)
    pid = program.folder / "pid"
    with program.start("preview") as process:
        eventually(lambda: pid.exists() and pid.read_text(), SECONDS)
        began = time.monotonic()
        process.send_signal(number)
        process.communicate(timeout=SECONDS)
    eventually(lambda: not Path("/proc", pid.read_text()).exists(), SECONDS)
    assert process.returncode != 0
    assert time.monotonic() - began < 30
