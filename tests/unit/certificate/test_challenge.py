from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from meltanodata.certificate import name_servers
from meltanodata.certificate.challenge import LONGEST_RUN, Zone, leftovers
from meltanodata.certificate.name_servers import NameServer
from meltanodata.errors import UserError
from meltanodata.inventory import accounts
from meltanodata.inventory.accounts import Text
from tests.fleets import settings

NOW = 1_800_000_000
RUN = "0123456789abcdef"


def note(value: str, age: int, run: str = RUN) -> str:
    return f"meltanodata-renewal run={run} since={NOW - age} for={value}"


def left(*data: str, killed_here: bool = False) -> list[str]:
    texts = [Text(number, each) for number, each in enumerate(data)]
    return [text.data for text in leftovers(texts, NOW, lambda _: killed_here)]


def test_a_record_of_a_run_that_is_over_goes_before_its_note() -> None:
    old = note("ours", LONGEST_RUN + 1)
    assert left(old, "somebody else's", "ours") == ["ours", old]


def test_a_record_of_a_run_that_may_be_at_work_stays() -> None:
    assert left(note("ours", 60), "ours") == []


def test_a_record_of_a_run_that_was_killed_here_goes_at_once() -> None:
    assert left(note("ours", 60), "ours", killed_here=True) == ["ours", note("ours", 60)]


@pytest.mark.parametrize("data", ["v=spf1 -all", "meltanodata-renewal run=../../etc since=1 for=x", "", "for=ours"])
def test_a_record_of_somebody_else_stays(data: str) -> None:
    assert left(data, "ours", killed_here=True) == []


class World:
    """The domain's TXT records of the name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.texts = ["somebody else's"]
        self.refuses_removal = False
        self.lines: list[str] = []
        monkeypatch.setattr(accounts, "texts", lambda *_: tuple(Text(hash(each), each) for each in self.texts))
        monkeypatch.setattr(accounts, "add_text", lambda _, __, ___, data: self.texts.append(data))
        monkeypatch.setattr(accounts, "remove_text", self._remove)
        monkeypatch.setattr(name_servers, "of", lambda *_: [NameServer("ns1", "192.0.2.53")])
        monkeypatch.setattr(name_servers, "texts", lambda *_: set(self.texts))
        self.zone = Zone(settings(), {}, self.lines.append, seconds=0, pause=lambda _: None)

    def _remove(self, _: object, __: object, text: Text) -> None:
        if self.refuses_removal:
            raise UserError("DigitalOcean does not answer")
        self.texts.remove(text.data)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_the_record_is_there_as_long_as_it_is_needed(world: World) -> None:
    with world.zone.published("ours"):
        assert "ours" in world.texts
    assert world.texts == ["somebody else's"]


def test_the_record_is_removed_whatever_happens(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt), world.zone.published("ours"):
        raise KeyboardInterrupt
    assert world.texts == ["somebody else's"]
    monkeypatch.setattr(name_servers, "texts", lambda *_: set())
    with pytest.raises(UserError, match=r"ns1 \(192.0.2.53\): did not serve the TXT record _acme-challenge"):
        world.zone.published("ours").__enter__()
    assert world.texts == ["somebody else's"]


def test_an_impatient_interrupt_does_not_break_off_the_removal(world: World) -> None:
    remove = world._remove

    def interrupted(*args: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        remove(*args)

    with pytest.raises(KeyboardInterrupt), pytest.MonkeyPatch.context() as patched, world.zone.published("ours"):
        patched.setattr(accounts, "remove_text", interrupted)
    assert world.texts == ["somebody else's"]


def test_a_record_that_could_not_be_removed_is_removed_by_the_next_run(world: World) -> None:
    with world.zone.published("ours"):
        world.refuses_removal = True
    assert "is left, the next renewal removes it: DigitalOcean does not answer" in world.lines[-1]
    assert "ours" in world.texts
    world.refuses_removal = False
    world.zone.remove_leftovers()
    with world.zone.published("next"):
        assert "ours" not in world.texts
    assert world.texts == ["somebody else's"]


def test_a_run_that_is_at_work_keeps_its_record(world: World) -> None:
    with world.zone.published("first"), world.zone.published("second"):
        world.zone.remove_leftovers()
        assert {"first", "second"} < set(world.texts)
    assert world.texts == ["somebody else's"]
