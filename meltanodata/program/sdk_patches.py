"""Patches of the SDK: without needless work for thousands of resources, and without an end at the first failure."""

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
    from collections.abc import Awaitable, Callable, Iterator

Output = asyncio.Future[Any]

LEFT_OUT = (
    "What depends on a failed resource is unchanged, and this run removed nothing."
    " Correct the cause and run this again, which continues with the rest."
)


def patch_sdk() -> None:
    """Remove the SDK's (3.259) largest costs: docs/decisions/where-the-time-goes.md.

    Until a program ends, `wait_for_rpcs` waits for the first of all remaining outputs, again and again: the square of
    their number, and sixty tenants have thousands. For every call and output the SDK sends the engine a debug line and
    waits for the answer. The call stack of each resource's declaration is a quarter of the state. And Python collects
    garbage among objects that are all in use until the end.
    """
    gc.disable()
    pulumi.log.debug = lambda *_, **__: None
    resource._get_stack_trace = StackTrace  # noqa: SLF001 - there is no option for it
    outstanding = Outstanding()
    for output in set(SETTINGS.outputs):
        outstanding.add(output)
    SETTINGS.outputs = outstanding


class Outstanding(set[Output]):
    """A set of outputs that iterates over a single future, which is done when all outputs are.

    As in the SDK, an output that fails ends the wait with its error at once, unless its resource could not be
    registered, or somebody took it out of the set: then somebody else reports the failure.
    """

    def __init__(self) -> None:
        super().__init__()
        self._failed: set[Output] = set()
        """Failures that are still to be raised."""
        self._changed = asyncio.Event()

    def add(self, output: Output) -> None:
        """Wait for one more."""
        if output not in self:
            super().add(output)
            output.add_done_callback(self._settled)

    def clear(self) -> None:
        """Do nothing: each output leaves the set when it is done. The SDK clears the set to refill it."""

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


def isolate_failures() -> None:
    """Let `pulumi up --continue-on-error` go on with everything that does not depend on what failed, then fail.

    The engine goes on; but the SDK (3.259) ends the program, with a traceback, as soon as a resource cannot be
    registered because one that it depends on has failed: it never registers the remaining resources of other tenants.
    Here such a resource is left out, and the program fails after all others. It must fail: the engine deletes what a
    program that ends well does not register, and a database that cannot be resized would lose its firewall, which opens
    it to the world. Without the flag the engine ends the program itself.
    """
    manager = SETTINGS.rpc_manager
    do_rpc = manager.do_rpc

    def do_rpc_or_leave_out(name: str, function: Callable[..., Awaitable[Any]]) -> Any:
        async def or_leave_out(*args: Any, **kwargs: Any) -> Any:
            try:
                return await function(*args, **kwargs)
            except ResourceRegistrationFailed:
                # The SDK raises it when nothing is left to wait for.
                manager.unhandled_exception = manager.unhandled_exception or pulumi.RunError(LEFT_OUT)
                return None

        return do_rpc(name, or_leave_out)

    manager.do_rpc = do_rpc_or_leave_out
