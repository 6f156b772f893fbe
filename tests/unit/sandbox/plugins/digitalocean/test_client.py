"""The stand-in digitalocean plugin's HTTP client: settings, retries, rate, messages."""

from __future__ import annotations

import asyncio
import email.utils
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.plugins.digitalocean.client import ApiError, Client, NotFound, Settings, Unreachable, explained
from sandbox.plugins.package import ProviderError
from tests.fakes.clock import run
from tests.unit.sandbox.plugins.digitalocean.harness import DOWN, SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable


class Api(httpx.AsyncBaseTransport):
    """Answers one after the other, the last of them for ever."""

    def __init__(self, *answers: httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]) -> None:
        self._answers = answers
        self.requests: list[httpx.Request] = []
        self.times: list[float] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._answers[min(len(self.requests), len(self._answers) - 1)]
        self.requests.append(request)
        self.times.append(round(asyncio.get_running_loop().time(), 3))
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            return answer(request)
        return httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)


def answer(status: int, **headers: str) -> httpx.Response:
    body = {"id": "x", "message": "no", "request_id": "r"}
    return httpx.Response(status, json=body, headers={name.replace("_", "-"): value for name, value in headers.items()})


def send(api: Api, settings: Settings = SETTINGS, method: Any = "POST", path: str = "/v2/things") -> Any:
    return run(Client(settings, api).send(method, path, {"a": 1} if method == "POST" else None))


@pytest.mark.parametrize("fault", [answer(429), answer(500), answer(502), answer(503), DOWN])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_every_method_is_retried_with_longer_and_longer_pauses(fault: httpx.Response | Exception, method: str) -> None:
    api = Api(fault, fault, fault, fault, httpx.Response(200, json={"ok": True}))
    assert send(api, method=method) == {"ok": True}
    assert api.times == [0, 1, 3, 7, 15]


def test_pauses_have_an_upper_limit() -> None:
    api = Api(answer(500))
    with pytest.raises(ApiError):
        send(api, replace(SETTINGS, retry_max=6, retry_wait_min=2, retry_wait_max=10))
    assert api.times == [0, 2, 6, 14, 24, 34, 44]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 501])
def test_other_errors_are_final(status: int) -> None:
    api = Api(answer(status))
    with pytest.raises(ApiError, match=rf"^POST http://127.0.0.1/v2/things: {status} \(request \"r\"\) no$") as caught:
        send(api)
    assert len(api.requests) == 1
    assert caught.value.status == status
    assert isinstance(caught.value, NotFound) == (status == 404)


@pytest.mark.parametrize(("status", "pauses"), [(429, [0, 7]), (503, [0, 7]), (500, [0, 1]), (502, [0, 1])])
def test_retry_after_counts_with_429_and_503_only(status: int, pauses: list[float]) -> None:
    api = Api(answer(status, retry_after="7"), httpx.Response(204))
    assert send(api) is None
    assert api.times == pauses


def test_retry_after_may_be_a_date() -> None:
    later = email.utils.formatdate(time.time() + 90, usegmt=True)
    api = Api(answer(429, retry_after=later), httpx.Response(204))
    send(api)
    assert 85 < api.times[1] <= 90
    api = Api(answer(429, retry_after="soon"), httpx.Response(204))
    send(api)
    assert api.times == [0, 1]


def test_the_last_answer_is_the_error() -> None:
    with pytest.raises(ApiError, match=r"500 \(request \"r\"\) no; giving up after 5 attempt\(s\)$"):
        send(Api(answer(500)))
    with pytest.raises(ApiError, match=r"500 \(request \"r\"\) no$"):
        send(Api(answer(500)), replace(SETTINGS, retry_max=0))


def test_no_answer_at_all() -> None:
    reason = r'^Post "http://127.0.0.1/v2/things": dial tcp 127.0.0.1: connect: connection refused$'
    with pytest.raises(Unreachable, match=reason):
        send(Api(DOWN))
    with pytest.raises(Unreachable, match=r'^Get "http://127.0.0.1/v2/things": EOF$'):
        send(Api(httpx.RemoteProtocolError("gone")), method="GET")


def test_an_answer_that_is_not_json() -> None:
    with pytest.raises(ProviderError, match="the answer is not JSON"):
        send(Api(httpx.Response(200, text="<html>")))
    with pytest.raises(ApiError, match=r"422 plain words$"):
        send(Api(httpx.Response(422, text="plain words")))


