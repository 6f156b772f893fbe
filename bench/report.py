"""What a benchmark commits: results.json, a chart, and the tables of three pages.

A table stands between the marks `<!-- bench: NAME -->` and `<!-- end -->`. It is made from results.json alone, so a
test can compare the pages with it.
"""

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
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bench.results import Run

_HERE = Path(__file__).parent
RESULTS = _HERE / "results.json"
_GROWTH = ("preview-first", "create", "preview-unchanged", "refresh", "destroy")
_REQUESTS_A_SECOND = 4
"""Of each token: the default of the setting `requests_per_second`."""
_TITLES = {
    "preview-unchanged": "preview of all, nothing changed",
    **{
        f"{act}-one-{edit}": f"{act}, one tenant {edit}"
        for edit in ("added", "changed", "removed")
        for act in ("preview", "up")
    },
    "create": "create all",
    "refresh": "refresh all",
    "destroy": "destroy all",
}


def write(runs: Sequence[Run], *, peer_missing: str | None) -> None:
    """Write results.json, the chart and the pages, for the runs that there are."""
    cells = summarize(runs)
    document = {"machine": machine(), "peer_missing": peer_missing, "results": cells}
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")
    write_pages(document)
    _chart(cells)


def write_pages(document: Mapping[str, Any]) -> None:
    """Write the tables of all pages.

    Args:
        document: the content of results.json.
    """
    for path, text in pages(document).items():
        path.write_text(text)


def pages(document: Mapping[str, Any]) -> dict[Path, str]:
    """The whole text of each page, with its tables made from results.json.

    Raises:
        ValueError: a page lacks the marks of a table.
    """
    texts = {}
    for path, tables in _PAGES.items():
        text = path.read_text()
        for name, table in tables.items():
            before, begin, rest = text.partition(f"<!-- bench: {name} -->\n")
            _, end, after = rest.partition("<!-- end -->\n")
            if not end:
                raise ValueError(f"{path} has no place for the table {name}")
            text = "".join((before, begin, "\n", *(f"{line}\n" for line in table(document)), "\n", end, after))
        texts[path] = text
    return texts


def machine() -> dict[str, Any]:
    """The machine that measured, for results.json."""
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


def _tables(document: Mapping[str, Any]) -> Iterator[str]:
    """Every cell, a table for each fleet, and how the seconds grow."""
    cells, measured_on = document["results"], document["machine"]
    yield (
        f"Machine: {measured_on['cores']} cores ({measured_on['cpu']}), {measured_on['memory_gib']} GiB,"
        f" {measured_on['system']}, Linux {measured_on['kernel']}, Python {measured_on['python']}."
    )
    plugins = sorted({cell["plugins"] for cell in cells if cell["plugins"]})
    if plugins:
        yield f"Pulumi's plugins: {', '.join(plugins)}."
    if document["peer_missing"]:
        yield f"\nThe comparison is left out: {document['peer_missing']}."
    subjects = _subjects(cells)
    by_cell = _by_cell(cells)
    for size in _sizes(cells):
        present = [name for name in subjects if any((size, operation, name) in by_cell for operation in OPERATIONS)]
        yield f"\n### {_scope(size)}\n"
        heads = [f"{name}: {what}" for name in present for what in ("seconds", "MiB", "requests", "MB written")]
        yield f"| operation | {' | '.join(heads)} |"
        yield f"|---|{'--:|' * len(heads)}"
        for operation in OPERATIONS:
            row = [by_cell.get((size, operation, name)) for name in present]
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


def _stack(document: Mapping[str, Any]) -> Iterator[str]:
    """What a pull request for one tenant runs, and a whole stack's operations, beside the comparison."""
    return _chosen(document["results"], TEAM_SIZE, tuple(name for name in _TITLES if name != "preview-unchanged"))


def _fleet(document: Mapping[str, Any]) -> Iterator[str]:
    """The largest fleet."""
    cells = document["results"]
    chosen = ("preview-one-changed", "up-one-changed", "preview-unchanged", "create", "refresh", "destroy")
    return _chosen(cells, _sizes(cells)[-1], chosen)


