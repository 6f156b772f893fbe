"""A resource of the bridged provider: what all of them do alike around their few calls of the API."""

from __future__ import annotations

import asyncio
import json
import math
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final

from sandbox.plugins.digitalocean.attributes import (
    Attributes,
    Many,
    Scalar,
    Values,
    from_pulumi,
    pulumi_name,
    to_pulumi,
)
from sandbox.plugins.digitalocean.check import check, imported, refreshed
from sandbox.plugins.digitalocean.client import Client, NotFound
from sandbox.plugins.digitalocean.plan import differences, planned
from sandbox.plugins.digitalocean.waits import Look, Wait, wait_for
from sandbox.plugins.package import (
    Call,
    Crashed,
    Created,
    Found,
    PartiallyDone,
    Plan,
    ProviderError,
    Resource,
    State,
)
from sandbox.plugins.schema import Change, Failure, Fields, PropertyChange
from sandbox.plugins.values import UNKNOWN, Properties, Secret

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_META: Final = "__meta"
_TIMEOUTS: Final = "e2bfb730-ecaa-11e6-8f88-34363bc7c4c0"
"""The key of Terraform's SDK for time limits."""
_SECOND: Final = 1_000_000_000
_DEFAULT_TIMEOUT: Final = 20 * 60.0
"""Seconds for an operation, where the resource says nothing."""

VERSION: Final = "4.76.1"
"""Of the official plugin that is stood in for."""


@dataclass
class Object:
    """One object of the API on its way into the state (Terraform's ResourceData)."""

    id: str
    """Empty before it exists, and when it is gone."""
    old: Values
    """The last state; all None for a new object."""
    plan: Values
    """What is to be."""
    config: Values = field(default_factory=dict)
    """What the program says, with defaults; empty on read and delete."""
    values: Values = field(init=False)
    """What is: the plan at first, then more and more of what the API says."""
    timeouts: dict[str, float] = field(default_factory=dict)
    """Seconds by `create`, `update` and `delete`."""
    deadline: float = math.inf
    """When the operation's waits end, on the loop's clock."""

    def __post_init__(self) -> None:
        # What the plan leaves open has no value until the API says it.
        self.values = {name: None if value is UNKNOWN else value for name, value in self.plan.items()}

    async def wait(self, wait: Wait, look: Look) -> None:
        """Wait, but not beyond the operation's time limit.

        Raises:
            ProviderError: The wait failed, or the time is over.
        """
        try:
            async with asyncio.timeout_at(self.deadline):
                await wait_for(wait, look)
        except TimeoutError:
            raise ProviderError("context deadline exceeded") from None

    def changed(self, *names: str) -> bool:
        """Whether the plan changes one of these attributes."""
        return any(self.plan[name] != self.old[name] for name in names)


