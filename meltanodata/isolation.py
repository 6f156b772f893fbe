"""One tenant that fails does not hold up the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pulumi.runtime.settings import SETTINGS
from pulumi.runtime.stack import ResourceRegistrationFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def isolate_failures() -> None:
    """Let `pulumi up --continue-on-error` go on with everything that does not depend on what failed.

    The engine does; but the SDK (3.259) ends the program as soon as a resource cannot be registered because another
    one, which it depends on, has failed: then whatever of the other tenants was still waiting for its turn is never
    registered, and the operator sees a traceback. That failure has been reported by the engine already, and the
    resource is left out by not being registered, so there is nothing more to say. Without the flag nothing differs:
    the engine ends the program itself.
    """
    manager = SETTINGS.rpc_manager
    do_rpc = manager.do_rpc

    def do_rpc_or_leave_out(name: str, function: Callable[..., Awaitable[Any]]) -> Any:
        async def or_leave_out(*args: Any, **kwargs: Any) -> Any:
            try:
                return await function(*args, **kwargs)
            except ResourceRegistrationFailed:
                return None

        return do_rpc(name, or_leave_out)

    manager.do_rpc = do_rpc_or_leave_out
