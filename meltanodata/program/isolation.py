"""A tenant that fails does not stop the others, and loses nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi
from pulumi.runtime.settings import SETTINGS
from pulumi.runtime.stack import ResourceRegistrationFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

LEFT_OUT = (
    "What depends on a failed resource is unchanged, and this run removed nothing."
    " Correct the cause and run this again, which continues with the rest."
)


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
