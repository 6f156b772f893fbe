"""Controls a running sandbox, for people, tests and benchmarks; its clients see the API alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import requests
from pydantic import TypeAdapter

from sandbox.api.faults import Fault
from sandbox.api.messages import DatabaseMoment, DropletFault, Execution, NewSnapshot, SandboxDroplet, Status
from sandbox.api.traffic import Minute, Seen

if TYPE_CHECKING:
    from sandbox.running import Running

_SECONDS = 120
"""A reset stops every machine first."""


class ControlError(Exception):
    """The sandbox refused; the message says why."""


class Control:
    """A typed client of the endpoints under `/_sandbox/`. Every method raises ControlError when it is refused."""

    def __init__(self, running: Running) -> None:
        """For the sandbox that `running` describes."""
        self._url = f"{running.api_url}/_sandbox"
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy stands between us and this machine
        self._session.headers["Authorization"] = f"Bearer {running.control_token}"

    def status(self) -> Status:
        """What the sandbox holds."""
        return Status.model_validate(self._call("GET", "/status"))

    def add_fault(self, fault: Fault) -> int:
        """Inject a fault; returns its number."""
        return int(self._call("POST", "/faults", fault.model_dump())["number"])

    def faults(self) -> dict[int, Fault]:
        """The active faults, by number."""
        return TypeAdapter(dict[int, Fault]).validate_python(self._call("GET", "/faults"))

    def remove_fault(self, number: int) -> None:
        """Clear one fault."""
        self._call("DELETE", f"/faults/{number}")

    def clear_faults(self) -> None:
        """Clear all faults."""
        self._call("DELETE", "/faults")

    def minutes(self) -> list[Minute]:
        """Requests per token and minute since the start, oldest first."""
        return TypeAdapter(list[Minute]).validate_python(self._call("GET", "/minutes"))

    def requests(self, since: float = 0.0) -> list[Seen]:
        """The newest requests (20,000 are kept), oldest first, from `since` on (seconds since the epoch)."""
        return TypeAdapter(list[Seen]).validate_python(self._call("GET", f"/requests?since={since!r}"))

    def database_moments(self, since: float = 0.0) -> list[DatabaseMoment]:
        """The history of every team's clusters, oldest first (20,000 entries are kept), from `since` on."""
        return TypeAdapter(list[DatabaseMoment]).validate_python(
            self._call("GET", f"/databases/moments?since={since!r}")
        )

    def add_snapshot(self, snapshot: NewSnapshot) -> int:
        """Add a snapshot to a team's images; returns its id."""
        return int(self._call("POST", "/snapshots", snapshot.model_dump())["id"])

    def droplets(self) -> list[SandboxDroplet]:
        """Every team's droplets."""
        return TypeAdapter(list[SandboxDroplet]).validate_python(self._call("GET", "/droplets"))

    def executions(self, droplet: int) -> list[Execution]:
        """The commands that a light droplet received over SSH, oldest first."""
        return TypeAdapter(list[Execution]).validate_python(self._call("GET", f"/droplets/{droplet}/executions"))

    def set_droplet_fault(self, droplet: int, fault: DropletFault | None) -> None:
        """Inject a fault into a light droplet, or (None) clear it."""
        path = f"/droplets/{droplet}/fault"
        if fault is None:
            self._call("DELETE", path)
        else:
            self._call("PUT", path, fault.model_dump())

    def new_hour(self) -> None:
        """Reset every token's hourly request count; the count of the minute stays."""
        self._call("POST", "/hour")

    def reset(self) -> None:
        """Destroy every droplet and cluster; the accounts hold what they held at first. Tokens stay."""
        self._call("POST", "/reset")

    def _call(self, method: str, path: str, json: object = None) -> Any:
        response = self._session.request(method, self._url + path, json=json, timeout=_SECONDS)
        if not response.ok:
            raise ControlError(response.json()["message"])
        return response.json()
