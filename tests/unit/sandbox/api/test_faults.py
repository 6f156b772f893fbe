"""Which requests meet a fault, and how often."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from sandbox.api.faults import Fault, Faults


@pytest.mark.parametrize(
    ("fault", "met"),
    [
        (Fault(effect="hang"), True),
        (Fault(effect="hang", method="POST"), True),
        (Fault(effect="hang", method="post"), True),
        (Fault(effect="hang", method="GET"), False),
        (Fault(effect="hang", path="/v2/droplets"), True),
        (Fault(effect="hang", path="/v2/*"), True),
        (Fault(effect="hang", path="/v2/droplets/*"), False),
        (Fault(effect="hang", team="Meltano"), True),
        (Fault(effect="hang", team="MeltanoData*"), False),
    ],
)
def test_method_path_and_team_must_match(fault: Fault, met: bool) -> None:
    assert fault.matches("POST", "/v2/droplets", "Meltano") is met


def test_a_fault_is_met_as_often_as_asked_for() -> None:
    faults = Faults()
    faults.add(Fault(effect="status", times=2))
    assert [faults.take("GET", "/", "t") is not None for _ in range(3)] == [True, True, False]
    assert faults.all() == {}


def test_always_is_until_it_is_removed() -> None:
    faults = Faults()
    number = faults.add(Fault(effect="status", times=None))
    assert all(faults.take("GET", "/", "t") for _ in range(100))
    assert faults.remove(number)
    assert faults.take("GET", "/", "t") is None
    assert not faults.remove(number)


def test_the_oldest_that_matches_is_met_first() -> None:
    faults = Faults()
    faults.add(Fault(effect="hang", method="POST"))
    faults.add(Fault(effect="status", status=503))
    faults.add(Fault(effect="reset"))
    assert [fault and fault.effect for fault in (faults.take("GET", "/", "t") for _ in range(3))] == [
        "status",
        "reset",
        None,
    ]


@pytest.mark.parametrize("wrong", [{"status": 200}, {"times": 0}, {"effect": "crash"}, {"delay": -1}, {"pattern": "*"}])
def test_what_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Fault.model_validate({"effect": "status", **wrong})
