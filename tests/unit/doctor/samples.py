"""An instance, and what a look at it sees when it is well; each test changes one thing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from meltanodata.doctor.diagnosis import Certificate, Names, Seen, Visit
from meltanodata.doctor.droplet_facts import Facts
from meltanodata.droplet.ssh import Contact
from meltanodata.engine.instances import Instance
from meltanodata.inventory.accounts import Source

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPoPCGPxQeddVQd8pgKx5i+D3shPukzo1LdWvSjqg5lS"
ACME = Instance(
    tenant="acme",
    stack="prod",
    host="acme.meltanodata.com",
    droplet="4711",
    address="203.0.113.7",
    host_key=KEY,
    database_host="db-acme.db.ondigitalocean.com",
    database_port=25060,
    tls="wildcard",
    certificate="05df8d4e70e8e7cd",
    database="c0ffee",
    database_team="MeltanoData DBs 1",
    ipv6="2001:db8::7",
)
OWN = Source("ip_addr", "203.0.113.7")
OTHER = Source("ip_addr", "198.51.100.9")
SERVED = Certificate("05df8d4e70e8e7cd" + "0" * 48, "Sectigo", NOW - timedelta(days=30), NOW + timedelta(days=60))
FACTS: Mapping[str, Any] = {
    "system": "running",
    "services": {"caddy": "active", "meltano": "active", "vsftpd": "active"},
    "journal": {},
    "page": None,
    "page_log": [],
    "errors": {},
    "env": {"owner": "meltano:meltano", "mode": "620", "kind": "file"},
    "project": {"owner": "meltano:meltano", "mode": "755", "kind": "folder"},
    "database": {"address": "db-acme.db.ondigitalocean.com", "problem": None},
}
WELL = Seen(
    ping=True,
    names=Names(("203.0.113.7",), 3600, ("203.0.113.7",)),
    contact=Contact(),
    facts=Facts.model_validate(FACTS),
    visit=Visit(None, None, SERVED),
    database="closed",
    trusted=frozenset({OWN}),
)
