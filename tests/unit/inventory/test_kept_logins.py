"""A droplet made by hand keeps its login, whatever is killed on the way; one that the program made has the state's."""

from __future__ import annotations

from typing import Any

import pytest

from meltanodata.config.options import Adopt
from meltanodata.engine.resource_types import TENANT, Type
from meltanodata.engine.stack_state import StackState, TenantState
from meltanodata.inventory import kept_logins
from meltanodata.inventory.names import Existing
from tests import previews
from tests.program import builders

TAKEN = Existing(droplet=builders.droplet(), import_droplet="7")
OURS = Existing(droplet=builders.droplet())
NOTE = {kept_logins.DROPLET: "7"}
KEEP: dict[str, Any] = {"adopt": {"login": "keep"}}


def recorded_state(inputs: dict[str, Any], droplet: str | None, made_with: object) -> TenantState:
    """What the state has of the tenant: its component's inputs, and the droplet with the `rebuild` it was made with."""
    resources: list[dict[str, Any]] = [{"urn": previews.urn("acme"), "type": TENANT, "inputs": inputs}]
    if droplet is not None:
        urn = previews.urn("acme", "droplet")
        made = {"urn": urn, "type": Type.DROPLET, "parent": previews.urn("acme"), "id": droplet}
        resources.append(made if made_with is None else {**made, "replacementTrigger": made_with})
    return StackState({"deployment": {"resources": resources}}).tenants["acme"]


def outcome(
    existing: Existing,
    recorded: dict[str, Any] | None,
    known: str | None = None,
    made_with: object = None,
    **options: Any,
) -> tuple[bool, bool, str | None]:
    """Whether the secrets stay, whether the password does, and what the component notes."""
    state = None if recorded is None else recorded_state(recorded, known, made_with)
    tenant, noted = kept_logins.settled(builders.tenant(**options), existing, state)
    inputs = tenant.model_dump(exclude_none=True)
    assert (kept_logins.keeps_secrets(inputs), kept_logins.keeps_login(inputs)) == (
        tenant.keeps_secrets,
        tenant.keeps_login,
    )
    return tenant.keeps_secrets, tenant.keeps_login, noted


@pytest.mark.parametrize("options", [{}, KEEP, {"adopt": {"record": "acme"}}])
def test_every_take_over_keeps_the_login(options: dict[str, Any]) -> None:
    assert outcome(TAKEN, None, **options) == (True, True, "7")
    # The run after it, and the one after a kill right before the droplet came into the state.
    assert outcome(OURS, NOTE, "7", 0, **options) == (True, True, "7")
    assert outcome(TAKEN, NOTE, **options) == (True, True, "7")


def test_a_new_login_is_made_where_the_entry_asks_for_one() -> None:
    new: dict[str, Any] = {"adopt": {"login": "new"}}
    assert outcome(TAKEN, None, **new) == (False, False, None)
    assert outcome(OURS, NOTE, "7", 0, **new) == (False, False, None)
    # Asked for once, it is not taken back.
    assert outcome(OURS, {"adopt": {"login": "new"}}, "7", 0) == (False, False, None)


def test_a_new_password_alone_leaves_the_secrets_that_other_logins_need() -> None:
    assert outcome(TAKEN, None, admin_password_generation=2) == (True, False, "7")
    assert outcome(OURS, NOTE, "7", 0, admin_password_generation=2) == (True, False, "7")


def test_what_a_killed_run_made_itself_gets_the_states_login() -> None:
    """Its component is in the state already, without a note."""
    assert outcome(TAKEN, {}) == (False, False, None)
    assert outcome(TAKEN, {"adopt": {"login": "new", "record": "x"}}, adopt={"record": "x"}) == (False, False, None)
    # A rebuild that was killed: the old droplet was the customer's, the new one is ours.
    assert outcome(Existing(droplet=builders.droplet(id=8), import_droplet="8"), NOTE, rebuild=1) == (False, False, "7")


def test_a_droplet_made_anew_has_the_states_login_and_one_that_stays_after_all_its_own() -> None:
    assert outcome(OURS, NOTE, "7", 0, rebuild=1) == (False, False, "7")
    assert outcome(Existing(droplet=builders.droplet(id=8)), NOTE, "8", 1, rebuild=1) == (False, False, "7")
    # The rebuild failed before it began, and was taken back.
    assert outcome(OURS, {**NOTE, "rebuild": 1}, "7", 0) == (True, True, "7")
    # Somebody destroyed it by hand.
    assert outcome(Existing(), NOTE, "7", 0) == (False, False, "7")


def test_a_tenant_of_ours_has_the_states_login() -> None:
    assert outcome(Existing(), None) == (False, False, None)
    assert outcome(OURS, {}, "7", 0) == (False, False, None)
    assert outcome(OURS, {"adopt": {"login": "new"}}, "7", 0, **KEEP) == (False, False, None)


def test_states_from_before_the_note_stay_as_they_are() -> None:
    assert outcome(OURS, KEEP, "7", 0, **KEEP) == (True, True, None)
    assert outcome(OURS, KEEP, "7", None, **KEEP) == (True, True, None)
    tenant, _ = kept_logins.settled(
        builders.tenant(adopt={"record": "x"}), OURS, recorded_state({"adopt": {"login": "new"}}, "7", 0)
    )
    assert tenant.adopt == Adopt(record="x", login="new")
    # A rebuild notes whose login it was.
    assert outcome(OURS, KEEP, "7", 0, rebuild=1, **KEEP) == (False, False, "7")
    # An adoption that was killed.
    assert outcome(TAKEN, KEEP, **KEEP) == (True, True, None)
