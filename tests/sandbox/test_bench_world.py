"""The benchmark's sandbox as a process."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import psutil

from sandbox.home import PROJECT, Home
from sandbox.running import Running

if TYPE_CHECKING:
    from pathlib import Path

BENCHMARK = """
import pathlib, sys, time
from bench.world import world
with world(pathlib.Path(sys.argv[1]), "stand-in"):
    print("ready", flush=True)
    time.sleep(600)
"""


def test_it_ends_with_a_benchmark_that_is_killed(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", BENCHMARK, str(tmp_path)]
    with subprocess.Popen(argv, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as benchmark:
        assert benchmark.stdout is not None
        assert benchmark.stdout.readline() == "ready\n"
        server = psutil.Process(Running.load(Home(tmp_path)).pid)
        benchmark.kill()
    server.wait(60)
