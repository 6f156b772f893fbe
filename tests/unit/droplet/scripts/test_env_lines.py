"""Lines of a .env file, against python-dotenv itself: what others wrote is read as before, byte for byte."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import dotenv
import pytest
from dotenv.parser import parse_stream
from hypothesis import example, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from meltanodata.droplet.scripts import descriptors, env_lines
from tests.unit.droplet.scripts.samples import PIECES

OLD, RECENT = env_lines.READERS
PATH = Path("/var/meltano/project/.env")
LINES = {"PG_USERNAME": "PG_USERNAME=doadmin", "PG_PASSWORD": "PG_PASSWORD='AVNS x'", "PG_PORT": "PG_PORT=25060"}
SET = {"PG_USERNAME": "doadmin", "PG_PASSWORD": "AVNS x", "PG_PORT": "25060"}

TEXTS = st.lists(st.sampled_from(PIECES), max_size=25).map("".join) | st.text(st.characters(exclude_categories=["Cs"]))


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "dotenv.main")


def read(text: str) -> dict[str, str | None]:
    """By python-dotenv, which sees what is in the file: no translation of line ends."""
    return dict(dotenv.dotenv_values(stream=io.StringIO(text, newline=""), interpolate=False))


def written(text: str, lines: dict[str, str] = LINES, kept: tuple[str, ...] = ()) -> str:
    return env_lines.with_lines(text.encode(), lines, kept, PATH).decode()


@given(TEXTS)
@example("A=1\\\n")
@hypothesis(max_examples=500)
def test_a_text_is_read_as_python_dotenv_reads_it(text: str) -> None:
    assert env_lines.env_values(text, RECENT) == read(text)


@given(TEXTS)
@hypothesis(max_examples=300)
def test_each_statement_is_where_python_dotenv_sees_it(text: str) -> None:
    stream = io.StringIO(text, newline="")
    theirs = [it.key for it in parse_stream(stream) if it.key is not None]
    ours = list(env_lines.bindings(text, RECENT))
    assert [it.name for it in ours if it.name is not None] == theirs
    places = [place for it in ours for place in (it.begin, it.end, it.after)]
    assert places == sorted(places)


@given(TEXTS)
@hypothesis(max_examples=500)
def test_what_is_wanted_is_set_and_all_else_says_what_it_said(text: str) -> None:
    try:
        after = written(text)
    except descriptors.Refused as refused:
        assert "'" in text or '"' in text or "\ufeff" in text
        assert "cannot be set" in str(refused)  # noqa: PT017 - likewise
        return
    assert read(after) == {**read(text), **SET}
    assert written(after) == after  # nothing is left to do


@given(TEXTS.map(lambda text: text.replace("PG_", "XX_")))
@hypothesis(max_examples=300)
def test_every_byte_of_others_stays(text: str) -> None:
    try:
        after = written(text)
    except descriptors.Refused:
        return
    ours = "".join(f"{line}\n" for line in LINES.values())
    end = "\n" if text and not text.endswith(("\n", "\r")) else ""
    assert after in {text + end + ours, ours + text}


@pytest.mark.parametrize("odd", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e"])
def test_what_only_looks_like_the_end_of_a_line_cuts_no_value(odd: str) -> None:
    text = f"TAP_TOKEN='a{odd}b'\nPG_PASSWORD=old\nTAP_KEY=c{odd}d\n"
    after = written(text)
    assert after.startswith(f"TAP_TOKEN='a{odd}b'\nPG_PASSWORD='AVNS x'\nTAP_KEY=c{odd}d\n")
    assert read(after)["TAP_TOKEN"] == f"a{odd}b"


def test_a_line_inside_a_value_of_several_lines_is_no_line_of_its_own() -> None:
    text = "NOTE='first\nPG_PASSWORD=inside\nlast'\nPG_PASSWORD=old\n"
    after = written(text)
    assert after.startswith("NOTE='first\nPG_PASSWORD=inside\nlast'\nPG_PASSWORD='AVNS x'\n")
    assert read(after)["NOTE"] == "first\nPG_PASSWORD=inside\nlast"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_stay_as_they_are(end: str) -> None:
    after = written(f"# ours{end}PG_PASSWORD=old{end}TAP=1{end}")
    assert after.startswith(f"# ours{end}PG_PASSWORD='AVNS x'{end}TAP=1{end}PG_USERNAME")


def test_of_several_the_last_is_what_counts() -> None:
    assert written("PG_PORT=1\nPG_PORT=25060\n", {"PG_PORT": "PG_PORT=25060"}) == "PG_PORT=1\nPG_PORT=25060\n"
    assert written("PG_PORT=25060\nPG_PORT=1\n", {"PG_PORT": "PG_PORT=25060"}) == "PG_PORT=25060\n"


def test_a_kept_name_keeps_what_counts() -> None:
    text = "PG_PORT=1\nPG_PORT=2\n"
    assert written(text, {"PG_PORT": "PG_PORT=25060"}, ("PG_PORT",)) == text


@pytest.mark.parametrize("text", ["PG_PORT\n", "PG_PORT=\n", "'PG_PORT'=1\n", "export PG_PORT = 1\n", "PG_PORT= # 1\n"])
def test_a_name_that_is_there_without_its_value_is_set(text: str) -> None:
    assert written(text, {"PG_PORT": "PG_PORT=25060"}) == "PG_PORT=25060\n"


def test_a_quote_that_would_hide_our_lines_is_gone_round() -> None:
    """Behind it, they would be part of its value."""
    text = "A='\nTAP=1\n"
    after = written(text, {"PG_PASSWORD": "PG_PASSWORD='AVNS x'"})
    assert after == f"PG_PASSWORD='AVNS x'\n{text}"
    assert read(after) == {**read(text), "PG_PASSWORD": "AVNS x"}


BETWEEN_VERSIONS = "A='x\\\\'\nPG_PASSWORD='AVNS x'\nB='y'\n"


def test_versions_of_python_dotenv_that_differ_are_both_told_what_is_wanted() -> None:
    """0.21, which Meltano brings, takes the second line for a part of the first."""
    assert "PG_PASSWORD" not in env_lines.env_values(BETWEEN_VERSIONS, OLD)
    assert env_lines.env_values(BETWEEN_VERSIONS, RECENT)["PG_PASSWORD"] == "AVNS x"
    after = written(BETWEEN_VERSIONS, {"PG_PORT": "PG_PORT=25060"})
    assert all(env_lines.env_values(after, reader)["PG_PORT"] == "25060" for reader in env_lines.READERS)
