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
"""Seconds between two looks for what is being created."""
LIMIT = 3600
"""Seconds until it must exist; as long as the plugin waits for what it creates itself."""


@dataclass(frozen=True)
class Survey:
    """The inventory, matched with the tenants."""

    accounts: Inventory
    existing: Mapping[str, Existing]
    """By the tenant's key."""
    unclear: Sequence[str]
    """Reasons not to go on."""


def survey(
    tenants: Sequence[Tenant],
    settings: Settings,
    tokens: Mapping[str, SecretStr],
    ids: Ids,
    wait: Callable[[str], None] | None,
    *,
    limit: float = LIMIT,
) -> Survey:
    """Read the inventory and match it with the tenants.

    A run (`wait` is given; it gets what the run waits for) first waits until what it imports has been created: a killed
    run may have left a cluster that takes minutes more, and the plugin would import it without an address. It also
    waits for a cluster that it changes and DigitalOcean works on. A preview needs neither. `limit` is in seconds.

    Raises:
        UserError: an account could not be asked, or something was not made in time.
    """
    deadline = time.monotonic() + limit
    announced = ""
    while True:
        inventory = accounts.read(settings, tokens)
        existing, unclear = names.identify(tenants, inventory, settings.domain, ids)
        making = ", ".join(names.being_made(tenants, existing))
        if wait is not None and not unclear:
            close_what_was_left(tenants, existing, settings, tokens)
        if wait is None or unclear or not making:
            return Survey(inventory, existing, unclear)
        if time.monotonic() > deadline:
            raise UserError(f"not created within an hour: {making}. Check it in DigitalOcean's control panel")
        if making != announced:
            wait(making)
            announced = making
        time.sleep(PAUSE)
