"""What is told of a wipe: text of a droplet's."""

from __future__ import annotations

import json

import pytest

from meltanodata.program.announcements import dropped


def test_the_schemas_that_went() -> None:
    assert dropped('{"dropped": ["analytics", "raw"]}\n') == "dropped analytics, raw"
    assert dropped('{"dropped": []}\n') == "there was no schema but public"


@pytest.mark.parametrize(
    "said",
    [None, "", "true", "::error::x", "[]", "{}", '{"dropped": null}', '{"dropped": [1]}', "[" * 99_999],
)
def test_a_droplet_that_does_not_say(said: str | None) -> None:
    assert dropped(said) == "the schemas that it dropped are unknown"


def test_what_a_droplet_says_is_one_line_printable_and_bounded() -> None:
    line = dropped(json.dumps({"dropped": ["\x1b[2Ja", "\n::add-mask::b", "c" * 100_000]}))
    assert line.isprintable()
    assert line.startswith("dropped \\x1b[2Ja,  ::add-mask::b, ccc")
    assert len(line) < 1100
