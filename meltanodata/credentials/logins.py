"""The admins' logins as a stack knows them, and what has to be done for them in a vault of 1Password. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from meltanodata.config.object_names import record_of
from meltanodata.text import listing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from meltanodata.engine.stack_state import StackState


@dataclass(frozen=True)
class Login:
    """A tenant's admin login."""

    tenant: str
    host: str
    """The instance's host name: title and website of its item in 1Password, as the guide's step 4 has it."""
    user: str | None
    password: SecretStr | None
    """None before the instance has been made, and after a run that did not get so far; nor where it is `kept`."""
    kept: bool
    """Whether the instance was taken over with the login that it had, which the stack does not know."""


def logins(state: StackState, outputs: Mapping[str, Any], domain: str) -> list[Login]:
    """The login of every tenant in a stack's state, also of those that are not finished yet, by the tenant's name.

    Args:
        state: the stack's.
        outputs: see `pulumi_cli.outputs`.
        domain: the tenants'.
    """
    known: Mapping[str, Mapping[str, Any]] = outputs.get("tenants") or {}
    found = []
    for key, tenant in state.tenants.items():
        output = known.get(key) or {}
        password = output.get("admin_password")
        host = f"{record_of(key, tenant.options)}.{domain}"
        secret = SecretStr(password) if password else None
        found.append(Login(key, host, output.get("admin_user"), secret, tenant.options.keeps_login))
    return sorted(found, key=lambda login: login.tenant)


@dataclass(frozen=True)
class Content:
    """What a login item says."""

    user: str | None
    password: SecretStr | None
    website: str | None
    """The first one."""


@dataclass(frozen=True)
class Item:
    """A login item of the vault."""

    id: str
    title: str
    tags: frozenset[str]
    content: Content | None = None
    """None where it was not looked into."""


class Action(StrEnum):
    """What happens to an item."""

    CREATE = "create"
    UPDATE = "update"
    REMOVE = "remove"
    NONE = "unchanged"
    REFUSED = "left as it is"
    """Although something is to be mended first."""


@dataclass(frozen=True)
class Step:
    """What happens to one item, and why."""

    action: Action
    title: str
    why: str
    login: Login | None = None
    item: Item | None = None


def steps(logins: Sequence[Login], items: Sequence[Item], tag: str, only: Collection[str], domain: str) -> list[Step]:
    """What makes a vault match the logins, by title; a second time nothing is left to do.

    Args:
        logins: of every tenant in the stack's state.
        items: the vault's login items; the contents of those that have the tag, but for logins that are not meant.
        tag: what marks the items that this program made, or was given. It changes and removes no others.
        only: the tenants that are meant; empty for all.
        domain: the tenants'.
    """
    ours: dict[str, list[Item]] = defaultdict(list)
    others: set[str] = set()
    for item in items:
        if tag in item.tags:
            ours[item.title].append(item)
        else:
            others.add(item.title)
    found: list[Step] = []
    hosts = {login.host for login in logins}
    for login in logins:
        if not only or login.tenant in only:
            mine = ours.get(login.host) or _called_otherwise(login, ours, hosts)
            found += _of_login(login, mine, tag, by_hand=login.host in others)
    named = {f"{tenant}.{domain}" for tenant in only}
    for title, mine in ours.items():
        if title not in hosts and (not only or title in named):
            left = [item for item in mine if item not in {step.item for step in found}]
            found += [Step(Action.REMOVE, title, "there is no such tenant any more", item=item) for item in left]
    return sorted(found, key=lambda step: step.title)


def _called_otherwise(login: Login, ours: Mapping[str, Sequence[Item]], hosts: Collection[str]) -> list[Item]:
    """The item of a tenant whose host name has changed: it has the login's password, and no tenant its title."""
    if login.password is None:
        return []
    gone = [item for title, items in ours.items() if title not in hosts for item in items]
    return [item for item in gone if item.content is not None and item.content.password == login.password][:1]


def _of_login(login: Login, mine: Sequence[Item], tag: str, *, by_hand: bool) -> Iterator[Step]:
    if login.kept:
        yield Step(Action.NONE, login.host, "it was taken over with its login, which is where it was noted then", login)
        return
    if login.password is None:
        why = f"the last run did not get as far as the login of {login.tenant}; meltanodata up goes on with it"
        yield Step(Action.REFUSED, login.host, why, login)
        return
    if not mine and by_hand:
        why = f"an item of this name was made by hand: give it the tag {tag}, and it is kept up to date; or delete it"
        yield Step(Action.REFUSED, login.host, why, login)
        return
    if not mine:
        yield Step(Action.CREATE, login.host, "a new tenant", login)
        return
    first, *more = mine
    differs = [*(["host name"] if first.title != login.host else []), *_differences(login, first.content)]
    yield Step(
        Action.UPDATE if differs else Action.NONE,
        login.host,
        f"another {listing(differs, 'and')}" if differs else "",
        login,
        first,
    )
    yield from (Step(Action.REMOVE, login.host, "a second item of this name", item=item) for item in more)


def _differences(login: Login, content: Content | None) -> Iterator[str]:
    if content is None:
        raise ValueError(f"the item {login.host} was not looked into")
    if content.user != login.user:
        yield "user name"
    if content.password != login.password:
        yield "password"
    if not is_website(content.website, login.host):
        yield "website"


def is_website(address: str | None, host: str) -> bool:
    """Whether an item's website is a host's; whoever completed it to an address in 1Password has not changed it."""
    return (address or "").removeprefix("https://").rstrip("/") == host


def unknown(only: Iterable[str], logins: Iterable[Login], found: Iterable[Step], domain: str) -> list[str]:
    """The tenants named that have neither a login nor an item."""
    known = {login.tenant for login in logins} | {step.title.removesuffix(f".{domain}") for step in found}
    return sorted(set(only) - known)
