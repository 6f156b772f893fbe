"""What would make browsers, Caddy or SSH refuse a certificate or a key, found before they go anywhere.

Nothing of a key, nor the library's own words, which might quote it, is in a message.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

from meltanodata.wording import listing, show

if TYPE_CHECKING:
    from datetime import date, datetime

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes


def problems(certificate: str | None, key: str | None, domain: str | None, now: datetime) -> list[tuple[str, str]]:
    """What is wrong with the wildcard certificate and its key; what is None is not looked at.

    Args:
        certificate: PEM, the server's own certificate first, as Caddy wants it.
        key: PEM.
        domain: the certificate has to be for `*.domain`.
        now: with its zone.

    Returns:
        Pairs of the setting (`certificate` or `certificate_key`) and what is wrong with it.
    """
    found = []
    private = None if key is None else _load(key, ssh=False)
    if key is not None and private is None:
        found.append(("certificate_key", "is no private key that can be read (PEM, without passphrase)"))
    if certificate is None:
        return found
    try:
        leaf = _leaf(certificate)
    except ValueError:
        return [*found, ("certificate", "is no certificate that can be read (PEM)")]
    if private is not None and private.public_key() != leaf.public_key():
        found.append(("certificate_key", "does not fit the certificate; set both from the same issue"))
    hosts = _hosts(leaf)
    if domain is not None and f"*.{domain}" not in hosts:
        whom = listing(map(show, hosts), "and") if hosts else "no host name at all"
        found.append(("certificate", f"is for {whom}; wanted is {show(f'*.{domain}')}"))
    if now < leaf.not_valid_before_utc:
        found.append(("certificate", f"is not valid before {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"))
    if now >= leaf.not_valid_after_utc:
        found.append(("certificate", f"has expired, on {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC; renew it"))
    return found


def fingerprint(certificate: str) -> str:
    """SHA-256 of a certificate that has no problems, as hexadecimal digits."""
    return _leaf(certificate).fingerprint(hashes.SHA256()).hex()


def last_day(certificate: str) -> date:
    """The day, in UTC, on which a certificate that has no problems expires."""
    return _leaf(certificate).not_valid_after_utc.date()


def ssh_key_problems(key: str | None) -> list[tuple[str, str]]:
    """The same for the private key for SSH, the setting `ssh_private_key`."""
    if key is None or _load(key, ssh=True) is not None:
        return []
    return [("ssh_private_key", "is no private key that can be read (OpenSSH or PEM, without passphrase)")]


@functools.cache
def compact(key: str) -> str:
    """A private key for SSH that has no problems, in its shortest form: PKCS#8 (PEM).

    It stands in the state of every Command.
    """
    private = _load(key, ssh=True)
    if private is None:
        raise ValueError("a private key with problems")
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _leaf(certificate: str) -> x509.Certificate:
    """The server's own certificate, the first one."""
    leaf, *_ = x509.load_pem_x509_certificates(certificate.encode())
    return leaf


def _hosts(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return names.value.get_values_for_type(x509.DNSName)


def _load(text: str, *, ssh: bool) -> PrivateKeyTypes | None:
    try:
        if ssh and "BEGIN OPENSSH PRIVATE KEY" in text:
            return load_ssh_private_key(text.encode(), password=None)
        return load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it has a passphrase
        return None
