"""The JSON Schema says what the model says, and the file in the repository is fresh."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from meltanodata.config import schema
from meltanodata.config.options import Adopt, Options
from tests.fleets import parsed, text

PROJECT = Path(__file__).resolve().parents[3]
SCHEMA = json.loads(schema.text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def accepts(fleet: object) -> bool:
    """Whether an editor would."""
    return bool(VALIDATOR.is_valid(fleet))


def test_the_repositorys_schema_is_fresh() -> None:
    assert (PROJECT / schema.FILE).read_text() == schema.text(), "run: meltanodata schema"


def test_the_schema_is_valid_for_the_draft_that_it_names() -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_repositorys_fleet_is_valid_by_the_schema() -> None:
    # As editors read it: YAML 1.2, where a date is text.
    fleet = yaml.load((PROJECT / "tenants.yaml").read_text(), Loader=yaml.BaseLoader)
    fleet["demo"]["demo"] = True
    assert accepts(fleet)


def test_every_option_is_titled_and_described_with_a_valid_example() -> None:
    for model in (Options, Adopt):
        for name, option in SCHEMA["$defs"][model.__name__]["properties"].items():
            assert option["title"], name
            assert option["description"], name
            for example in option["examples"]:
                entry = {name: example} if model is Options else {"adopt": {name: example}}
                assert accepts({"acme": {"database_team": "DBs 1", **entry}}), name
                assert parsed(text({"acme": {"database_team": "DBs 1", **entry}}))[1] == [], name


def test_unknown_options_are_refused() -> None:
    assert SCHEMA["$defs"]["Options"]["additionalProperties"] is False
    assert SCHEMA["$defs"]["Adopt"]["additionalProperties"] is False


NOTHING: list[Any] = [None, [], {}]
NUMBERS: list[Any] = [True, False, 0, 1, -1, 1.5]
TEXTS: list[Any] = ["", "x", "nyc3", "16", "A B", "2026-11-20", "2.20.0", "wildcard"]
MAPPINGS: list[Any] = [{"record": "a"}, {"record": 1}, {"x": "a"}]


CASES = [
    (option, value)
    for option in Options.model_fields
    for value in [*NOTHING, *NUMBERS, *TEXTS, *MAPPINGS]
    # A team without a value waits for `meltanodata assign`: a mistake to an editor, none of form.
    if not (option == "database_team" and value is None)
    # `format: date` is for editors to show; a validator may ignore it.
    and not (option == "wipe_database" and isinstance(value, str))
]


@pytest.mark.parametrize(("option", "value"), CASES, ids=repr)
def test_editor_and_check_agree(option: str, value: Any) -> None:
    entry: dict[str, Any] = {"acme": {"database_team": "DBs 1", option: value}}
    assert accepts(entry) == (parsed(text(entry))[1] == [])


@given(st.text(max_size=70))
def test_editor_and_check_agree_on_names(name: str) -> None:
    assume(not name.endswith("\n"))  # Python's `$`, unlike an editor's, matches before a last line break, too
    assert accepts({name: {"database_team": "DBs 1"}}) == (
        parsed(json.dumps({name: {"database_team": "DBs 1"}}, ensure_ascii=False) + "\n")[1] == []
    )


def test_a_team_is_required() -> None:
    assert not accepts({"acme": {}})
