"""Whether an instance still has the login that it was adopted with. Pure.

A droplet made by hand has a login of its own: the admin's password in Meltano's database, and in `ui.cfg` the secret
key and the salt, without which no user's password is accepted. They stay, unless the entry asks for new ones. A droplet
that the program has created gets them from the state.

The droplet itself does not show which of the two holds: the next run also adopts what a killed run created. The
state shows it. A tenant's component is in the state before its first object is created, so what exists while the state
has no component was made by hand. The adoption records the droplet's id in the component, and the login is kept as long
as the tenant has that droplet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meltanodata.config.options import Adopt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meltanodata.config.tenants import Tenant
    from meltanodata.engine.stack_state import TenantState
    from meltanodata.inventory.names import Existing

DROPLET = "login_of_droplet"
"""The component's input with the id of the droplet that was adopted with its login."""


def settled(tenant: Tenant, existing: Existing, recorded: TenantState | None) -> tuple[Tenant, str | None]:
    """The tenant with its `adopt.login` decided, and the droplet's id for its component to record; None for none.

    `recorded` is what the state has of the tenant; None where it has nothing.
    """
    if tenant.adopt is not None and tenant.adopt.login == "new":
        return tenant, None
    adopted = _adopted_droplet(existing, recorded)
    stays = existing.import_droplet is not None or (recorded and recorded.rebuild) in {None, tenant.rebuild}
    keeps = adopted is not None and existing.droplet is not None and str(existing.droplet.id) == adopted and stays
    login = {"login": "keep" if keeps else "new"}
    adopt = tenant.adopt and tenant.adopt.model_copy(update=login)
    if keeps and adopt is None:
        adopt = Adopt(login="keep")
    # States of older versions have `login: keep` alone, without the id; they get it with the next change.
    silent = keeps and recorded is not None and DROPLET not in recorded.inputs
    return tenant.model_copy(update={"adopt": adopt}), None if silent else adopted


def _adopted_droplet(existing: Existing, recorded: TenantState | None) -> str | None:
    """The id of the droplet that was made by hand; None if the program created it."""
    if recorded is None:
        return existing.import_droplet
    if DROPLET in recorded.inputs:
        return str(recorded.inputs[DROPLET])
    known = recorded.droplet and recorded.droplet.id
    return (known or existing.import_droplet) if keeps_secrets(recorded.inputs) else None


def keeps_secrets(inputs: Mapping[str, Any]) -> bool:
    """Whether, by a component's inputs, the secret key and the salt are those from before the adoption."""
    return bool((inputs.get("adopt") or {}).get("login") == "keep")


def keeps_login(inputs: Mapping[str, Any]) -> bool:
    """Whether the admin has the password from before the adoption as well."""
    return keeps_secrets(inputs) and inputs.get("admin_password_generation", 1) == 1
