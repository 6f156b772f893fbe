"""What an operation on one of a tenant's resources means for the people who use the tenant.

Pure, and the one place that says so; what replaces a resource and what changes it in place is DigitalOcean's provider's
decision, and is in the preview already.
"""

from __future__ import annotations

import re
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from meltanodata.engine.resource_types import ROLES, Type

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Severity(IntEnum):
    """How much people notice."""

    NONE = 0
    INTERRUPTION = 1
    """A restart, a downtime, a login that changes: over after some minutes, nothing is lost."""
    LOSS = 2
    """Something of the tenant's cannot be had back."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Operation(_Frozen):
    """What the engine would do with one resource."""

    op: str
    """`create`, `update`, `replace`, `delete` or `import`."""
    urn: str
    type: str
    role: str
    """The resource's name after its tenant's key: `files` of `acme-files`."""
    properties: tuple[str, ...]
    """The top-level properties that cause an update or a replacement."""
    id: str | None
    """The id of the existing object, where there is one."""
    object_name: str | None
    """Its name at DigitalOcean, where it has one."""
    idle: bool = False
    """Whether it is a Command without anything to do, see `remote.run_once_for`."""
    values: tuple[tuple[str, str], ...] = ()
    """The properties that an update sets at DigitalOcean, with their new values; without those that are secret or known
    after the apply only."""

    @property
    def wipes(self) -> bool:
        """Whether it wipes the tenant's database, which loses nothing only where the plan makes that as well."""
        changes = self.op in ("create", "update", "replace")
        return self.type == Type.COMMAND and self.role == "wipe" and changes and not self.idle

    def __str__(self) -> str:
        """In words, as in `update of acme-files (stdin)`."""
        name = self.urn.split("::", 3)[3]
        return f"{self.op} of {ROLES.get(self.type, '')} {name}".replace("  ", " ") + (
            f" ({', '.join(self.properties)})" if self.properties else ""
        )


class Effect(_Frozen):
    """One consequence, in words for a person who runs no servers."""

    text: str
    """The same for all tenants to whom the same happens."""
    severity: Severity
    about: str = ""
    """This tenant's own: a URL, a database's name."""

    def __str__(self) -> str:
        """In words, with what it is about."""
        return f"{self.text}: {self.about}" if self.about else self.text


class LoginOutcome(StrEnum):
    """What becomes of the login of a droplet that is, or was, taken over."""

    KEPT = "kept"
    PASSWORD = "password"  # noqa: S105  an outcome, no password
    """The admin gets a new password; where the droplet stays, other logins stay too."""
    ALL_NEW = "all new"
    """As before, and Meltano's secrets are made anew, so that no password fits any more."""
    OURS = "ours"
    """The droplet is one that an earlier run made: its login is the stack's already, or will be."""
    BEGUN = "begun"
    """A run that was killed began it; whether it keeps a login was said by that run's plan."""


def effects(
    change: str, operations: Iterable[Operation], options: frozenset[str], login: LoginOutcome | None = None
) -> tuple[Effect, ...]:
    """What a tenant's operations mean for people, the worst first.

    Args:
        change: what happens to the tenant as a whole, a `plan.Change`.
        operations: on its resources.
        options: those of its entry, or settings, that change.
        login: what becomes of the login that its droplet was taken over with.
    """
    found = {effect for operation in operations for effect in _effects(change, operation, options)}
    found.update(_LOGINS.get(login, ()) if login else ())
    return tuple(sorted(found, key=lambda effect: (-effect.severity, effect.text)))


def _effects(change: str, operation: Operation, options: frozenset[str]) -> Iterator[Effect]:
    op = operation.op
    match operation.type:
        case Type.DROPLET:
            yield from _droplet(change, operation)
        case Type.CLUSTER:
            yield from _cluster(change, operation)
        case Type.FIREWALL if change != "destroyed" and op in ("delete", "replace"):
            yield Effect(text="the database lets everybody in while it has no firewall", severity=Severity.LOSS)
        case Type.RECORD:
            yield from _record(change, operation)
        case Type.PASSWORD if op == "replace":
            yield Effect(text=_PASSWORDS.get(operation.role, "a new password"), severity=Severity.INTERRUPTION)
        case Type.COMMAND if op in ("create", "update", "replace") and change != "created":
            yield from _command(operation, options)
        case Type.FIREWALL | Type.MEMBERSHIP:
            return
        case unknown if op in ("delete", "replace") and unknown.startswith("digitalocean:"):
            # What it holds nobody has said here yet.
            about = operation.object_name or operation.id or ""
            yield Effect(text=f"data loss: the {_kind(unknown)} is deleted", severity=Severity.LOSS, about=about)
        case _:
            return


