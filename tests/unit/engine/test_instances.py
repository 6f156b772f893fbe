from __future__ import annotations

import json
from typing import Any

from meltanodata.engine.instances import Instance, instances
from meltanodata.engine.resource_types import Type
from meltanodata.engine.stack_state import StackState

ROOT = "urn:pulumi:prod::meltanodata::"
SECRET = "1b47061264138c4ac30d75fd1eb44270"


def secret(value: object) -> dict[str, str]:
    """As `pulumi stack export --show-secrets` has it."""
    return {"4dabf18193072939515e22adb298388d": SECRET, "plaintext": json.dumps(value)}


def part(tenant: str, type_: str, role: str, /, **outputs: Any) -> dict[str, Any]:
    return {
        "urn": f"{ROOT}meltanodata:index:Tenant${type_}::{tenant}-{role}",
        "type": type_,
        "parent": f"{ROOT}meltanodata:index:Tenant::{tenant}",
        "outputs": outputs,
    }


def component(tenant: str, **inputs: Any) -> dict[str, Any]:
    urn = f"{ROOT}meltanodata:index:Tenant::{tenant}"
    # What an up for some of the tenant's resources leaves as it was.
    return {"urn": urn, "type": "meltanodata:index:Tenant", "inputs": inputs, "outputs": {"address": "192.0.2.1"}}


def state(*resources: dict[str, Any]) -> dict[str, Any]:
    return {"deployment": {"resources": list(resources)}}


ACME = [
    component("acme", tls="self_signed", certificate="05df"),
    part("acme", Type.DROPLET, "droplet", id="4711", name="acme.meltanodata.com", ipv4Address="203.0.113.7"),
    part("acme", Type.RECORD, "record", fqdn="acme.meltanodata.com"),
    part("acme", Type.COMMAND, "host-key", stdout=secret("ssh-ed25519 AAAA root@acme\n"), connection=secret({})),
    part("acme", Type.CLUSTER, "database", host="db-acme", port=25060, password=secret("hunter2"), uri=secret("pg://")),
    part("acme", Type.PASSWORD, "admin-password", result=secret("correct horse"), bcryptHash=secret("$2a$")),
]


def test_an_instance_is_what_its_resources_are() -> None:
    assert list(instances("prod", StackState(state(*ACME)))) == [
        Instance(
            tenant="acme",
            stack="prod",
            host="acme.meltanodata.com",
            droplet="4711",
            address="203.0.113.7",
            host_key="ssh-ed25519 AAAA",
            database_host="db-acme",
            database_port=25060,
            tls="self_signed",
            certificate="05df",
            secrets=frozenset({"hunter2", "pg://", "correct horse", "$2a$"}),
        )
    ]


def test_secrets_are_not_shown() -> None:
    (acme,) = instances("prod", StackState(state(*ACME)))
    assert "hunter2" not in repr(acme)


def test_what_is_not_made_yet_is_none() -> None:
    gone = {**ACME[1], "delete": True}
    (acme,) = instances("prod", StackState(state(ACME[0], gone)))
    assert (acme.host, acme.droplet, acme.address, acme.host_key, acme.database_host) == ("acme", *[None] * 4)
    assert list(instances("prod", StackState({"deployment": {"resources": None}}))) == []
