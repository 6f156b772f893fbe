"""A vault of 1Password, through a Connect server.

https://developer.1password.com/docs/connect/. The SDK reports most HTTP statuses in words only, and a
Connect server shows a change only after a moment; this module handles both.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpx
from onepasswordconnectsdk.client import Client, ClientConfig
from onepasswordconnectsdk.errors import OnePasswordConnectSDKError
from onepasswordconnectsdk.models import Field, ItemUrls, ItemVault
from onepasswordconnectsdk.models import Item as FullItem
from pydantic import SecretStr

from meltanodata.credentials.logins import Content, Item, Login, is_website
from meltanodata.errors import UserError
from meltanodata.text import did_you_mean, is_token, listing, show

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

HOST, TOKEN = "OP_CONNECT_HOST", "OP_CONNECT_TOKEN"
"""Environment variables, named as by 1Password's own tools."""
TIMEOUT = 30.0
"""Seconds for a connection, and for silence on it."""
PATIENCE = 60.0
"""Seconds to wait for a Connect server to show a change."""
PAUSE = 0.5
"""Seconds between two attempts."""

_LOGIN = "LOGIN"
"""The category of a login item."""


class AnswerError(UserError):
    """An unsuccessful answer.

    Attributes:
        status: HTTP's.
    """

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class Vault:
    """A vault. No error contains the token or an item's content."""

    def __init__(self, host: str, token: SecretStr, name: str) -> None:
        """Find a vault.

        Args:
            host: the Connect server's address.
            token: one for that server, with read and write access to the vault.
            name: the vault's.

        Raises:
            UserError: the server cannot be reached, or there is no such vault.
        """
        if not re.fullmatch(r"https?://[^/?#@\s]+/?", host):
            raise UserError(f"{HOST} is not the address of a server, such as http://localhost:8080")
        if not is_token(token.get_secret_value()):
            raise UserError(f"{TOKEN} is not a token: a token is one word of ASCII letters, digits and signs")
        self.name = name
        config = ClientConfig(event_hooks={"response": [self._judge]}, timeout=TIMEOUT)
        self._client = Client(host.rstrip("/"), token.get_secret_value(), config)
        self._written: dict[str, int | None] = {}
        """By an item's id the version that it must reach, or None if it must disappear."""
        with self._asking():
            vaults = [(_text(vault.name), _text(vault.id)) for vault in self._client.get_vaults()]
        found = [id_ for known, id_ in vaults if known == name]
        if len(found) != 1:
            names = sorted({known for known, _ in vaults})
            visible = f" It can read {listing(map(show, names), 'and')}." if names else ""
            many = f"{len(found)} vaults have the name {show(name)}" if found else f"there is no vault {show(name)}"
            raise UserError(
                f"1Password: {many} that the token ({TOKEN}) can read.{did_you_mean(name, names)}{visible}"
                " The setting onepassword_vault selects another vault"
            )
        self._id = found[0]

    @classmethod
    def from_environment(cls, name: str) -> Vault:
        """The vault of this name, on the server that the environment names.

        Raises:
            UserError: OP_CONNECT_HOST or OP_CONNECT_TOKEN is missing; and see `Vault`.
        """
        missing = [variable for variable in (HOST, TOKEN) if not os.environ.get(variable)]
        if missing:
            raise UserError(
                f"{' and '.join(missing)} must be set: a 1Password Connect server, and a token for it with read and"
                f" write access to the vault {show(name)}"
            )
        return cls(os.environ[HOST].strip(), SecretStr(os.environ[TOKEN].strip()), name)

    def items(self, tag: str, skipped: Collection[str], advance: Callable[[], None]) -> list[Item]:
        """The vault's login items, with the contents of those that have the tag, except for skipped titles.

        Args:
            tag: marks the items to read.
            skipped: titles of items not to read.
            advance: called after each item that was read, since each takes a request.
        """
        with self._asking():
            summaries = [it for it in self._client.get_items(self._id) if it.category == _LOGIN]
        found = []
        for it in summaries:
            tags, content = frozenset(it.tags or ()), None
            if tag in tags and it.title not in skipped:
                with self._asking():
                    content = _content(self._client.get_item_by_id(it.id, self._id))
                advance()
            found.append(Item(it.id, it.title or "", tags, content))
        return found

    def create(self, login: Login, tag: str) -> None:
        """Create the login's item, as in the guide's step 4."""
        new = FullItem(vault=ItemVault(id=self._id), title=login.host, category=_LOGIN, tags=[tag])
        _fill(new, login)
        with self._asking():
            made = self._client.create_item(self._id, new)
            self._written[made.id] = made.version

    def update(self, item: Item, login: Login) -> None:
        """Write the login into an item, its title included; what else somebody wrote there stays."""
        with self._asking():
            full = self._client.get_item_by_id(item.id, self._id)
            if item.title != login.host:
                full.title = login.host
                full.urls = [url for url in full.urls or () if not is_website(url.href, item.title)]
            _fill(full, login)
            made = self._client.update_item(item.id, self._id, full)
            self._written[item.id] = made.version

    def remove(self, item: Item) -> None:
        """Delete an item."""
        with self._asking():
            self._client.delete_item(item.id, self._id)
            self._written[item.id] = None

    def shows_what_was_written(self, patience: float = PATIENCE, pause: float = PAUSE) -> bool:
        """Whether the server shows every change, after at most a minute; until then it shows the old content."""
        deadline = time.monotonic() + patience
        while True:
            self._written = {id_: version for id_, version in self._written.items() if not self._shows(id_, version)}
            if not self._written or time.monotonic() > deadline:
                return not self._written
            time.sleep(pause)

    def _shows(self, id_: str, version: int | None) -> bool:
        try:
            with self._asking():
                found = self._client.get_item_by_id(id_, self._id)
        except AnswerError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return version is None
            raise
        return version is not None and (found.version or 0) >= version

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except httpx.HTTPError as error:
            reason = str(error.__cause__ or error) or type(error).__name__
            raise UserError(f"1Password Connect ({HOST}) cannot be reached: {reason}") from None
        except (OnePasswordConnectSDKError, AttributeError, TypeError, ValueError):
            # The error's own message would contain the server's answer.
            raise UserError(f"the answer is unexpected. Check that the server at {HOST} is 1Password Connect") from None

    def _judge(self, answer: httpx.Response) -> None:
        """Raise an error for an unsuccessful answer."""
        if answer.is_success:
            return
        match answer.status_code:
            case HTTPStatus.UNAUTHORIZED:
                message = f"the token ({TOKEN}) is refused (401). Make one for this server, and set it"
            case HTTPStatus.FORBIDDEN:
                message = f"the token ({TOKEN}) lacks a right (403): it needs read and write access to the vault"
            case HTTPStatus.NOT_FOUND:
                message = "an item was removed meanwhile (404). Run this again"
            case status:
                message = f"{answer.request.method} failed with status {status}. Run this again. If it fails again, see"
                message += " the server's log"
        raise AnswerError(answer.status_code, f"1Password, vault {show(self.name)}: {message}")


