"""The benchmark's sandbox: as many database teams as production, and droplets that answer Ansible.

Started by `world.py` as `python -m bench.server --plugins …`; otherwise like `sandbox.server`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from typing import get_args

from bench.droplets import AnswersAnsible
from bench.fleets import MOST, TEAM_SIZE, TEAMS
from meltanodata.config import settings_loading
from meltanodata.config.settings import DatabaseTeam, Settings
from sandbox.home import TEMPLATE, Home
from sandbox.running import PluginKind
from sandbox.server import Modes, sandbox


def settings() -> Settings:
    """The settings of the sandbox's stack, with ten teams and room for one more tenant in each."""
    teams = tuple(DatabaseTeam(name=name, limit=TEAM_SIZE + 1) for name in TEAMS)
    own = settings_loading.read(TEMPLATE)
    droplets = own.droplet_team.model_copy(update={"limit": MOST + 1})
    return own.model_copy(update={"database_teams": teams, "droplet_team": droplets})


async def _run(plugins: PluginKind) -> None:
    ended = asyncio.Event()

    def alone() -> None:
        asyncio.get_running_loop().remove_reader(sys.stdin)  # at its end it stays ready to be read
        ended.set()

    asyncio.get_running_loop().add_reader(
        sys.stdin, alone
    )  # nobody writes; it ends when whoever holds the pipe is gone
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    modes = Modes(droplets="light", databases="light", plugins=plugins)
    async with sandbox(Home.default(), modes, _say, fleet=settings(), manner=AnswersAnsible()):
        _say("ready")
        await ended.wait()


def _say(line: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        print(line, flush=True)


def main() -> None:
    """Run until SIGTERM, or until whoever started it is gone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plugins", choices=get_args(PluginKind), required=True)
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(_run(parser.parse_args().plugins))


if __name__ == "__main__":
    main()
