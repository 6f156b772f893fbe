"""`make bench`: what fleets cost, with this project and with Terraform and Ansible.

Every run is written down at once, so an interrupted benchmark resumes where it was; --again measures cells again. The
runs are in `<home>/runs.jsonl`. At the end of each fleet, results.json, the chart and the tables are made from them.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path  # noqa: TC003 -- typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, Protocol

import typer

from bench import fleets, measure, peer, report
from bench.measure import CommandError, Cost
from bench.ours import Ours
from bench.results import OPERATIONS, OURS, Run, Runs
from bench.world import wait_for_room, world
from sandbox.engine.obtain import obtain
from sandbox.engine.official import why_not_official
from sandbox.home import Home, cache

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from bench.fleets import Stack
    from bench.world import World
    from sandbox.running import PluginKind

    Measured = Callable[[str, Callable[[Stack], Cost], Sequence[Stack]], None]

PEER = "peer"
_TIMES = {
    OURS: {1: (3, 3), 10: (3, 3), 60: (2, 3), 200: (1, 1), 500: (1, 1)},
    PEER: {1: (3, 3), 10: (2, 2), 60: (1, 1)},
}
"""How often each fleet is created and destroyed, and how often it is previewed and changed: what fits into two and a
half hours. The peer with 200 and 500 tenants would take three hours more, and show only that its stacks run one after
the other."""
FLEETS = tuple(_TIMES[OURS])
_EDITS = tuple(f"{act}-one-{edit}" for edit in ("added", "changed", "removed") for act in ("preview", "up"))
_ONCE_A_CYCLE = ("preview-first", "create", "refresh", "destroy")
_ROOM = 60
"""Requests that the droplet team's token must have left in the minute before a run: enough for its lists and more."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


class Subject(Protocol):
    """A tool that is measured."""

    name: str

    def edit(self, stack: Stack) -> None:
        """Change the fleet file."""

    def preview(self, stack: Stack) -> Cost:
        """Show what an `up` would do to a stack."""

    def up(self, stack: Stack) -> Cost:
        """Apply the fleet file to a stack."""

    def refresh(self, stack: Stack) -> Cost:
        """Read every object again."""

    def destroy(self, stack: Stack) -> Cost:
        """Destroy every tenant."""


class Kind(NamedTuple):
    """A subject that this machine can run."""

    name: str
    make: Callable[[World, Sequence[Stack]], Subject]
    times: Mapping[int, tuple[int, int]]


class Bench:
    """Measures subjects on a sandbox."""

    def __init__(self, world: World, runs: Runs, wanted: Collection[str]) -> None:
        self._world = world
        self._runs = runs
        self._wanted = wanted
        """Operations."""

    def fleet(self, size: int, subject: Kind, times: tuple[int, int]) -> None:
        """Measure the missing runs of a fleet, as many cycles and edits as `times` says."""
        cycles, repeats = times
        name = subject.name
        planned = {operation: cycles if operation in _ONCE_A_CYCLE else repeats for operation in OPERATIONS}
        for number in range(1, cycles + 1):
            measured = Counter(run.operation for run in self._runs.all() if (run.fleet, run.subject) == (size, name))
            left = {name: planned[name] - measured[name] for name in self._wanted if planned[name] > measured[name]}
            if not left:
                return
            _say(f"{name}, {size} tenants, cycle {number} of {cycles}: {', '.join(left)}")
            self._world.empty()
            stacks = fleets.stacks(size)
            self._cycle(size, subject.make(self._world, stacks), stacks, left)

    def _cycle(self, size: int, subject: Subject, stacks: Sequence[Stack], left: dict[str, int]) -> None:
        """Create a fleet, edit it, and destroy it."""

        def measured(operation: str, work: Callable[[Stack], Cost], touched: Sequence[Stack]) -> None:
            self._world.new_hour()
            began, cost = time.time(), Cost()
            for stack in touched:
                wait_for_room(self._world, next(iter(self._world.running.teams)), _ROOM)
                cost += work(stack)
            if left.get(operation, 0) > 0:
                left[operation] -= 1
                self._keep(size, operation, subject.name, cost, began)

        if left.get("preview-first"):
            measured("preview-first", subject.preview, stacks)
        measured("create", subject.up, stacks)
        while left.get("preview-unchanged", 0) > 0:
            measured("preview-unchanged", subject.preview, stacks)
        # The first stack is a full one; the last may have only a few tenants.
        stack, *others = stacks
        for number in range(max(left.get(it, 0) for it in _EDITS)):
            stack = _edited(subject, stack, f"added-{number}", measured)
        stacks = [stack, *others]
        if left.get("refresh"):
            measured("refresh", subject.refresh, stacks)
        if left.get("destroy"):
            measured("destroy", subject.destroy, stacks)

    def _keep(self, size: int, operation: str, subject: str, cost: Cost, began: float) -> None:
        requests = self._world.requests(began)
        self._runs.add(
            Run(
                fleet=size,
                operation=operation,
                subject=subject,
                seconds=cost.seconds,
                cpu_seconds=cost.cpu_seconds,
                peak_mib=cost.peak_mib,
                bytes_written=cost.bytes_written,
                requests=requests.total,
                requests_per_token=requests.by_token,
                most_a_minute=requests.most_a_minute,
                refused=requests.refused,
                plugins=self._world.running.plugins if subject == OURS else "",
            )
        )
        _say(
            f"  {operation}: {cost.seconds:.1f} s, {cost.peak_mib:.0f} MiB, {requests.total} requests"
            f" (at most {requests.most_a_minute} a minute, {requests.refused} refused)"
        )


