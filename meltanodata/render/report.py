"""Plans, outcomes and drift for people: tables on the terminal, Markdown on GitHub. Pure."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from meltanodata.config import config_commands
from meltanodata.rollout.guard import Review
from meltanodata.rollout.impact import Severity
from meltanodata.rollout.plan import Change, LeftAlone, Plan, Reason, Row, Team, describe
from meltanodata.text import count, first_of, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from rich.table import Table

    from meltanodata.config.placement import Use
    from meltanodata.rollout.apply import Result
    from meltanodata.rollout.drift import Drift
    from meltanodata.rollout.guard import Stop
    from meltanodata.rollout.impact import Effect

MARKER = "<!-- meltanodata plan -->"
"""The first line of the comment, by which the next run finds it."""

DRIFT_MARKER = "<!-- meltanodata drift -->"
"""The first line of the issue, likewise."""

LIMIT = 65_536
"""The longest comment or issue that GitHub accepts, in characters."""

ICONS = {Severity.NONE: "✅", Severity.INTERRUPTION: "⚠️", Severity.LOSS: "🚨"}

_COLUMNS = ("Tenant", "Change", "Reason", "Effect", "Monthly cost")


def table(review: Review) -> Table:
    """The plan as a table for the terminal, one row a tenant."""
    from rich.table import Table

    plan = review.plan
    result = Table(
        title=f"{plan.stack}: {_summary(plan)}",
        title_justify="left",
        caption=_capacity(plan.teams),
        caption_justify="left",
    )
    for column in ("", *_COLUMNS):
        result.add_column(column, overflow="fold")
    for row in _worst_first(plan.rows):
        why = "\n".join(map(describe, row.reasons)) + _where(row)
        people = "\n".join(map(str, row.effects))
        result.add_row(ICONS[row.severity], row.tenant, row.change, why, people, _money(row))
    for left in plan.left_alone:
        result.add_row(_NOT_PLANNED, left.tenant, _LEFT_ALONE, "\n".join(left.reasons), "", "")
    for operation in plan.others:
        result.add_row("", "", operation.op, str(operation), "", "")
    return result


_NOT_PLANNED, _LEFT_ALONE = "⛔", "left alone"
"""The icon and the change of a tenant that cannot be planned."""


def stacks(uses: Iterable[tuple[str, Sequence[Use]]]) -> Table:
    """The stacks of a fleet with the teams that they own, for the terminal."""
    from rich.table import Table

    table = Table("Stack", "Tenants", "Teams, with their tenants")
    for stack, teams in uses:
        listed = "\n".join(f"{use.team}: {use.used} of {use.limit}{', full' if use.full else ''}" for use in teams)
        table.add_row(stack, str(sum(use.used for use in teams)), listed)
    return table


def comment(
    reviews: Sequence[Review],
    *,
    failed: Mapping[str, str] | None = None,
    request: Stop | None = None,
    notes: Sequence[str] = (),
    unreadable: str | None = None,
    limit: int = LIMIT,
) -> str:
    """One sticky comment for all stacks that a pull request touches, in GitHub's Markdown.

    A long comment is shortened step by step: tenants with the same change share a row, then the reasons are left out,
    then the names. What is left out is counted, and the worst comes first.

    Args:
        reviews: the plans with the guard's verdict.
        failed: why a stack has no plan, by its name.
        request: the guard's verdict on the pull request as a whole.
        notes: further warnings, a sentence each.
        unreadable: why nothing can be judged.
        limit: the longest text.
    """
    head = []
    if unreadable is not None:
        head.append(f"### ❌ The pull request's changes cannot be judged\n\nReason: {_cell(unreadable, _STOP)}")
    if request is not None:
        head.append(_of_request(request))
    head += _without_plan(failed or {})
    head += [f"> [!WARNING]\n> {_cell(note, _STOP)}" for note in notes[:_SECTIONS]]
    if not head and not reviews:
        head = ["No tenant changes."]
    text = _shortest([MARKER, *head], lambda level: (_section(review, level) for review in reviews), limit)
    return text if len(text) <= limit else f"{text[: limit - len(_CUT)]}{_CUT}"


def _shortest(head: Sequence[str], sections: Callable[[_Level], Iterable[str]], limit: int) -> str:
    """The sections at the first level at which they fit, else at the last."""
    text = ""
    for level in _LEVELS:
        text = "\n\n".join([*head, *sections(level)]) + "\n"
        if len(text) <= limit:
            break
    return text


_SECTIONS, _STOP = 30, 4000
"""The most stacks without a plan that a comment names, and the most characters of a stop."""
_CUT = "\n\nThis comment is cut off at GitHub's limit. `meltanodata plan` shows everything.\n"


def _without_plan(failed: Mapping[str, str]) -> Iterator[str]:
    for stack, why in list(failed.items())[:_SECTIONS]:
        yield f"### ❌ {_code(stack)}: {_cell(why)}"
    if len(failed) > _SECTIONS:
        yield f"### ❌ {len(failed) - _SECTIONS} more without a plan"


def _of_request(stop: Stop) -> str:
    title = "The pull request's own program made the plans below, so only its diff shows what it does."
    return _alert("WARNING" if stop.allowed else "CAUTION", title, [stop])


def outcome_table(results: Sequence[Result]) -> Table:
    """The outcome of a deployment, one row a tenant."""
    from rich.table import Table

    table = Table("", "Tenant", "Change", "Stage", "Problems")
    for result in _failed_first(results):
        table.add_row(_mark(result), result.tenant, result.change, result.stage, "\n".join(result.problems))
    return table


def outcome(stack: str, results: Sequence[Result], seconds: float) -> str:
    """The same as a job's summary, in Markdown."""
    well = sum(result.well for result in results)
    minutes, rest = divmod(int(seconds), 60)
    icon = "✅" if well == len(results) else "❌"
    lines = [f"### {icon} `{stack}`: {well} of {count(len(results), 'tenant')} deployed, {minutes}:{rest:02} min"]
    if results:
        lines += ["", "| | Tenant | Change | Stage | Problems |", "|---|---|---|---|---|"]
        lines += [
            f"| {_mark(it)} | **{it.tenant}** | {it.change} | {it.stage} | {'<br>'.join(map(_cell, it.problems))} |"
            for it in _failed_first(results)
        ]
    return "\n".join([*lines, "", ""])


