"""Faults on order: what a request may meet at DigitalOcean on a bad day."""

from __future__ import annotations

import fnmatch
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Fault(BaseModel):
    """Which requests, and what happens to them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    effect: Literal["status", "hang", "reset", "stuck", "delay"]
    """status: that answer instead. hang: no answer until the client goes. reset: the connection breaks off.
    stuck: what the request creates never becomes active or online. delay: nothing but the delay."""
    method: str = "*"
    path: str = "*"
    """With `*` for any text, such as `/v2/droplets/*`."""
    team: str = "*"
    times: int | None = Field(default=1, ge=1)
    """The next so many requests that match; None: all until it is cleared."""
    after_work: bool = False
    """The request does its work first: an error answer to a create that did create."""
    status: int = Field(default=500, ge=400, le=599)
    message: str = "a fault on order"
    """Of the answer with the status."""
    retry_after: int | None = Field(default=None, ge=0)
    """Seconds, sent as `Retry-After` with the status."""
    delay: float = Field(default=0.0, ge=0)
    """Seconds before anything else."""

    def matches(self, method: str, path: str, team: str) -> bool:
        """Whether this request meets the fault."""
        return all(
            fnmatch.fnmatchcase(value, pattern)
            for value, pattern in ((method, self.method.upper()), (path, self.path), (team, self.team))
        )


class Faults:
    """The faults that are on order, by number; gone when the sandbox stops."""

    def __init__(self) -> None:
        self._ordered: dict[int, Fault] = {}
        self._last = 0

    def add(self, fault: Fault) -> int:
        """Put a fault on order; returns its number."""
        self._last += 1
        self._ordered[self._last] = fault
        return self._last

    def take(self, method: str, path: str, team: str) -> Fault | None:
        """The oldest fault that this request meets, one use of it spent."""
        for number, fault in self._ordered.items():
            if fault.matches(method, path, team):
                if fault.times == 1:
                    del self._ordered[number]
                elif fault.times is not None:
                    self._ordered[number] = fault.model_copy(update={"times": fault.times - 1})
                return fault
        return None

    def remove(self, number: int) -> bool:
        """Take one back; False when there is none of that number."""
        return self._ordered.pop(number, None) is not None

    def clear(self) -> None:
        """Take all back."""
        self._ordered.clear()

    def all(self) -> dict[int, Fault]:
        """What is still on order, uses left included."""
        return dict(self._ordered)