def _text(value: object) -> str:
    """A text from the SDK, which does not check types."""
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _content(full: FullItem) -> Content:
    urls = sorted(full.urls or (), key=lambda url: not url.primary)
    password = _value(full, "PASSWORD")
    return Content(
        _value(full, "USERNAME"), None if password is None else SecretStr(password), urls[0].href if urls else None
    )


def _value(full: FullItem, purpose: str) -> str | None:
    return next((field.value for field in full.fields or () if field.purpose == purpose), None)


def _fill(full: FullItem, login: Login) -> None:
    """Write a login into an item."""
    if login.password is None:
        raise ValueError(f"there is no password of {login.tenant}")
    values = {"USERNAME": login.user, "PASSWORD": login.password.get_secret_value()}
    fields: list[Any] = list(full.fields or ())
    for purpose, value in values.items():
        field = next((it for it in fields if it.purpose == purpose), None)
        if field is None:
            kind = "CONCEALED" if purpose == "PASSWORD" else "STRING"
            field = Field(id=purpose.lower(), label=purpose.lower(), purpose=purpose, type=kind)
            fields.append(field)
        field.value = value
    full.fields = fields
    urls = list(full.urls or ())
    website = next((url for url in urls if is_website(url.href, login.host)), None) or ItemUrls(href=login.host)
    full.urls = [website, *(url for url in urls if url is not website)]
    for url in full.urls:
        url.primary = url is website
