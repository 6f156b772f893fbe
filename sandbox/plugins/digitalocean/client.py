"""The provider's HTTP client: its settings, its retries, its rate limit and its error messages.

Source: godo, DigitalOcean's client for Go, as terraform-provider-digitalocean configures it. Requests have no time
limit, and every method is retried, POST too.
"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import ipaddress
import json
import math
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

import httpx

from sandbox.plugins.package import ProviderError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
_PER_PAGE: Final = 200


class ApiError(ProviderError):
    """The API answered with an error, at the last of all tries."""

    def __init__(self, method: str, url: str, response: httpx.Response, tries: int | None) -> None:
        try:
            body = response.json()
        except ValueError:
            body = None
        said = body if isinstance(body, dict) else {"message": response.text}
        self.status = response.status_code
        self.message = str(said.get("message", ""))
        request = said.get("request_id") or response.headers.get("x-request-id")
        number = f' (request "{request}")' if request else ""
        given_up = f"; giving up after {tries} attempt(s)" if tries else ""
        super().__init__(f"{method} {url}: {self.status}{number} {self.message}{given_up}")


class NotFound(ApiError):  # noqa: N818 -- what it is, not that it is wrong
    """The API answered 404."""


class Unreachable(ProviderError):  # noqa: N818
    """There was no answer, at the last of all tries."""


@contextlib.contextmanager
def explained(doing: str) -> Iterator[None]:
    """Put what was being done in front of what went wrong."""
    try:
        yield
    except ProviderError as error:
        error.args = (f"{doing}: {error}",)
        raise


@dataclass(frozen=True)
class Settings:
    """A provider's configuration; times in seconds."""

    token: str
    endpoint: str
    retry_max: int
    retry_wait_min: float
    retry_wait_max: float
    requests_per_second: float
    """0 is no limit."""

    @classmethod
    def of(cls, inputs: Mapping[str, Any]) -> Settings:
        """The settings in a provider's inputs; what they lack comes from the environment, else is the default.

        Raises:
            ProviderError: A value is of the wrong type, or the endpoint is not a sandbox's.
        """

        def setting(name: str, variables: tuple[str, ...], default: Any) -> Any:
            value = inputs.get(name)
            if isinstance(value, str) and not isinstance(default, str):
                value = _decoded(name, value)  # the SDKs send numbers as JSON
            if value is None:
                value = next((os.environ[variable] for variable in variables if os.environ.get(variable)), default)
            try:
                return type(default)(value)
            except (TypeError, ValueError):
                raise ProviderError(f"provider digitalocean: {name} must be a number, not {value!r}") from None

        endpoint = setting("apiEndpoint", ("DIGITALOCEAN_API_URL",), "https://api.digitalocean.com")
        if not _is_loopback(endpoint):
            raise ProviderError(
                f"provider digitalocean: this plugin is the sandbox's stand-in and does not speak to {endpoint}: "
                "set apiEndpoint to the sandbox's address, or run without PULUMI_DEBUG_PROVIDERS for the real plugin"
            )
        return cls(
            token=setting("token", ("DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN"), ""),
            endpoint=endpoint,
            retry_max=setting("httpRetryMax", ("DIGITALOCEAN_HTTP_RETRY_MAX",), 4),
            retry_wait_min=setting("httpRetryWaitMin", ("DIGITALOCEAN_HTTP_RETRY_WAIT_MIN",), 1.0),
            retry_wait_max=setting("httpRetryWaitMax", ("DIGITALOCEAN_HTTP_RETRY_WAIT_MAX",), 30.0),
            requests_per_second=setting("requestsPerSecond", ("DIGITALOCEAN_REQUESTS_PER_SECOND",), 0.0),
        )


