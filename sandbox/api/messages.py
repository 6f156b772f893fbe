"""What the endpoints under `/_sandbox/` take and give; known to both sides, so it needs nothing of either."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class NewSnapshot(BaseModel):
    """A snapshot to add."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    team: str
    name: str
    region: str
    min_disk_size: int = 50
    """GB"""


class TeamCount(BaseModel):
    """How much of its limits a team uses."""

    name: str
    droplets: int
    droplet_limit: int
    databases: int
    database_limit: int


class DatabaseMoment(BaseModel):
    """What a database cluster was like from a moment on, until its next moment."""

    time: float
    """Seconds since the epoch."""
    id: str
    team: str
    name: str
    status: str
    """As the API says it, and `deleted`."""
    rules: tuple[str, ...]
    """Its trusted sources, such as `ip_addr:203.0.113.7`. A cluster without any is open once it is online."""

    @property
    def open(self) -> bool:
        """Whether it accepts everybody."""
        return self.status not in {"creating", "deleted"} and not self.rules


class SandboxDroplet(BaseModel):
    """A droplet of any team."""

    id: int
    team: str
    name: str
    status: str
    address: str


class Execution(BaseModel):
    """A command that a light droplet received."""

    model_config = ConfigDict(from_attributes=True)

    command: str
    environment: dict[str, str]
    started: float
    """Seconds since the epoch."""
    stdin: str
    status: int | None
    """None while it runs, and if it was cut off."""


Misbehaviour = Literal["refuse", "silent", "hang", "break", "exit"]
"""See `sandbox.droplets.light.FaultKind`."""


class DropletFault(BaseModel):
    """The fault of a light droplet."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Misbehaviour
    status: int = 1
    text: str = ""
    command: str = ""


class Status(BaseModel):
    """What the sandbox holds."""

    teams: list[TeamCount]
    records: int
    """DNS records, without those that a domain is born with."""
    faults: int
    failures: list[str]
    """Failures inside droplets and databases since the start."""
