"""Finds what browsers, Caddy or SSH would refuse in a certificate or a key, before it reaches a droplet.

Certificates are read as Caddy reads them, by Go's crypto/tls (https://pkg.go.dev/crypto/tls#X509KeyPair): one that it
refuses stops Caddy on every droplet that gets it. Mistakes of layout are corrected, see `normal`. A message has nothing
of a key, nor the library's own words, which might quote it.
"""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
    load_ssh_private_key,
)
from cryptography.x509.oid import NameOID

from meltanodata.config import pem
from meltanodata.config.lifetime import Lifetime
from meltanodata.text import listing, show

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

_UNREADABLE = (ValueError, TypeError, x509.InvalidVersion, x509.DuplicateExtension, UnsupportedAlgorithm)
"""What the library raises for a certificate that it cannot read."""


def problems(certificate: str | None, key: str | None, domain: str | None, now: datetime) -> list[tuple[str, str]]:
    """What is wrong with the wildcard certificate for `*.domain` and its key, by setting; None is not checked.

    Both are PEM, the server's own certificate first, as Caddy needs it. `now` has its zone. Each pair is
    the setting, `certificate` or `certificate_key`, and what is wrong with it.
    """
    wrong = []
    private = None if key is None else _servers_key(key)
    if key is not None and private is None:
        wrong.append(("certificate_key", "is not a readable private key (PEM, without passphrase)"))
    elif private is not None and not _served(private):
        wrong.append(("certificate_key", "has a type that Caddy cannot use; use RSA, ECDSA or Ed25519"))
    if certificate is None:
        return wrong
    try:
        chain = _chain(certificate)
        leaf = chain[0]
        hosts = _hosts(leaf)
    except pem.Damaged as damage:
        return [*wrong, ("certificate", f"is not a readable certificate (PEM): {damage}")]
    except _UNREADABLE:
        return [*wrong, ("certificate", "is not a readable certificate (PEM)")]
    if private is not None and private.public_key() != leaf.public_key():
        wrong.append(_misfit(private, chain))
    if domain is not None and f"*.{domain}" not in hosts:
        whom = listing(map(show, hosts), "and") if hosts else "no host name"
        wrong.append(("certificate", f"is for {whom}; it has to be for {show(f'*.{domain}')}"))
    if now < leaf.not_valid_before_utc:
        wrong.append(("certificate", f"is not valid before {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"))
    if now >= leaf.not_valid_after_utc:
        wrong.append(("certificate", f"has expired, on {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC; renew it"))
    return [*wrong, *(("certificate", problem) for problem in _above(chain, now))]


def normal(certificate: str) -> str:
    """A certificate without problems, with its chain, in a form that Go reads; unchanged if Go reads it already.

    A private key beside it is left out: on a droplet everybody can read the file.
    """
    certificates = _certificates(certificate)
    go_reads = [block.der for block in pem.as_go_has_it(certificate) if block.label == _LABEL]
    if go_reads == [block.der for block in certificates] and not any(map(_is_key, pem.blocks(certificate))):
        return certificate
    return "".join(map(str, certificates))


def normal_key(key: str) -> str:
    """The same for its private key."""
    block = next(filter(_is_key, pem.blocks(key)))
    return key if next(filter(_is_key, pem.as_go_has_it(key)), None) == block else str(block)


def fingerprint(certificate: str) -> str:
    """SHA-256 of a certificate without problems, as hexadecimal digits."""
    return _chain(certificate)[0].fingerprint(hashes.SHA256()).hex()


def lifetime(certificate: str) -> Lifetime:
    """How long a certificate without problems is valid."""
    return _lifetime(_chain(certificate)[0])


def _lifetime(leaf: x509.Certificate) -> Lifetime:
    return Lifetime(leaf.not_valid_before_utc, leaf.not_valid_after_utc)


@dataclass(frozen=True)
class Described:
    """What a certificate says of itself."""

    hosts: tuple[str, ...]
    issuer: str
    """For a person; anything may be in it."""
    serial: str
    """Hexadecimal digits."""
    fingerprint: str
    """SHA-256, hexadecimal digits."""
    lifetime: Lifetime


def described(certificate: str) -> Described | None:
    """The server's own certificate in a text; None where it cannot be read."""
    try:
        leaf = _chain(certificate)[0]
        names = [
            *leaf.issuer.get_attributes_for_oid(NameOID.ORGANIZATION_NAME),
            *leaf.issuer.get_attributes_for_oid(NameOID.COMMON_NAME),
        ]
        return Described(
            tuple(_hosts(leaf)),
            ", ".join(dict.fromkeys(str(name.value) for name in names)) or "nobody",
            f"{leaf.serial_number:x}",
            leaf.fingerprint(hashes.SHA256()).hex(),
            _lifetime(leaf),
        )
    except (pem.Damaged, *_UNREADABLE):
        return None


def ssh_key_problems(key: str | None) -> list[tuple[str, str]]:
    """The same for the private key for SSH, the setting `ssh_private_key`."""
    if key is None or _load(key) is not None:
        return []
    return [("ssh_private_key", "is not a readable private key (OpenSSH or PEM, without passphrase)")]