def _kind(type_: str) -> str:
    """What a type is called in a sentence: `domain` of `digitalocean:index/domain:Domain`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type_.rsplit(":", 1)[-1]).lower()


_PASSWORDS = {
    "admin-password": "a new login password, the old one is refused",
    "secret-key": "everybody is signed out",
    "password-salt": "every login password stops working",
}
_NEW_PASSWORD = Effect(text=_PASSWORDS["admin-password"], severity=Severity.INTERRUPTION)
_LOGINS = {
    LoginOutcome.KEPT: (Effect(text="keeps its login", severity=Severity.NONE),),
    LoginOutcome.PASSWORD: (_NEW_PASSWORD,),
    LoginOutcome.ALL_NEW: (
        _NEW_PASSWORD,
        Effect(text="every other login of the instance stops working", severity=Severity.INTERRUPTION),
    ),
    LoginOutcome.OURS: (Effect(text="its login is the one that the stack knows", severity=Severity.NONE),),
    LoginOutcome.BEGUN: (
        Effect(text="a run that was broken off goes on; its login is as that run's plan said", severity=Severity.NONE),
    ),
}

_CADDY = frozenset({"tls", "certificate", "certificate_expires", "caddy_version"})
"""What the web server alone is told of."""


_DISK = "its disk (Meltano project, uploads)"


def _droplet(change: str, operation: Operation) -> Iterator[Effect]:
    url = f"https://{operation.object_name}" if operation.object_name else ""
    match change, operation.op:
        case "created", "create":
            yield Effect(text="new URL", severity=Severity.NONE, about=url)
        case "destroyed", _:
            yield Effect(text=f"data loss: the droplet is deleted with {_DISK}", severity=Severity.LOSS)
            yield Effect(text="the URL is gone", severity=Severity.INTERRUPTION, about=url)
        case _, "replace":
            text = "data loss: the droplet's disk (Meltano project, uploads) starts anew from the snapshot"
            yield Effect(text=text, severity=Severity.LOSS)
            text = "downtime of some minutes until the new droplet answers, at a new address"
            yield Effect(text=text, severity=Severity.INTERRUPTION)
        case _, "create":
            text = "a new droplet from the snapshot, at a new address"
            yield Effect(text=text, severity=Severity.INTERRUPTION)
        case _, "delete":
            text = f"data loss: the droplet is deleted with {_DISK}, and its URL is gone"
            yield Effect(text=text, severity=Severity.LOSS, about=url)
        case _, ("update" | "import") if "size" in operation.properties:
            text = "downtime of some minutes: the droplet is powered off, resized and powered on"
            yield Effect(text=text, severity=Severity.INTERRUPTION)


def _record(change: str, operation: Operation) -> Iterator[Effect]:
    if operation.op == "delete" and change != "destroyed":
        yield Effect(text="the host name stops working", severity=Severity.INTERRUPTION)
    elif operation.op in {"update", "replace", "import"}:
        if "value" in operation.properties:
            text = "the host name moves to another address; resolvers keep the old one for up to an hour"
            yield Effect(text=text, severity=Severity.INTERRUPTION)
        if "name" in operation.properties:
            text = "another host name: the old one stops working, and everybody signs in anew"
            yield Effect(text=text, severity=Severity.INTERRUPTION)


def _cluster(change: str, operation: Operation) -> Iterator[Effect]:
    name = operation.object_name or operation.id or ""
    match change, operation.op:
        case _, "delete":
            text = "data loss: the database is deleted with its backups"
            yield Effect(text=text, severity=Severity.LOSS, about=name)
        case _, "replace":
            text = "data loss: the database is deleted with its backups, an empty one takes its place"
            yield Effect(text=text, severity=Severity.LOSS, about=name)
        case (("changed" | "replaced"), "create"):
            yield Effect(text="a new, empty database", severity=Severity.INTERRUPTION)
        case _, ("update" | "import") if {"size", "version", "region", "nodeCount"} & set(operation.properties):
            text = "connections to the database break off while it moves to new machines"
            yield Effect(text=text, severity=Severity.INTERRUPTION)


def _command(operation: Operation, options: frozenset[str]) -> Iterator[Effect]:
    match operation.role:
        case "files" if options and options <= _CADDY:
            yield Effect(text="the web server restarts (seconds)", severity=Severity.INTERRUPTION)
        case "files":
            text = "restart of the services whose files differ (seconds)"
            yield Effect(text=text, severity=Severity.INTERRUPTION)
        case "meltano" if "meltano_version" in options:
            yield Effect(text="Meltano is upgraded and restarts (a minute)", severity=Severity.INTERRUPTION)
        case "wipe" if operation.wipes:
            text = "data loss: the demo's database is wiped but for the schema public"
            yield Effect(text=text, severity=Severity.LOSS)
