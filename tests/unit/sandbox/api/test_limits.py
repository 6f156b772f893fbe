"""How many requests a token may make."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sandbox.api.limits import TokenLimits, Window


def test_a_minute_has_250_requests() -> None:
    limits = TokenLimits()
    assert [limits.admit("GET", "/v2/droplets", 100.0) for _ in range(250)] == [0.0] * 250
    assert limits.admit("GET", "/v2/droplets", 130.0) == 30.0
    assert limits.admit("GET", "/v2/droplets", 160.0) == 0.0


def test_an_hour_has_5000_requests() -> None:
    limits = TokenLimits()
    for minute in range(20):
        for _ in range(250):
            assert limits.admit("POST", "/v2/databases", minute * 60.0) == 0.0
    assert limits.admit("POST", "/v2/databases", 1200.0) == 2400.0
    assert limits.headers(1200.0) == {
        "ratelimit-limit": "5000",
        "ratelimit-remaining": "0",
        "ratelimit-reset": "3600",
    }
    assert limits.admit("POST", "/v2/databases", 3600.0) == 0.0


def test_the_list_of_ssh_keys_has_10_a_minute() -> None:
    limits = TokenLimits()
    for _ in range(10):
        assert limits.admit("GET", "/v2/account/keys", 0.0) == 0.0
    assert limits.admit("GET", "/v2/account/keys", 1.0) == 59.0
    assert limits.admit("GET", "/v2/account/keys/1", 1.0) == 0.0
    assert limits.admit("POST", "/v2/account/keys", 1.0) == 0.0


def test_what_is_refused_does_not_count() -> None:
    window = Window(1, 60.0)
    window.add(0.0)
    for second in range(1, 60):
        assert window.wait(float(second)) == 60.0 - second
    assert window.wait(60.0) == 0.0


@given(st.lists(st.floats(0, 30), max_size=60), st.integers(1, 5))
def test_no_window_ever_holds_more_than_its_limit(gaps: list[float], limit: int) -> None:
    window, now, admitted = Window(limit, 10.0), 0.0, list[float]()
    for gap in gaps:
        now += gap
        if window.wait(now) == 0.0:
            window.add(now)
            admitted.append(now)
    for start in admitted:
        assert sum(start <= time < start + 10.0 for time in admitted) <= limit
