"""What a package of the plugin server implements: resources, functions, its configuration.

The server decodes and checks what comes over the wire; a resource sees plain values (no `Secret`), and what it
returns gets the secrecy of its inputs back. It signals a failure by `ProviderError`, whose text a person reads.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

from sandbox.plugins.schema import Difference, Failure, Fields, check, difference, mirrored, without
from sandbox.plugins.values import UNKNOWN, Properties, Secret, plain

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence

Config = TypeVar("Config")
Result = TypeVar("Result")
Severity = Literal["DEBUG", "INFO", "WARNING", "ERROR"]


class ProviderError(Exception):
    """The operation failed; the engine shows the text beside the resource."""


class Stopped(ProviderError):  # noqa: N818 -- says what happened, as asyncio.CancelledError does
    """The engine's user cancelled the update, or the operation's time is over."""

    def __init__(self, *, late: bool) -> None:
        super().__init__("context deadline exceeded" if late else "context canceled")
        self.late = late


class PartiallyDone(ProviderError):  # noqa: N818 -- says what is left
    """A create or update left an object that is not ready: the engine keeps it in its state, marked as such."""

    def __init__(self, id_: str, outputs: Properties, reason: str) -> None:
        super().__init__(reason)
        self.id = id_
        self.outputs = outputs


class Crashed(ProviderError):  # noqa: N818 -- says what happened
    """The real plugin's process would have died here: with it goes all that this provider does, now and later."""


@dataclass(frozen=True)
class State:
    """A resource as the engine's state has it, plain values."""

    inputs: Properties
    outputs: Properties


@dataclass(frozen=True)
class Found:
    """What a read returns."""

    id: str
    """As it was asked for, but where an import's id is not the object's."""
    state: State


@dataclass(frozen=True)
class Created:
    """What a create returns."""

    id: str
    outputs: Properties


@dataclass(frozen=True)
class Plan:
    """What an update would do."""

    changes: Difference
    stables: tuple[str, ...] = ()
    """Outputs that keep their values."""
    delete_before_replace: bool = False
    of_inputs: bool = True
    """Whether the changes are between inputs, or between the old outputs and the planned ones."""
    detailed: bool = True
    """Whether the engine is told of each change, or only which properties have one."""


