"""`make demo`: deploy two tenants, check them as a person would, remove one, check again.

Runs a sandbox of its own in `.sandbox-demo`, beside the one that people use, and leaves nothing running.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import requests
import typer
import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from meltanodata.engine.resource_types import STACK, Type
from meltanodata.engine.stack_state import StackState, opened
from sandbox import browser as browsers
from sandbox import checks, packages
from sandbox.checks import Check, CheckError, Instance, Person
from sandbox.choice import Choice, choose, obstacle
from sandbox.control import Control, ControlError
from sandbox.home import PROJECT, Home
from sandbox.keys import Keys
from sandbox.network import tag
from sandbox.running import NotRunningError, Running, lock_holder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sandbox.running import Kind

FOLDER: Final = PROJECT / ".sandbox-demo"
FLEET: Final = PROJECT / "tenants.yaml"
_END_SECONDS: Final = 10
_MAY_GO: Final = "MELTANODATA_DELETE_DATABASES"
"""The variable that names the tenants whose databases Pulumi may delete."""
_MARK: Final = "MELTANODATA_DEMO"
"""A variable in the environment of everything that the demo starts."""


class DemoError(Exception):
    """A step failed; the message says what to look at."""


@dataclass
class Report:
    """What the demo shows as it runs, and the table at the end."""

    console: Console
    rows: list[tuple[str, str, float]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """A step: announced, timed, and marked by how it ends."""
        self.console.print(f"\n[bold]▸ {title}[/bold]")
        began, mark = time.monotonic(), "✗"
        try:
            yield
            mark = "✓"
        finally:
            self.rows.append((title, mark, time.monotonic() - began))

    def look(self, of: str, found: list[Check]) -> None:
        """Run checks, and show each as it ends.

        Raises:
            DemoError: some failed.
        """
        failed = []
        for check in found:
            try:
                seen, mark = check.look(), ("✓", "green")
            except CheckError as error:
                seen, mark = str(error), ("✗", "red")
                failed.append(f"{of}: {check.title}")
            line = Text.assemble("  ", mark, f" {of}: ", (check.title, "bold"), f": {seen}")
            self.console.print(line, soft_wrap=True)
        if failed:
            raise DemoError(f"failed: {'; '.join(failed)}")

    def table(self) -> Table:
        """The steps and how long each took."""
        table = Table("step", "", "seconds", title="The demo")
        table.columns[2].justify = "right"
        for title, mark, seconds in self.rows:
            table.add_row(title, mark, f"{seconds:.1f}")
        table.add_section()
        table.add_row("all", "", f"{sum(seconds for _, _, seconds in self.rows):.1f}")
        return table


@dataclass(frozen=True)
class Sandbox:
    """The demo's sandbox, through the commands that people use."""

    home: Home
    console: Console

    def run(self, *arguments: str, show: bool = True, may_go: str = "") -> str:
        """Run `python -m sandbox …`; its output is shown as it comes.

        Args:
            arguments: behind `sandbox`.
            show: whether.
            may_go: the tenant whose database Pulumi may delete.

        Returns:
            Its standard output.

        Raises:
            DemoError: it fails.
        """
        lines = []
        with subprocess.Popen(
            [sys.executable, "-m", "sandbox", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if show else None,
            text=True,
            cwd=PROJECT,
            env={**self._environment(), _MAY_GO: may_go},
            # Ctrl-C is the demo's, which ends the command before it stops the sandbox under it.
            start_new_session=True,
        ) as process:
            try:
                assert process.stdout is not None  # noqa: S101 (asked for above)
                for line in process.stdout:
                    lines.append(line)
                    if show:
                        self.console.print(Text.assemble(("  │ ", "dim"), line.rstrip()), soft_wrap=True)
                status = process.wait()
            except BaseException:
                _end(process)
                raise
        if status != 0:
            raise DemoError(f"`python -m sandbox {' '.join(arguments)}` failed with exit code {status}")
        return "".join(lines)

    def _environment(self) -> Mapping[str, str]:
        return {**os.environ, "SANDBOX_HOME": str(self.home.path), _MARK: str(self.home.path)}

    def pulumi(self, *arguments: str, show: bool = True, may_go: str = "") -> str:
        """Run the CLI on the sandbox's stack; for the arguments see `run`."""
        return self.run("pulumi", *arguments, show=show, may_go=may_go)

    def person(self) -> Person:
        """Somebody at this machine."""
        running = Running.load(self.home)
        return Person(self.home, running, Keys.ensure(self.home, running.domain))

    def stack(self) -> Stack:
        """What the stack's state has."""
        return Stack(StackState(json.loads(self.pulumi("stack", "export", "--show-secrets", show=False))))


@dataclass(frozen=True)
class Stack:
    """A stack's state, secrets decrypted: for the demo's memory only."""

    state: StackState

    def instances(self) -> list[Instance]:
        """Its tenants, in the order of the fleet file."""
        return [self.instance(key) for key in yaml.safe_load(FLEET.read_text())]

    def instance(self, key: str) -> Instance:
        """A tenant; the password is empty where an adopted one keeps its own."""
        root = next(resource for resource in self.state.resources if resource.type == STACK)
        outputs: Mapping[str, str] = opened(root.outputs["tenants"][key])
        return Instance(
            key=key,
            host=outputs["url"].removeprefix("https://"),
            address=outputs["address"],
            droplet=self.state.ids[key, Type.DROPLET],
            cluster=self.state.ids[key, Type.CLUSTER],
            database_host=outputs["database_host"],
            admin=outputs["admin_user"],
            password=outputs.get("admin_password") or "",
            host_key=outputs["host_key"],
        )

    def ids(self, key: str) -> dict[str, str]:
        """Every id of a tenant's resources by URN."""
        tenant = self.state.tenants.get(key)
        return {it.urn: it.id or "" for it in tenant.resources.values()} if tenant else {}


def _end(process: subprocess.Popen[str]) -> None:
    """End a command and wait for it; told once, Pulumi finishes what is under way, told twice it stops."""
    for number in (signal.SIGINT, signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, number)
            process.wait(_END_SECONDS)
            return


def run(report: Report, home: Home, chosen: Choice, browser: str | None) -> None:
    """The demo itself.

    Raises:
        DemoError: a step or a check failed.
    """
    sandbox = Sandbox(home, report.console)
    with report.step("start the sandbox"):
        sandbox.run("start", f"--droplets={chosen.droplets}", f"--databases={chosen.databases}")
    with report.step(f"preview {FLEET.name}"):
        sandbox.pulumi("preview")
    with report.step(f"apply {FLEET.name}"):
        sandbox.pulumi("up", "--yes", "--skip-preview")
        stack = sandbox.stack()
    person, instances = sandbox.person(), stack.instances()
    for instance in instances:
        others = [other for other in instances if other != instance]
        with report.step(f"check {instance.key}"):
            report.look(instance.key, _working(person, instance, others, browser))
    with report.step("preview again: no change"):
        sandbox.pulumi("preview", "--expect-no-changes")
    _remove_one(report, sandbox, person, stack)


def _working(person: Person, instance: Instance, others: list[Instance], browser: str | None) -> list[Check]:
    found = checks.working(person, instance, others)
    if browser is not None:
        picture = FOLDER / f"{instance.key}.png"
        found.append(Check("screenshot", partial(checks.screenshot, person, instance, browser, picture)))
    return found


def _remove_one(report: Report, sandbox: Sandbox, person: Person, before: Stack) -> None:
    *kept, removed = before.instances()
    contacts = {instance.key: checks.contacts(person, instance) for instance in kept}
    with report.step(f"remove {removed.key} from a copy of {FLEET.name}, and apply"):
        copy = sandbox.home.path / FLEET.name
        _without(removed.key, copy)
        sandbox.pulumi("config", "set", "meltanodata:tenants_file", str(copy))
        sandbox.pulumi("up", "--yes", "--skip-preview", may_go=removed.key)
        after = sandbox.stack()
    with report.step(f"nothing is left of {removed.key}"):
        report.look(removed.key, checks.gone(person, removed))
    for instance in kept:
        with report.step(f"{instance.key} was left alone"):
            untouched = [
                Check("resources", partial(_same_ids, instance.key, before, after)),
                Check("Commands", partial(checks.left_alone, person, instance, contacts[instance.key])),
            ]
            report.look(instance.key, untouched)


def _same_ids(key: str, before: Stack, after: Stack) -> str:
    was, now = before.ids(key), after.ids(key)
    changed = sorted(urn for urn in was.keys() | now.keys() if was.get(urn) != now.get(urn))
    if changed:
        raise CheckError(f"resources with another id than before: {', '.join(changed)}")
    return f"all {len(now)} have the same ids"


def _without(key: str, copy: Path) -> None:
    fleet = yaml.safe_load(FLEET.read_text())
    del fleet[key]
    copy.write_text(yaml.safe_dump(fleet, sort_keys=False))


def _choose(report: Report, *, light: bool) -> Choice:
    """Which parts are real: all that this machine supports; the others are announced first."""
    kind: Kind | None = "light" if light else None
    chosen = choose(kind, kind, "stand-in", obstacle)  # plugins are for `start` to choose
    for part, reason in chosen.reasons.items():
        report.console.print(f"Real {part} are not available here: {reason}", style="yellow", markup=False)
    if light:
        report.console.print("Droplets and databases are light: LIGHT=1 is set.", style="yellow")
    if chosen.droplets == "light":
        report.left_out.append("systemd, files, databases, login and screenshot need real droplets")
    elif chosen.databases == "light":
        report.left_out.append("connections to databases need real databases")
    return chosen


def _browser(report: Report, *, wanted: bool) -> str | None:
    if wanted and browsers.program() is None:
        asyncio.run(packages.install(("chromium",), report.console.print))
    program = browsers.program()
    if program is None:
        report.left_out.append("the screenshot needs Chromium; `make demo BROWSER=1` installs it")
    return program


def _processes(home: Home) -> dict[int, str]:
    """The processes of the demo's sandbox, which have the mark in their environment."""
    found = {}
    wanted = f"{_MARK}={home.path}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile, or is another user's
            if wanted in (process / "environ").read_bytes().split(b"\0"):
                found[int(process.name)] = (process / "comm").read_text().strip()
    return found


def _leftovers(home: Home) -> list[str]:
    """The processes, interfaces and mounts of the demo's sandbox that are left."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return [
        *(f"process {number} ({name})" for number, name in _processes(home).items()),
        *(f"interface {path.name}" for path in Path("/sys/class/net").glob(f"{tag(home)}*")),
        *(f"mount {line.split()[4]}" for line in mounts if str(home.path) in line),
    ]


def _tidy(report: Report, home: Home) -> None:
    """Remove what a killed or failed demo left behind."""
    if home.path.exists():
        with report.step("remove what an earlier demo left behind"):
            sandbox = Sandbox(home, report.console)
            if lock_holder(home) is not None:
                sandbox.run("stop")
            sandbox.run("reset")


def _stop(report: Report, home: Home, *, failed: bool) -> None:
    """Stop the sandbox, and delete its folder unless the demo failed."""
    with report.step("stop the sandbox"):
        if lock_holder(home) is not None:
            Sandbox(home, report.console).run("stop")
        if failed:
            # An engine that was broken off leaves its language host behind.
            for number in _processes(home):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
        deadline = time.monotonic() + _END_SECONDS
        while left := _leftovers(home):
            if time.monotonic() > deadline:
                raise DemoError(f"not stopped: {', '.join(left)}")
            time.sleep(0.1)
        if not failed:
            shutil.rmtree(home.path)


def _failures(home: Home) -> list[str]:
    """Failures inside droplets and databases, which a client of the API does not see."""
    try:
        return Control(Running.load(home)).status().failures
    except (NotRunningError, ControlError, requests.ConnectionError):
        return []


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def main(
    light: bool = typer.Option(default=False, help="Use light droplets and databases even if real ones are available."),
    browser: bool = typer.Option(default=False, help="Install Chromium if it is missing."),
) -> None:
    """Start a sandbox, apply tenants.yaml, check the tenants, remove one, check again."""
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console(highlight=False)
    report = Report(console)
    home = Home(FOLDER / "home")
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.print("A demo already runs in this checkout.")
            raise typer.Exit(1) from None
        raise typer.Exit(_demo(report, home, light=light, browser=browser))


def _demo(report: Report, home: Home, *, light: bool, browser: bool) -> int:
    failure: str | None = None
    try:
        chosen = _choose(report, light=light)
        with report.step("install what this machine lacks"):
            if shutil.which("ping") is None:
                asyncio.run(packages.install(("iputils-ping",), report.console.print))
            program = _browser(report, wanted=browser) if chosen.droplets == "real" else None
        _tidy(report, home)
        run(report, home, chosen, program)
    except (DemoError, packages.PackageError) as error:
        failure = "; ".join([str(error), *_failures(home)])
    except KeyboardInterrupt:
        failure = "interrupted"
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the end is short, and an impatient Ctrl-C would leave a sandbox
        try:
            _stop(report, home, failed=failure is not None)
        except DemoError as error:
            failure = f"{failure}; {error}" if failure else str(error)
    report.console.print()
    report.console.print(report.table())
    for left_out in report.left_out:
        report.console.print(f"Not checked: {left_out}.", soft_wrap=True)
    if failure is None:
        return 0
    report.console.print(Text.assemble(("✗ ", "red"), failure), soft_wrap=True)
    log = home.path / "sandbox.log"
    report.console.print(f"See the lines above and {log}. The next demo deletes that file.", soft_wrap=True)
    return 1


if __name__ == "__main__":
    typer.run(main)