def _chosen(cells: Sequence[dict[str, Any]], size: int, operations: Sequence[str]) -> Iterator[str]:
    by_cell = _by_cell(cells)
    names = [name for name in _subjects(cells) if any((size, operation, name) in by_cell for operation in operations)]
    yield f"| {_scope(size)} | {' | '.join(f'{name}: seconds | MiB | requests' for name in names)} |"
    yield f"|---|{'--:|--:|--:|' * len(names)}"
    for operation in operations:
        row = [by_cell.get((size, operation, name)) for name in names]
        if any(row):
            values = " | ".join(
                f"{cell['seconds']:.1f} | {cell['peak_mib']} | {cell['requests']}" if cell else " | | " for cell in row
            )
            yield f"| {_TITLES[operation]} | {values} |"


def _limits(document: Mapping[str, Any]) -> Iterator[str]:
    """What bounds a stack and the largest fleet: memory, and the requests of the busiest token."""
    cells = document["results"]
    by_cell = _by_cell(cells)
    measured = [size for size in _sizes(cells) if {(size, "create", OURS), (size, "refresh", OURS)} <= set(by_cell)]
    sizes = [size for size in measured if size in (TEAM_SIZE, measured[-1])]
    create, refresh = ([by_cell[size, operation, OURS] for size in sizes] for operation in ("create", "refresh"))
    requests = [max(cell["requests_per_token"].values()) for cell in create]
    rows: dict[str, list[str]] = {
        "create: seconds": [f"{cell['seconds']:.0f}" for cell in create],
        f"create: the least seconds, at {_REQUESTS_A_SECOND} requests a second": [
            f"{count / _REQUESTS_A_SECOND:.0f}" for count in requests
        ],
        "create: requests of the busiest token": [str(count) for count in requests],
        "create: requests of one token in its busiest minute": [str(cell["most_a_minute"]) for cell in create],
        "create: seconds of processor time": [f"{cell['cpu_seconds']:.0f}" for cell in create],
        "create: MiB of all processes": [str(cell["peak_mib"]) for cell in create],
        "refresh: seconds": [f"{cell['seconds']:.0f}" for cell in refresh],
        "refresh: MiB of all processes": [str(cell["peak_mib"]) for cell in refresh],
    }
    yield f"| | {' | '.join(map(_scope, sizes))} |"
    yield f"|---|{'--:|' * len(sizes)}"
    for title, values in rows.items():
        yield f"| {title} | {' | '.join(values)} |"


def _by_cell(cells: Sequence[dict[str, Any]]) -> dict[tuple[int, str, str], dict[str, Any]]:
    return {(cell["fleet"], cell["operation"], cell["subject"]): cell for cell in cells}


def _sizes(cells: Sequence[dict[str, Any]]) -> list[int]:
    return sorted({cell["fleet"] for cell in cells})


def _scope(size: int) -> str:
    """The fleet in words, as in `500 tenants, in 9 stacks`."""
    stacks = -(-size // TEAM_SIZE)
    return f"{size} tenant{'s' if size > 1 else ''}, {f'in {stacks} stacks' if stacks > 1 else 'one stack'}"


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
            measured = [cell for cell in cells if (cell["operation"], cell["subject"]) == (operation, name)]
            axis.errorbar(
                [cell["fleet"] for cell in measured],
                [cell["seconds"] for cell in measured],
                yerr=(
                    [cell["seconds"] - cell["seconds_min"] for cell in measured],
                    [cell["seconds_max"] - cell["seconds"] for cell in measured],
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
    # Without a date, so that the same figures make the same file.
    figure.savefig(_HERE / "chart.svg", metadata={"Date": None})


_PAGES: dict[Path, dict[str, Callable[[Mapping[str, Any]], Iterator[str]]]] = {
    _HERE / "README.md": {"tables": _tables},
    _HERE.parent / "README.md": {"stack": _stack, "fleet": _fleet},
    _HERE.parent / "docs" / "decisions" / "where-the-time-goes.md": {"limits": _limits},
}
