"""What `pulumi preview --json` prints, built by hand in the engine's shape.

One valid tenant is `tenant()`; each test breaks or changes one thing. That the engine really prints this is shown in
tests/sandbox/test_story.py.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from meltanodata.engine.resource_types import Type

Step: TypeAlias = dict[str, Any]

STACK = "prod"
PREFIX = f"urn:pulumi:{STACK}::meltanodata::"
COMPONENT = "meltanodata:index:Tenant"
ROOT = f"{PREFIX}pulumi:pulumi:Stack::meltanodata-{STACK}"
PROJECT = "digitalocean:index/projectResources:ProjectResources"

OPTIONS: dict[str, Any] = {
    "database_team": "MeltanoData DBs 1",
    "region": "nyc3",
    "droplet_size": "s-2vcpu-2gb",
    "database_size": "db-s-1vcpu-1gb",
    "database_version": "16",
    "tls": "wildcard",
    "demo": False,
    "admin_password_generation": 1,
    "rebuild": 0,
    "caddy_version": 1,
    "certificate": "5f1c09ab5f1c09ab",
    "certificate_expires": "2027-01-31",
}
"""What a tenant's component says of it, defaults filled in."""

CHILDREN = {
    "droplet": Type.DROPLET,
    "project": PROJECT,
    "record": Type.RECORD,
    "database": Type.CLUSTER,
    "firewall": Type.FIREWALL,
    "admin-password": Type.PASSWORD,
    "secret-key": Type.PASSWORD,
    "password-salt": Type.PASSWORD,
    "host-key": Type.COMMAND,
    "files": Type.COMMAND,
    "meltano": Type.COMMAND,
    "verify": Type.COMMAND,
    "wipe": Type.COMMAND,
}


def options(**changes: Any) -> dict[str, Any]:
    """A tenant's options, with some changed."""
    return {**OPTIONS, **changes}


def urn(key: str, role: str | None = None) -> str:
    """A tenant's component, or the resource of it that has this role."""
    return f"{PREFIX}{COMPONENT}::{key}" if role is None else f"{PREFIX}{COMPONENT}${CHILDREN[role]}::{key}-{role}"


def component(op: str, key: str, old: dict[str, Any] | None = None, new: dict[str, Any] | None = None) -> Step:
    """A step on the component, with its options before and after."""
    return _step(op, urn(key), ROOT, old, new)


def child(
    op: str,
    key: str,
    role: str,
    old: dict[str, Any] | None = None,
    new: dict[str, Any] | None = None,
    **more: Any,
) -> Step:
    """A step on one of a tenant's resources, with its inputs before and after."""
    step = _step(op, urn(key, role), urn(key), old, new)
    step.update(more)
    return step


def _step(op: str, name: str, parent: str, old: dict[str, Any] | None, new: dict[str, Any] | None) -> Step:
    kind = name.split("::")[2].rsplit("$", 1)[-1]

    def state(inputs: dict[str, Any]) -> dict[str, Any]:
        return {"urn": name, "custom": kind != COMPONENT, "type": kind, "inputs": inputs, "parent": parent}

    step: Step = {"op": op, "urn": name, "detailedDiff": None}
    if old is not None:
        step["oldState"] = {**state(old), "id": f"id-of-{name.rsplit('::', 1)[1]}"}
    if new is not None:
        step["newState"] = state(new)
    return step


def inputs(key: str, role: str) -> dict[str, Any]:
    """What matters of a resource's inputs."""
    match role:
        case "droplet":
            return {"name": f"{key}.meltanodata.com", "size": OPTIONS["droplet_size"], "region": "nyc3"}
        case "record":
            return {"name": key, "domain": "meltanodata.com", "type": "A", "value": "198.51.100.7"}
        case "database":
            return {"name": f"db-postgresql-nyc3-52483-{key}", "size": OPTIONS["database_size"], "version": "16"}
        case _:
            return {}


def created(key: str, **changes: Any) -> list[Step]:
    """A new tenant."""
    return [
        component("create", key, new=options(**changes)),
        *(child("create", key, role, new=inputs(key, role)) for role in CHILDREN if role != "wipe"),
    ]


def destroyed(key: str, **changes: Any) -> list[Step]:
    """A tenant whose entry is gone."""
    return [
        *(child("delete", key, role, old=inputs(key, role)) for role in reversed(CHILDREN) if role != "wipe"),
        component("delete", key, old=options(**changes)),
    ]


def imported(key: str, role: str, id_: str) -> Step:
    """A resource that is imported by an object's id; a record's is `domain,number`."""
    step = child("import", key, role, new=inputs(key, role))
    step["newState"]["importID"] = id_
    return step


def updated(key: str, role: str, *properties: str) -> Step:
    """A resource that changes in place."""
    before, after = inputs(key, role), inputs(key, role)
    for name in properties:
        before[name], after[name] = "[secret]", "[secret]"
    return child("update", key, role, before, after, diffReasons=list(properties))


def replaced(key: str, role: str, *properties: str) -> Step:
    """A resource that is replaced."""
    return child("replace", key, role, inputs(key, role), inputs(key, role), replaceReasons=list(properties))


def renewed(key: str) -> list[Step]:
    """A tenant whose droplet gets a new certificate."""
    new = options(certificate="77ad03fe77ad03fe", certificate_expires="2028-01-31")
    return [
        component("update", key, OPTIONS, new),
        *(replaced(key, role, "stdin") for role in ("files", "verify")),
    ]


def preview(*steps: Step, tenants: int = 20) -> dict[str, Any]:
    """The whole output, for a stack that has so many tenants before."""
    root = {
        "op": "same",
        "urn": ROOT,
        "oldState": {"urn": ROOT, "outputs": {"tenants": {f"t{number}": {} for number in range(tenants)}}},
        "newState": {"urn": ROOT},
        "detailedDiff": None,
    }
    return {"config": {"meltanodata:domain": "meltanodata.com"}, "steps": [root, *steps], "duration": 1}
