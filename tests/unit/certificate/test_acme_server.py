"""What an operator reads when an ACME server refuses; tests/sandbox/test_certificate.py has a real one."""

from __future__ import annotations

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import pytest

from meltanodata.certificate.acme_server import AcmeServer, new_key
from meltanodata.errors import UserError
from tests.fakes.http import listening

if TYPE_CHECKING:
    from collections.abc import Iterator

Answer = tuple[int, dict[str, Any], dict[str, str]]


class Fake:
    """An ACME server whose answers to `newAccount` a test gives."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.url = ""

    def problem(self, code: str, detail: str = "because", status: int = 400, **headers: str) -> None:
        self.answers.append((status, {"type": f"urn:ietf:params:acme:error:{code}", "detail": detail}, headers))

    def account(self) -> None:
        self.answers.append((201, {"status": "valid"}, {"Location": f"{self.url}/account/1"}))

    def answer(self, method: str, path: str) -> Answer:
        if path == "/dir":
            return 200, {name: f"{self.url}/{name}" for name in ("newNonce", "newAccount", "newOrder")}, {}
        return (200, {}, {}) if method == "HEAD" else self.answers.pop(0)


@pytest.fixture
def fake() -> Iterator[Fake]:
    fake = Fake()
    with served(fake) as fake.url:
        yield fake


@contextmanager
def served(fake: Fake) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, body, headers = fake.answer(self.command, self.path)
            content = json.dumps(body).encode()
            self.send_response(status)
            kind = "application/json" if status < 400 else "application/problem+json"
            for name, value in {"Content-Type": kind, "Replay-Nonce": "bm9uY2U", **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_HEAD = do_POST = _answer  # noqa: N815 - the names are the library's

        def log_message(self, *_: object) -> None:
            pass

    with listening(Handler) as url:
        yield url


def server(fake: Fake) -> AcmeServer:
    return AcmeServer(f"{fake.url}/dir", new_key())


def refusal(fake: Fake) -> str:
    with pytest.raises(UserError) as refused:
        server(fake).sign_in()
    return str(refused.value)


def test_nonces_that_are_refused_in_a_row_are_asked_for_again(fake: Fake) -> None:
    for _ in range(5):
        fake.problem("badNonce")
    fake.account()
    server(fake).sign_in()
    assert fake.answers == []


def test_a_rate_limit_says_when_to_come_back(fake: Fake) -> None:
    fake.problem("rateLimited", "too many certificates", 429, Retry_After="7200")
    said = refusal(fake)
    assert "limits requests: 'too many certificates'. Nothing was changed. Run this again after 20" in said
    assert " UTC" in said


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("caa", "A CAA record of the domain forbids this server"),
        ("unauthorized", "did not see the TXT record"),
        ("externalAccountRequired", "Use another one"),
        ("unheardOf", "Read its reason"),
    ],
)
def test_a_refusal_says_what_to_do(fake: Fake, code: str, advice: str) -> None:
    fake.problem(code, "because \x1b[31m" + "x" * 1000, 403)
    said = refusal(fake)
    assert advice in said
    assert "Nothing was changed" in said
    assert "\x1b" not in said
    assert len(said) < 600


def test_a_server_that_is_none_is_named(fake: Fake) -> None:
    fake.answer = lambda *_: (200, {"hello": "world"}, {})  # type: ignore[method-assign]
    with pytest.raises(UserError, match=r"127.0.0.1:\d+ answered with something unexpected .*is it an ACME server\?"):
        server(fake)
    with pytest.raises(UserError, match="cannot be reached"):
        AcmeServer("http://127.0.0.1:1/dir", new_key())


def test_an_account_key_that_cannot_be_used_says_how_to_get_another() -> None:
    with pytest.raises(UserError, match=r"^acme_account_key is no private key .*pulumi config rm") as refused:
        AcmeServer("http://127.0.0.1:1/dir", "a secret that is no key")
    assert "a secret" not in str(refused.value)
