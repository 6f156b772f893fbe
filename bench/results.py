"""The runs that were measured, and their summary: one figure a cell, its spread, and how it grows."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

OURS = "ours"
"""The name of this project among the subjects."""
OPERATIONS = (
    "preview-first",
    "create",
    "preview-unchanged",
    *(f"{act}-one-{edit}" for edit in ("added", "changed", "removed") for act in ("preview", "up")),
    "refresh",
    "destroy",
)


@dataclass(frozen=True)
class Run:
    """One operation, once."""

    fleet: int
    """Tenants."""
    operation: str
    subject: str
    seconds: float
    cpu_seconds: float
    peak_mib: float
    bytes_written: int
    requests: int
    """Of all tokens."""
    requests_per_token: Mapping[str, int] = field(default_factory=dict)
    most_a_minute: int = 0
    """Of one token, in any 60 seconds."""
    refused: int = 0
    """Requests answered 429."""
    plugins: str = ""
    """`official` or `stand-in`; empty for a subject without Pulumi's plugins."""

    @property
    def cell(self) -> tuple[int, str, str]:
        """Fleet, operation and subject."""
        return self.fleet, self.operation, self.subject


class Runs:
    """The file of the runs, one a line. An interrupted benchmark loses none of them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self) -> list[Run]:
        """Oldest first."""
        if not self._path.exists():
            return []
        return [Run(**json.loads(line)) for line in self._path.read_text().splitlines()]

    def add(self, run: Run) -> None:
        """Append a run."""
        with self._path.open("a") as file:
            file.write(json.dumps(asdict(run)) + "\n")

    def forget(self, cells: Iterable[tuple[int, str, str]]) -> None:
        """Remove the runs of some cells, to measure these again."""
        removed = set(cells)
        kept = [run for run in self.all() if run.cell not in removed]
        draft = self._path.with_suffix(".new")
        draft.write_text("".join(json.dumps(asdict(run)) + "\n" for run in kept))
        draft.replace(self._path)


def summarize(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """One dictionary a cell, ordered by fleet, operation and subject: medians, and the spread of the seconds."""
    cells: dict[tuple[int, str, str], list[Run]] = {}
    for run in runs:
        cells.setdefault(run.cell, []).append(run)
    order = sorted(cells, key=lambda cell: (cell[0], OPERATIONS.index(cell[1]), cell[2]))
    return [_summary(cells[cell]) for cell in order]


def _summary(runs: Sequence[Run]) -> dict[str, Any]:
    seconds = [run.seconds for run in runs]
    middle = min(runs, key=lambda run: abs(run.seconds - median(seconds)))
    return {
        "fleet": middle.fleet,
        "operation": middle.operation,
        "subject": middle.subject,
        "seconds": round(median(seconds), 2),
        "peak_mib": round(median(run.peak_mib for run in runs)),
        "requests": round(median(run.requests for run in runs)),
        "bytes_written": round(median(run.bytes_written for run in runs)),
        "seconds_min": round(min(seconds), 2),
        "seconds_max": round(max(seconds), 2),
        "cpu_seconds": round(median(run.cpu_seconds for run in runs), 2),
        "runs": len(runs),
        "requests_per_token": dict(middle.requests_per_token),
        "most_a_minute": max(run.most_a_minute for run in runs),
        "refused": sum(run.refused for run in runs),
        "plugins": middle.plugins,
    }


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """The k of the power law y = c·x^k that fits the points best (least squares of the logarithms); 1 is linear.

    Args:
        points: at least two, with different x; all positive.
    """
    xs, ys = [math.log(x) for x, _ in points], [math.log(y) for _, y in points]
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    above = sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True))
    return above / sum((x - x_mean) ** 2 for x in xs)


def line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The a and b of the straight line y = a + b·x that fits the points best."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    slope = sum((x - x_mean) * (y - y_mean) for x, y in points) / sum((x - x_mean) ** 2 for x in xs)
    return y_mean - slope * x_mean, slope
