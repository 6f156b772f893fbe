"""What an operator reads when an ACME server refuses; tests/sandbox/test_certificate.py has a real one."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import pytest

from meltanodata.certificate.acme_server import AcmeServer, new_key
from meltanodata.errors import UserError
from tests.certificates import certificate
from tests.fakes.http import listening

if TYPE_CHECKING:
    from collections.abc import Iterator

Answer = tuple[int, Any, dict[str, str]]
NOW = datetime(2026, 11, 28, tzinfo=UTC)


class Fake:
    """An ACME server whose answers to `newAccount` a test gives."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.resources = ["newNonce", "newAccount", "newOrder"]
        self.renewal_info: Answer = (404, {}, {})
        self.url = ""

    def problem(self, code: str, detail: str = "because", status: int = 400, **headers: str) -> None:
        self.answers.append((status, {"type": f"urn:ietf:params:acme:error:{code}", "detail": detail}, headers))

    def account(self) -> None:
        self.answers.append((201, {"status": "valid"}, {"Location": f"{self.url}/account/1"}))

    def answer(self, method: str, path: str) -> Answer:
        if path == "/dir":
            return 200, {name: f"{self.url}/{name}" for name in self.resources}, {}
        if path.startswith("/renewalInfo/"):
            return self.renewal_info
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


def issued() -> str:
    """A certificate that lasts longer than anybody asks."""
    return certificate("*.meltanodata.com", ends=datetime(2126, 1, 1, tzinfo=UTC), authority=True)


def suggests(fake: Fake, certificate: str) -> bool:
    fake.resources.append("renewalInfo")
    return server(fake).suggests_renewal(certificate, NOW)


def window(start: str, end: str) -> dict[str, Any]:
    return {"suggestedWindow": {"start": start, "end": end}, "explanationURL": "https://example.com/why"}


@pytest.mark.parametrize(
    ("offered", "due"),
    [
        (window("2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z"), True),
        (window("2026-12-20T00:00:00Z", "2026-12-21T00:00:00Z"), False),
        # A window that ends before it begins, as a server has it that wants the certificate to be renewed at once.
        (window("2026-11-02T00:00:00Z", "2026-11-01T00:00:00Z"), True),
    ],
    ids=["now", "later", "backwards"],
)
def test_a_server_that_suggests_a_time_is_followed(fake: Fake, offered: dict[str, Any], due: bool) -> None:
    fake.renewal_info = (200, offered, {})
    assert suggests(fake, issued()) is due


@pytest.mark.parametrize(
    "answer",
    [
        *({}, [], None, "now", 7, {"suggestedWindow": None}, {"suggestedWindow": "now"}, {"suggestedWindow": []}),
        *(window("yesterday", "today"), window("", "")),
        {"suggestedWindow": {"start": "2026-11-20T00:00:00Z"}},
    ],
    ids=str,
)
def test_a_suggestion_that_is_none_suggests_nothing(fake: Fake, answer: Any) -> None:
    fake.renewal_info = (200, answer, {})
    assert not suggests(fake, issued())


def test_a_server_that_refuses_to_suggest_suggests_nothing(fake: Fake) -> None:
    for status in (404, 429, 500):
        fake.renewal_info = (status, {"type": "urn:ietf:params:acme:error:rateLimited"}, {"Retry-After": "60"})
        assert not suggests(fake, issued())


def test_where_no_server_suggests_anything_the_lifetime_decides(fake: Fake) -> None:
    assert not server(fake).suggests_renewal(issued(), NOW)
    assert not server(fake).suggests_renewal("no certificate", NOW)


@pytest.mark.parametrize("answer", [[], None, "text", 7, {"status": 7}, {"contact": 5}], ids=str)
def test_an_answer_of_another_form_is_an_error_without_a_traceback(fake: Fake, answer: Any) -> None:
    fake.answers = [(201, answer, {"Location": f"{fake.url}/account/1"})]
    client = server(fake)
    try:
        client.sign_in()
    except UserError as error:
        assert "answered with something unexpected" in str(error)  # noqa: PT017 - some of these are accepted


