"""The findings of `doctor`, for people and for programs. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Column, Table

from meltanodata import terminal
from meltanodata.doctor.diagnosis import Level

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rich.console import RenderableType

    from meltanodata.config.checks import Check
    from meltanodata.doctor.diagnosis import Finding

ICONS = {Level.OK: "✅", Level.WARNING: "⚠️", Level.WRONG: "❌"}


def well(findings: Iterable[Finding]) -> bool:
    """Whether nothing is wrong."""
    return all(finding.level is not Level.WRONG for finding in findings)


def sentence(findings: Iterable[Finding]) -> str:
    """What is wrong and what to do, in one line."""
    return " ".join(
        f"{finding.check}: {terminal.line(finding.found)}. {finding.hint}."
        for finding in findings
        if finding.level is Level.WRONG
    )


def plain(found: Mapping[str, Sequence[Finding]]) -> dict[str, Any]:
    """The findings as JSON: by tenant, `well` and `findings`."""
    return {tenant: {"well": well(it), "findings": list(map(asdict, it))} for tenant, it in found.items()}


def shown(found: Mapping[str, Sequence[Finding]], unchecked: Iterable[Check] = ()) -> Iterator[RenderableType]:
    """A table of findings, their hints, and a summary.

    Shows every check of a single tenant, and of several tenants only what is not well. Hints are outside the table,
    whose line breaks would keep people from copying them.
    """
    table = Table("", "Tenant", "Check", Column("Found", overflow="fold"))
    notes: list[str] = []
    for tenant, findings in found.items():
        rows = [finding for finding in findings if finding.level is not Level.OK or len(found) == 1]
        for finding in rows:
            table.add_row(ICONS[finding.level], tenant, finding.check, terminal.line(finding.found))
        if not rows:
            table.add_row(ICONS[Level.OK], tenant, "", f"no problems ({len(findings)} checks)")
        notes += [_note(tenant, finding) for finding in findings if finding.hint or finding.log]
    yield table
    yield from notes
    counts = [f"{sum(map(well, found.values()))} of {len(found)} tenants are well"]
    if left_out := sorted(unchecked):
        counts.append(f"skipped by the setting unchecked: {', '.join(left_out)}")
    yield "; ".join(counts)


def lines(tenant: str, findings: Iterable[Finding]) -> Iterator[str]:
    """The findings about one tenant, a line each, with what to do on a line of its own."""
    for finding in findings:
        yield f"{ICONS[finding.level]} {tenant}: {terminal.line(finding.found)}"
        if finding.hint:
            yield f"   {finding.hint}"


def _note(tenant: str, finding: Finding) -> str:
    lines = [f"{ICONS[finding.level]} {tenant}, {finding.check}: {finding.hint}"]
    return "\n".join([*lines, *(f"     │ {terminal.line(line)}" for line in finding.log)])
