from __future__ import annotations

import datetime as dt
import re
from html.parser import HTMLParser

import pytest

from meltanodata.config.lifetime import Lifetime
from meltanodata.config.placement import Use
from meltanodata.engine.resource_types import ROLES, Type
from meltanodata.engine.stack_state import StackState
from meltanodata.render.page import Entry, Page, State, Team, entries, in_order, render
from tests import previews
from tests.states import exported
from tests.unit.render.samples import entry

NOW = dt.datetime(2026, 11, 23, 2, 0, tzinfo=dt.UTC)


def page(*found: Entry, teams: tuple[Team, ...] = ()) -> str:
    return render(Page("meltanodata.com", NOW, "abc1234", found, teams))


def test_a_tenant_is_read_from_the_state() -> None:
    state = exported("acme")
    certificate = {"fingerprint": "5f1c09ab5f1c09ab"}
    certificate |= {"begins": "2026-11-02T00:00:00+00:00", "ends": "2027-01-31T00:00:00+00:00"}
    state["deployment"]["resources"][0]["outputs"] = {"certificate": certificate}
    (found,) = entries(StackState(state))
    assert found == entry(
        meltano=None,
        links=[
            ("droplet", "https://cloud.digitalocean.com/droplets/acme-droplet-id"),
            ("database", "https://cloud.digitalocean.com/databases/acme-database-id"),
        ],
    )


def test_what_its_entry_states_is_shown() -> None:
    (found,) = entries(StackState(exported("acme", meltano_version="2.20.0", tls="self_signed", demo=True)))
    assert (found.meltano, found.certificate, found.demo) == ("2.20.0", None, True)


@pytest.mark.parametrize("part", [Type.DROPLET, Type.RECORD, Type.CLUSTER, Type.FIREWALL])
def test_a_tenant_without_one_of_its_parts_is_unfinished(part: Type) -> None:
    state = exported("acme")
    state["deployment"]["resources"] = [it for it in state["deployment"]["resources"] if it["type"] != part]
    (found,) = entries(StackState(state))
    assert (found.state, found.note) == (State.UNFINISHED, f"without {ROLES[part]}")


def test_a_tenant_that_was_never_verified_is_unfinished() -> None:
    state = exported("acme")
    verify = previews.urn("acme", "verify")
    state["deployment"]["resources"] = [it for it in state["deployment"]["resources"] if it["urn"] != verify]
    (found,) = entries(StackState(state))
    assert (found.state, found.note) == (State.UNFINISHED, "not verified yet")


def test_a_tenant_on_which_a_run_broke_off_is_unfinished() -> None:
    state = exported("acme", "bolt")
    state["deployment"]["pending_operations"] = [
        {"resource": {"urn": previews.urn("acme", "droplet")}, "type": "update"}
    ]
    assert [found.state for found in entries(StackState(state))] == [State.UNFINISHED, State.VERIFIED]


def test_what_is_only_to_be_deleted_is_not_the_tenants() -> None:
    state = exported("acme")
    old = {**state["deployment"]["resources"][2], "delete": True, "id": "old"}
    state["deployment"]["resources"].append(old)
    (found,) = entries(StackState(state))
    assert found.links[0] == ("droplet", "https://cloud.digitalocean.com/droplets/acme-droplet-id")


def test_a_stack_that_was_never_applied_has_nobody() -> None:
    assert list(entries(StackState({"version": 3, "deployment": {}}))) == []


def test_those_that_are_unfinished_come_first() -> None:
    states = {"a": State.VERIFIED, "d": State.UNFINISHED, "b": State.UNFINISHED}
    found = [entry(tenant, state=state) for tenant, state in states.items()]
    assert [it.tenant for it in in_order(found)] == ["b", "d", "a"]


class Seen(HTMLParser):
    """Every element with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_needs_nothing_beside_it() -> None:
    seen = Seen(page(entry()))
    for tag, attributes in seen.elements:
        assert tag not in {"img", "iframe", "object", "embed"}
        assert "src" not in attributes
        if tag == "link":
            assert attributes["href"] == "data:,"
    assert "@import" not in seen.text
    assert "url(" not in seen.text


def test_whatever_stands_in_the_state_is_text() -> None:
    evil = "<script>alert(1)</script>\"'><img src=x>"
    seen = Seen(page(entry(team=evil, note=evil, meltano=evil, address=evil)))
    assert [tag for tag, _ in seen.elements].count("script") == 1
    assert not [tag for tag, _ in seen.elements if tag == "img"]
    assert seen.text.count(evil) == 4


def test_each_tenant_has_a_line_with_its_links() -> None:
    seen = Seen(page(entry("acme"), entry("bolt")))
    assert [tag for tag, _ in seen.elements].count("tr") == 3
    assert [attributes["href"] for tag, attributes in seen.elements if tag == "a"] == [
        "https://acme.meltanodata.com",
        "https://cloud.digitalocean.com/droplets/1",
        "https://bolt.meltanodata.com",
        "https://cloud.digitalocean.com/droplets/1",
    ]


@pytest.mark.parametrize(
    ("begins", "ends", "colour"),
    [(-61, 0, "bad"), (-61, 29, "warn"), (-59, 31, ""), (-91, -1, "bad")],
)
def test_a_certificate_that_is_due_for_renewal_is_marked(begins: int, ends: int, colour: str) -> None:
    lifetime = Lifetime(NOW + dt.timedelta(days=begins), NOW + dt.timedelta(days=ends))
    assert entry(certificate=lifetime).certificate_colour(NOW) == colour
    assert entry(certificate=None).certificate_colour(NOW) == "dim"


@pytest.mark.parametrize(
    ("use", "width", "colour"),
    [
        (Use("T", 0, 60), "0", ""),
        (Use("T", 47, 60), "78", ""),
        (Use("T", 48, 60), "80", "warn"),
        (Use("T", 60, 60), "100", "bad"),
        (Use("T", 90, 60), "100", "bad"),
        (Use("T", 3, 60, full=True), "5", "bad"),
    ],
)
def test_a_teams_bar(use: Use, width: str, colour: str) -> None:
    text = page(teams=(Team(use, "databases"),))
    assert re.findall(r'<rect class="used (\w*)" width="(\d+)"', text) == [(colour, width)]
    assert f"{use.used} of {use.limit} databases" in text
