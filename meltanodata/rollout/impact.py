"""What an operation on one of a tenant's resources means for the people who use the tenant.

Pure, and the only place that says so. Whether a change replaces a resource or updates it in place is the decision of
DigitalOcean's provider, and is in the preview already.
"""

from __future__ import annotations

import re
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, TypeAlias

from pydantic import BaseModel, ConfigDict

from meltanodata.engine.resource_types import ROLES, Type

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


class Severity(IntEnum):
    """How much a change affects people."""

    NONE = 0
    INTERRUPTION = 1
    """A restart, a downtime, a changed login: over after some minutes, and nothing is lost."""
    LOSS = 2
    """Data of the tenant is lost for good."""


class Frozen(BaseModel):
    """A part of a plan, which a plan's file has too."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Operation(Frozen):
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
    """The id of the existing object, if there is one."""
    object_name: str | None
    """Its name at DigitalOcean, if it has one."""
    idle: bool = False
    """Whether it is a Command that does nothing, see `remote.run_once_for`."""
    values: tuple[tuple[str, str], ...] = ()
    """The properties that an update sets at DigitalOcean, with their new values; without secrets and values that are
    known only after the apply."""

    @property
    def wipes(self) -> bool:
        """Whether it wipes the tenant's database, which loses data unless the same plan creates the database."""
        changes = self.op in ("create", "update", "replace")
        return self.type == Type.COMMAND and self.role == "wipe" and changes and not self.idle

    def __str__(self) -> str:
        """In words, as in `update of acme-files (stdin)`."""
        name = self.urn.split("::", 3)[3]
        return f"{self.op} of {ROLES.get(self.type, '')} {name}".replace("  ", " ") + (
            f" ({', '.join(self.properties)})" if self.properties else ""
        )


class Effect(Frozen):
    """One consequence, in words for people who run no servers."""

    text: str
    """The same for all tenants with the same consequence."""
    severity: Severity
    about: str = ""
    """What is this tenant's own: a URL, a cluster's name."""

    def __str__(self) -> str:
        """In words, with what it is about."""
        return f"{self.text}: {self.about}" if self.about else self.text


class LoginOutcome(StrEnum):
    """What happens to the login of a droplet that is, or was, adopted."""

    KEPT = "kept"
    PASSWORD = "password"  # noqa: S105  an outcome, no password
    """The admin gets a new password; other logins stay if the droplet stays."""
    ALL_NEW = "all new"
    """Likewise, and Meltano's secrets are replaced, so that no other password works any more."""
    OURS = "ours"
    """An earlier run created the droplet, so its login is the stack's."""
    BEGUN = "begun"
    """A killed run has begun the adoption; that run's plan said whether the login is kept."""


Options: TypeAlias = "Mapping[str, tuple[str | None, str | None]]"
"""The options of an entry, or settings, that change, each with its value before and after; None is none."""


def effects(
    change: str,
    operations: Iterable[Operation],
    options: Options,
    login: LoginOutcome | None = None,
    *,
    self_signed: bool = False,
) -> tuple[Effect, ...]:
    """What a tenant's operations mean for people, the worst first.

    Args:
        change: what happens to the tenant as a whole, a `plan.Change`.
        operations: on its resources.
        options: what changes of its entry.
        login: what happens to the login that its droplet was adopted with.
        self_signed: whether it gets a self-signed certificate.
    """
    found = {effect for operation in operations for effect in _effects(change, operation, options)}
    if self_signed:
        found.add(_interrupted("browsers warn of its certificate, which Caddy makes itself"))
    found.update(_LOGINS.get(login, ()) if login else ())
    return tuple(sorted(found, key=lambda effect: (-effect.severity, effect.text)))


def _effects(change: str, operation: Operation, options: Options) -> Iterator[Effect]:
    op = operation.op
    match operation.type:
        case Type.DROPLET:
            yield from _droplet(change, operation)
        case Type.CLUSTER:
            yield from _cluster(change, operation)
        case Type.FIREWALL if change != "destroyed" and op in ("delete", "replace"):
            yield _lost("the cluster accepts connections from everybody while it has no firewall")
        case Type.RECORD:
            yield from _record(change, operation)
        case Type.PASSWORD if op == "replace":
            yield _interrupted(_PASSWORDS.get(operation.role, "a new password"))
        case Type.COMMAND if op in ("create", "update", "replace") and change != "created":
            yield from _command(operation, options)
        case Type.FIREWALL | Type.MEMBERSHIP:
            return
        case unknown if op in ("delete", "replace") and unknown.startswith("digitalocean:"):
            # Nothing here says yet what such a resource holds.
            yield _lost(f"data loss: the {_kind(unknown)} is deleted", operation.object_name or operation.id or "")
        case _:
            return


