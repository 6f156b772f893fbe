"""What droplets answer: taken in the shape that the script gives it, or not at all; never a traceback."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meltanodata.config.checks import Check
from meltanodata.doctor import diagnosis, droplet_facts
from meltanodata.doctor.diagnosis import Level, Seen, Visit
from meltanodata.doctor.droplet_facts import Facts, NotFacts
from meltanodata.droplet.scripts import examine as script
from meltanodata.droplet.scripts import foreign
from meltanodata.droplet.scripts.codes import Problem
from meltanodata.render import diagnosis_table
from tests.unit.doctor.samples import ACME, FACTS, NOW
from tests.unit.render.samples import text

if TYPE_CHECKING:
    from collections.abc import Iterator

SICK: dict[str, Any] = {
    **FACTS,
    "system": "degraded",
    "services": {"caddy": "active", "meltano": "failed", "vsftpd": "active"},
    "journal": {"meltano.service": ["one", "two"], "cron.service": []},
    "page": {"code": "another_status", "detail": "502"},
    "page_log": ["Permission denied"],
    "errors": {"meltano-ui.log": ["[ERROR] boom"]},
    "database": {"address": None, "problem": {"code": "variable_missing", "detail": "PG_ADDRESS"}},
}


def told(answer: bytes) -> str:
    """What a person is told of an answer, through everything that takes it; NotFacts is how it is refused."""
    try:
        said: Facts | str = droplet_facts.read(answer)
    except NotFacts as refused:
        said = str(refused)
    visit = Visit(Problem("another_status", "502"), None, None)
    found = diagnosis.findings(ACME, Seen(facts=said, visit=visit), NOW)
    assert found
    diagnosis_table.sentence(found)
    json.dumps(diagnosis_table.plain({"acme": found}))
    return text({"acme": found})


LINKED: dict[str, Any] = {**FACTS, "env": {"owner": "meltano:meltano", "mode": "777", "kind": "link"}}


@pytest.mark.parametrize("answer", [FACTS, SICK, LINKED])
def test_what_the_script_prints_is_taken_as_it_is(answer: Any) -> None:
    assert droplet_facts.read(json.dumps(answer).encode()).model_dump() == answer


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["\x1b[2J", "::error::x", "[/red]", "[link=x]", "999", "-x", "../..", "\ud800"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@given(answer=ANYTHING)
def test_any_json_is_a_row_of_its_own(answer: Any) -> None:
    told(json.dumps(answer).encode())


@given(answer=st.binary())
@example(answer=b"[" * droplet_facts.BYTES)
@example(answer=b'{"system": ' * 50_000)
@example(answer=b'{"system": ' + b"9" * 500_000)
@example(answer=b"\xff\xfe")
def test_any_bytes_are_a_row_of_its_own(answer: bytes) -> None:
    told(answer)


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in an answer."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, it in inner:
        yield from paths(it, (*path, key))


def with_(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    changed = value.copy()
    changed[path[0]] = with_(value[path[0]], path[1:], new)
    return changed


@given(path=st.sampled_from(list(paths(SICK))), new=ANYTHING)
def test_any_part_of_an_answer_may_be_anything(path: tuple[Any, ...], new: Any) -> None:
    told(json.dumps(with_(SICK, path, new)).encode())


@pytest.mark.parametrize("path", [path for path in paths(SICK) if path and not isinstance(path[-1], int)])
def test_a_part_that_is_missing_is_not_taken_for_well(path: tuple[Any, ...]) -> None:
    if path[0] in {"journal", "errors"} and len(path) > 1:
        return  # names of units and files: there may be fewer
    inner: Any = SICK
    for key in path[:-1]:
        inner = inner[key]
    with pytest.raises(NotFacts):
        droplet_facts.read(
            json.dumps(with_(SICK, path[:-1], {k: v for k, v in inner.items() if k != path[-1]})).encode()
        )


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("services", {}),
        ("services", {"caddy": "active", "meltano": "active"}),
        ("services", {"caddy": 0, "meltano": 0, "vsftpd": 0}),
        ("journal", {"a; reboot": []}),
        ("journal", {"$(reboot)": []}),
        ("journal", {"a\nb": []}),
        ("journal", {f"{number}.service": [] for number in range(script.KEPT_PARTS + 1)}),
        ("env", {"owner": "meltano:meltano", "mode": "rw", "kind": "file"}),
        ("env", {"owner": "meltano:meltano", "mode": 620, "kind": "file"}),
        ("env", {"owner": "meltano:meltano", "mode": "-17", "kind": "file"}),
        ("env", []),
        ("env", {"owner": "meltano:meltano", "mode": "620", "kind": "$(reboot)"}),
        ("project", {"owner": "meltano:meltano", "mode": "7" * 5000, "kind": "folder"}),
        ("page", {"code": "$(reboot)", "detail": ""}),
        ("database", {"address": None, "problem": {"code": "$(reboot)", "detail": ""}}),
        ("database", {"address": None, "problem": None}),
        ("database", []),
        ("errors", None),
    ],
)
def test_what_the_script_would_not_say_is_refused_by_the_part_s_name_and_nothing_is_quoted(
    part: str, value: Any
) -> None:
    with pytest.raises(NotFacts) as caught:
        droplet_facts.read(json.dumps({**FACTS, part: value}).encode())
    said = str(caught.value)
    assert said.startswith("the droplet's answer is not what the script prints")
    assert "reboot" not in said


def test_texts_without_end_are_cut() -> None:
    long = {**SICK, "system": "x" * 9999, "journal": {"cron.service": ["y" * 9999] * 500}, "errors": {"z" * 9999: []}}
    said = droplet_facts.read(json.dumps(long).encode())
    assert len(said.model_dump_json()) < script.KEPT_LINES * foreign.KEPT_CHARACTERS + 4000


@pytest.mark.parametrize("unit", ["cron.service", r"a\x2db.service", "-.mount", "a@b:c.service"])
def test_a_unit_that_a_hint_names_comes_through_both_shells(unit: str) -> None:
    said = droplet_facts.read(json.dumps({**FACTS, "system": "degraded", "journal": {unit: ["oops"]}}).encode())
    (found,) = (it for it in diagnosis.findings(ACME, Seen(facts=said), NOW) if it.level is Level.WRONG)
    assert found.check is Check.SYSTEM
    here = shlex.split(found.hint.partition("; then ")[2])
    assert here[:4] == ["meltanodata", "ssh", "acme", "--"]
    # As ssh does: what it is told is joined, and read by the droplet's shell.
    assert [it for it in shlex.split(" ".join(here[4:])) if it != "--"] == ["systemctl", "restart", unit]