def _edited(subject: Subject, stack: Stack, new: str, measured: Measured) -> Stack:
    """Add a tenant, change another one, and remove the added one again; returns the stack after that."""
    old = stack.tenants[0].key
    after = stack.changed(old)
    for edit, tenants in (("added", stack.added(new)), ("changed", stack.added(new).changed(old)), ("removed", after)):
        subject.edit(tenants)
        measured(f"preview-one-{edit}", subject.preview, [tenants])
        measured(f"up-one-{edit}", subject.up, [tenants])
    return after


@app.command()
def main(
    fleet: Annotated[
        list[int] | None,
        typer.Option(help=f"Tenants; default: {', '.join(map(str, FLEETS))}, the peer up to {max(_TIMES[PEER])}."),
    ] = None,
    operation: Annotated[list[str] | None, typer.Option(help=f"Default: all of {', '.join(OPERATIONS)}.")] = None,
    subject: Annotated[list[str] | None, typer.Option(help="ours, peer; default: both.")] = None,
    repeats: Annotated[
        int | None, typer.Option(min=1, help="Runs of each cell; default: fewer for large fleets and for the peer.")
    ] = None,
    plugins: Annotated[Literal["auto", "official", "stand-in"], typer.Option(help="Pulumi's plugins.")] = "auto",
    home: Annotated[
        Path | None, typer.Option(help="The folder of the sandbox and the runs; on a disk, not in memory.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Measure cells again that are measured already.")] = False,
    report_only: Annotated[
        bool, typer.Option("--report", help="Measure nothing; write the tables from results.json.")
    ] = False,
) -> None:
    """Measure fleets on a sandbox of the benchmark's own."""
    folder = (home or cache() / "bench").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    runs = Runs(folder / "runs.jsonl")
    wanted = operation or OPERATIONS
    if unknown := set(wanted) - set(OPERATIONS):
        raise typer.BadParameter(f"no operation {', '.join(unknown)}; choose from {', '.join(OPERATIONS)}")
    if report_only:
        report.write_pages(json.loads(report.RESULTS.read_text()))
        return
    subjects, missing = _subjects(subject or [OURS, PEER])
    sizes = fleet or FLEETS
    if again:
        runs.forget((size, operation, kind.name) for size in sizes for operation in wanted for kind in subjects)
    measure.adopt_orphans()
    sandbox_home = Home(folder / "sandbox")
    with world(sandbox_home.path, _plugins(sandbox_home, plugins)) as sandbox:
        bench = Bench(sandbox, runs, wanted)
        for size in sizes:
            for kind in subjects:
                # A fleet that somebody asks for is measured with both subjects.
                if fleet or size in kind.times:
                    times = (repeats, repeats) if repeats else kind.times.get(size, (1, 1))
                    try:
                        bench.fleet(size, kind, times)
                    except peer.MissingError as error:
                        missing = str(error)
                        subjects = [other for other in subjects if other is not kind]
            report.write(runs.all(), peer_missing=missing)
    if missing:
        _say(f"The comparison is left out: {missing}")


def _subjects(wanted: Collection[str]) -> tuple[list[Kind], str | None]:
    """The subjects that this machine can run, and why the peer is not among them if it was wanted."""
    subjects = [Kind(OURS, Ours, _TIMES[OURS])] if OURS in wanted else []
    if PEER in wanted:
        try:
            subjects.append(Kind(peer.name(), peer.Peer, _TIMES[PEER]))
        except peer.MissingError as error:
            return subjects, str(error)
    return subjects, None


def _plugins(home: Home, wanted: str) -> PluginKind:
    if wanted == "stand-in":
        return "stand-in"
    reason = why_not_official(home, obtain(_say), _say)
    if reason is None:
        return "official"
    if wanted == "official":
        raise CommandError(reason)
    _say(f"Using the sandbox's stand-ins for Pulumi's plugins: {reason}")
    return "stand-in"


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    try:
        app(prog_name="python -m bench")
    except CommandError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
