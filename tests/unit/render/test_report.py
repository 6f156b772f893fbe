from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console

from meltanodata.config.settings import Guard
from meltanodata.render import report
from meltanodata.rollout import guard, preview_plan
from meltanodata.rollout.apply import Result
from meltanodata.rollout.guard import DATA_LOSS, Review
from meltanodata.rollout.impact import Effect, Severity
from meltanodata.rollout.plan import Plan, Reason, Team
from tests.previews import (
    Step,
    child,
    component,
    created,
    destroyed,
    options,
    preview,
    renewed,
    replaced,
    updated,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from markdown_it.token import Token

    Golden = Callable[[str, str], None]

TEAM = Team(name="MeltanoData DBs 1", kind="databases", before=12, after=13, limit=60)


def review(*steps: Step, names: list[str], allowed: tuple[str, ...] = (), teams: tuple[Team, ...] = ()) -> Review:
    found = preview_plan.read(preview(*steps, tenants=500)).model_copy(update={"teams": teams})
    return guard.review(found, Guard(), named=names, allowed=allowed)


def test_comment_of_one_new_tenant(golden: Golden) -> None:
    found = review(
        *created("acme"),
        names=["acme"],
        teams=(Team(name="Meltano", kind="droplets", before=499, after=500, limit=500), TEAM),
    )
    golden("comment-new-tenant.md", report.comment([found]))


def test_comment_of_one_tenant_removed(golden: Golden) -> None:
    golden("comment-removed.md", report.comment([review(*destroyed("acme"), names=["acme"], allowed=(DATA_LOSS,))]))


def test_comment_of_a_certificate_renewal_of_500(golden: Golden) -> None:
    steps = [step for number in range(500) for step in renewed(f"tenant-{number:03}")]
    text = report.comment([review(*steps, names=[], allowed=(guard.UNNAMED,))])
    assert len(text) <= report.LIMIT
    golden("comment-certificate-renewal.md", text)


def test_comment_of_a_change_that_the_guard_stops(golden: Golden) -> None:
    steps = [step for number in range(3) for step in destroyed(f"tenant-{number}")]
    steps += [
        component("update", "acme", options(), options(droplet_size="s-4vcpu-99gb", tls="self_signed")),
        replaced("acme", "droplet", "region"),
        replaced("acme", "database", "name"),
        component("update", "bolt", options(), options(meltano_version="2.20.0 | `x` <b>@all")),
        updated("bolt", "meltano", "stdin"),
        {"op": "delete", "urn": "urn:pulumi:prod::meltanodata::digitalocean:index/domain:Domain::domain"},
    ]
    golden("comment-guard-stops.md", report.comment([review(*steps, names=["acme", "bolt"])]))


def test_nothing_to_do_is_said_for_each_stack() -> None:
    text = report.comment([review(names=[]), review(names=[])])
    assert text.startswith(report.MARKER + "\n")
    assert text.count("`prod`: no changes") == 2


def test_tables_for_the_terminal(golden: Golden) -> None:
    out = io.StringIO()
    found = review(*created("acme"), *destroyed("bolt"), *renewed("core"), names=["acme"], teams=(TEAM,))
    Console(file=out, width=120, legacy_windows=False).print(report.table(found))
    golden("table.txt", "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n")


def test_same_things_are_folded_and_everybody_is_named() -> None:
    steps = [step for number in range(30) for step in renewed(f"t{number:02}")]
    text = report.comment([review(*steps, *created("acme"), names=[])])
    assert text.count("\n| ") == 3  # the head, acme, and thirty tenants
    assert all(f"t{number:02}" in text for number in range(30))
    assert "<summary><b>30 tenants</b></summary>" in text


KEYS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


def _plan(keys: list[str], value: Callable[[int], str], kind: Callable[[int], int]) -> Plan:
    steps: list[Step] = []
    for number, key in enumerate(keys):
        change = component("update", key, options(), options(snapshot=value(number)))
        match kind(number) % 4:
            case 0:
                steps += created(key)
            case 1:
                steps += destroyed(key)
            case 2:
                steps += [change, updated(key, "files", "stdin")]
            case _:
                steps += [change, replaced(key, "droplet", "image")]
    return preview_plan.read(preview(*steps, tenants=500))


@settings(max_examples=25, deadline=None)
@given(data=st.data(), stem=KEYS.filter(lambda key: len(key) < 60), values=st.lists(VALUES, min_size=1, max_size=20))
def test_500_tenants_fit_into_a_comment(data: st.DataObject, stem: str, values: list[str]) -> None:
    count = data.draw(st.integers(1, 500))
    seed = data.draw(st.integers(0, 10**9))
    distinct = data.draw(st.booleans())
    keys = [f"{number:03}{stem}" for number in range(count)]

    def value(number: int) -> str:
        return values[number % len(values)] + (str(number) if distinct else "")

    found = guard.review(_plan(keys, value, lambda number: seed >> (number % 29)), Guard(), named=[])
    text = report.comment([found])
    assert len(text) <= report.LIMIT
    assert all(key in text for key in keys)
    assert found.plan.digest in text


def test_500_tenants_with_the_longest_names_and_all_different_fit() -> None:
    keys = [f"{number:03}{'x' * 60}" for number in range(500)]
    found = guard.review(_plan(keys, lambda number: f"{number}" * 60, lambda number: number), Guard(), named=[])
    text = report.comment([found])
    assert len(text) <= report.LIMIT
    assert all(key in text for key in keys)
    assert "The details exceed" in text


@pytest.mark.parametrize(("tenants", "named"), [(50, True), (500, False)])
def test_ten_stacks_fit_into_one_comment(tenants: int, *, named: bool) -> None:
    keys = [f"{number:03}{'x' * 60}" for number in range(tenants)]
    found = guard.review(_plan(keys, lambda number: f"{number}" * 60, lambda number: number), Guard(), named=keys)
    text = report.comment([found] * 10)
    assert len(text) <= report.LIMIT
    assert text.count("### ") == 10
    assert all(key in text for key in keys) is named
    assert text.count(f"<b>{len(keys) // 4} tenants</b>") == (20 if tenants == 50 else 40)


@pytest.mark.parametrize("text", ["a|b", "a\nb", "a`b", "<!-- x", "</details>", "a\\|b", "* b", "[x](y)"])
def test_a_value_cannot_break_out_of_its_cell(text: str) -> None:
    steps = [component("update", "acme", options(), options(snapshot=text)), updated("acme", "files", "stdin")]
    line = next(line for line in report.comment([review(*steps, names=["acme"])]).splitlines() if "**acme**" in line)
    outside = re.sub(r"`[^`]*`", "", line)
    assert len(re.findall(r"(?<!\\)\|", re.sub(r"\\\\", "", outside))) == 7
    assert "<!--" not in outside
    assert "</details>" not in outside


HOSTILE = st.one_of(
    st.sampled_from(
        [
            "@meltano/admins",
            "x @mallory",
            "a|b",
            "a\\|b",
            "\\\\| ✅ | **reviewed by** | @boss |",
            "\n\n| ✅ | **bolt** | nothing | | | |\n",
            "\r\n### ✅ reviewed by the security team\r\n",
            "\u2028### reviewed\u2029",
            "`` ` ``",
            "<!-- meltanodata plan -->",
            "<img src=x onerror=alert(1)>",
            "</summary></details>",
            "[click](https://evil.example)",
            "![](https://evil.example/pixel.png)",
            "https://evil.example/approve",
            "www.evil.example",
            "mail@evil.example",
            "&commat;mallory &#64;mallory",
            "fixes #1, meltano/meltanodata#2, GH-1",
            "$\\color{green}{reviewed}$",
            "__reviewed__ ~~not~~ *by* _me_",
            "\u202edeweiver\u202c \u200b \x1b[2J \x00",
            "x" * 100_000,
            "\\",
            "",
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=80),
    st.text("|`\\@<>[]()!*_~&#$:/.w \n-", max_size=80),
)
OUR_HTML = re.compile(r"<!-- meltanodata plan -->\n?|</?(br|b|sub|details|summary)>")
REFERENCES = re.compile(r"@\w|(?<!\w)#\w|://|www\.|gh-\d", re.IGNORECASE)


def rendered(text: str) -> tuple[list[Token], list[Token]]:
    """A comment as GitHub's Markdown is read: blocks, and what is in them."""
    blocks = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    return blocks, [token for block in blocks for token in block.children or []]


@settings(max_examples=150, deadline=None)
@given(texts=st.lists(HOSTILE, min_size=10, max_size=10))
def test_what_others_wrote_is_shown_and_does_nothing(texts: list[str]) -> None:
    found = review(*destroyed("acme"), *renewed("bolt"), names=["acme"], teams=(TEAM,))
    acme, bolt = found.plan.rows
    operation = bolt.operations[0].model_copy(
        update={"object_name": texts[0], "properties": (texts[1],), "urn": f"{bolt.operations[0].urn}{texts[2]}"}
    )
    reason = Reason(what=texts[3], before=texts[4], after=texts[5], option=True)
    effect = Effect(text=texts[6], severity=Severity.LOSS, about=texts[7])
    row = bolt.model_copy(
        update={"operations": (operation,), "reasons": (reason,), "effects": (effect,), "team": texts[8]}
    )
    hostile = found.plan.model_copy(update={"rows": (acme, row), "others": (operation,)})
    stop = found.stops[0].model_copy(update={"message": texts[9]})
    text = report.comment(
        [Review(plan=hostile, stops=(stop,))],
        failed={texts[0]: texts[1]},
        request=stop,
        notes=[texts[2]],
        unreadable=texts[3],
    )
    assert len(text) <= report.LIMIT
    blocks, inner = rendered(text)
    tables = [block for block in blocks if block.type == "table_open"]
    rows = [block for block in blocks if block.type == "tr_open"]
    cells = [block for block in blocks if block.type in {"td_open", "th_open"}]
    assert (len(tables), len(rows), len(cells)) == (1, 3, 18)
    assert sum(block.type == "heading_open" for block in blocks) == 3
    assert {token.type for token in inner}.isdisjoint({"link_open", "image", "s_open", "em_open"})
    html = [token.content for token in inner if token.type == "html_inline"]
    html += [block.content for block in blocks if block.type == "html_block"]
    assert [part for part in html if not OUR_HTML.fullmatch(part)] == []
    assert sum(part.startswith("<!--") for part in html) == 1
    # As text alone; GitHub leaves code as it is.
    shown = "".join(token.content if token.type == "text" else " " for token in inner)
    assert REFERENCES.findall(shown) == []
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_a_plan_with_nothing_to_say_for_itself_is_bounded() -> None:
    many = {f"stack-{number}": "x" * 10_000 for number in range(500)}
    text = report.comment([], failed=many, notes=["y" * 10_000] * 500, unreadable="z" * 100_000)
    assert len(text) <= report.LIMIT


def test_a_step_without_an_option_shows_the_resource() -> None:
    step = child("update", "acme", "record", {"value": "10.0.0.1"}, {"value": "10.0.0.2"}, diffReasons=["value"])
    assert "record value: `10.0.0.1` → `10.0.0.2`" in report.comment([review(step, names=[])])


RESULTS = [
    Result("acme", "created", "batch 1 of 2", ()),
    Result("bolt", "changed", "batch 1 of 2", ("replace of acme-files (stdin): timed | out\n124", "not done: x")),
    Result("core", "destroyed", "", (), applied=False),
]


def test_summary_of_a_deployment(golden: Golden) -> None:
    golden("summary.md", report.outcome("prod", RESULTS, 3725))


def test_summary_of_a_deployment_that_went_well() -> None:
    assert report.outcome("prod", RESULTS[:1], 61).startswith("### ✅ `prod`: 1 of 1 tenant deployed, 1:01 min\n")
    assert report.outcome("prod", [], 5) == "### ✅ `prod`: 0 of 0 tenants deployed, 0:05 min\n\n"


def test_outcome_for_the_terminal() -> None:
    out = io.StringIO()
    Console(file=out, width=120).print(report.outcome_table(RESULTS))
    lines = out.getvalue().splitlines()
    assert [mark for line in lines for mark in ("❌", "⏸️", "✅") if mark in line] == ["❌", "⏸️", "✅"]