@functools.cache
def compact(key: str) -> str:
    """A private key for SSH without problems, in its shortest form, PKCS#8 (PEM): the state has it in every Command."""
    private = _load(key)
    if private is None:
        raise ValueError("a private key with problems")
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


_LABEL = "CERTIFICATE"
_OTHER_LABEL = "X509 CERTIFICATE"
"""The same, as old programs call it."""


def _is_key(block: pem.Block) -> bool:
    return block.label == "PRIVATE KEY" or block.label.endswith(" PRIVATE KEY")


def _certificates(text: str) -> list[pem.Block]:
    return [pem.Block(_LABEL, block.der) for block in pem.blocks(text) if block.label in {_LABEL, _OTHER_LABEL}]


@functools.lru_cache(maxsize=8)
def _chain(text: str) -> tuple[x509.Certificate, ...]:
    """All certificates in a text, the server's own first.

    Raises:
        ValueError: there is none, or one cannot be read; and others of `_UNREADABLE`.
    """
    chain = tuple(x509.load_der_x509_certificate(block.der) for block in _certificates(text))
    if not chain:
        raise ValueError("no certificate")
    # The library reads these parts only when they are asked for, Go reads them at once: https://pkg.go.dev/crypto/x509#ParseCertificate.
    leaf = chain[0]
    leaf.extensions, leaf.subject, leaf.issuer, leaf.public_key()
    if leaf.serial_number < 0:
        raise ValueError("a negative serial number")
    return chain


def _misfit(private: PrivateKeyTypes, chain: Sequence[x509.Certificate]) -> tuple[str, str]:
    """The problem of a key that does not belong to the first certificate."""
    for number, other in enumerate(chain[1:], 2):
        with contextlib.suppress(*_UNREADABLE):
            if other.public_key() == private.public_key():
                return "certificate", f"has the server's own certificate at position {number}; put that first"
    return "certificate_key", "does not match the certificate; set both from the same issue"


def _above(chain: Sequence[x509.Certificate], now: datetime) -> Iterator[str]:
    """What is wrong with the chain of issuers: a browser knows only the issuer of the last one.

    Neither their order nor superfluous certificates matter.
    """
    below, others = chain[0], list(chain[1:])
    while below.issuer != below.subject:
        issuers = [issuer for issuer in others if _issued(issuer, below)]
        if not issuers:
            if below is chain[0]:
                yield _alone(below, others)
            return
        valid = [issuer for issuer in issuers if issuer.not_valid_before_utc <= now < issuer.not_valid_after_utc]
        if not valid:
            begins, ends = issuers[0].not_valid_before_utc, issuers[0].not_valid_after_utc
            when = f"has expired, on {ends:%Y-%m-%d}" if now >= ends else f"is not valid before {begins:%Y-%m-%d}"
            yield (
                f"has a chain that browsers refuse: the certificate of its issuer {_name(below.issuer)} {when}. Replace"
                " it by the current one"
            )
            return
        below = valid[0]
        others.remove(below)


def _alone(leaf: x509.Certificate, others: Sequence[x509.Certificate]) -> str:
    missing = f"the certificate of its issuer {_name(leaf.issuer)} is missing"
    if others:
        missing += (
            f", and what follows it ({listing((_name(other.subject) for other in others), 'and')}) did not issue it"
        )
    return (
        f"has no chain, and browsers refuse it: {missing}. Append it: the intermediate of the bundle that came with"
        " the certificate, or your own root if that issued it"
    )


def _issued(issuer: x509.Certificate, below: x509.Certificate) -> bool:
    try:
        below.verify_directly_issued_by(issuer)
        return issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return issuer.issuer == issuer.subject  # an old root
    except (InvalidSignature, *_UNREADABLE):
        return False


def _name(name: x509.Name) -> str:
    common = [str(attribute.value) for attribute in name.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return show(", ".join(common) or name.rfc4514_string())


def _hosts(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return names.value.get_values_for_type(x509.DNSName)


def _servers_key(text: str) -> PrivateKeyTypes | None:
    """The first private key in a text, as Go takes it: whatever its label, by what it is."""
    try:
        block = next(filter(_is_key, pem.blocks(text)), None)
        return None if block is None else load_der_private_key(block.der, password=None)
    except _UNREADABLE:  # TypeError: it has a passphrase
        return None


def _served(private: PrivateKeyTypes) -> bool:
    """Whether Go has the kind of key: https://pkg.go.dev/crypto/x509#ParsePKCS8PrivateKey."""
    match private:
        case rsa.RSAPrivateKey() | ed25519.Ed25519PrivateKey():
            return True
        case ec.EllipticCurvePrivateKey():
            return isinstance(private.curve, ec.SECP224R1 | ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1)
        case _:
            return False


def _load(text: str) -> PrivateKeyTypes | None:
    """A private key for SSH; None for what is none."""
    try:
        if "BEGIN OPENSSH PRIVATE KEY" in text:
            return load_ssh_private_key(text.encode(), password=None)
        return load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it has a passphrase
        return None
