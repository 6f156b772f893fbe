"""The TXT record by which an ACME server sees that the domain is ours (RFC 8555, section 8.4), at DigitalOcean.

Records of others at the same name stay as they are. Beside each of our records is a note that says which run made it,
written before it and removed after it. By the notes, a run removes what a killed one left.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets as random
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from meltanodata.certificate import name_servers
from meltanodata.errors import UserError
from meltanodata.inventory import accounts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from pydantic import SecretStr

    from meltanodata.config.settings import Settings
    from meltanodata.inventory.accounts import Text

NAME = "_acme-challenge"
LONGEST_RUN = 1800
"""Seconds after which a run has given up, whatever it waited for."""
_NOTE = re.compile(r"meltanodata-renewal run=(?P<run>[0-9a-f]{16}) since=(?P<since>\d{1,12}) for=(?P<value>\S+)")


@dataclass(frozen=True)
class Zone:
    """The domain at DigitalOcean, with the token of the droplet team."""

    settings: Settings
    tokens: Mapping[str, SecretStr]
    say: Callable[[str], None]
    """Gets a line for each thing that an operator should know."""
    seconds: float = 600
    """For all name servers to serve a record."""
    pause: Callable[[float], None] = time.sleep

    @property
    def record(self) -> str:
        """The record's full name."""
        return f"{NAME}.{self.settings.domain}"

    @contextlib.contextmanager
    def published(self, value: str) -> Iterator[None]:
        """Serve the value at every authoritative name server, as long as the context lasts.

        Raises:
            UserError: DigitalOcean refuses the record, or a name server does not serve it in time.
        """
        servers = name_servers.of(self.settings.domain, self.settings.resolver)
        with _marked_as_running() as run:
            note = f"meltanodata-renewal run={run} since={int(time.time())} for={value}"
            try:
                accounts.add_text(self.settings, self.tokens, NAME, note)
                accounts.add_text(self.settings, self.tokens, NAME, value)
                self.say(f"waiting for the TXT record {self.record} at {len(servers)} name servers")
                name_servers.wait(servers, self.record, value, self.seconds, pause=self.pause, say=self.say)
                yield
            finally:
                with _undisturbed():
                    if self._removed(value, note):
                        _marker(run).unlink(missing_ok=True)

    def remove_leftovers(self) -> None:
        """Remove the records of runs that ended without doing so."""
        texts = accounts.texts(self.settings, self.tokens, NAME)
        for text in leftovers(texts, time.time(), _was_killed_here):
            accounts.remove_text(self.settings, self.tokens, text)
            self.say(f"removed a TXT record {self.record} that a killed run left")

    def _removed(self, value: str, note: str) -> bool:
        """Remove a run's own records; False, and a line about it, if DigitalOcean refuses."""
        try:
            texts = accounts.texts(self.settings, self.tokens, NAME)
            for data in (value, note):  # the note last: while it is there, the next run knows of the other
                for text in texts:
                    if text.data == data:
                        accounts.remove_text(self.settings, self.tokens, text)
        except UserError as error:
            self.say(f"the TXT record {self.record} is left, the next renewal removes it: {error}")
            return False
        return True


def leftovers(texts: Iterable[Text], now: float, killed_here: Callable[[str], bool]) -> list[Text]:
    """Those records that belong to runs that are over, notes last.

    A run is over if it was killed on this machine, or began longer ago than a run takes. `now` is in seconds since
    1970; `killed_here` tells of a run's id.
    """
    by_data = list(texts)
    notes = [(text, match) for text in by_data if (match := _NOTE.fullmatch(text.data))]
    over = [
        (text, match["value"])
        for text, match in notes
        if now - int(match["since"]) > LONGEST_RUN or killed_here(match["run"])
    ]
    values = {value for _, value in over}
    return [*(text for text in by_data if text.data in values), *(note for note, _ in over)]


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until the end, so that they do not break off what cleans up.

    By handlers: a mask is a thread's own, and another thread would receive the signal.
    """
    received: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda number, _: received.append(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for late in dict.fromkeys(received):
            signal.raise_signal(late)


def _marker(run: str) -> Path:
    return Path(tempfile.gettempdir()) / f"meltanodata-renewal-{run}"


@contextlib.contextmanager
def _marked_as_running() -> Iterator[str]:
    """A new run's id. Its file on this machine is locked as long as the run lasts, and gone if it left no record."""
    run = random.token_hex(8)
    descriptor = os.open(_marker(run), os.O_CREAT | os.O_EXCL | os.O_RDONLY, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield run
    finally:
        os.close(descriptor)


def _was_killed_here(run: str) -> bool:
    """Whether this machine has the run's file, and no process holds its lock."""
    try:
        descriptor = os.open(_marker(run), os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)