def _decoded(name: str, text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        raise ProviderError(f"provider digitalocean: {name} must be a number, not {text!r}") from None


def _is_loopback(endpoint: str) -> bool:
    host = urlsplit(endpoint).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class TokenBucket:
    """Lets one request through at once, and then so many a second."""

    def __init__(self, per_second: float) -> None:
        self._gap = 1 / per_second
        self._next = -math.inf

    async def take(self) -> None:
        """Wait for one's turn."""
        now = asyncio.get_running_loop().time()
        turn = max(now, self._next)
        self._next = turn + self._gap
        await asyncio.sleep(turn - now)


class Client:
    """One provider's way to the API."""

    def __init__(self, settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """A transport other than the network is for tests."""
        self._settings = settings
        self._bucket = TokenBucket(settings.requests_per_second) if settings.requests_per_second > 0 else None
        root = urlsplit(settings.endpoint)
        self._root = f"{root.scheme}://{root.netloc}"  # a path in the endpoint is dropped
        # A connection a request: the end of the engine is not announced, so nothing may stay open.
        self._http = httpx.AsyncClient(
            headers={
                "Authorization": f"Bearer {settings.token}",
                "Accept": "application/json",
                "User-Agent": "digitalocean stand-in plugin",
            },
            timeout=None,  # noqa: S113 -- as the provider
            limits=httpx.Limits(max_keepalive_connections=0),
            trust_env=False,
            transport=transport,
        )

    async def send(self, method: Method, path: str, body: Any = None) -> Any:
        """The answer's JSON; None when it has none.

        Args:
            method: The HTTP method.
            path: With its query, such as `/v2/droplets?page=1`.
            body: Sent as JSON.

        Raises:
            NotFound: The API answered 404.
            ApiError: It answered with another error.
            Unreachable: It did not answer.
        """
        if self._bucket:
            await self._bucket.take()  # retries do not wait for it
        url = self._root + path
        tries = 0
        while True:
            tries += 1
            response: httpx.Response | None = None
            try:
                response = await self._http.request(method, url, json=body)
            except httpx.TransportError as error:
                if tries > self._settings.retry_max:
                    raise Unreachable(f'{method.title()} "{url}": {_reason(error, url)}') from error
            if response is not None and not _retried(response):
                return _answer(method, url, response, None)
            if response is not None and tries > self._settings.retry_max:
                return _answer(method, url, response, tries if self._settings.retry_max > 0 else None)
            await asyncio.sleep(self._pause(tries - 1, response))

    async def pages(self, path: str, key: str, query: str = "") -> list[Any]:
        """All objects of a list, such as `/v2/droplets` with the key `droplets`, which a query such as `&a=b` cuts."""
        found: list[Any] = []
        page = 1
        while True:
            answer = await self.send("GET", f"{path}?page={page}&per_page={_PER_PAGE}{query}")
            found += answer[key] or []
            pages = (answer.get("links") or {}).get("pages") or {}
            if not pages.get("next"):
                return found
            page += 1

    def _pause(self, tries: int, response: httpx.Response | None) -> float:
        asked = _retry_after(response) if response is not None else None
        if asked is not None:
            return asked
        return min(self._settings.retry_wait_min * 2.0**tries, self._settings.retry_wait_max)


def _retried(response: httpx.Response) -> bool:
    status = response.status_code
    return status == httpx.codes.TOO_MANY_REQUESTS or (
        status >= httpx.codes.INTERNAL_SERVER_ERROR and status != httpx.codes.NOT_IMPLEMENTED
    )


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds that the API asks to wait for; it may, with 429 and 503."""
    value = response.headers.get("retry-after", "")
    if response.status_code not in (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE):
        return None
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _answer(method: str, url: str, response: httpx.Response, tries: int | None) -> Any:
    if response.status_code == httpx.codes.NOT_FOUND:
        raise NotFound(method, url, response, tries)
    if not response.is_success:
        raise ApiError(method, url, response, tries)
    if response.status_code == httpx.codes.NO_CONTENT or not response.content:
        return None
    try:
        return response.json()
    except ValueError as error:
        raise ProviderError(f"{method} {url}: the answer is not JSON: {error}") from error


def _reason(error: httpx.TransportError, url: str) -> str:
    """What the system says, which httpx hides below its own message."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConnectionRefusedError):
            return f"dial tcp {urlsplit(url).netloc}: connect: connection refused"
        cause = cause.__cause__ or cause.__context__
    return "EOF" if isinstance(error, httpx.RemoteProtocolError) else str(error) or type(error).__name__
