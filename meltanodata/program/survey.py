"""The inventory before anything is declared, matched with the tenants and the stack's state."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meltanodata.errors import UserError
from meltanodata.inventory import accounts, names
from meltanodata.program.trusted_sources import close_what_was_left

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pydantic import SecretStr

    from meltanodata.config.settings import Settings
    from meltanodata.config.tenants import Tenant
    from meltanodata.engine.stack_state import Ids
    from meltanodata.inventory.accounts import Inventory
    from meltanodata.inventory.names import Existing

PAUSE = 10
"""Seconds between questions for what is being made."""
LIMIT = 3600
"""Seconds until it must have been made; as long as the plugin waits for what it makes itself."""


@dataclass(frozen=True)
class Survey:
    """The inventory, and what of it is whose."""

    accounts: Inventory
    existing: Mapping[str, Existing]
    """By the tenant's key."""
    unclear: Mapping[str, Sequence[str]]
    """The tenants of which it is not clear what is theirs, with the reasons."""


def survey(
    tenants: Sequence[Tenant],
    settings: Settings,
    tokens: Mapping[str, SecretStr],
    ids: Ids,
    wait: Callable[[str], None] | None,
    *,
    limit: float = LIMIT,
) -> Survey:
    """Ask the accounts, and find in the answer what is whose.

    Unless it is a preview (`wait` is None), which needs no addresses, wait until what is to be imported has been
    created: a run that was killed may have left a cluster that takes minutes more, and the plugin imports it as it is,
    without an address. Likewise for a cluster that is to be changed and is at work: DigitalOcean would refuse. `wait`
    is called with what is waited for; `limit` is in seconds.

    Raises:
        UserError: an account could not be asked, or something was not made in time.
    """
    deadline = time.monotonic() + limit
    said = ""
    while True:
        inventory = accounts.read(settings, tokens)
        existing, unclear = names.identify(tenants, inventory, settings.domain, ids)
        clear = [tenant for tenant in tenants if tenant.key not in unclear]
        making = ", ".join(names.being_made(clear, existing))
        if wait is not None:
            close_what_was_left(clear, existing, settings, tokens)
        if wait is None or not making:
            return Survey(inventory, existing, unclear)
        if time.monotonic() > deadline:
            raise UserError(f"not created within an hour: {making}. Check it in DigitalOcean's control panel")
        if making != said:
            wait(making)
            said = making
        time.sleep(PAUSE)
