"""The status of tenants, for people and for programs. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from rich.table import Column, Table

from meltanodata import terminal
from meltanodata.doctor.diagnosis import Level
from meltanodata.render.diagnosis_table import ICONS
from meltanodata.text import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from meltanodata.doctor.diagnosis import Finding
    from meltanodata.engine.deployments import Deployment


class InState(StrEnum):
    """How much of a tenant a stack's state has."""

    YES = "yes"
    UNFINISHED = "unfinished"
    """A run was interrupted, or is running."""
    NO = "no"
    UNKNOWN = "unknown"
    """The state cannot be read."""


@dataclass(frozen=True)
class Row:
    """The status of one tenant."""

    tenant: str
    stack: str | None
    """None if its entry names no team of a stack."""
    in_file: bool | None
    """None if the file has mistakes, which may be why its entry is not found."""
    in_state: InState
    findings: tuple[Finding, ...] | None = None
    """None if it was not examined."""
    deployed: Deployment | None = None

    @property
    def health(self) -> Level | None:
        """The worst of its findings; None if it was not examined."""
        levels = {finding.level for finding in self.findings or ()}
        return next((level for level in (Level.WRONG, Level.WARNING, Level.OK) if level in levels), None)

    @property
    def wrong(self) -> list[str]:
        """What was found that is not as it should be; other people's text on one line each."""
        return [
            f"{finding.check}: {terminal.line(finding.found)}"
            for finding in self.findings or ()
            if finding.level is not Level.OK
        ]

    @property
    def hint(self) -> str | None:
        """What to do next about the tenant, if there is anything to do."""
        up = f"meltanodata up --stack {self.stack}"
        if self.stack is None:
            return "Its entry names no team of a stack: meltanodata check"
        if self.in_file is False:
            return f"Its entry is gone, so the next `{up}` would delete it. To keep it, restore the entry"
        if self.in_state is InState.NO:
            return f"Not deployed yet: {up}"
        if self.in_state is InState.UNFINISHED:
            return f"A run was interrupted or is still running. To continue: {up}"
        if self.wrong:
            return f"meltanodata doctor {self.tenant} --stack {self.stack}"
        return None


def plain(rows: Sequence[Row]) -> dict[str, Any]:
    """The rows as JSON, by tenant; null is what is unknown or was left out."""
    return {
        row.tenant: {
            "stack": row.stack,
            "in_file": row.in_file,
            "in_state": row.in_state,
            "health": row.health,
            "problems": None if row.findings is None else row.wrong,
            "deployed": row.deployed
            and {
                "at": row.deployed.at.isoformat(timespec="seconds"),
                "author": row.deployed.author,
                "commit": row.deployed.commit,
            },
        }
        for row in rows
    }


def shown(rows: Sequence[Row]) -> Iterator[RenderableType]:
    """A table with a row a tenant, then what to do, and a summary.

    The hints are outside the table, whose line breaks would keep people from copying them.
    """
    health = Column("Health", overflow="fold")
    table = Table("Tenant", "Stack", "In the file", "In the state", health, "Last deployment", "By")
    for row in rows:
        icon = ICONS[row.health] if row.health else ""
        table.add_row(
            row.tenant,
            row.stack or "none",
            {True: "yes", False: "no", None: "unknown"}[row.in_file],
            row.in_state,
            f"{icon} {'; '.join(row.wrong)}".strip(),
            f"{row.deployed.at:%Y-%m-%d %H:%M} UTC" if row.deployed else "",
            _by(row.deployed) if row.deployed else "",
        )
    yield table
    yield from (f"{row.tenant}: {row.hint}" for row in rows if row.hint)
    yield _summary(rows)


def _by(deployment: Deployment) -> str:
    who = deployment.author and terminal.line(deployment.author)
    commit = deployment.commit and terminal.line(deployment.commit[:12])
    return " ".join([who or "unknown", *([f"({commit})"] if commit else [])])


def _summary(rows: Sequence[Row]) -> str:
    states, levels = Counter(row.in_state for row in rows), Counter(row.health for row in rows)
    parts = [count(len(rows), "tenant"), f"{states[InState.YES] + states[InState.UNFINISHED]} deployed"]
    if any(row.findings is not None for row in rows):
        parts.append(f"{levels[Level.OK] + levels[Level.WARNING]} well")
        if wrong := levels[Level.WRONG]:
            parts.append(f"{wrong} not well")
    return ", ".join(parts)
