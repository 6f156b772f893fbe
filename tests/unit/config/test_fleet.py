"""tenants.yaml becomes typed tenants, or every problem with its place."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meltanodata.config import fleet
from meltanodata.config.options import LABEL, Adopt, Options
from meltanodata.config.tenants import tenants_of
from tests.fleets import fleet_of, parsed, problems_in, settings, tenant, text

PROJECT = Path(__file__).resolve().parents[3]


def wrong(option: str) -> str:
    """The one problem of an entry with this line, without its place and tenant."""
    (problem,) = problems_in(f"acme:\n  database_team: DBs 1\n  {option}\n")
    place, message = problem.split(": acme: ", 1)
    assert place.startswith("tenants.yaml:3:")
    return message


def test_the_repositorys_own_fleet_has_no_problems() -> None:
    loaded, problems = fleet.load(PROJECT / "tenants.yaml")
    assert problems == []
    assert len({row.options.database_team for row in loaded.rows}) == 2


def test_the_repositorys_own_fleet_names_its_schema_first() -> None:
    first = (PROJECT / "tenants.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=tenants.schema.json"


def test_the_team_alone_is_a_valid_entry() -> None:
    assert tenant().model_dump() == {
        "key": "acme",
        "database_team": "DBs 1",
        "region": "nyc3",
        "droplet_size": "s-2vcpu-2gb",
        "database_size": "db-s-1vcpu-1gb",
        "database_version": "16",
        "states_database_version": False,
        "tls": "wildcard",
        "meltano_version": None,
        "demo": False,
        "wipe_database": None,
        "admin_password_generation": 1,
        "rebuild": 0,
        "snapshot": None,
        "adopt": None,
    }


def test_every_option_is_read() -> None:
    stated: dict[str, Any] = {
        "region": "ams3",
        "droplet_size": "s-4vcpu-8gb",
        "database_size": "db-s-2vcpu-4gb",
        "database_version": "15",
        "tls": "self_signed",
        "meltano_version": "2.20.0",
        "demo": True,
        "wipe_database": date(2026, 11, 20),
        "admin_password_generation": 3,
        "rebuild": 2,
        "snapshot": "Ubuntu meltano-123456789",
        "adopt": Adopt(droplet="old.meltanodata.com", record="old", database="db-postgresql-nyc1-01234"),
    }
    written = {**stated, "adopt": stated["adopt"].model_dump(exclude_none=True)}
    assert {name: getattr(tenant(**written), name) for name in stated} == stated


def test_defaults_come_from_the_stack() -> None:
    loaded = fleet_of({"acme": {"database_team": "DBs 1"}})
    (acme,) = tenants_of(loaded, settings(region="ams3", database_version="15"))
    assert (acme.region, acme.database_version, acme.states_database_version) == ("ams3", "15", False)


def test_a_stated_version_is_told_from_the_default() -> None:
    assert tenant(database_version="16").states_database_version


def test_a_stack_gets_the_tenants_of_its_teams_in_the_files_order() -> None:
    loaded = fleet_of({key: {"database_team": team} for key, team in [("b", "DBs 2"), ("x", "DBs 9"), ("a", "DBs 1")]})
    assert [row.key for row in tenants_of(loaded, settings())] == ["b", "a"]


def test_a_tenant_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        tenant().rebuild = 5


@pytest.mark.parametrize("name", ["no", "123", "null", "true", "1e5", "2026-11-20", "0x1f", "a" * 63, "a-1"])
def test_a_tenants_name_is_its_key_as_written(name: str) -> None:
    loaded, problems = parsed(f'"{name}":\n  database_team: DBs 1\n')
    assert problems == []
    assert loaded.rows[0].key == name


@pytest.mark.parametrize(
    ("name", "other"),
    [
        *((word, "true or false") for word in ("on", "off", "no", "yes", "y", "n", "true", "NO")),
        *((number, "a number") for number in ("123", "010", "0x1f", "1e5", "12:30", "1_000")),
        ("null", "no value"),
        ("~", "no value"),
        ("2026-11-20", "a date"),
    ],
)
def test_a_name_that_other_readers_take_for_something_else_gets_quotes(name: str, other: str) -> None:
    (problem,) = problems_in(f"{name}:\n  database_team: DBs 1\n")
    assert problem == (
        f'tenants.yaml:1:1: other YAML parsers read the name {name} as {other}; write it in quotes: "{name}"'
    )


@pytest.mark.parametrize(
    ("option", "text", "other"),
    [
        ("region: no", "no", "true or false"),
        ("droplet_size: 010", "010", "a number"),
        ("snapshot: 1_000", "1_000", "a number"),
        ("snapshot: 2026-11-20", "2026-11-20", "a date"),
        ("adopt: {record: on}", "on", "true or false"),
        ("adopt: {record: 0x1f}", "0x1f", "a number"),
    ],
)
def test_a_value_that_other_readers_take_for_something_else_gets_quotes(option: str, text: str, other: str) -> None:
    name, _, _ = option.partition(":")
    assert wrong(option) == f'{name}: other YAML parsers read {text} as {other}; write it in quotes: "{text}"'
    assert problems_in(f"acme:\n  database_team: DBs 1\n  {option.replace(text, chr(34) + text + chr(34))}\n") == []


def test_a_date_needs_no_quotes() -> None:
    assert problems_in("acme: {database_team: DBs 1, demo: true, wipe_database: 2026-11-20}\n") == []


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ("Ubuntu\ufeff meltano-1", "U+FEFF (zero width no-break space)"),
        ('"Ubuntu\u00a0meltano-1"', "U+00A0 (no-break space)"),
        ('"Ubuntu\\u200bmeltano-1"', "U+200B (zero width space)"),
        ('"a\\u2028b"', "U+2028 (line separator)"),
    ],
)
def test_an_invisible_character_is_named(written: str, named: str) -> None:
    (problem,) = problems_in(f"acme:\n  database_team: DBs 1\n  snapshot: {written}\n")
    assert problem == f"tenants.yaml:3:13: {named} is invisible in this text; remove it"


def test_an_invisible_character_in_a_name_is_named() -> None:
    assert problems_in("ac\u200bme: {database_team: DBs 1}\n") == [
        "tenants.yaml:1:1: U+200B (zero width space) is invisible in this text; remove it"
    ]


def test_a_character_that_shows_a_line_in_another_order_is_named_even_in_a_comment() -> None:
    assert problems_in("acme: {database_team: DBs 1}  # \u202eslatot\n") == [
        "tenants.yaml:1:33: U+202E (right-to-left override) changes the order in which the line is shown; remove it"
    ]


def test_a_merge_conflict_has_a_message_of_its_own() -> None:
    text = "a: {}\n<<<<<<< HEAD\nb: {}\n=======\nc: {}\n>>>>>>> other\n"
    for content in (text, text.replace("\n", "\r\n")):
        (problem,) = problems_in(content)
        assert problem == (
            "tenants.yaml:2: git has left a merge conflict here (lines 2, 4, 6); keep one side of each and remove these"
            " lines"
        )


@pytest.mark.parametrize("name", ["-a", "a-", "a.b", "a_b", "Acme", "a" * 64, "ümlaut", '""', '"a b"', '"a\\n"'])
def test_an_invalid_name_is_refused(name: str) -> None:
    (problem,) = problems_in(f"{name}:\n  database_team: DBs 1\n")
    assert problem.startswith("tenants.yaml:1:1: ")
    assert "a tenant's name is 1 to 63 of a-z, 0-9 and -, and neither begins nor ends with -" in problem


def test_an_invalid_name_is_refused_with_a_suggestion() -> None:
    assert problems_in("Acme_Inc:\n  database_team: DBs 1\n")[0].endswith("Did you mean 'acme-inc'?")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("droplet_size: 3", 'droplet_size: 3 is not text; write "3", in quotes, if it is a droplet size'),
        ("database_version: 16", 'database_version: 16 is not text; write "16", in quotes, if it is a'),
        ("meltano_version: 2.20", 'meltano_version: 2.20 is not text; write "2.20", in quotes, if it'),
        ("snapshot: true", 'snapshot: true is not text; write "true", in quotes, if it is'),
        ("snapshot: []", "snapshot: a list is not a snapshot's name, such as Ubuntu meltano-123456789"),
        ("snapshot: {a: b}", "snapshot: a mapping is not a snapshot's name, such as Ubuntu meltano-123456789"),
        ("region:", "region: has no value; give it a region of DigitalOcean's, such as nyc3, or remove it"),
        ("region: New York", "region: 'New York' is not a region of DigitalOcean's, such as nyc3"),
        ("database_version: '16.1'", "database_version: '16.1' is not a major version of PostgreSQL, such as 16"),
        ("tls: none", "tls: 'none' is not possible; allowed: 'wildcard' or 'self_signed'"),
        ("demo: yes", "demo: 'yes' is neither true nor false"),
        ("demo: 'true'", "demo: 'true' is neither true nor false"),
        ("rebuild: -1", "rebuild: -1 is too small; the minimum is 0"),
        ("rebuild: 010", "rebuild: '010' is not a count, such as 1"),
        ("rebuild: '1'", "rebuild: '1' is not a count, such as 1"),
        ("rebuild: 1.5", "rebuild: 1.5 is not a count, such as 1"),
        ("rebuild: true", "rebuild: true is not a count, such as 1"),
        ("admin_password_generation: 0", "admin_password_generation: 0 is too small; the minimum is 1"),
        ("meltano_version: 3.0.0", "meltano_version: '3.0.0' is not possible: Meltano 3 and later have no UI"),
        ("meltano_version: latest", "meltano_version: 'latest' is not a version of Meltano, such as 2.20.0"),
        ("wipe_database: soon", "wipe_database: 'soon' is not possible: it is not a date, such as 2026-11-20"),
        ("wipe_database: 2026-02-30", "wipe_database: '2026-02-30' is not possible: day is out of range for month"),
        ("wipe_database: 2026", "wipe_database: 2026 is not possible: it is not a date, such as 2026-11-20"),
        ("wipe_database: 2026-11-20 10:00:00", "wipe_database: '2026-11-20 10:00:00' is not possible"),
        ("adopt: old", "adopt: 'old' is not a mapping of droplet, record, database and login"),
        ("adopt: {}", "adopt: a mapping is not possible: it names nothing"),
        ("adopt: {record: a.b}", "adopt.record: 'a.b' is not a record's name without the domain, such as demo2"),
        ("adopt: {droplet: }", "adopt.droplet: has no value; give it a droplet's name, such as demo2.meltanodata.com"),
        ("adopt: {database: DB}", "adopt.database: 'DB' is not a database cluster's name, such as db-postgresql-nyc1"),
        (
            "adopt: {databse: a}",
            "'adopt.databse' is not an option. Did you mean 'database'? The options are: droplet, record, database",
        ),
        ("rebuid: 1", "'rebuid' is not an option. Did you mean 'rebuild'? The options are: database_team, region,"),
        ("key: b", "'key' is not an option. The options are: database_team, "),
    ],
)
def test_an_invalid_option_is_refused(option: str, message: str) -> None:
    assert wrong(option).startswith(message)


def test_problems_have_the_place_of_the_mistake() -> None:
    problems = problems_in("acme:\n  tls:   none\n  rebuid: 1\n  adopt:\n    record: 5\n    x: 1\n")
    assert [problem.split(": ")[0] for problem in problems] == [
        "tenants.yaml:2:10",
        "tenants.yaml:3:3",
        "tenants.yaml:5:13",
        "tenants.yaml:6:5",
    ]


def test_valid_options_of_an_entry_are_kept_beside_an_invalid_one() -> None:
    loaded, problems = parsed("acme:\n  database_team: DBs 1\n  demo: maybe\n")
    (row,) = loaded.rows
    assert len(problems) == 1
    assert row.options.database_team == "DBs 1"
    assert row.states_wrongly("demo")
    assert not row.states_wrongly("database_team")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            "acme: DBs 1",
            "tenants.yaml:1:7: acme: 'DBs 1' is not a mapping of options; write an entry like this: `acme:`, and in",
        ),
        ("acme: [a]", "tenants.yaml:1:7: acme: a list is not a mapping of options"),
        ("acme: 5", "tenants.yaml:1:7: acme: '5' is not a mapping of options"),
        ("acme:\n  database_team: a\nacme:\n  x: 1", "tenants.yaml:3:1: 'acme' is repeated; it is already in line 1"),
        ("acme: {demo: true, demo: false}", "tenants.yaml:1:20: 'demo' is repeated; it is already in line 1"),
        ("- acme", "tenants.yaml:1:1: a list is not a mapping of tenants"),
        ("acme", "tenants.yaml:1:1: 'acme' is not a mapping of tenants"),
        ("? [a]\n: {}", "tenants.yaml:1:3: a list cannot be a name here"),
        ("acme: &x {demo: true}", "tenants.yaml:1:7: the anchor &x is not allowed here"),
        ("acme: *x", "tenants.yaml:1:7: the alias *x is not allowed here; write out the value that it refers to"),
        ("acme: {demo: *x}", "tenants.yaml:1:14: the alias *x is not allowed here"),
        ("acme: {adopt: {droplet: *x}}", "tenants.yaml:1:25: the alias *x is not allowed here"),
        ("acme: {adopt: [*x]}", "tenants.yaml:1:16: the alias *x is not allowed here"),
        ("*x", "tenants.yaml:1:1: the alias *x is not allowed here"),
        ("acme: {<<: {demo: true}}", "tenants.yaml:1:8: merge keys (<<) are not allowed here; write out"),
        (
            "acme: {demo: !!bool true}",
            "tenants.yaml:1:14: the tag tag:yaml.org,2002:bool is not allowed here; remove it",
        ),
        ("acme: {}\n---\nb: {}", "tenants.yaml:2:1: a second YAML document begins here"),
        ("acme: {", "tenants.yaml:2:1: not YAML: while parsing a flow node: expected the node content"),
        ("acme:\n\tdemo: true", "tenants.yaml:2:1: not YAML: while scanning for the next token: found character '\\t'"),
        ("acme: \x07", "tenants.yaml:1:7: not YAML: the control character U+0007"),
        ('acme: "\\UFFFFFFFF"', "tenants.yaml: not YAML: an escape"),
        ('acme: {snapshot: "\\ud83d\\ude00"}', "tenants.yaml:1:18: an escape here is half a character (a surrogate)"),
        ('"\\ud83d": {}', "tenants.yaml:1:1: an escape here is half a character (a surrogate)"),
        ("[" * 50 + "]" * 50, "tenants.yaml:1:22: not YAML: more than 20 levels deep"),
    ],
)
def test_a_file_of_another_form_is_refused(entry: str, message: str) -> None:
    (problem,) = problems_in(f"{entry}\n")
    assert problem.startswith(message)


@pytest.mark.parametrize("content", ["", "\n", "# only a comment\n", "---\n", "null\n", "~\n", "\ufeff\n"])
def test_an_empty_file_does_not_mean_to_remove_all_tenants(content: str) -> None:
    assert problems_in(content) == [f"tenants.yaml:1: {fleet.EMPTY}"]


def test_a_file_can_state_that_there_are_no_tenants() -> None:
    loaded, problems = parsed("{}\n")
    assert (loaded.rows, problems) == ((), [])


def test_a_truncated_file() -> None:
    problems = problems_in("acme:\n  database_team: DBs 1\nbolt:\n  database_te")
    assert problems[0].startswith("tenants.yaml:4: the file ends in the middle of a line and looks truncated")


def test_a_file_in_another_encoding() -> None:
    assert problems_in("acme:\n  snapshot: Größe\n".encode("latin-1")) == [
        "tenants.yaml:2:15: byte 0xf6 is not UTF-8; save the file in the encoding UTF-8"
    ]


def test_windows_line_ends_and_a_byte_order_mark_are_no_problem() -> None:
    loaded, problems = parsed("\ufeffacme:\r\n  database_team: DBs 1\r\n")
    assert (loaded.rows[0].key, problems) == ("acme", [])


def test_a_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert [str(problem) for problem in fleet.load(Path("tenants.yaml"))[1]] == ["tenants.yaml: there is no such file"]


def test_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path.parent)
    _, problems = fleet.load(tmp_path)
    assert [str(problem) for problem in problems] == [f"{tmp_path.name}: cannot be read: Is a directory"]


LABELS = st.from_regex(LABEL, fullmatch=True)
SLUGS = st.from_regex(r"[a-z0-9]{1,5}(-[a-z0-9]{1,5}){0,2}", fullmatch=True)
_VISIBLE = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cf", "Zl", "Zp", "Zs"], include_characters=" ")
NAMES = st.text(_VISIBLE, min_size=1)
OPTIONS: dict[str, st.SearchStrategy[Any]] = {
    "database_team": NAMES,
    "region": SLUGS,
    "droplet_size": SLUGS,
    "database_size": SLUGS,
    "database_version": st.integers(10, 18).map(str),
    "tls": st.sampled_from(["wildcard", "self_signed"]),
    "meltano_version": st.sampled_from(["1.105.0", "2.20.0", "2.0"]),
    "demo": st.booleans(),
    "wipe_database": st.dates().map(str),
    "admin_password_generation": st.integers(1, 10**6),
    "rebuild": st.integers(0, 10**6),
    "snapshot": NAMES,
    "adopt": st.fixed_dictionaries({"record": LABELS}, optional={"droplet": SLUGS}),
}


@given(st.dictionaries(LABELS, st.fixed_dictionaries({}, optional=OPTIONS), max_size=5))
def test_a_written_fleet_is_read_unchanged(tenants: dict[str, dict[str, Any] | None]) -> None:
    loaded = fleet_of(tenants)
    read = {row.key: row.options.model_dump(mode="json", exclude_unset=True) for row in loaded.rows}
    assert read == {key: options or {} for key, options in tenants.items()}


def test_the_property_tries_every_option() -> None:
    assert OPTIONS.keys() == Options.model_fields.keys()


PIECES = [*"ab:-,[]{}#&*!|>'\"%@`?~<.0 \n\t\r\\", "acme", "demo: true", "\n  ", "<<: ", "---\n", "!!str ", "\U0001f600"]
YAML_ISH = st.lists(st.sampled_from(PIECES)).map("".join)


@given(st.one_of(st.binary(), st.text().map(str.encode), YAML_ISH.map(str.encode)))
def test_any_content_is_read_or_reported(content: bytes) -> None:
    loaded, problems = parsed(content)
    lines = content.decode(errors="replace").splitlines()
    for problem in problems:
        assert problem.line <= len(lines) + 1
        str(problem).encode()
    if not problems:
        assert all(re.fullmatch(LABEL, row.key) for row in loaded.rows)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(JSON)
def test_any_value_is_read_or_reported(value: object) -> None:
    for content in (
        value,
        {"acme": value},
        *({"acme": {option: value}} for option in ("rebuild", "adopt", "tls", "x")),
    ):
        parsed(json.dumps(content) + "\n")


def test_the_builders_text_is_a_fleet_file() -> None:
    assert problems_in(text({"acme": {"database_team": "DBs 1", "adopt": {"record": "a"}}, "bolt": None})) == []
