"""Valid settings, secrets, accounts and tenants; each test changes the one thing that it is about."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr

from meltanodata.config.settings import Secrets, Settings
from meltanodata.config.tenants import Tenant
from meltanodata.inventory.accounts import Cluster, DatabaseOffer, Droplet, DropletSize, Inventory, Record, Snapshot

TEAM_1, TEAM_2 = "MeltanoData DBs 1", "MeltanoData DBs 2"
DAY = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)


def settings(**overrides: Any) -> Settings:
    """A stack with two database teams."""
    values = {
        "stack": "test",
        "domain": "meltanodata.com",
        "project": "Meltano",
        "database_version": "16",
        "droplet_team": {"name": "Meltano"},
        "database_teams": [{"name": TEAM_1}, {"name": TEAM_2}],
    }
    return Settings.model_validate({**values, **overrides})


@cache
def certificate(host: str = "*.meltanodata.com") -> tuple[str, str]:
    """A certificate and its key, PEM, valid around now."""
    key = Ed25519PrivateKey.generate()
    name = x509.Name([])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=True)
        .sign(key, None)
    )
    return made.public_bytes(serialization.Encoding.PEM).decode(), _pem(key)


def _pem(key: Ed25519PrivateKey) -> str:
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(pem, pkcs8, serialization.NoEncryption()).decode()


def fingerprint() -> str:
    """Of the certificate, SHA-256."""
    return x509.load_pem_x509_certificate(certificate()[0].encode()).fingerprint(hashes.SHA256()).hex()


@cache
def ssh_key() -> str:
    """A private key for SSH, in the form that Commands are given."""
    return _pem(Ed25519PrivateKey.generate())


def secrets() -> Secrets:
    """Recognisable wherever they turn up."""
    crt, key = certificate()
    tokens = {team: SecretStr(f"token of {team}") for team in settings().teams}
    return Secrets(
        tokens=tokens,
        ssh_private_key=SecretStr(ssh_key()),
        certificate=SecretStr(crt),
        certificate_key=SecretStr(key),
    )


def tenant(**overrides: Any) -> Tenant:
    """The tenant acme in the first team."""
    values = {"key": "acme", "database_team": TEAM_1, "region": "nyc3", "database_version": "16"}
    return Tenant.model_validate({"states_database_version": "database_version" in overrides, **values, **overrides})


def droplet(**overrides: Any) -> Droplet:
    """Acme's droplet."""
    made = Droplet(7, "acme.meltanodata.com", "active", "nyc3", "s-2vcpu-2gb", 60, "203.0.113.7")
    return replace(made, **overrides)


def record(**overrides: Any) -> Record:
    """Acme's A record."""
    return replace(Record(8, "acme", "203.0.113.7"), **overrides)


def cluster(**overrides: Any) -> Cluster:
    """Acme's database cluster."""
    name = "db-postgresql-nyc3-52483-acme"
    made = Cluster("c0ffee", name, TEAM_1, "online", "nyc3", "db-s-1vcpu-1gb", "16")
    return replace(made, **overrides)


def snapshot(**overrides: Any) -> Snapshot:
    """The only snapshot."""
    return replace(Snapshot("301", "Ubuntu meltano-123456789", frozenset({"nyc3"}), DAY, 50), **overrides)


def offer(**overrides: Any) -> DatabaseOffer:
    """Of PostgreSQL."""
    regions, sizes = frozenset({"nyc3", "fra1"}), frozenset({"db-s-1vcpu-1gb", "db-s-1vcpu-2gb"})
    return replace(DatabaseOffer(("15", "16"), regions, sizes), **overrides)


def accounts(**overrides: Any) -> Inventory:
    """Accounts in which no tenant has anything yet."""
    empty = Inventory(
        droplets=(),
        records=(),
        clusters=(),
        cluster_counts={TEAM_1: 0, TEAM_2: 0},
        snapshots=(snapshot(),),
        ssh_keys=("41", "42"),
        projects={"Meltano": "project-id"},
        droplet_sizes={
            "s-2vcpu-2gb": DropletSize(frozenset({"nyc3", "fra1"}), 60),
            "s-4vcpu-8gb": DropletSize(frozenset({"nyc3"}), 160),
        },
        database=offer(),
    )
    return replace(empty, **overrides)