def _harmless(text: str, about: str = "") -> Effect:
    return Effect(text=text, severity=Severity.NONE, about=about)


def _interrupted(text: str, about: str = "") -> Effect:
    return Effect(text=text, severity=Severity.INTERRUPTION, about=about)


def _lost(text: str, about: str = "") -> Effect:
    return Effect(text=text, severity=Severity.LOSS, about=about)


def _kind(type_: str) -> str:
    """A type's name in a sentence: `domain` for `digitalocean:index/domain:Domain`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type_.rsplit(":", 1)[-1]).lower()


_PASSWORDS = {
    "admin-password": "a new login password; the old one stops working",
    "secret-key": "all users are signed out",
    "password-salt": "every login password stops working",
}
_NEW_PASSWORD = _interrupted(_PASSWORDS["admin-password"])
_LOGINS = {
    LoginOutcome.KEPT: (_harmless("keeps its login"),),
    LoginOutcome.PASSWORD: (_NEW_PASSWORD,),
    LoginOutcome.ALL_NEW: (_NEW_PASSWORD, _interrupted("every other login of the instance stops working")),
    LoginOutcome.OURS: (_harmless("its login is the one in the stack's state"),),
    LoginOutcome.BEGUN: (_harmless("an interrupted adoption continues; its login is as that run's plan said"),),
}

_CADDY = frozenset({"tls", "certificate", "certificate_expires", "caddy_version"})
"""The options that concern only the web server."""


_DISK = "its disk (Meltano project, uploads)"


def _droplet(change: str, operation: Operation) -> Iterator[Effect]:
    url = f"https://{operation.object_name}" if operation.object_name else ""
    match change, operation.op:
        case "created", "create":
            yield _harmless("new URL", url)
        case "destroyed", _:
            yield _lost(f"data loss: the droplet is deleted with {_DISK}")
            yield _interrupted("the URL stops working", url)
        case _, "replace":
            yield _lost(f"data loss: the droplet is replaced, and {_DISK} starts again from the snapshot")
            yield _interrupted("some minutes of downtime until the new droplet answers, at a new address")
        case _, "create":
            yield _interrupted("a new droplet from the snapshot, at a new address")
        case _, "delete":
            yield _lost(f"data loss: the droplet is deleted with {_DISK}, and its URL stops working", url)
        case _, ("update" | "import") if "size" in operation.properties:
            yield _interrupted("some minutes of downtime: the droplet is powered off, resized and powered on")


def _record(change: str, operation: Operation) -> Iterator[Effect]:
    if operation.op == "delete" and change != "destroyed":
        yield _interrupted("the host name stops working")
    elif operation.op in {"update", "replace", "import"}:
        if "value" in operation.properties:
            yield _interrupted("the host name moves to another address; resolvers cache the old one for up to an hour")
        if "name" in operation.properties:
            yield _interrupted("another host name: the old one stops working, and everybody has to log in again")


def _cluster(change: str, operation: Operation) -> Iterator[Effect]:
    name = operation.object_name or operation.id or ""
    match change, operation.op:
        case _, "delete":
            yield _lost("data loss: the database is deleted with its backups", name)
        case _, "replace":
            yield _lost("data loss: the database is deleted with its backups, and an empty one replaces it", name)
        case (("changed" | "replaced"), "create"):
            yield _interrupted("a new, empty database")
        case _, ("update" | "import") if {"size", "version", "region", "nodeCount"} & set(operation.properties):
            yield _interrupted("database connections are interrupted while the cluster moves to new machines")


def _command(operation: Operation, options: Options) -> Iterator[Effect]:
    match operation.role:
        case "files" if options and options.keys() <= _CADDY:
            yield _interrupted("the web server restarts (seconds)")
        case "files":
            yield _interrupted("services whose files differ restart (seconds)")
        case "meltano" if "meltano_version" in options:
            yield _version(*options["meltano_version"])
        case "wipe" if operation.wipes:
            yield _lost("data loss: the demo's database is wiped, except for the schema public")


def _version(before: str | None, after: str | None) -> Effect:
    """About another version of Meltano; the droplet may have any while its entry names none."""
    if after is None:
        return _harmless("Meltano keeps its version")
    if before is None or _numbers(before) == _numbers(after):
        return _interrupted("Meltano of this version is installed and restarts (a minute), unless it is there already")
    older = _numbers(after) < _numbers(before)
    return _interrupted(f"Meltano is {'downgraded' if older else 'upgraded'} and restarts (a minute)")


def _numbers(version: str) -> list[int]:
    """The same for 2.20 and 2.20.0, as pip has it."""
    # No more of it: a pull request's own code wrote the plan that is read.
    return [int(number) for number in re.findall(r"[0-9]{1,9}", re.sub(r"(\.0+)+$", "", version[:40]))]
