"""The engine's CLI as it is called, and what is made of what it prints."""

from __future__ import annotations

import gzip
import json
import os
import shlex
import signal
from typing import TYPE_CHECKING, Any

import pytest

from meltanodata.engine import pulumi_cli
from meltanodata.errors import InterruptedRunError, UserError
from tests.fakes.pulumi import VERSION, Cli
from tests.previews import created, preview

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    return Cli(tmp_path, monkeypatch)


def test_the_engine_is_asked_for_json(cli: Cli, tmp_path: Path) -> None:
    cli.prints(json.dumps(preview(*created("acme"))), "warning: something")
    found = pulumi_cli.preview("prod", tmp_path)
    assert found["steps"][0]["op"] == "same"
    assert (tmp_path / "arguments").read_text() == "preview --json --non-interactive --stack prod\n"


@pytest.mark.parametrize(
    ("output", "error", "told"),
    [
        ("", "error: no stack named 'prod' found", "no stack named 'prod' found"),
        ("not JSON", "", "not JSON"),
    ],
)
def test_what_is_no_preview_is_an_error(cli: Cli, tmp_path: Path, output: str, error: str, told: str) -> None:
    cli.prints(output, error, code=255)
    with pytest.raises(UserError, match=told):
        pulumi_cli.preview("prod", tmp_path)


def test_a_preview_that_failed_keeps_the_programs_errors(cli: Cli, tmp_path: Path) -> None:
    said: dict[str, Any] = {"diagnostics": [{"severity": "error", "message": "tenants.yaml:3: no"}]}
    cli.prints(json.dumps(said), "error: preview failed", code=255)
    assert pulumi_cli.preview("prod", tmp_path) == said


def test_a_preview_that_failed_without_a_word_has_what_the_cli_said(cli: Cli, tmp_path: Path) -> None:
    cli.prints(json.dumps(preview()), "error: decrypting failed", code=255)
    assert pulumi_cli.preview("prod", tmp_path)["diagnostics"] == [
        {"severity": "error", "message": "error: decrypting failed"}
    ]


def test_without_a_cli_the_message_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="pulumi is not on the PATH"):
        pulumi_cli.preview("prod", tmp_path)


UP = ["up", "--json", "--yes", "--skip-preview", "--non-interactive", "--continue-on-error", "--stack", "prod"]


@pytest.mark.parametrize(
    ("options", "more"),
    [
        ({"targets": None}, []),
        ({"targets": None, "refresh": True}, ["--refresh", "--run-program"]),
        ({"targets": ["a::x y", "b"]}, ["--target", "a::x y", "--target", "b"]),
    ],
)
def test_an_up_tells_its_events(cli: Cli, tmp_path: Path, options: dict[str, Any], more: list[str]) -> None:
    cli.prints('{"summaryEvent": {}}\n{"cancelEvent": {}}\n', "warning: something", code=1)
    assert list(pulumi_cli.up("prod", tmp_path, **options)) == [{"summaryEvent": {}}, {"cancelEvent": {}}]
    assert (tmp_path / "arguments").read_text() == " ".join([*UP, *more]) + "\n"


def test_an_up_that_did_not_begin_says_why(cli: Cli, tmp_path: Path) -> None:
    cli.prints('{"diagnosticEvent": {}}\n', "error: the stack is currently locked by 1 lock(s)", code=255)
    with pytest.raises(UserError, match="`pulumi up` failed: error: the stack is currently locked") as error:
        list(pulumi_cli.up("prod", tmp_path, None))
    assert "remove the lock: pulumi cancel --stack prod; then run this again" in str(error.value)


def test_an_up_without_a_cli_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="pulumi is not on the PATH"):
        list(pulumi_cli.up("prod", tmp_path, None))


@pytest.mark.usefixtures("cli")
def test_an_interrupt_is_handed_on_and_the_engine_ends_what_it_has_begun(tmp_path: Path) -> None:
    script = tmp_path / "pulumi"
    script.write_text(
        f"""#!/bin/sh
{VERSION}trap 'echo "{{\\"summaryEvent\\": {{}}}}"; exit 1' INT
echo '{{"preludeEvent": {{}}}}'
while :; do sleep 0.05; done
"""
    )
    script.chmod(0o755)
    events = pulumi_cli.up("prod", tmp_path, None)
    assert next(events) == {"preludeEvent": {}}
    os.kill(os.getpid(), signal.SIGTERM)
    assert next(events) == {"summaryEvent": {}}
    with pytest.raises(InterruptedRunError):  # so that nobody takes it for done
        next(events)