def _failed_first(results: Iterable[Result]) -> list[Result]:
    return sorted(results, key=lambda result: (result.well, not result.applied, result.tenant))


def _mark(result: Result) -> str:
    return "✅" if result.well else "❌" if result.applied else "⏸️"


_UNSEEN_LINES, _UNSEEN_WIDTH = 10, 300
"""The most lines, and characters of a line, about a stack that could not be examined."""


def drift(found: Drift, limit: int = LIMIT) -> str:
    """The sticky issue about drift, in GitHub's Markdown."""
    return _shortest([DRIFT_MARKER], lambda level: _drift(found, level), limit)


def _drift(found: Drift, level: _Level) -> Iterator[str]:
    if found.unseen:
        yield "## Stacks that could not be examined"
        yield "The sections below do not cover them, except for orphans in accounts that they share with other stacks."
        for it in found.unseen:
            lines = it.why.splitlines()[:_UNSEEN_LINES]
            yield "\n".join([f"{_code(it.stack)}:", "", *(f"    {line[:_UNSEEN_WIDTH]}" for line in lines)])
    changed = [plan for plan in found.plans if not plan.empty or plan.left_alone]
    if changed:
        yield "## Differences from the repository"
        yield (
            "Somebody changed these by hand, or a deployment was not finished. `meltanodata deploy --stack STACK"
            " --refresh` reverts them, from the first value to the second. To keep a change of a size, write it into"
            " tenants.yaml. The other properties are no options of tenants.yaml, and the next such deployment reverts"
            " them."
        )
        yield from (_section(Review(plan=plan), level, _DRIFT_ICONS) for plan in changed)
    if found.orphans:
        yield "## Orphans: objects that no stack's state has"
        yield (
            "They cost money, and strangers can take over a record whose droplet is gone. If one belongs to a tenant,"
            " add the tenant to tenants.yaml. If it serves another purpose, list its name in the setting no_tenants."
            " If nobody needs it, delete it by hand."
        )
        shown = found.orphans[: 2 * level.names][:200]
        lines = [
            f"| {it.kind} | {_code(it.name)} | {_code(it.id)} | {_cell(it.team)} | {_code(it.about)} |" for it in shown
        ]
        yield "\n".join(["| Kind | Name | Id | Team | Details |", "|---|---|---|---|---|", *lines])
        if len(shown) < len(found.orphans):
            yield f"And {len(found.orphans) - len(shown)} more."
    if found.expiring:
        yield "## Certificates that are due for renewal"
        yield (
            "Renew the certificate with `meltanodata certificate renew`, then deploy it. Set one of your own with"
            f" `{config_commands.set_secret('STACK', 'certificate')}`, and its key likewise."
        )
        yield "\n".join(
            f"- {it.last_day}: {count(len(it.tenants), 'tenant')} ({', '.join(it.tenants[: min(level.names, 100)])})"
            for it in found.expiring
        )
    if found.none:
        yield "There is no drift."


