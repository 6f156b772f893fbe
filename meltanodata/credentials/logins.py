"""The admin logins of a stack, and what must change in a vault of 1Password so that it has them. Pure."""

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
    """None before a run has created the login, and if it is `kept`."""
    kept: bool
    """Whether the instance was adopted with its existing login, which the stack does not have."""


def logins(state: StackState, outputs: Mapping[str, Any], domain: str) -> list[Login]:
    """The login of every tenant in a stack's state, unfinished ones included, in the order of their names.

    Args:
        state: the stack's.
        outputs: see `pulumi_cli.outputs`.
        domain: the tenants'.
    """
    outputs_of: Mapping[str, Mapping[str, Any]] = outputs.get("tenants") or {}
    found = []
    for key, tenant in state.tenants.items():
        output = outputs_of.get(key) or {}
        password = output.get("admin_password")
        host = f"{record_of(key, tenant.options)}.{domain}"
        secret = SecretStr(password) if password else None
        found.append(Login(key, host, output.get("admin_user"), secret, tenant.options.keeps_login))
    return sorted(found, key=lambda login: login.tenant)


@dataclass(frozen=True)
class Content:
    """The content of a login item."""

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
    """None if it was not read."""


class Action(StrEnum):
    """What happens to an item."""

    CREATE = "create"
    UPDATE = "update"
    REMOVE = "remove"
    NONE = "unchanged"
    REFUSED = "left as it is"
    """Although it should change: something needs to be fixed first."""


@dataclass(frozen=True)
class Step:
    """What happens to one item, and why."""

    action: Action
    title: str
    why: str
    login: Login | None = None
    item: Item | None = None


def steps(logins: Sequence[Login], items: Sequence[Item], tag: str, only: Collection[str], domain: str) -> list[Step]:
    """The steps that make a vault match the logins, by title. After them there are none.

    Args:
        logins: of every tenant in the stack's state.
        items: the vault's login items, with the contents of the tagged items of the selected tenants.
        tag: marks the items that this program may change and remove.
        only: the selected tenants; empty for all.
        domain: the tenants'.
    """
    tagged: dict[str, list[Item]] = defaultdict(list)
    others: set[str] = set()
    for item in items:
        if tag in item.tags:
            tagged[item.title].append(item)
        else:
            others.add(item.title)
    found: list[Step] = []
    hosts = {login.host for login in logins}
    for login in logins:
        if not only or login.tenant in only:
            items_of = tagged.get(login.host) or _renamed(login, tagged, hosts)
            found += _of_login(login, items_of, tag, by_hand=login.host in others)
    named = {f"{tenant}.{domain}" for tenant in only}
    for title, items_of in tagged.items():
        if title not in hosts and (not only or title in named):
            left = [item for item in items_of if item not in {step.item for step in found}]
            found += [Step(Action.REMOVE, title, "the tenant was removed", item=item) for item in left]
    return sorted(found, key=lambda step: step.title)


def _renamed(login: Login, tagged: Mapping[str, Sequence[Item]], hosts: Collection[str]) -> list[Item]:
    """The item of a tenant whose host name changed: it has the login's password, and its title is no tenant's."""
    if login.password is None:
        return []
    gone = [item for title, items in tagged.items() if title not in hosts for item in items]
    return [item for item in gone if item.content is not None and item.content.password == login.password][:1]


def _of_login(login: Login, items: Sequence[Item], tag: str, *, by_hand: bool) -> Iterator[Step]:
    if login.kept:
        yield Step(Action.NONE, login.host, "adopted with its existing login, which the stack does not have", login)
        return
    if login.password is None:
        why = f"the last run ended before it created the login of {login.tenant}. Run meltanodata up, which continues"
        yield Step(Action.REFUSED, login.host, why, login)
        return
    if not items and by_hand:
        why = f"an item of this name exists without the tag {tag}. Add the tag to have it updated, or delete the item"
        yield Step(Action.REFUSED, login.host, why, login)
        return
    if not items:
        yield Step(Action.CREATE, login.host, "a new tenant", login)
        return
    first, *more = items
    differs = [*(["host name"] if first.title != login.host else []), *_differences(login, first.content)]
    yield Step(
        Action.UPDATE if differs else Action.NONE,
        login.host,
        f"new {listing(differs, 'and')}" if differs else "",
        login,
        first,
    )
    yield from (Step(Action.REMOVE, login.host, "a duplicate item of this name", item=item) for item in more)


def _differences(login: Login, content: Content | None) -> Iterator[str]:
    if content is None:
        raise ValueError(f"the item {login.host} was not read")
    if content.user != login.user:
        yield "user name"
    if content.password != login.password:
        yield "password"
    if not is_website(content.website, login.host):
        yield "website"


def is_website(address: str | None, host: str) -> bool:
    """Whether an item's website is a host's, as a host name or as its address."""
    return (address or "").removeprefix("https://").rstrip("/") == host


def unknown(only: Iterable[str], logins: Iterable[Login], found: Iterable[Step], domain: str) -> list[str]:
    """The selected tenants that have neither a login nor an item."""
    known = {login.tenant for login in logins} | {step.title.removesuffix(f".{domain}") for step in found}
    return sorted(set(only) - known)
