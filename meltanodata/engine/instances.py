"""The instances that a stack has made, from its state. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from meltanodata.engine.resource_types import TENANT, Type
from meltanodata.engine.stack_state import name, opened, resources

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meltanodata.config.options import Tls


@dataclass(frozen=True)
class Instance:
    """A tenant as the stack knows it; None is what it has not made yet."""

    tenant: str
    stack: str
    host: str
    """Such as `acme.meltanodata.com`."""
    droplet: str | None
    """Its id at DigitalOcean."""
    address: str | None
    """The droplet's public IPv4 address."""
    host_key: str | None
    """The droplet's SSH host key as it was pinned: its type and the key in base64. What the droplet said: it may be
    anything, see `is_host_key`."""
    database_host: str | None
    database_port: int
    tls: Tls
    certificate: str | None
    """The first 16 hexadecimal digits of the SHA-256 of the wildcard certificate that it was given."""
    database: str | None = None
    """Its cluster's id at DigitalOcean."""
    database_team: str | None = None
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    """What must not be shown: its passwords, and what signs its sessions."""

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


def instances(stack: str, exported: Mapping[str, Any]) -> Iterator[Instance]:
    """The tenants of a stack, from its state with its secrets in the open (`engine.export`)."""
    parts: dict[str, list[dict[str, Any]]] = {}
    state = [resource for resource in resources(exported) if not resource.get("delete")]
    for resource in state:
        parts.setdefault(resource.get("parent", ""), []).append(resource)
    for component in state:
        if component["type"] == TENANT:
            yield _instance(stack, component, parts.get(component["urn"], []))


def _instance(stack: str, component: Mapping[str, Any], parts: list[dict[str, Any]]) -> Instance:
    # What the parts say, and not the component's outputs: an up for some resources leaves those as they were.
    tenant, options = name(component["urn"]), component.get("inputs") or {}
    outputs = {name(it["urn"]).removeprefix(f"{tenant}-"): opened(it.get("outputs") or {}) for it in parts}
    droplet, record, cluster = (outputs.get(part, {}) for part in ("droplet", "record", "database"))
    host_key = outputs.get("host-key", {}).get("stdout") or ""
    passwords = [
        outputs[name(it["urn"]).removeprefix(f"{tenant}-")]
        for it in parts
        if it["type"] in {Type.PASSWORD, Type.CLUSTER}
    ]
    return Instance(
        tenant=tenant,
        stack=stack,
        host=record.get("fqdn") or droplet.get("name") or tenant,
        droplet=droplet.get("id"),
        address=droplet.get("ipv4Address"),
        host_key=" ".join(host_key.split()[:2]) or None,
        database_host=cluster.get("host"),
        database_port=int(cluster.get("port") or 25060),
        tls=options.get("tls", "wildcard"),
        certificate=options.get("certificate"),
        database=cluster.get("id"),
        database_team=options.get("database_team"),
        secrets=frozenset(
            it[key] for it in passwords for key in ("result", "bcryptHash", "password", "uri") if it.get(key)
        ),
    )
