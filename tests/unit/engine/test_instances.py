from __future__ import annotations

from meltanodata.engine.instances import Instance, instances
from meltanodata.engine.resource_types import Type
from meltanodata.engine.stack_state import StackState
from tests.unit.engine.parts import component, part, secret, state

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


def test_the_ipv6_address_is_that_of_a_droplet_that_has_one() -> None:
    for address, known in (("2001:db8::7", "2001:db8::7"), ("", None)):
        droplet = part("acme", Type.DROPLET, "droplet", id="4711", ipv6Address=address)
        (acme,) = instances("prod", StackState(state(ACME[0], droplet)))
        assert acme.ipv6 == known


def test_secrets_are_not_shown() -> None:
    (acme,) = instances("prod", StackState(state(*ACME)))
    assert "hunter2" not in repr(acme)


def test_what_is_not_made_yet_is_none() -> None:
    gone = {**ACME[1], "delete": True}
    (acme,) = instances("prod", StackState(state(ACME[0], gone)))
    assert (acme.host, acme.droplet, acme.address, acme.host_key, acme.database_host) == ("acme", *[None] * 4)
    assert list(instances("prod", StackState({"deployment": {"resources": None}}))) == []
