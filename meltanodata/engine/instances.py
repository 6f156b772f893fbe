"""The instances of a stack's tenants, from its state. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from meltanodata.engine.resource_types import ROLES, Type
from meltanodata.engine.stack_state import opened

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meltanodata.config.options import Tls
    from meltanodata.engine.stack_state import StackState, TenantState


@dataclass(frozen=True)
class DatabaseLogin:
    """The tenant's own login to its database, as `.env` on the droplet has it."""

    database: str
    user: str
    password: SecretStr


@dataclass(frozen=True)
class Instance:
    """A tenant's instance; None is what the state does not have yet."""

    tenant: str
    stack: str
    host: str
    """Such as `acme.meltanodata.com`."""
    droplet: str | None
    """Its id at DigitalOcean."""
    address: str | None
    """The droplet's public IPv4 address."""
    host_key: str | None
    """The pinned host key: its type and the key in base64. The droplet sent it, so it may be anything: see
    `is_host_key`."""
    database_host: str | None
    database_port: int
    tls: Tls
    certificate: str | None
    """The first 16 hexadecimal digits of the SHA-256 of its wildcard certificate."""
    database: str | None = None
    """Its cluster's id at DigitalOcean."""
    database_team: str | None = None
    database_login: DatabaseLogin | None = None
    ipv6: str | None = None
    """The droplet's public IPv6 address; only one that was made or changed by hand has one."""
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    """What must not be shown: its passwords, and the key that signs its sessions."""

    @property
    def fingerprint(self) -> str:
        """The pinned host key's, as `ssh-keygen -l` shows it; `none` where it is no host key."""
        blob = _blob(self.host_key or "")
        if blob is None:
            return "none"
        return f"SHA256:{base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip('=')}"


def is_host_key(text: str) -> bool:
    """Whether a text is a type and a key of that type, as in `known_hosts` (sshd(8)); the key's own numbers aside."""
    return _blob(text) is not None


def _blob(host_key: str) -> bytes | None:
    """The key's bytes, which begin with its type behind its length; None where they do not."""
    kind, _, encoded = host_key.partition(" ")
    try:
        blob = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    name = kind.encode(errors="replace")
    return blob if name and blob.startswith(len(name).to_bytes(4, "big") + name) else None


def instances(stack: str, state: StackState) -> list[Instance]:
    """The tenants of a stack, from its state with its secrets decrypted (`pulumi_cli.state`)."""
    return [_instance(stack, tenant) for tenant in state.tenants.values()]


def _login(cluster: Mapping[str, Any]) -> DatabaseLogin | None:
    database, user, password = (cluster.get(name) for name in ("database", "user", "password"))
    return DatabaseLogin(database, user, SecretStr(password)) if database and user and password else None


def _instance(stack: str, tenant: TenantState) -> Instance:
    # What the resources say, not the component's outputs: an up for some resources leaves those as they were.
    outputs = {role: opened(resource.outputs) for role, resource in tenant.resources.items()}
    droplet, record, cluster = (outputs.get(ROLES[type_], {}) for type_ in (Type.DROPLET, Type.RECORD, Type.CLUSTER))
    host_key = outputs.get("host-key", {}).get("stdout") or ""
    with_secrets = [
        outputs[role] for role, resource in tenant.resources.items() if resource.type in {Type.PASSWORD, Type.CLUSTER}
    ]
    return Instance(
        tenant=tenant.name,
        stack=stack,
        host=record.get("fqdn") or droplet.get("name") or tenant.name,
        droplet=droplet.get("id"),
        address=droplet.get("ipv4Address"),
        host_key=" ".join(host_key.split()[:2]) or None,
        database_host=cluster.get("host"),
        database_port=int(cluster.get("port") or 25060),
        tls=tenant.inputs.get("tls", "wildcard"),
        certificate=tenant.inputs.get("certificate"),
        database=cluster.get("id"),
        database_team=tenant.team,
        database_login=_login(cluster),
        ipv6=droplet.get("ipv6Address") or None,
        secrets=frozenset(
            secret[key]
            for secret in with_secrets
            for key in ("result", "bcryptHash", "password", "uri")
            if secret.get(key)
        ),
    )
