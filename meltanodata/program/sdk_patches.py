"""What the SDK does needlessly, for a program with thousands of resources."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi.runtime import resource
from pulumi.runtime.proto.source_pb2 import StackTrace
from pulumi.runtime.settings import SETTINGS
from pulumi.runtime.stack import ResourceRegistrationFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

Output = asyncio.Future[Any]


def patch_sdk() -> None:
    """Spare the SDK (3.259) what most of a run's processor time went into: docs/decisions/where-the-time-goes.md.

    Until a program ends, `wait_for_rpcs` waits for the first of all outputs that are left, and begins anew whenever
    one is there: the square of their number, of which sixty tenants have thousands. And for every call and every
    output it sends the engine a line for debugging, and waits for the answer. A fault of our own is found without.
    So it is without the stack of calls that declared each resource, which is a quarter of the state. And Python looks
    for garbage again and again among what is all in use until the end.
    """
    gc.disable()
    pulumi.log.debug = lambda *_, **__: None
    resource._get_stack_trace = StackTrace  # noqa: SLF001 - there is no option for it
    outstanding = Outstanding()
    for output in set(SETTINGS.outputs):
        outstanding.add(output)
    SETTINGS.outputs = outstanding


class Outstanding(set[Output]):
    """A set of outputs; whoever goes through it to wait for them finds one future, which is done when they all are.

    As the SDK has it, an output that fails ends the wait with its error at once, unless it failed because its resource
    could not be registered, or somebody took it out of the set: then its failure is somebody else's to tell.
    """

    def __init__(self) -> None:
        super().__init__()
        self._failed: set[Output] = set()
        """Those not yet told of."""
        self._changed = asyncio.Event()

    def add(self, output: Output) -> None:
        """Wait for one more."""
        if output not in self:
            super().add(output)
            output.add_done_callback(self._settled)

    def clear(self) -> None:
        """Nothing: each goes when it is done. The SDK empties the set to fill it again with what is left."""

    def __iter__(self) -> Iterator[Output]:
        """The one thing to wait for."""
        return iter([asyncio.ensure_future(self._settle())])

    def _settled(self, output: Output) -> None:
        if output.cancelled() or output.exception() is not None:
            self._failed.add(output)
        else:
            self.discard(output)
        if self._failed or not self:
            self._changed.set()

    async def _settle(self) -> None:
        while self:
            await self._changed.wait()
            self._changed.clear()
            for output in self._failed & self:
                self.discard(output)
                try:
                    await output
                except ResourceRegistrationFailed:
                    continue
            self._failed.clear()
