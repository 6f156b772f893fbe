from __future__ import annotations

import json

from meltanodata.config.checks import Check
from meltanodata.doctor.diagnosis import Finding, Level
from meltanodata.render import diagnosis_table
from tests.unit.render.samples import text

OK = Finding(Check.PING, Level.OK, "203.0.113.7 answers")
SOON = Finding(Check.CERTIFICATE, Level.WARNING, "it ends soon", "Renew it")
WRONG = Finding(Check.SYSTEM, Level.WRONG, "caddy.service is failed", "Start it: " + "x" * 200, ("[red] line", "2"))


def test_who_is_well() -> None:
    assert diagnosis_table.well([OK, SOON])
    assert not diagnosis_table.well([OK, WRONG])


def test_json() -> None:
    assert json.loads(json.dumps(diagnosis_table.plain({"acme": [OK, WRONG], "bolt": [OK]}))) == {
        "acme": {
            "well": False,
            "findings": [
                {"check": "ping", "level": "ok", "found": "203.0.113.7 answers", "hint": "", "log": []},
                {
                    "check": "system",
                    "level": "wrong",
                    "found": WRONG.found,
                    "hint": WRONG.hint,
                    "log": ["[red] line", "2"],
                },
            ],
        },
        "bolt": {"well": True, "findings": [{**OK.__dict__, "log": []}]},
    }


def test_of_many_only_what_is_not_well_is_told() -> None:
    said = text({"acme": [OK, WRONG], "bolt": [OK], "core": [OK, SOON]}, [Check.PING])
    assert "203.0.113.7" not in said
    assert "no problems (1 checks)" in said
    assert said.splitlines()[-1] == "2 of 3 tenants are well; skipped by the setting unchecked: ping"


def test_of_one_every_check_is_told() -> None:
    said = text({"acme": [OK, SOON]})
    assert "203.0.113.7 answers" in said
    assert said.splitlines()[-1] == "1 of 1 tenants are well"


def test_hints_can_be_copied_and_logs_are_text() -> None:
    said = text({"acme": [WRONG]}).splitlines()
    assert f"❌ acme, system: {WRONG.hint}" in said
    assert "     │ [red] line" in said


def test_a_sentence_has_what_is_wrong_alone() -> None:
    assert diagnosis_table.sentence([OK, SOON, WRONG]) == f"system: caddy.service is failed. {WRONG.hint}."
