"""What of a sandbox is real."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.choice import CannotBeHadError, Choice, choose
from sandbox.home import Home

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def only(*possible: str) -> Callable[[str], str | None]:
    return lambda part: None if part in possible else f"no {part} today"


def test_everything_is_real_where_it_can_be() -> None:
    assert choose(None, None, "auto", only("droplets", "databases", "plugins")) == Choice(
        "real", "real", "official", {}
    )


def test_what_cannot_be_real_is_light_and_says_why() -> None:
    assert choose(None, None, "auto", only("databases")) == Choice(
        "light", "real", "stand-in", {"droplets": "no droplets today", "plugins": "no plugins today"}
    )


def test_what_nobody_asked_to_be_real_needs_no_reason() -> None:
    assert choose("light", "light", "stand-in", only()) == Choice("light", "light", "stand-in", {})


def test_what_is_asked_for_by_name_is_had_or_refused() -> None:
    with pytest.raises(
        CannotBeHadError, match=r"real droplets.*no droplets today; .*official plugins.*no plugins today"
    ):
        choose("real", None, "official", only())
    assert choose("real", "light", "official", only("droplets", "plugins")) == Choice("real", "light", "official", {})


def test_it_is_kept(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    assert Choice.load(home) is None
    chosen = choose(None, None, "auto", only("databases"))
    chosen.save(home)
    assert Choice.load(home) == chosen


def test_a_sandbox_that_was_light_starts_light_again() -> None:
    last = choose("light", None, "auto", only("databases"))
    again = choose(None, None, "auto", only("droplets", "databases"), last)
    assert (again.droplets, again.databases) == ("light", "real")
    assert again.reasons["droplets"] == "as at the last start; change it with --droplets real"
    assert choose(None, None, "auto", only("droplets", "databases"), again).droplets == "light"


def test_another_kind_than_last_time_has_to_be_asked_for() -> None:
    last = choose("light", "light", "auto", only())
    assert choose("real", "real", "auto", only("droplets", "databases"), last).droplets == "real"