class BridgedResource(Resource[Client]):
    """Terraform's life cycle on Pulumi's protocol."""

    inputs: ClassVar[Fields] = {}
    attributes: ClassVar[Attributes]
    timeouts: ClassVar[dict[str, int]] = {}
    """Seconds by `create`, `update` and `delete`, where they are not Terraform's 20 minutes."""
    schema_version: ClassVar[str | None] = None
    """Where the provider has changed what its state looks like."""

    # -- what a resource says --------------------------------------------------------------------------------------

    @abstractmethod
    async def make(self, client: Client, thing: Object) -> None:
        """Create the object; its id is set as soon as it exists."""

    @abstractmethod
    async def look(self, client: Client, thing: Object) -> None:
        """Read the object from the API. NotFound means that it is gone."""

    async def change(self, client: Client, thing: Object) -> None:
        """Do what the plan says; the id is emptied when the object turns out to be gone."""
        raise NotImplementedError

    @abstractmethod
    async def remove(self, client: Client, thing: Object) -> None:
        """Delete the object."""

    async def adopt(self, client: Client, thing: Object) -> None:
        """Make an object of the id that an import names, before it is looked at."""

    async def refresh(self, client: Client, thing: Object) -> None:
        """Look after a create or an update; an object that is gone has no id any more."""
        try:
            await self.look(client, thing)
        except NotFound:
            thing.id = ""

    def customize(self, old: Values | None, new: Values, config: Values) -> bool:
        """Change the plan, or refuse it by ProviderError; whether it takes a new object."""
        del old, new, config
        return False

    # -- what the engine asks --------------------------------------------------------------------------------------

    def checked(self, name: str, inputs: Properties, old: Properties, seed: bytes) -> tuple[Properties, list[Failure]]:
        """In the types of the table, with the bridge's defaults."""
        return check(self.attributes, name, inputs, old, seed)

    def plan(self, old: State, inputs: Properties, ignored: Sequence[str]) -> Plan:
        """The changes from the state to the plan."""
        before = from_pulumi(self.attributes, old.outputs)
        config = from_pulumi(self.attributes, inputs)
        names = {pulumi_name(name, attribute): name for name, attribute in self.attributes.items()}
        config |= {names[path]: before[names[path]] for path in ignored if path in names}
        after, replaces = self._planned(before, config)
        changes = differences(self.attributes, before, after, config)
        if replaces and not any(change.replaces for change in changes.values()):
            changes[_META] = PropertyChange(Change.UPDATE, replaces=True)
        replaced = {path.split("[")[0].split(".")[0] for path, change in changes.items() if change.replaces}
        stables = sorted(
            path for path, name in names.items() if self.attributes[name].force_new and path not in replaced
        )
        named = any(
            attribute.autonamed and name in inputs and name not in inputs.get("__defaults", ())
            for name, attribute in self.attributes.items()
        )
        return Plan(changes, tuple(stables), delete_before_replace=bool(replaced) and named, of_inputs=False)

    def preview_create(self, inputs: Properties) -> Properties:
        """All that the plan knows."""
        config = from_pulumi(self.attributes, inputs)
        values, _ = self._planned(None, config)
        return self._outputs(UNKNOWN, values, self.timeouts)

    def preview_update(self, old: State, inputs: Properties) -> Properties:
        """All that the plan knows."""
        values, _ = self._planned(from_pulumi(self.attributes, old.outputs), from_pulumi(self.attributes, inputs))
        return self._outputs(old.outputs.get("id"), values, self.timeouts)

    async def create(self, call: Call[Client], inputs: Properties) -> Created:
        """Make the object; what exists but failed later stays in the state."""
        config = from_pulumi(self.attributes, inputs)
        plan, _ = self._planned(None, config)
        thing = self._object(call, "create", "", dict.fromkeys(self.attributes), plan, config)
        try:
            await self.make(call.config, thing)
        except Crashed:
            raise
        except ProviderError as error:
            if thing.id:
                reason = f"creating {call.urn}: {await _told(call, error)}"
                raise PartiallyDone(thing.id, self._state(thing), reason) from error
            raise ProviderError(await _told(call, error)) from error
        if not thing.id:
            raise ProviderError(f"expected non-nil error with nil state during Create of {call.urn}")
        return Created(thing.id, self._state(thing))

    async def read(self, call: Call[Client], id_: str, old: State | None) -> Found | None:
        """The object as it is; an import also says by which inputs it would have been made."""
        outputs = old.outputs if old else {}
        values = from_pulumi(self.attributes, outputs)
        thing = Object(id_, values, values, timeouts=dict(self.timeouts))
        if not outputs:
            try:
                await self.adopt(call.config, thing)
            except ProviderError:
                return None  # the bridge takes every error of an import for an object that is not there
        try:
            await self.look(call.config, thing)
        except NotFound:
            return None
        except Crashed:
            raise
        except ProviderError as error:
            raise ProviderError(f"refreshing {call.urn}: {await _told(call, error)}") from error
        if not thing.id:
            return None
        state = self._state(thing)
        inputs = refreshed(self.attributes, old.inputs, state) if old and outputs else imported(self.attributes, state)
        return Found(thing.id, State(inputs, state))

    async def update(self, call: Call[Client], id_: str, old: State, inputs: Properties) -> Properties:
        """Change the object; after a failure the state has the plan, as Terraform's does."""
        before = from_pulumi(self.attributes, old.outputs)
        config = from_pulumi(self.attributes, inputs)
        plan, _ = self._planned(before, config)
        thing = self._object(call, "update", id_, before, plan, config)
        try:
            await self.change(call.config, thing)
        except Crashed:
            raise
        except ProviderError as error:
            reason = f"updating {call.urn}: {await _told(call, error)}"
            raise PartiallyDone(id_, self._state(thing), reason) from error
        if not thing.id:
            raise ProviderError(
                f"Resource provider reported that the resource did not exist while updating {call.urn}.\n\n"
                "This is usually a result of the resource having been deleted outside of Pulumi, and can often be "
                "fixed by running `pulumi refresh` before updating."
            )
        return self._state(thing)

    async def delete(self, call: Call[Client], id_: str, old: State) -> None:
        """Remove the object."""
        values = from_pulumi(self.attributes, old.outputs)
        thing = self._object(call, "delete", id_, values, values, {})
        try:
            await self.remove(call.config, thing)
        except Crashed:
            raise
        except ProviderError as error:
            raise ProviderError(f"deleting {call.urn}: {await _told(call, error)}") from error

    def sealed(self, inputs: Properties, outputs: Properties) -> Properties:
        """The sensitive attributes are secret, others never: the engine adds what the program made secret."""
        del inputs
        sensitive = {pulumi_name(name, item) for name, item in self.attributes.items() if item.sensitive}
        return {name: Secret(value) if name in sensitive else value for name, value in outputs.items()}

    # --------------------------------------------------------------------------------------------------------------

    def _planned(self, old: Values | None, config: Values) -> tuple[Values, bool]:
        new = planned(self.attributes, old, config)
        try:
            return new, self.customize(old, new, config)
        except ProviderError as error:
            raise ProviderError(_one(error)) from error

    def _object(  # noqa: PLR0917
        self, call: Call[Client], operation: str, id_: str, old: Values, plan: Values, config: Values
    ) -> Object:
        timeouts: dict[str, float] = {**self.timeouts}
        if call.timeout:
            timeouts[operation] = call.timeout
        deadline = asyncio.get_running_loop().time() + timeouts.get(operation, _DEFAULT_TIMEOUT)
        return Object(id_, old, plan, config, timeouts, deadline)

    def _state(self, thing: Object) -> Properties:
        values = {name: _settled(attribute.type, thing.values[name]) for name, attribute in self.attributes.items()}
        if thing.config:
            # Where the plan of a program has no collection, the state has none though the API says it is empty.
            values |= {name: None for name, value in values.items() if value == [] and thing.plan[name] is None}
        return self._outputs(thing.id, values, thing.timeouts, version=self.schema_version)

    def _outputs(
        self, id_: Any, values: Values, timeouts: Mapping[str, float], version: str | None = None
    ) -> Properties:
        outputs = {"id": id_, **to_pulumi(self.attributes, values)}
        meta: dict[str, Any] = {}
        if timeouts:
            meta[_TIMEOUTS] = {name: int(seconds * _SECOND) for name, seconds in timeouts.items()}
        if version:
            meta["schema_version"] = version
        return {**outputs, _META: json.dumps(meta, separators=(",", ":"))} if meta else outputs


def _settled(kind: Scalar | Many, value: Any) -> Any:
    """A set of scalars has an order in the state."""
    if isinstance(kind, Many) and isinstance(kind.element, str) and kind.kind == "set" and value is not None:
        return sorted(set(value))
    return value


async def _told(call: Call[Client], error: ProviderError) -> str:
    """The error's text; the bridge also logs it by itself, so that a person reads it twice."""
    await call.log("ERROR", f"sdk-v2/provider2.go:571: sdk.helper_schema: {error}: provider=digitalocean@{VERSION}")
    return _one(error)


def _one(error: ProviderError) -> str:
    """As Terraform lists the errors of one operation."""
    return f"1 error occurred:\n\t* {error}\n\n"