@dataclass(frozen=True)
class Call(Generic[Config]):
    """One operation the engine asks for.

    It ends at once, by asyncio's cancellation, when the engine's connection is gone: a real plugin dies with its
    engine. `wait` and `sleep` end also at its deadline and at the engine's Cancel.
    """

    config: Config
    """What `Package.configure` made of this provider's configuration."""
    urn: str
    timeout: float
    """Seconds, from the resource's customTimeouts; 0 is the resource's own default."""
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    send: Callable[[Severity, str, bool], Awaitable[None]] | None = None
    """Where `log` goes: severity, text, ephemeral."""

    @property
    def name(self) -> str:
        """The resource's name, the URN's last part."""
        return self.urn.rpartition("::")[2]

    async def log(self, severity: Severity, text: str) -> None:
        """Show a line beside the resource and keep it in the update's log."""
        if self.send:
            await self.send(severity, text, False)

    async def status(self, text: str) -> None:
        """Show a line beside the resource until the next one."""
        if self.send:
            await self.send("INFO", text, True)

    async def sleep(self, seconds: float) -> None:
        """Wait some seconds.

        Raises:
            Stopped: The update was cancelled meanwhile.
        """
        await self.wait(asyncio.sleep(seconds))

    async def wait(self, work: Coroutine[Any, Any, Result], seconds: float | None = None) -> Result:
        """What the work returns, within the seconds given.

        Raises:
            Stopped: The update was cancelled meanwhile, or the time is over.
        """
        task = asyncio.ensure_future(work)
        cancelled = asyncio.ensure_future(self.cancelled.wait())
        try:
            await asyncio.wait({task, cancelled}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise Stopped(late=not self.cancelled.is_set())
        finally:
            for pending in (task, cancelled):
                pending.cancel()
            await asyncio.gather(task, cancelled, return_exceptions=True)


class Resource(ABC, Generic[Config]):
    """One resource type. The tables say most; override a method only where they cannot."""

    token: ClassVar[str]
    """Such as `random:index/randomPassword:RandomPassword`."""
    inputs: ClassVar[Fields]
    computed: ClassVar[frozenset[str]] = frozenset()
    """Outputs that are not inputs: unknown while previewing a create."""
    secret_outputs: ClassVar[frozenset[str]] = frozenset()
    """Outputs that are secret whatever the inputs are."""
    delete_before_replace: ClassVar[bool] = False
    """The old object must go before the new one can be made."""

    def checked(self, name: str, inputs: Properties, old: Properties, seed: bytes) -> tuple[Properties, list[Failure]]:
        """The inputs with what belongs to them, and what is wrong with them.

        Args:
            name: The resource's name, the URN's last part.
            inputs: What the program says, with `Secret` and UNKNOWN in it.
            old: The inputs of the last update; empty for a new resource.
            seed: For names made up here: the same in a preview and its update.
        """
        del name, old, seed
        inputs, failures = check(self.inputs, inputs)
        return inputs, failures or self.check(plain(inputs))

    def check(self, inputs: Properties) -> list[Failure]:
        """What is wrong with inputs that fit the table; they may hold UNKNOWN."""
        del inputs
        return []

    def plan(self, old: State, inputs: Properties, ignored: Sequence[str]) -> Plan:
        """What an update would do but for the ignored property paths.

        Inputs may hold UNKNOWN; everything may hold `Secret`, where the package accepts secrets.
        """
        changes = without(self.diff(old, inputs), ignored)
        return Plan(changes, delete_before_replace=self.delete_before_replace)

    def diff(self, old: State, inputs: Properties) -> Difference:
        """What an update would change; inputs may hold UNKNOWN."""
        return difference(self.inputs, old.inputs, inputs)

    def preview_id(self, name: str) -> str:
        """The id as far as it is known before a create; empty when it is not."""
        del name
        return ""

    def preview_create(self, inputs: Properties) -> Properties:
        """The outputs as far as they are known before a create."""
        return {**dict.fromkeys(self.computed, UNKNOWN), **inputs}

    def preview_update(self, old: State, inputs: Properties) -> Properties:
        """The outputs as far as they are known before an update."""
        return {name: old.outputs[name] for name in self.computed if name in old.outputs} | inputs

    @abstractmethod
    async def create(self, call: Call[Config], inputs: Properties) -> Created:
        """Make the object.

        Raises:
            ProviderError: Nothing was made.
            PartiallyDone: The object exists and is not ready.
        """

    async def read(self, call: Call[Config], id_: str, old: State | None) -> Found | None:
        """The object as it is now; None when it is gone. `old` is None for an import."""
        del call
        if old is None:
            raise ProviderError(f"{self.token} cannot be imported")
        return Found(id_, old)

    async def update(self, call: Call[Config], id_: str, old: State, inputs: Properties) -> Properties:
        """Change the object in place and return its outputs.

        Raises:
            ProviderError: The object is as it was.
            PartiallyDone: It is not.
        """
        del call, id_, old, inputs
        raise ProviderError(f"{self.token} cannot be updated in place")

    async def delete(self, call: Call[Config], id_: str, old: State) -> None:
        """Remove the object."""
        del call, id_, old

    def sealed(self, inputs: Properties, outputs: Properties) -> Properties:
        """The outputs, each as secret as it must be."""
        outputs = mirrored(inputs, outputs, preview=True)
        known = {name: plain(outputs[name]) for name in self.secret_outputs & outputs.keys()}
        return outputs | {name: value if value is UNKNOWN else Secret(value) for name, value in known.items()}


class Function(ABC, Generic[Config]):
    """One function (data source) of the package."""

    token: ClassVar[str]
    """Such as `digitalocean:index/getSshKeys:getSshKeys`."""
    inputs: ClassVar[Fields]

    @abstractmethod
    async def invoke(self, call: Call[Config], inputs: Properties) -> Properties:
        """The function's result.

        Raises:
            ProviderError: There is none.
        """


@dataclass(frozen=True)
class Package(Generic[Config]):
    """One package, served on a port of its own."""

    name: str
    version: str
    """The version of the official plugin that it stands in for."""
    resources: tuple[Resource[Config], ...]
    configure: Callable[[Mapping[str, Any]], Config]
    """Makes the configuration of one provider from its inputs (plain values; bools, numbers and lists as JSON text,
    as Pulumi's SDKs send them). Raises ProviderError when it cannot be used."""
    functions: tuple[Function[Config], ...] = ()
    accepts_secrets: bool = False
    """As the official plugin answers. When not, the engine copies the secrecy of inputs to outputs of the same name."""