class Ordering(Fake):
    """A server with one order for the domain, whose challenge or finalization a test lets fail."""

    def __init__(self) -> None:
        super().__init__()
        self.challenge_error: dict[str, str] | None = None
        self.refusals: dict[str, Answer] = {}
        """By path, what is answered instead."""
        self.answered = False

    def answer(self, method: str, path: str) -> Answer:
        if path in self.refusals:
            return self.refusals[path]
        order = {
            "status": "pending",
            "identifiers": [{"type": "dns", "value": "*.meltanodata.com"}],
            "authorizations": [f"{self.url}/authorization"],
            "finalize": f"{self.url}/finalize",
        }
        challenge: dict[str, Any] = {"type": "dns-01", "url": f"{self.url}/challenge", "token": "t" * 43}
        challenge["status"] = "pending"
        if path == "/challenge":
            self.answered = True
            return 200, challenge, {"Link": f'<{self.url}/authorization>;rel="up"'}
        if self.answered:
            challenge |= (
                {"status": "invalid", "error": self.challenge_error} if self.challenge_error else {"status": "valid"}
            )
        authorization = {
            "status": challenge["status"],
            "identifier": {"type": "dns", "value": "meltanodata.com"},
            "challenges": [challenge],
        }
        match path:
            case "/newAccount":
                return 201, {"status": "valid"}, {"Location": f"{self.url}/account/1"}
            case "/newOrder":
                return 201, order, {"Location": f"{self.url}/order/1"}
            case "/authorization":
                return 200, authorization, {}
        return super().answer(method, path)


@pytest.fixture
def ordering() -> Iterator[Ordering]:
    fake = Ordering()
    with served(fake) as fake.url:
        yield fake


def problem(code: str, detail: str) -> dict[str, str]:
    return {"type": f"urn:ietf:params:acme:error:{code}", "detail": detail}


def refused_order(ordering: Ordering) -> tuple[str, list[str]]:
    """What an operator reads, and what was done with the record."""
    done: list[str] = []

    @contextmanager
    def published(_: str) -> Iterator[None]:
        done.append("added")
        try:
            yield
        finally:
            done.append("removed")

    client = server(ordering)
    client.sign_in()
    with pytest.raises(UserError) as refused:
        client.obtain("*.meltanodata.com", published)
    return str(refused.value), done


@pytest.mark.parametrize(
    ("code", "detail", "advice"),
    [
        ("caa", "CAA record for meltanodata.com prevents issuance", "allow the server there"),
        ("dns", "DNS problem: SERVFAIL looking up TXT", "could not look up the domain"),
        ("incorrectResponse", "Incorrect TXT record found", "read another TXT record"),
    ],
)
def test_a_challenge_that_fails_says_why_and_the_record_is_removed(
    ordering: Ordering, code: str, detail: str, advice: str
) -> None:
    ordering.challenge_error = problem(code, detail)
    said, done = refused_order(ordering)
    assert f"refuses the certificate ({code}): '{detail}'. Nothing was changed. " in said
    assert advice in said
    assert done == ["added", "removed"]


@pytest.mark.parametrize(("path", "done"), [("/newOrder", []), ("/finalize", ["added", "removed"])])
def test_a_rate_limit_at_any_step_says_when_to_come_back(ordering: Ordering, path: str, done: list[str]) -> None:
    detail = (
        "too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s, retry after"
    )
    ordering.refusals[path] = (429, problem("rateLimited", f"{detail} 2026-12-01"), {"Retry-After": "86400"})
    said, published = refused_order(ordering)
    assert f"limits requests: '{detail} 2026-12-01'. Nothing was changed. Run this again after 20" in said
    assert published == done


def test_a_refusal_of_the_finalization_by_caa_says_what_to_do(ordering: Ordering) -> None:
    ordering.refusals["/finalize"] = (403, problem("caa", "Rechecking CAA"), {})
    said, done = refused_order(ordering)
    assert "refuses the certificate (caa): 'Rechecking CAA'" in said
    assert done == ["added", "removed"]