@dataclass(frozen=True)
class _Level:
    """How detailed a comment is."""

    fold: int
    """From this number on, tenants with the same change share a row."""
    same: Callable[[Row], object]
    """What must be equal for that."""
    details: bool
    """Whether reasons and effects are shown."""
    names: int
    """The most names in a shared row."""


_LEVELS = (
    *(
        _Level(fold, lambda row: (row.change, _why(row), _effects(row), _money(row)), details=True, names=10_000)
        for fold in (4, 2)
    ),
    *(_Level(1, lambda row: (row.change, row.severity), details=False, names=names) for names in (10_000, 20, 0)),
)


_DRIFT_ICONS = {**ICONS, Severity.NONE: "✏️"}
"""What differs is not well, even where nobody notices that it is reverted."""


def _section(review: Review, level: _Level, icons: Mapping[Severity, str] = ICONS) -> str:
    plan = review.plan
    worst = max((row.severity for row in plan.rows), default=Severity.NONE)
    icon = _NOT_PLANNED if plan.left_alone and worst is Severity.NONE else icons[worst]
    parts = [f"### {icon} {_code(plan.stack)}: {_summary(plan)}"]
    if review.stopped:
        parts.append(_alert("CAUTION", "The guard stops this plan.", review.stopped))
    if allowed := [stop for stop in review.stops if stop.allowed]:
        parts.append(_alert("WARNING", "Allowed by a label:", allowed))
    if plan.rows:
        head = f"| | {' | '.join(_COLUMNS)} |\n|---|---|---|---|---|---|"
        parts.append("\n".join([head, *(_line(rows, level, icons) for rows in _groups(plan.rows, level))]))
    if plan.left_alone:
        parts.append(_not_planned(plan.left_alone, level))
    if not level.details:
        parts.append("The details exceed GitHub's limit for a comment. `meltanodata plan` shows them.")
    if plan.teams:
        parts.append(f"Capacity: {_cell(_capacity(plan.teams), 2000)}")
    if plan.others:
        shown = [f"- {_cell(str(operation))}" for operation in plan.others[: level.names][:20]]
        parts.append("\n".join([f"Other changes, which belong to no tenant ({len(plan.others)}):", *shown]))
    parts.append(f"<sub>Plan `{plan.digest}`</sub>")
    return "\n\n".join(parts)


def _not_planned(tenants: Sequence[LeftAlone], level: _Level) -> str:
    shown = tenants[: min(level.names, _SECTIONS)]
    lines = [
        f"> - **{_cell(it.tenant)}**: {'; '.join(_cell(reason) for reason in it.reasons[:_LINES])}" for it in shown
    ]
    rest = [f"> - and {len(tenants) - len(shown)} more"] if len(shown) < len(tenants) else []
    title = "These tenants cannot be planned and are left as they are. All others are deployed."
    return "\n".join(["> [!WARNING]", f"> **{title}**", *lines, *rest])


def _alert(kind: str, title: str, stops: Iterable[Stop]) -> str:
    lines = [f"> - {_cell(stop.message, _STOP)} {_cell(stop.advice)}" for stop in stops]
    return "\n".join([f"> [!{kind}]", f"> **{title}**", *lines])


def _groups(rows: Iterable[Row], level: _Level) -> list[list[Row]]:
    """The table's rows: single tenants, and tenants with the same change."""
    same: dict[object, list[Row]] = defaultdict(list)
    for row in _worst_first(rows):
        same[level.same(row)].append(row)
    lines: list[list[Row]] = []
    for group in same.values():
        lines += [group] if len(group) >= level.fold else [[row] for row in group]
    return lines


def _line(rows: list[Row], level: _Level, icons: Mapping[Severity, str]) -> str:
    first = rows[0]
    if len(rows) == 1:
        who = f"**{_cell(first.tenant)}**"
        people = [_effect(effect) for effect in first.effects]
    else:
        names = first_of((_cell(row.tenant) for row in rows), level.names)
        who = f"<details><summary><b>{len(rows)} tenants</b></summary>{names}</details>"
        people = [_strong(text, severity) for severity, text in _effects(first)]
    why = _lines(list(map(_reason, first.reasons))) + _cell(_where(first))
    details = [why, _lines(people), _money(first)] if level.details else ["", "", ""]
    return f"| {' | '.join([icons[first.severity], who, first.change, *details])} |"


def _effects(row: Row) -> tuple[tuple[Severity, str], ...]:
    """The effects without what is this tenant's own."""
    return tuple((effect.severity, effect.text) for effect in row.effects)


def _why(row: Row) -> tuple[str, ...]:
    return (*map(describe, row.reasons), *filter(None, [_where(row)]))


