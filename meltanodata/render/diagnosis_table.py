"""What `doctor` found, for people and for programs. Pure."""

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
    return all(it.level is not Level.WRONG for it in findings)


def sentence(findings: Iterable[Finding]) -> str:
    """What is wrong, and what to do, in one line."""
    return " ".join(f"{it.check}: {terminal.line(it.found)}. {it.hint}." for it in findings if it.level is Level.WRONG)


def plain(found: Mapping[str, Sequence[Finding]]) -> dict[str, Any]:
    """All of it as JSON has it: by tenant, `well` and `findings`."""
    return {tenant: {"well": well(it), "findings": list(map(asdict, it))} for tenant, it in found.items()}


def shown(found: Mapping[str, Sequence[Finding]], unchecked: Iterable[Check] = ()) -> Iterator[RenderableType]:
    """A table of what was found, what to do about it, and a last line.

    Of one tenant every check; of many what is not as it should be. Hints are not in the table, where they would be
    broken into pieces that nobody can copy.
    """
    table = Table("", "Tenant", "Check", Column("Found", overflow="fold"))
    notes: list[str] = []
    for tenant, findings in found.items():
        told = [it for it in findings if it.level is not Level.OK or len(found) == 1]
        for it in told:
            table.add_row(ICONS[it.level], tenant, it.check, terminal.line(it.found))
        if not told:
            table.add_row(ICONS[Level.OK], tenant, "", f"all is well ({len(findings)} checks)")
        notes += [_note(tenant, it) for it in findings if it.hint or it.log]
    yield table
    yield from notes
    counts = [f"{sum(map(well, found.values()))} of {len(found)} tenants are well"]
    if left_out := sorted(unchecked):
        counts.append(f"left out, by the setting unchecked: {', '.join(left_out)}")
    yield "; ".join(counts)


def _note(tenant: str, finding: Finding) -> str:
    lines = [f"{ICONS[finding.level]} {tenant}, {finding.check}: {finding.hint}"]
    return "\n".join([*lines, *(f"     │ {terminal.line(line)}" for line in finding.log)])