def test_the_token_and_the_body_are_sent() -> None:
    api = Api(httpx.Response(202))
    send(api)
    assert api.requests[0].headers["authorization"] == "Bearer token"
    assert api.requests[0].headers["content-type"] == "application/json"
    assert api.requests[0].content == b'{"a":1}'


def test_a_path_in_the_endpoint_is_dropped() -> None:
    api = Api(httpx.Response(204))
    send(api, replace(SETTINGS, endpoint="http://127.0.0.1:8080/sub/"))
    assert str(api.requests[0].url) == "http://127.0.0.1:8080/v2/things"


def test_requests_come_at_their_rate_and_retries_as_they_like() -> None:
    api = Api(answer(500), httpx.Response(204))

    async def work() -> None:
        client = Client(replace(SETTINGS, requests_per_second=0.25), api)
        await asyncio.gather(*(client.send("GET", "/v2/things") for _ in range(3)))

    run(work())
    assert api.times == [0, 1, 4, 8]


@given(st.floats(0.5, 50), st.integers(1, 60))
def test_no_second_sees_more_requests_than_the_rate(rate: float, count: int) -> None:
    api = Api(httpx.Response(204))

    async def work() -> None:
        client = Client(replace(SETTINGS, requests_per_second=rate), api)
        await asyncio.gather(*(client.send("GET", "/v2/things") for _ in range(count)))

    run(work())
    assert all(later - earlier > 1 / rate - 0.002 for earlier, later in zip(api.times, api.times[1:], strict=False))


def test_lists_are_read_to_their_end() -> None:
    def page(request: httpx.Request) -> httpx.Response:
        number = int(request.url.params["page"])
        assert request.url.params["per_page"] == "200"
        assert request.url.params["a"] == "b"
        links = {"pages": {"next": "…"}} if number < 3 else {}
        return httpx.Response(200, json={"things": [number], "links": links})

    assert run(Client(SETTINGS, Api(page)).pages("/v2/things", "things", "&a=b")) == [1, 2, 3]


def test_what_was_being_done_stands_in_front() -> None:
    async def work() -> None:
        with explained("Error doing it"):
            await Client(SETTINGS, Api(answer(404))).send("GET", "/v2/things")

    with pytest.raises(NotFound, match=r"^Error doing it: GET http://127.0.0.1/v2/things: 404"):
        run(work())


def test_settings_come_from_the_inputs_the_environment_or_are_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIGITALOCEAN_API_URL", "http://127.0.0.1:5")
    assert Settings.of({}) == Settings("", "http://127.0.0.1:5", 4, 1.0, 30.0, 0.0)
    monkeypatch.setenv("DIGITALOCEAN_ACCESS_TOKEN", "access")
    assert Settings.of({}).token == "access"
    monkeypatch.setenv("DIGITALOCEAN_TOKEN", "first")
    monkeypatch.setenv("DIGITALOCEAN_HTTP_RETRY_MAX", "9")
    monkeypatch.setenv("DIGITALOCEAN_REQUESTS_PER_SECOND", "2.5")
    assert Settings.of({}) == Settings("first", "http://127.0.0.1:5", 9, 1.0, 30.0, 2.5)
    inputs = {
        "token": "mine",
        "apiEndpoint": "http://localhost:6",
        "httpRetryMax": "0",
        "httpRetryWaitMin": "0.5",
        "httpRetryWaitMax": "8",
        "requestsPerSecond": "4",
    }
    assert Settings.of(inputs) == Settings("mine", "http://localhost:6", 0, 0.5, 8.0, 4.0)


@pytest.mark.parametrize("value", ["x", '"x"', "[1]"])
def test_a_setting_of_the_wrong_type_is_refused(value: str) -> None:
    with pytest.raises(ProviderError, match="httpRetryMax must be a number"):
        Settings.of({"apiEndpoint": "http://127.0.0.1", "httpRetryMax": value})


@pytest.mark.parametrize("endpoint", [None, "https://api.digitalocean.com", "http://198.18.0.1", "x"])
def test_no_real_account_is_touched(endpoint: str | None) -> None:
    with pytest.raises(ProviderError, match="the sandbox's stand-in and does not speak to"):
        Settings.of({"apiEndpoint": endpoint})
