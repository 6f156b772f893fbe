"""Signals that are handed on to the engine: each once, whenever it comes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from meltanodata.engine import interrupts, pulumi_cli
from meltanodata.errors import InterruptedRunError
from tests.fakes.pulumi import VERSION
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AS_ITSELF: dict[int, int] = {signal.SIGINT: signal.SIGINT}

COUNTING = """
import signal, sys
count = 0
def counted(*_):
    global count
    count += 1
    print(count, flush=True)
signal.signal(signal.SIGINT, counted)
signal.alarm(30)  # nobody waits for what does not come
print("begun", flush=True)
sys.stdin.read()
"""


@contextmanager
def counting() -> Iterator[subprocess.Popen[str]]:
    """A process that prints how many interrupts it got, and ends with its input."""
    with subprocess.Popen(
        [sys.executable, "-c", COUNTING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert next_line(process) == "begun"
        yield process


def next_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> str:
    """End it; returns what it still printed."""
    printed, _ = process.communicate()
    assert process.returncode == 0
    return printed


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """After each test, signals do what they did before it."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    yield
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert signal.set_wakeup_fd(-1) == -1
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()


@pytest.mark.parametrize("pause", [0, 0.001])
def test_interrupts_that_follow_each_other_closely_reach_the_process_once_each(pause: float) -> None:
    with counting() as process, interrupts.handed_on(AS_ITSELF) as signals:
        signals.go_to(process)
        for _ in range(3):
            signal.raise_signal(signal.SIGINT)
            time.sleep(pause)
        assert [next_line(process) for _ in range(3)] == ["1", "2", "3"]
        assert end(process) == ""
    assert (signals.came, signals.handed_on) == (True, True)


def test_interrupts_that_come_before_the_process_reach_it() -> None:
    with interrupts.handed_on(AS_ITSELF) as signals:
        signal.raise_signal(signal.SIGINT)
        with counting() as process:
            signals.go_to(process)
            assert next_line(process) == "1"
            assert end(process) == ""


def test_an_interrupt_without_a_process_ends_with_the_block() -> None:
    with interrupts.handed_on(AS_ITSELF) as signals:
        signal.raise_signal(signal.SIGINT)
    assert (signals.came, signals.handed_on) == (True, False)


def test_an_interrupt_after_the_end_of_the_process_is_noticed_and_goes_nowhere() -> None:
    with counting() as process, interrupts.handed_on(AS_ITSELF) as signals:
        signals.go_to(process)
        end(process)
        signal.raise_signal(signal.SIGINT)
    assert (signals.came, signals.handed_on) == (True, False)


def test_other_signals_go_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "_APART", 0)
    noticed: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: noticed.append(number))
    with counting() as process, interrupts.handed_on(AS_ITSELF) as signals:
        signals.go_to(process)
        signal.raise_signal(signal.SIGUSR1)
        assert end(process) == ""
    signal.signal(signal.SIGUSR1, before)
    assert (noticed, signals.came) == ([signal.SIGUSR1], False)


@pytest.mark.parametrize("when", ["begins", "ends"])
def test_an_interrupt_while_the_block_begins_or_ends_is_one_interrupt(
    monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """It is the block's or the caller's, and never both or neither."""
    calls: list[int] = []
    real = signal.set_wakeup_fd

    def interrupted(number: int) -> int:
        calls.append(number)
        if len(calls) == (1 if when == "begins" else 2):
            signal.raise_signal(signal.SIGINT)
        return real(number)

    monkeypatch.setattr(signal, "set_wakeup_fd", interrupted)
    inside, outside = [], 0
    try:
        with interrupts.handed_on(AS_ITSELF) as signals:
            inside.append(signals)
    except KeyboardInterrupt:
        outside = 1
    monkeypatch.undo()
    assert (inside[0].came, outside) == ((True, 0) if when == "begins" else (False, 1))


def test_whoever_reads_signals_numbers_reads_them_again_afterwards() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    with interrupts.handed_on(AS_ITSELF):
        pass
    assert signal.set_wakeup_fd(-1) == writing
    os.close(reading)
    os.close(writing)


# It ends with 3 by an interrupt, and with 9 if none comes for long.
WAITING = """#!/bin/bash
trap 'exit 3' INT
touch {folder}/begun
for i in $(seq 200); do sleep 0.05; done
exit 9
"""


def engine(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "pulumi"
    shell, _, rest = script.format(folder=folder).partition("\n")
    path.write_text(f"{shell}\n{VERSION}{rest}")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


@contextmanager
def interrupting(condition: Callable[[], Any]) -> Iterator[None]:
    """Once the condition is true, another thread takes an interrupt, so that no call of the main thread notices it."""

    def interrupt() -> None:
        eventually(condition)
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def test_an_interrupt_that_no_call_notices_reaches_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel may give it to any thread, or to the main thread just before a call that waits."""
    engine(tmp_path, WAITING, monkeypatch)
    begun = tmp_path / "begun"
    with interrupting(begun.exists), pytest.raises(InterruptedRunError):
        pulumi_cli.shown_up("prod", tmp_path, [], [])
    begun.unlink()
    with interrupting(begun.exists), pytest.raises(InterruptedRunError):
        list(pulumi_cli.up("prod", tmp_path, None))
    begun.unlink()
    started = time.monotonic()
    with interrupting(begun.exists), pytest.raises(KeyboardInterrupt):
        pulumi_cli.set_tag("prod", tmp_path, "a", "b")
    assert time.monotonic() - started < 9


# Its last words stay unread until what it started has ended, too.
OUTLIVED = """#!/bin/bash
(until [ -e {folder}/go ]; do sleep 0.02; done) &
echo $$ > {folder}/pid
exit 7
"""


def test_an_interrupt_right_after_the_engines_end_changes_nothing_of_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine(tmp_path, OUTLIVED, monkeypatch)

    def has_ended() -> bool:
        number = (tmp_path / "pid").read_text().strip() if (tmp_path / "pid").exists() else ""
        ended = number != "" and not Path("/proc", number).exists()
        if ended:
            (tmp_path / "go").touch()
        return ended

    with interrupting(has_ended):
        assert pulumi_cli.shown_up("prod", tmp_path, [], []) == 7


def test_a_deployment_does_not_go_on_after_an_interrupt_right_after_the_engines_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or its next batch would begin."""
    engine(tmp_path, "#!/bin/sh\necho '{{\"summaryEvent\": {{}}}}'\n", monkeypatch)
    events = pulumi_cli.up("prod", tmp_path, None)
    assert next(events) == {"summaryEvent": {}}
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(InterruptedRunError):
        next(events)
