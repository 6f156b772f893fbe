from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from meltanodata.config.lifetime import Lifetime

BEGINS = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("days", [45, 90, 200, 398])
def test_renewal_is_due_when_less_than_a_third_of_any_lifetime_is_left(days: int) -> None:
    lifetime = Lifetime(BEGINS, BEGINS + timedelta(days=days))
    third = timedelta(days=days) / 3
    assert not lifetime.due(lifetime.ends - third)
    assert lifetime.due(lifetime.ends - third + timedelta(seconds=1))
    assert lifetime.due(lifetime.ends + timedelta(days=1))


def test_a_certificate_is_valid_until_just_before_its_end() -> None:
    lifetime = Lifetime(BEGINS, BEGINS + timedelta(days=90))
    assert [lifetime.valid(BEGINS + timedelta(days=days)) for days in (-1, 0, 89, 90)] == [False, True, True, False]
