"""Keys and certificates as operators have them, PEM."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = datetime(2026, 11, 20, tzinfo=UTC)
KEY = ec.generate_private_key(ec.SECP256R1())


def pem(key: Any = KEY, *, ssh: bool = False, passphrase: bytes | None = None) -> str:
    """A private key as its owner has it in a file."""
    encryption = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    kind = serialization.PrivateFormat.OpenSSH if ssh else serialization.PrivateFormat.PKCS8
    return str(key.private_bytes(serialization.Encoding.PEM, kind, encryption).decode())


def certificate(
    *hosts: str,
    key: Any = KEY,
    begins: datetime = NOW - timedelta(days=30),
    ends: datetime = NOW + timedelta(days=60),
    authority: bool = False,
) -> str:
    """A certificate, PEM; without hosts it names none. With `authority` it names its issuer's key."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(begins).not_valid_after(ends)
    if hosts:
        names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    if authority:
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(KEY.public_key()), critical=False
        )
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
