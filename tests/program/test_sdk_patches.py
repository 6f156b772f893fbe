"""What the SDK is spared: its wait for all outputs, as for one thing, and what a resource's declaration takes along."""

from __future__ import annotations

import asyncio
import gc
import inspect
from typing import Any

import pulumi
import pytest
from pulumi.runtime import resource
from pulumi.runtime.proto.source_pb2 import StackTrace
from pulumi.runtime.settings import SETTINGS
from pulumi.runtime.stack import ResourceRegistrationFailed

from meltanodata.program.sdk_patches import Outstanding, patch_sdk

SECONDS = 60


def waited(outputs: Outstanding) -> Any:
    """What the SDK does: go through the set, empty it, wait for the first, and look at it."""
    (one,) = list(outputs)
    outputs.clear()
    return asyncio.wait_for(one, SECONDS)


def test_the_wait_is_over_when_all_are_done() -> None:
    async def run() -> None:
        outputs = Outstanding()
        first, second, third = (asyncio.get_running_loop().create_future() for _ in range(3))
        outputs.add(first)
        outputs.add(second)
        over = asyncio.ensure_future(waited(outputs))
        first.set_result(1)
        outputs.add(third)  # an output of another output
        second.set_result(2)
        await asyncio.sleep(0.01)
        assert not over.done()
        assert len(outputs) == 1
        third.set_result(3)
        await over
        assert len(outputs) == 0

    asyncio.run(run())


def test_an_output_that_fails_is_told_at_once() -> None:
    async def run() -> None:
        outputs = Outstanding()
        slow, bad = (asyncio.get_running_loop().create_future() for _ in range(2))
        outputs.add(slow)
        outputs.add(bad)
        bad.set_exception(ValueError("bad"))
        with pytest.raises(ValueError, match="bad"):
            await waited(outputs)
        slow.cancel()

    asyncio.run(run())


def test_what_was_told_otherwise_or_is_somebody_elses_holds_up_nobody() -> None:
    async def run() -> None:
        outputs = Outstanding()
        loop = asyncio.get_running_loop()
        unregistered, recovered, slow = (loop.create_future() for _ in range(3))
        for output in (unregistered, recovered, slow):
            outputs.add(output)
        over = asyncio.ensure_future(waited(outputs))
        unregistered.set_exception(ResourceRegistrationFailed("urn"))
        recovered.set_exception(ValueError("recovered"))
        outputs.discard(recovered)  # as Output.recover does
        await asyncio.sleep(0.01)
        assert not over.done()
        slow.set_result(1)
        await over
        assert recovered.exception() is not None

    asyncio.run(run())


def test_what_is_replaced_is_what_the_sdk_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "_get_stack_trace", resource._get_stack_trace)  # all of it is undone
    monkeypatch.setattr(pulumi.log, "debug", pulumi.log.debug)
    monkeypatch.setattr(SETTINGS, "outputs", set())
    assert "stack_trace = _get_stack_trace()\n" in inspect.getsource(resource.register_resource)
    patch_sdk()
    assert resource._get_stack_trace() == StackTrace()
    assert isinstance(SETTINGS.outputs, Outstanding)
    assert not gc.isenabled()
    gc.enable()