def _where(row: Row) -> str:
    """The team that gets or loses the tenant's cluster."""
    return f" (in {row.team})" if row.team and row.change not in {Change.CHANGED, Change.REPLACED} else ""


def _reason(reason: Reason) -> str:
    if reason.before is None and reason.after is None:
        return _cell(reason.what)
    values = (_cell("none") if value is None else _code(value) for value in (reason.before, reason.after))
    return f"{_cell(reason.what)}: {' → '.join(values)}"


def _lines(texts: Sequence[str]) -> str:
    """The lines of a cell, and the number of lines left out."""
    rest = len(texts) - _LINES
    return "<br>".join([*texts[:_LINES], *([f"and {rest} more"] if rest > 0 else [])])


def _effect(effect: Effect) -> str:
    """An effect on this tenant. What it is about, such as an address, is shown as written and is no link."""
    text = _strong(effect.text, effect.severity)
    return f"{text}: {_code(effect.about)}" if effect.about else text


def _strong(text: str, severity: Severity) -> str:
    """A loss in bold type, up to its colon."""
    head, colon, rest = text.partition(":")
    return f"**{_cell(head + colon)}**{_cell(rest)}" if severity is Severity.LOSS else _cell(text)


_LONGEST, _LINES = 600, 30
"""The most characters of a text, and the most lines of a cell."""
_MARKUP = re.compile(r"[\\`*<>|~\[\]&$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_BLOCK = re.compile(r"^\s*(?=[#+=-])|^\s*\d+(?=[.)])")
"""The beginning of a line that Markdown takes for a heading or a list."""
_REFERENCE = re.compile(r"@|#(?=\w)|:(?=//)|(?i:www)(?=\.)|(?i:gh)(?=-\d)")
"""What GitHub turns into a link or a mention, in text that is not code."""
_JOINER = "\N{WORD JOINER}"
"""An invisible character that ends a reference; a backslash would not prevent one."""


def _cell(text: str, longest: int = _LONGEST) -> str:
    """Text that stays text in a table's cell: without markup, links and mentions, and bounded."""
    joined = _REFERENCE.sub(lambda found: f"{found[0]}{_JOINER}", _plain(text, longest))
    return _BLOCK.sub(r"\g<0>\\", _MARKUP.sub(r"\\\g<0>", joined))


def _code(text: str) -> str:
    """A value as written, as code, which mentions nobody."""
    value = _plain(text.strip(), _LONGEST).replace("`", "'")
    # A backslash before the escaped pipe would escape the escape.
    return "`" + (value.replace("\\|", f"\\{_JOINER}|").replace("|", "\\|") or " ") + "`"


def _plain(text: str, longest: int) -> str:
    """Text on one line, without unprintable characters (such as a line's direction), and bounded."""
    return printable(re.sub(r"\s+", " ", text), longest)


def _worst_first(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (-row.severity, list(Change).index(row.change), row.tenant))


def _summary(plan: Plan) -> str:
    left = [f"{len(plan.left_alone)} {_LEFT_ALONE}"] if plan.left_alone else []
    if plan.empty:
        return ", ".join(["no changes", *left])
    counts = Counter(row.change for row in plan.rows)
    words = [f"{counts[change]} {change}" for change in Change if counts[change]] or ["no tenant changes"]
    return ", ".join([*words, *left]) + _total(plan.rows)


def _total(rows: Iterable[Row]) -> str:
    costs = [row.cost for row in rows if row.cost is not None and row.cost.before != row.cost.after]
    known = [cost.after - cost.before for cost in costs if cost.before is not None and cost.after is not None]
    unknown = sum(cost.before is None or cost.after is None for cost in costs)
    total = sum(known, Decimal(0))
    words = [f"{_signed(total)} a month"] if total else []
    if unknown:
        words.append(f"{unknown} with an unknown price")
    return f"; {', '.join(words)}" if words else ""


def _signed(amount: Decimal) -> str:
    return f"{'-' if amount < 0 else '+'}${abs(amount):,.2f}"


def _dollars(amount: Decimal | None) -> str:
    return "?" if amount is None else f"${amount:,.2f}"


def _money(row: Row) -> str:
    """Cost before and after; nothing if the plan touches no size, `?` for an unknown price."""
    if row.cost is None or row.cost.before == row.cost.after:
        return ""
    return f"{_dollars(row.cost.before)} → {_dollars(row.cost.after)}"


def _capacity(teams: Iterable[Team]) -> str:
    return " · ".join(map(_team, teams))


def _team(team: Team) -> str:
    mark = " ⚠️ marked full" if team.full else " ⚠️ full" if team.after >= team.limit else ""
    return f"{team.name} {team.before} → {team.after} of {team.limit} {team.kind}{mark}"
