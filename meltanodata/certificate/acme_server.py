"""A certificate from an ACME server (RFC 8555), with certbot's library `acme`.

Errors of the server become a UserError: what happened, and what to do. Its own words are shown bounded and escaped.
"""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import requests
from acme import challenges, client, crypto_util, errors, messages
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from josepy.errors import Error as JoseError
from josepy.jwa import ES256
from josepy.jwk import JWKEC
from josepy.util import ComparableECKey

from meltanodata.errors import UserError
from meltanodata.text import bounded, printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

LETS_ENCRYPT_STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"
"""Its certificates are trusted by nobody, and its limits are high."""
_TRIES = 8
"""Of a request whose nonce is refused: https://www.rfc-editor.org/rfc/rfc8555#section-6.5."""
_LONGEST_WORDS = 300
_UNEXPECTED = (JoseError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What the library raises about an answer that is JSON of another form, or none."""

_ADVICE = {
    "caa": "A CAA record of the domain forbids this server. Look at the CAA records at DigitalOcean (Networking, the"
    " domain), and allow the server there, or use another one",
    "dns": "The server could not look up the domain. See status.digitalocean.com, then run this again",
    "connection": "The server could not reach the domain's name servers. See status.digitalocean.com, then run this"
    " again",
    "externalAccountRequired": "The server wants an account made beforehand, which this command does not support."
    " Use another one",
    "incorrectResponse": "The server read another TXT record. Run this again; if it repeats, compare the name servers"
    " of the domain's registrar with DigitalOcean's",
    "rejectedIdentifier": "The server refuses this domain by its policy. Use another one",
    "serverInternal": "The server has a problem of its own. Run this again later",
    "unauthorized": "The server did not see the TXT record. Run this again; if it repeats, compare the name servers of"
    " the domain's registrar with DigitalOcean's",
}
"""What to do about an error, by its code (RFC 8555, section 6.7)."""


class Issued(NamedTuple):
    """A certificate and its chain, and its private key, both PEM."""

    certificate: str
    key: str


def new_key() -> str:
    """A private key for an account or a certificate: ECDSA, PEM (PKCS#8)."""
    private = ec.generate_private_key(ec.SECP256R1())
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


class AcmeServer:
    """An ACME server, and our account there.

    Args:
        directory: the URL of its directory.
        account_key: PEM, see `new_key`.
        seconds: for everything that it does for one certificate, beside the pauses that it asks for.

    Raises:
        UserError: the key cannot be used, the server cannot be reached, or it is no ACME server.
    """

    def __init__(self, directory: str, account_key: str, seconds: float = 300) -> None:
        self.url = directory
        self._seconds = seconds
        self._network = _Network(_jwk(account_key))
        with self._asking():
            listed = client.ClientV2.get_directory(directory, self._network)
            for resource in ("newNonce", "newAccount", "newOrder"):
                _ = listed[resource]
            self._client = client.ClientV2(listed, self._network)

    def sign_in(self) -> None:
        """Use the account of our key, or make it. That accepts the server's terms of service.

        Raises:
            UserError: the server refuses.
        """
        new = messages.NewRegistration(terms_of_service_agreed=True)
        with self._asking():
            try:
                self._client.new_account(new)
            except errors.ConflictError as known:
                self._network.account = messages.RegistrationResource(uri=known.location, body=messages.Registration())

    def suggests_renewal(self, certificate: str, now: dt.datetime) -> bool:
        """Whether it says that a certificate should be renewed by now (RFC 9773), as before it revokes it.

        False where it does not offer that, does not know the certificate, or answers with something else.
        """
        try:
            when, _ = self._client.renewal_time(certificate.encode())
        except (errors.Error, x509.ExtensionNotFound, *_UNEXPECTED):
            return False
        return when is not None and when <= now

    def obtain(self, name: str, published: Callable[[str], AbstractContextManager[None]]) -> Issued:
        """A certificate for one name, after `sign_in`.

        Args:
            name: such as `*.meltanodata.com`.
            published: serves a value in the TXT record for the name, as long as its context lasts.

        Raises:
            UserError: the server refuses it, with its reason and what to do; or what `published` raises.
        """
        key = new_key()
        with self._asking():
            order = self._client.new_order(crypto_util.make_csr(key.encode(), [name]))
            for authorization in order.authorizations:
                if authorization.body.status != messages.STATUS_VALID:
                    challenge = _dns_challenge(authorization)
                    response, value = challenge.response_and_validation(self._network.key)
                    with published(value):
                        self._client.answer_challenge(challenge, response)
                        self._client.poll_authorizations(_only(order, authorization), self._deadline())
            order = self._client.finalize_order(order, self._deadline())
        return Issued(order.fullchain_pem, key)

    def _deadline(self) -> dt.datetime:
        return dt.datetime.now() + dt.timedelta(seconds=self._seconds)  # noqa: DTZ005 - as the library has it

    def _asking(self) -> _Asking:
        return _Asking(urlsplit(self.url).netloc, self._network)


class _Asking:
    """Turns what the library raises into errors for an operator."""

    def __init__(self, host: str, network: _Network) -> None:
        self._host = host
        self._network = network

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is None or isinstance(error, UserError):
            return
        match error:
            case errors.ValidationError():
                refusals = [
                    challenge.error
                    for authorization in error.failed_authzrs
                    for challenge in authorization.body.challenges
                    if challenge.error is not None
                ]
                raise self._refused(refusals[0]) from None
            case errors.IssuanceError():
                raise self._refused(error.error) from None
            case messages.Error():
                raise self._refused(error) from None
            case errors.TimeoutError():
                raise self._error("did not finish in time. Nothing was changed. Run this again later") from None
            case requests.RequestException():
                reason = type(error).__name__
                raise self._error(
                    f"cannot be reached ({reason}). Check the address and this machine's network"
                ) from None
            case _ if isinstance(error, (errors.Error, *_UNEXPECTED)):
                reason = printable(str(error) or type(error).__name__, _LONGEST_WORDS)
                raise self._error(f"answered with something unexpected ({reason}); is it an ACME server?") from None

    def _refused(self, error: messages.Error) -> UserError:
        words = f"'{printable(error.detail or error.typ, _LONGEST_WORDS)}'"
        if error.code == "rateLimited":
            when = self._network.retry_after or "when its limit allows it again, see its message"
            return self._error(f"limits requests: {words}. Nothing was changed. Run this again {when}")
        advice = _ADVICE.get(error.code or "", "Read its reason, then run this again")
        return self._error(
            f"refuses the certificate ({error.code or 'unknown'}): {words}. Nothing was changed. {advice}"
        )

    def _error(self, message: str) -> UserError:
        return UserError(f"{self._host} {message}")


class _Network(client.ClientNetwork):  # type: ignore[misc,unused-ignore]
    """The library's, which repeats a request once after a refused nonce; a server may refuse several in a row."""

    def __init__(self, key: JWKEC) -> None:
        super().__init__(key, alg=ES256, user_agent="meltanodata")
        self.retry_after: str | None = None
        """When the server wants to be asked again, for a person."""
        self.session.hooks["response"].append(self._note_pause)

    def post(self, *args: Any, **kwargs: Any) -> requests.Response:
        for _ in range(_TRIES):
            try:
                return super().post(*args, **dict(kwargs))
            except messages.Error as error:
                if error.code != "badNonce":
                    raise
        return super().post(*args, **kwargs)

    def _note_pause(self, response: requests.Response, **_: object) -> None:
        asked = response.headers.get("Retry-After")
        if not response.ok and asked:
            self.retry_after = _time_after(asked, time.time())


def _time_after(asked: str, now: float) -> str:
    """What a header Retry-After says (RFC 9110, section 10.2.3), for a person."""
    if not asked.isdecimal():
        return f"after {bounded(asked, 40)}"
    when = dt.datetime.fromtimestamp(now + min(int(asked), 10**8), dt.UTC)
    return f"after {when:%Y-%m-%d %H:%M} UTC"


def _jwk(account_key: str) -> JWKEC:
    try:
        private = load_pem_private_key(account_key.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        private = None
    if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
        raise UserError(
            "acme_account_key is no private key that this command made (ECDSA P-256, PEM). Remove it: pulumi config rm"
            " meltanodata:acme_account_key. Then run this again, which makes a new one"
        )
    return JWKEC(key=ComparableECKey(private))


def _dns_challenge(authorization: messages.AuthorizationResource) -> messages.ChallengeBody:
    for challenge in authorization.body.challenges:
        if isinstance(challenge.chall, challenges.DNS01):
            return challenge
    raise UserError("the ACME server offers no validation by DNS for the domain. Use another one")


def _only(order: messages.OrderResource, authorization: messages.AuthorizationResource) -> messages.OrderResource:
    """The order with one of its authorizations, to wait for that."""
    one: messages.OrderResource = order.update(body=order.body.update(authorizations=(authorization.uri,)))
    return one
