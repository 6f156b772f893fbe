"""Other people's text on its way to a terminal, or to the log of a job: shown, and never obeyed."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from meltanodata import terminal
from meltanodata.cli import credentials, main
from meltanodata.config.checks import Check
from meltanodata.config.placement import Use
from meltanodata.credentials.logins import Action, Step
from meltanodata.doctor.diagnosis import Finding, Level
from meltanodata.errors import UserError
from meltanodata.render import capacity_table, diagnosis_table, report
from meltanodata.rollout.apply import Result
from meltanodata.rollout.guard import Review
from meltanodata.rollout.impact import Operation
from meltanodata.rollout.plan import Change, Plan, Reason, Row, Team

if TYPE_CHECKING:
    from collections.abc import Callable

PACKAGE = Path(terminal.__file__).parent

HOSTILE = [
    "[/red]",
    "[bold]x[/bold]",
    "[link=https://evil.example]x[/link]",
    "a[0] = b[/]",
    ":smile:",
    "\x1b[2J\x1b]0;title\x07",
    "\x9b31mC1",
    "a\rb",
    "\u202eevil\u2066",
    "\u2028::error::x",
    "\x00\x08\x7f",
    "\udcff",
    "::error::x",
    "one\n::add-mask::acme\n   ::stop-commands::x",
    "##[add-mask]acme",
    "x ##[error]y",
]
CONTROL = re.compile(r"[^\n\t -~]")


def obeyed(text: str) -> list[str]:
    """The lines that GitHub's runner takes for commands."""
    return [it for it in text.splitlines() if it.strip().startswith("::") or "##[" in it]


@given(text=st.text(st.characters(codec=None)) | st.lists(st.sampled_from(HOSTILE)).map("".join))
def test_a_text_has_no_character_that_a_terminal_obeys(text: str) -> None:
    shown = terminal.plain(text)
    assert all(it.isprintable() or it in "\n\t" for it in shown)
    assert terminal.plain(shown) == shown
    assert "\n" not in terminal.line(text)
    assert len(terminal.line(text * 9)) <= 1001


@given(text=st.text(st.characters(codec=None)) | st.lists(st.sampled_from([*HOSTILE, "\n", " ", "\t"])).map("".join))
def test_in_a_job_no_line_is_a_command(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GITHUB_ACTIONS", "true")
        for shown in (terminal.plain(text), terminal.line(text), terminal.as_json({text: text}, indent=1)):
            assert obeyed(shown) == []
        assert json.loads(terminal.as_json([text])) == [text]


def test_what_is_harmless_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "✅ Zürich: a::b, urn:pulumi:prod::x\n\tfrom 5 → 6 ⚠️ \\n # [x]"
    assert terminal.plain(text) == text
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert terminal.plain(text) == text


@pytest.mark.parametrize("text", HOSTILE)
def test_json_is_ascii_and_holds_what_it_was_given(text: str) -> None:
    shown = terminal.as_json({text: [text]}, indent=2)
    assert not CONTROL.search(shown)
    assert json.loads(shown) == {text: [text]}


def outcome(text: str) -> object:
    return report.outcome_table([Result("acme", text, text, (text, text))])


def plan(text: str) -> object:
    urn = f"urn:pulumi:prod::meltanodata::x::{text}"
    operation = Operation(
        op="update", urn=urn, type="x", role=text, properties=(text,), id=text, object_name=text, idle=False
    )
    row = Row(
        tenant=text,
        change=Change.CHANGED,
        reasons=(Reason(what=text, before=text, after=text),),
        effects=(),
        cost=None,
        team=text,
        operations=(operation,),
    )
    teams = (Team(name=text, kind="databases", before=1, after=2, limit=3),)
    return report.table(Review(plan=Plan(stack=text, tenants=1, rows=(row,), others=(operation,), teams=teams)))


def doctor(text: str) -> object:
    table, *_ = diagnosis_table.shown({text: [Finding(Check.PAGE, Level.WRONG, text, text, (text,))]})
    return table


def notes(text: str) -> object:
    _, note, _ = diagnosis_table.shown({"acme": [Finding(Check.PAGE, Level.WRONG, "x", "y", (text, text))]})
    return note


def stacks(text: str) -> object:
    return report.stacks([(text, [Use(text, 1, 2)])])


TABLES: list[Callable[[str], object]] = [outcome, plan, doctor, notes, stacks]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("made", TABLES)
def test_what_rich_lays_out_shows_every_text_as_it_is(
    made: Callable[[str], object], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    with contextlib.redirect_stdout(io.StringIO()) as file:
        console = terminal.console()
        console.width = 2000
        console.print(made(text), soft_wrap=True)
    shown = file.getvalue()
    assert all(it in shown for it in terminal.plain(text).splitlines())
    assert all(it.isprintable() or it == "\n" for it in shown)
    assert obeyed(shown) == []


@pytest.mark.parametrize("text", HOSTILE)
def test_so_do_the_commands_that_print_tables_themselves(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    credentials._print([Step(Action.REFUSED, text, text)])
    terminal.console().print(capacity_table.table(Use(text, 1, 100), [Use(text, 3, 100)]), soft_wrap=True)
    shown = capsys.readouterr().out
    assert "[" not in text or "[" in shown
    assert all(it.isprintable() or it == "\n" for it in shown)


def test_a_console_keeps_its_own_styles_at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    there = Terminal()
    monkeypatch.setattr(sys, "stdout", there)
    monkeypatch.setattr(sys, "stderr", there)
    terminal.guard()
    table = Table("x")
    table.add_row("\x1b[2J[red]", style="yellow")
    terminal.console().print(table)
    print("\x1b[2J[red]")
    shown = there.getvalue()
    assert "\x1b[33m" in shown
    assert "\x1b[2J" not in shown
    assert shown.count(r"\x1b[2J[red]") == 2


@pytest.mark.parametrize("said", [UserError, print])
def test_everything_that_a_command_prints_is_guarded(
    said: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def app(**_: object) -> None:
        found = said("bad:\n::error::\x1b[2J")
        if isinstance(found, UserError):
            raise found

    # Undone afterwards, as the guard is not.
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setattr(main, "app", app)
    with contextlib.suppress(SystemExit):
        main.main()
    shown = "".join(capfd.readouterr())
    assert shown == "bad:\n\\::error::\\x1b[2J\n"


def test_nobody_else_makes_a_console() -> None:
    """Styles go around the guard, and so would whatever another console takes for markup."""
    others = [
        path
        for path in PACKAGE.rglob("*.py")
        if re.search(r"\bConsole\(|rich import print|from_markup", path.read_text(encoding="utf-8"))
    ]
    assert others == []
