"""What is committed of a benchmark: results.json, the tables of README.md, a chart."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from bench.fleets import TEAM_SIZE
from bench.results import OPERATIONS, OURS, exponent, line, summarize

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.results import Run

_HERE = Path(__file__).parent
_BEGIN, _END = "<!-- written by python -m bench: begin -->\n", "<!-- end -->\n"
_GROWTH = ("preview-first", "create", "preview-unchanged", "refresh", "destroy")


def write(runs: Sequence[Run], *, peer_missing: str | None) -> None:
    """Write all three, for the runs that there are."""
    cells = summarize(runs)
    document = {"machine": machine(), "results": cells}
    (_HERE / "results.json").write_text(json.dumps(document, indent=1) + "\n")
    readme = _HERE / "README.md"
    before, rest = readme.read_text().split(_BEGIN)
    after = rest.split(_END)[1]
    readme.write_text(before + _BEGIN + "\n".join(_tables(cells, peer_missing)) + "\n" + _END + after)
    _chart(cells)


def machine() -> dict[str, Any]:
    """What it was measured on."""
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    try:
        system = platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        system = platform.system()
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": system,
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def _tables(cells: Sequence[dict[str, Any]], peer_missing: str | None) -> Iterator[str]:
    here = machine()
    yield (
        f"\nMachine: {here['cores']} cores ({here['cpu']}), {here['memory_gib']} GiB, {here['system']},"
        f" Linux {here['kernel']}, Python {here['python']}."
    )
    plugins = sorted({cell["plugins"] for cell in cells if cell["plugins"]})
    if plugins:
        yield f"Pulumi's plugins: {', '.join(plugins)}."
    if peer_missing:
        yield f"\nThe comparison is left out: {peer_missing}."
    subjects = _subjects(cells)
    found = {(cell["fleet"], cell["operation"], cell["subject"]): cell for cell in cells}
    for size in sorted({cell["fleet"] for cell in cells}):
        there = [name for name in subjects if any((size, operation, name) in found for operation in OPERATIONS)]
        yield f"\n### {size} tenant{'s' if size > 1 else ''}{_split(size)}\n"
        heads = [f"{name}: {what}" for name in there for what in ("seconds", "MiB", "requests", "MB written")]
        yield f"| operation | {' | '.join(heads)} |"
        yield f"|---|{'--:|' * len(heads)}"
        for operation in OPERATIONS:
            row = [found.get((size, operation, name)) for name in there]
            if any(row):
                yield f"| {operation} | {' | '.join(text for cell in row for text in _texts(cell))} |"
    yield "\n### Growth\n"
    yield f"Up to {TEAM_SIZE} tenants, which is one stack: seconds = a + b · tenants, and k of seconds ~ tenants^k"
    yield "between 10 and 60; 1 is linear.\n"
    yield "| operation | subject | a, seconds | b, seconds a tenant | k |"
    yield "|---|---|--:|--:|--:|"
    for operation in _GROWTH:
        for name in subjects:
            points = [(c["fleet"], c["seconds"]) for c in cells if c["operation"] == operation and c["subject"] == name]
            points = [(x, y) for x, y in points if x <= TEAM_SIZE]
            if len(points) > 1:
                start, slope = line(points)
                tail = [(x, y) for x, y in points if x > 1]
                power = f"{exponent(tail):.2f}" if len(tail) > 1 else ""
                yield f"| {operation} | {name} | {start:.1f} | {slope:.2f} | {power} |"


def _split(size: int) -> str:
    count = -(-size // TEAM_SIZE)
    return f", in {count} stacks" if count > 1 else ""


def _texts(cell: dict[str, Any] | None) -> tuple[str, str, str, str]:
    if cell is None:
        return "", "", "", ""
    seconds = f"{cell['seconds']:.1f}"
    if cell["runs"] > 1:
        seconds += f" ({cell['seconds_min']:.1f} to {cell['seconds_max']:.1f})"
    return seconds, str(cell["peak_mib"]), str(cell["requests"]), f"{cell['bytes_written'] / 1e6:.1f}"


def _subjects(cells: Sequence[dict[str, Any]]) -> list[str]:
    """Ours first."""
    return sorted({cell["subject"] for cell in cells}, key=lambda name: (name != OURS, name))


def _chart(cells: Sequence[dict[str, Any]]) -> None:
    """Seconds against tenants, an operation a panel, both axes logarithmic."""
    from matplotlib.figure import Figure  # noqa: PLC0415 -- only `make bench` installs it

    shown = ("create", "preview-unchanged", "preview-one-changed", "up-one-changed")
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    axes = figure.subplots(1, len(shown), sharex=True)
    for axis, operation in zip(axes, shown, strict=True):
        for name in _subjects(cells):
            own = [cell for cell in cells if (cell["operation"], cell["subject"]) == (operation, name)]
            axis.errorbar(
                [cell["fleet"] for cell in own],
                [cell["seconds"] for cell in own],
                yerr=(
                    [cell["seconds"] - cell["seconds_min"] for cell in own],
                    [cell["seconds_max"] - cell["seconds"] for cell in own],
                ),
                marker="o",
                markersize=4,
                capsize=2,
                label=name,
            )
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_title(operation, fontsize=10)
        axis.set_xlabel("tenants")
        axis.grid(visible=True, which="both", linewidth=0.3)
    axes[0].set_ylabel("seconds")
    axes[0].legend(fontsize=8)
    # Without the date and the random ids that would make every chart another file.
    figure.savefig(_HERE / "chart.svg", metadata={"Date": None})
