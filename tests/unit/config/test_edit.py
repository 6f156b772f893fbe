"""Changes to tenants.yaml as text: what is not changed stays, byte by byte."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meltanodata.config import document, edit, placement, rules
from meltanodata.errors import ProblemsError, UserError
from tests.fleets import parsed, settings, team


def assigned(text: str, name: str = "NEW") -> str:
    """The text with the team for everybody who has none."""
    fleet, problems = parsed(text)
    assert problems == []
    missing = {row.key: name for row in fleet.rows if placement.is_missing_team(row)}
    return edit.assign(document.parse(text.encode(), "tenants.yaml"), missing)


def added(text: str, tenant: str = "zeta", name: str = "NEW") -> str:
    """The text with one more tenant."""
    return edit.add(document.parse(text.encode(), "tenants.yaml"), {tenant: {"database_team": name}})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("acme:\n", "acme:\n  database_team: NEW\n"),
        ("acme: # big\n", "acme: # big\n  database_team: NEW\n"),
        ("acme:\n  demo: true\n", "acme:\n  database_team: NEW\n  demo: true\n"),
        ("acme:\n      # why\n      demo: true\n", "acme:\n      database_team: NEW\n      # why\n      demo: true\n"),
        ("acme:\r\n  demo: true\r\n", "acme:\r\n  database_team: NEW\r\n  demo: true\r\n"),
        ("acme: {}\n", "acme: {database_team: NEW}\n"),
        ("acme: { demo: true }\n", "acme: {database_team: NEW,  demo: true }\n"),
        ("acme: {\n  demo: true}\n", "acme: {database_team: NEW, \n  demo: true}\n"),
        ("acme: null # x\n", "acme: {database_team: NEW} # x\n"),
        ("acme: ~\n", "acme: {database_team: NEW}\n"),
        ("acme:\n  database_team:\n", "acme:\n  database_team: NEW\n"),
        ("acme:\n  database_team: # later\n", "acme:\n  database_team: NEW # later\n"),
        ("acme:\n  database_team: ~\n", "acme:\n  database_team: NEW\n"),
        ("'no' :\n  demo: true\n", "'no' :\n  database_team: NEW\n  demo: true\n"),
        (
            "{a: {}, b: , c: {demo: true}}\n",
            "{a: {database_team: NEW}, b: {database_team: NEW} , c: {database_team: NEW, demo: true}}\n",
        ),
        ("  a:\n  b:\n", "  a:\n    database_team: NEW\n  b:\n    database_team: NEW\n"),
        ("\ufeffa:\n", "\ufeffa:\n  database_team: NEW\n"),
        ("---\na:\n...\n", "---\na:\n  database_team: NEW\n...\n"),
        ("a:\n\n\nb:\n  database_team: OLD\n", "a:\n  database_team: NEW\n\n\nb:\n  database_team: OLD\n"),
    ],
)
def test_a_team_is_inserted(before: str, after: str) -> None:
    assert assigned(before) == after


@pytest.mark.parametrize("text", ["{a, b: {}}\n", "? a\n: demo: true\n", "? a\n"])
def test_a_layout_without_room_for_a_team_is_refused(text: str) -> None:
    with pytest.raises(ProblemsError) as caught:
        assigned(text)
    assert "a: cannot be written into a file of this form; write by hand: database_team: NEW" in str(caught.value)
    assert caught.value.problems[0].line == 1


@pytest.mark.parametrize(
    "name", ["yes", "1", "a: b", "#1", "- x", "Größe", "\U0001f600", "it's", 'a"b', "{a}", " a ", "*"]
)
def test_any_teams_name_is_written_so_that_it_is_read_again(name: str) -> None:
    for text in ("acme:\n  demo: true\n", "acme: {demo: true}\n"):
        assert parsed(assigned(text, name))[0].rows[0].options.database_team == name


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("acme:\n  database_team: OLD\n", "acme:\n  database_team: OLD\n\nzeta:\n  database_team: NEW\n"),
        ("acme: {}\n\n", "acme: {}\n\nzeta:\n  database_team: NEW\n"),
        ("a: {}\r\n", "a: {}\r\n\r\nzeta:\r\n  database_team: NEW\r\n"),
        ("# none yet\n{}\n", "# none yet\nzeta:\n  database_team: NEW\n"),
        ("a: {}\n# end\n", "a: {}\n# end\n\nzeta:\n  database_team: NEW\n"),
    ],
)
def test_an_entry_is_added_at_the_end(before: str, after: str) -> None:
    assert added(before) == after


def test_a_name_that_other_readers_take_for_a_number_is_quoted() -> None:
    assert added("{}\n", "123") == '"123":\n  database_team: NEW\n'


@pytest.mark.parametrize("text", ["{a: {}}\n", "a: {}\n...\n", "  a: {}\n"])
def test_a_layout_without_room_for_an_entry_is_refused(text: str) -> None:
    with pytest.raises(ProblemsError, match="zeta: cannot be written into a file of this form"):
        added(text)


COMMENTS = st.sampled_from(["", "  # for: ever", " #"])
BODIES = st.sampled_from(
    [
        "{pad}demo: true{comment}{eol}",
        "{pad}# a note{eol}{pad}droplet_size: 's-4'{comment}{eol}{pad}rebuild:   3{eol}",
        '{eol}{pad}snapshot: "x # y"{eol}{eol}{pad}  # deep{eol}',
        "{pad}adopt:{eol}{pad}  droplet: {name}.old{comment}{eol}",
        "{pad}database_team: 'OLD'{comment}{eol}",
        "{pad}demo: false{eol}{pad}database_team:   OLD{eol}",
        "{pad}tls: wildcard{eol}{pad}database_team :{comment}{eol}",
        "",
    ]
)
FLOWS = st.sampled_from([" {}", " { demo: true }", " {database_team: OLD}", " {rebuild: 2 , demo: false}"])


@st.composite
def entries(draw: st.DrawFn, name: str, eol: str) -> str:
    """One entry as somebody might write it."""
    key = draw(st.sampled_from([name, f"'{name}'", f'"{name}" ']))
    comment = draw(COMMENTS)
    gap = draw(st.sampled_from(["", eol, f"# between{eol}", f"   # odd{eol}{eol}"]))
    if draw(st.booleans()):
        return f"{gap}{key}:{draw(FLOWS)}{comment}{eol}"
    pad = " " * draw(st.integers(1, 5))
    return f"{gap}{key}:{draw(COMMENTS)}{eol}" + draw(BODIES).format(name=name, pad=pad, comment=comment, eol=eol)


@st.composite
def files(draw: st.DrawFn) -> str:
    """A fleet file in a mixture of styles."""
    eol = draw(st.sampled_from(["\n", "\r\n"]))
    count = draw(st.integers(1, 5))
    head = draw(st.sampled_from(["", f"# yaml-language-server: $schema=x{eol}", f"---{eol}"]))
    return head + "".join(draw(entries(f"t{number}", eol)) for number in range(count))


@given(files())
def test_assign_changes_nothing_but_the_teams(text: str) -> None:
    changed = assigned(text)
    without = changed.replace("{database_team: NEW}", "{}").replace("{database_team: NEW, ", "{")
    without = re.sub(r"^ +database_team: NEW\r?\n", "", without, flags=re.MULTILINE)
    assert without.replace("database_team : NEW", "database_team :") == text


@given(files())
def test_assigning_twice_changes_nothing_and_leaves_no_problem(text: str) -> None:
    stack = settings(database_teams=[team("OLD"), team("NEW")])
    changed = assigned(text)
    fleet, problems = parsed(changed)
    assert problems + rules.problems(fleet, [stack]) == []
    assert assigned(changed) == changed


@given(files())
def test_an_entry_is_added_and_nothing_else(text: str) -> None:
    assert added(text).startswith(text)


def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "tenants.yaml"
    path.write_text("old")
    path.chmod(0o640)
    edit.write(path, "a: {}\r\n")
    assert path.read_bytes() == b"a: {}\r\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [it.name for it in tmp_path.iterdir()] == ["tenants.yaml"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.yaml").write_text("old")
    link = tmp_path / "tenants.yaml"
    link.symlink_to("real.yaml")
    edit.write(link, "new")
    assert link.is_symlink()
    assert (tmp_path / "real.yaml").read_text() == "new"


def test_several_entries_with_all_that_they_state() -> None:
    entries: dict[str, dict[str, object]] = {
        "zeta": {"database_team": "DBs 1", "adopt": {"droplet": "old.example.com", "login": "keep"}},
        "eta": {"database_team": "DBs 2", "region": "fra1"},
    }
    written = edit.add(document.parse(b"acme: {}\n", "tenants.yaml"), entries)
    assert written == (
        "acme: {}\n"
        "\n"
        'zeta:\n  database_team: DBs 1\n  adopt: {droplet: "old.example.com", login: keep}\n'
        "\n"
        "eta:\n  database_team: DBs 2\n  region: fra1\n"
    )
    fleet, problems = parsed(written)
    assert problems == []
    assert [row.key for row in fleet.rows] == ["acme", "zeta", "eta"]


NAMES = {"record": "acme", "database": "db-acme"}
FLOW = "{record: acme, database: db-acme}"


def renamed(text: str, old: str = "acme", new: str = "acme2") -> str:
    """The text with another name for a tenant, whose objects are called as before."""
    return edit.rename(document.parse(text.encode(), "tenants.yaml"), old, new, NAMES)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "acme:\n  database_team: T # x\n  # why\n  demo: true\n\n# z\nz: {database_team: T}\n",
            f"acme2:\n  database_team: T # x\n  adopt: {FLOW}\n  # why\n  demo: true\n\n# z\nz: {{database_team: T}}\n",
        ),
        (
            "acme:\r\n  database_team: T\r\n",
            "acme2:\r\n  database_team: T\r\n  adopt: {record: acme, database: db-acme}\r\n",
        ),
        ("acme:\n    database_team: |-\n        T\n", f"acme2:\n    database_team: |-\n        T\n    adopt: {FLOW}\n"),
        ("acme: {database_team: T}\n", "acme2: {database_team: T, adopt: {record: acme, database: db-acme}}\n"),
        (
            "{a: {database_team: T}, acme: {database_team: T, demo: true}}\n",
            f"{{a: {{database_team: T}}, acme2: {{database_team: T, adopt: {FLOW}, demo: true}}}}\n",
        ),
        (
            "'acme' :\n  adopt: {login: new} # x\n  database_team: T\n",
            "acme2 :\n  adopt: {record: acme, database: db-acme, login: new} # x\n  database_team: T\n",
        ),
        (
            "acme:\n  database_team: T\n  adopt:\n    # x\n    database: db-acme\n    login: new\n",
            "acme2:\n  database_team: T\n  adopt:\n    # x\n    record: acme\n    database: db-acme\n    login: new\n",
        ),
        (
            "acme:\n  database_team: T\n  adopt: {record: acme, database: db-acme}\n",
            "acme2:\n  database_team: T\n  adopt: {record: acme, database: db-acme}\n",
        ),
    ],
)
def test_an_entry_is_renamed_in_its_place(before: str, after: str) -> None:
    assert renamed(before) == after


def test_a_name_that_needs_quotes_gets_them() -> None:
    assert renamed("acme:\n  database_team: T\n", new="123").startswith('"123":\n')


def test_an_entry_that_cannot_be_renamed_is_refused_with_instructions() -> None:
    source = document.parse(b"acme:\n  database_team: T\n", "tenants.yaml")
    with pytest.raises(ProblemsError) as caught:
        edit.rename(source, "acme", "acme2", {"database": "Not a name"})
    assert str(caught.value) == (
        "tenants.yaml:1:1: acme: cannot be renamed in a file of this form; write by hand: acme2, and into its adopt"
        " {database: Not a name}"
    )


@given(
    st.sampled_from(["", "  demo: true\n", "  adopt: {login: new}\n", "  # a comment\n  rebuild: 1\n"]), st.booleans()
)
def test_renaming_there_and_back_changes_nothing_but_adopted_names(more: str, last: bool) -> None:
    text = f"acme:\n  database_team: T\n{more}" + ("" if last else "z:\n  database_team: T\n")
    back = renamed(renamed(text), "acme2", "acme")
    before, after = (parsed(it)[0].rows for it in (text, back))
    assert [row.key for row in before] == [row.key for row in after]
    assert [row.options.model_copy(update={"adopt": None}) for row in before] == [
        row.options.model_copy(update={"adopt": None}) for row in after
    ]


def test_a_file_that_is_missing_is_made_for_whom_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        edit.write(tmp_path / "index.html", "new")
    finally:
        os.umask(before)
    assert ((tmp_path / "index.html").stat().st_mode & 0o777, (tmp_path / "index.html").read_text()) == (0o640, "new")


def test_what_is_no_file_is_written_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    edit.write(pipe, "new")
    assert os.read(reading, 10) == b"new"
    os.close(reading)
    assert pipe.is_fifo()


@pytest.mark.parametrize("path", ["/dev/full", "nowhere/tenants.yaml", "file/tenants.yaml", "/proc/tenants.yaml"])
def test_what_cannot_be_written_is_the_users_to_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=f"{path}: cannot be written: "):
        edit.write(Path(path), "new")
    assert sorted(tmp_path.iterdir()) == [tmp_path / "file"]