@pytest.mark.usefixtures("cli")
def test_whoever_wants_no_more_events_does_not_kill_the_engine(tmp_path: Path) -> None:
    """With its output closed it would be killed by its next line, in the middle of an operation."""
    script = tmp_path / "pulumi"
    script.write_text(
        f"""#!/bin/bash
{VERSION}trap 'interrupted=1' INT
echo '{{"preludeEvent": {{}}}}'
until [ "$interrupted" ]; do sleep 0.05; done
for i in 1 2 3; do echo '{{"resourcePreEvent": {{}}}}' || exit 9; done
touch {tmp_path}/ended
"""
    )
    script.chmod(0o755)
    events = pulumi_cli.up("prod", tmp_path, None)
    next(events)
    events.close()  # type: ignore[attr-defined]
    assert (tmp_path / "ended").exists()


def test_a_line_that_a_killed_engine_did_not_end_is_no_event(cli: Cli, tmp_path: Path) -> None:
    cli.prints('{"preludeEvent": {}}\n{"resourcePre', "signal: killed", code=137)
    events = pulumi_cli.up("prod", tmp_path, None)
    assert next(events) == {"preludeEvent": {}}
    with pytest.raises(UserError, match="signal: killed"):
        next(events)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("content", [b"", b'{"version": 3, "checkpoint": {"stack": "or'])
def test_a_state_that_is_cut_off_is_said_with_the_newest_whole_copy(
    cli: Cli, tmp_path: Path, content: bytes, packed: bool
) -> None:
    def write(name: str, content: bytes, when: int) -> Path:
        path = tmp_path / "back end/.pulumi" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content)[:-9] if packed and content else content)
        if packed and content.endswith(b"}"):
            path.write_bytes(gzip.compress(content))
        os.utime(path, (when, when))
        return path

    end = ".json.gz" if packed else ".json"
    state = write(f"stacks/project/prod{end}", content, 9)
    write(f"stacks/project/prod{end}.bak", b"", 9)
    write(f"backups/project/prod/prod.7{end}", b"{", 7)
    copy = write(f"history/project/prod/prod-5.checkpoint{end}", b"{}", 5)
    write(f"history/project/prod/prod-4.checkpoint{end}", b"{}", 4)
    (tmp_path / "Pulumi.yaml").write_text("name: project\n")
    error = "error: failed to load checkpoint: place 1: unexpected end of JSON input"
    cli.prints(json.dumps({"url": f"file://{tmp_path}/back%20end"}), error)
    script = tmp_path / "pulumi"
    script.write_text(script.read_text().replace("exit 0", '[ "$1" = whoami ] || exit 255'))
    with pytest.raises(UserError) as raised:
        pulumi_cli.export("prod", tmp_path)
    said = str(raised.value)
    assert f"{state} is {'cut off' if content else 'empty'}" in said
    assert f"cp -- {shlex.quote(str(copy))} {shlex.quote(str(state))}" in said
    assert "meltanodata up --stack prod" in said
    copy.unlink()
    (copy.parent / f"prod-4.checkpoint{end}").unlink()
    with pytest.raises(UserError, match="No whole copy of it is left"):
        pulumi_cli.export("prod", tmp_path)


def test_the_config_is_asked_for_with_its_secrets(cli: Cli, tmp_path: Path) -> None:
    said = {"meltanodata:domain": {"value": "meltanodata.com", "secret": False}, "meltanodata:tokens": {"secret": True}}
    cli.prints(json.dumps(said))
    assert pulumi_cli.config("prod", tmp_path) == {"meltanodata:domain": "meltanodata.com"}
    assert (tmp_path / "arguments").read_text() == "config --json --show-secrets --stack prod\n"


@pytest.mark.usefixtures("cli")
def test_an_interrupt_lets_the_engine_end_what_it_writes(tmp_path: Path) -> None:
    """Killed while it imports or refreshes, it leaves its lock."""
    script = tmp_path / "pulumi"
    script.write_text(
        f"""#!/bin/bash
{VERSION}trap 'interrupted=1' INT
kill -INT {os.getpid()}
until [ "$interrupted" ]; do sleep 0.05; done
sleep 0.5  # longer than an interrupted subprocess.run waits
touch {tmp_path}/ended
"""
    )
    script.chmod(0o755)
    with pytest.raises(KeyboardInterrupt):
        pulumi_cli.replace_state("prod", tmp_path, {})
    assert (tmp_path / "ended").exists()
