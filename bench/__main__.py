"""`make bench`: what fleets cost, with ours and with what one would pick instead.

Every run is kept as soon as it was made: a benchmark that was interrupted goes on where it was, and what is asked for
with --again is measured anew. The runs are in `<home>/runs.jsonl`; the tables, the chart and results.json in bench/
are written from them at the end of each fleet.
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
"""How often a fleet is created and destroyed, and how often it is previewed and changed meanwhile: what two and a half
hours allow. The peer with 200 and 500 tenants would take three hours more, and only say that its stacks are made, read
and destroyed one after the other, as an edit is one of a stack."""
FLEETS = tuple(_TIMES[OURS])
_EDITS = tuple(f"{act}-one-{edit}" for edit in ("added", "changed", "removed") for act in ("preview", "up"))
_ONCE_A_CYCLE = ("preview-first", "create", "refresh", "destroy")
_ROOM = 60
"""Requests that the droplet team's token has to have left in the minute before a run: its own listings and more."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


class Subject(Protocol):
    """What is measured."""

    name: str

    def edit(self, stack: Stack) -> None:
        """Change the fleet file."""

    def preview(self, stack: Stack) -> Cost:
        """Say what would be done to a stack."""

    def up(self, stack: Stack) -> Cost:
        """Do it."""

    def refresh(self, stack: Stack) -> Cost:
        """Read everything there is anew."""

    def destroy(self, stack: Stack) -> Cost:
        """Remove everything."""


class Kind(NamedTuple):
    """A subject that can be had."""

    name: str
    make: Callable[[World, Sequence[Stack]], Subject]
    times: Mapping[int, tuple[int, int]]


class Bench:
    """Takes subjects through all operations on a sandbox."""

    def __init__(self, world: World, runs: Runs, wanted: Collection[str]) -> None:
        self._world = world
        self._runs = runs
        self._wanted = wanted
        """Operations."""

    def fleet(self, size: int, subject: Kind, times: tuple[int, int]) -> None:
        """Measure what is missing of a fleet: so many cycles, and so many edits."""
        cycles, repeats = times
        name = subject.name
        planned = {it: cycles if it in _ONCE_A_CYCLE else repeats for it in OPERATIONS}
        for number in range(1, cycles + 1):
            have = Counter(run.operation for run in self._runs.all() if (run.fleet, run.subject) == (size, name))
            left = {it: planned[it] - have[it] for it in self._wanted if planned[it] > have[it]}
            if not left:
                return
            _say(f"{name}, {size} tenants, cycle {number} of {cycles}: {', '.join(left)}")
            self._world.empty()
            stacks = fleets.stacks(size)
            self._cycle(size, subject.make(self._world, stacks), stacks, left)

    def _cycle(self, size: int, subject: Subject, stacks: Sequence[Stack], left: dict[str, int]) -> None:
        """From nothing to nothing."""

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
        # The first is as large as any: the last one may have a few tenants only.
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
    """Add a tenant, change another one, and remove the first again; returns the stack as it is then."""
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
        int | None, typer.Option(min=1, help="Of everything; default: fewer for large fleets, and of the peer.")
    ] = None,
    plugins: Annotated[Literal["auto", "official", "stand-in"], typer.Option(help="Pulumi's plugins.")] = "auto",
    home: Annotated[Path | None, typer.Option(help="Where the sandbox and the runs are; on a disk.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Measure what is there already anew.")] = False,
    report_only: Annotated[
        bool, typer.Option("--report", help="Measure nothing; write the tables from results.json.")
    ] = False,
) -> None:
    """Measure fleets on a sandbox of their own."""
    folder = (home or cache() / "bench").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    runs = Runs(folder / "runs.jsonl")
    wanted = operation or OPERATIONS
    if unknown := set(wanted) - set(OPERATIONS):
        raise typer.BadParameter(f"no operation {', '.join(unknown)}; there are: {', '.join(OPERATIONS)}")
    if report_only:
        report.write_pages(json.loads(report.RESULTS.read_text()))
        return
    subjects, missing = _subjects(subject or [OURS, PEER])
    sizes = fleet or FLEETS
    if again:
        runs.forget((size, operation, it.name) for size in sizes for operation in wanted for it in subjects)
    measure.adopt_orphans()
    own = Home(folder / "sandbox")
    with world(own.path, _plugins(own, plugins)) as it:
        bench = Bench(it, runs, wanted)
        for size in sizes:
            for kind in subjects:
                # A fleet that is asked for is measured with both.
                if fleet or size in kind.times:
                    times = (repeats, repeats) if repeats else kind.times.get(size, (1, 1))
                    try:
                        bench.fleet(size, kind, times)
                    except peer.MissingError as error:
                        missing = str(error)
                        subjects = [other for other in subjects if other is not kind]
            report.write(runs.all(), peer_missing=missing)
    if missing:
        _say(f"left out: the comparison, since {missing}")


def _subjects(wanted: Collection[str]) -> tuple[list[Kind], str | None]:
    """Those that can be had; and why the peer is not among them, if it should be."""
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
    _say(f"the sandbox's stand-ins for Pulumi's plugins are used: {reason}")
    return "stand-in"


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    try:
        app(prog_name="python -m bench")
    except CommandError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
