"""The sandbox's keys and certificates, made once and kept in `<home>/keys`."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.home import Home

_VALID = dt.timedelta(days=825)  # what browsers accept at most of a private CA


@dataclass(frozen=True)
class Keys:
    """Files of one sandbox; private ones have mode 600."""

    folder: Path

    @classmethod
    def ensure(cls, home: Home, domain: str) -> Keys:
        """The keys in `<home>/keys`; what is missing is made, what is there stays.

        Args:
            home: the sandbox's folder.
            domain: the wildcard certificate is for `*.<domain>`, such as `*.meltanodata.com`.
        """
        keys = cls(home.folder("keys"))
        if not keys.wildcard_certificate.exists():
            _make_certificates(keys, domain)
        for name in ("id_ed25519", "colleague"):
            if not (keys.folder / f"{name}.pub").exists():
                _make_ssh_key(keys.folder / name, comment=f"{name}@sandbox")
        return keys

    @property
    def ca_certificate(self) -> Path:
        """PEM; whoever visits a tenant over HTTPS trusts this file."""
        return self.folder / "ca.crt"

    @property
    def wildcard_certificate(self) -> Path:
        """PEM: the certificate for `*.<domain>`, then the CA's."""
        return self.folder / "wildcard.crt"

    @property
    def wildcard_key(self) -> Path:
        """PEM (PKCS 8)."""
        return self.folder / "wildcard.key"

    @property
    def ssh_private_key(self) -> Path:
        """The sandbox's own SSH key, OpenSSH's format, no passphrase."""
        return self.folder / "id_ed25519"

    @property
    def ssh_public_key(self) -> Path:
        """One line."""
        return self.folder / "id_ed25519.pub"

    @property
    def colleague_private_key(self) -> Path:
        """A second person's key, so that "every key of the account" is more than one."""
        return self.folder / "colleague"

    @property
    def colleague_public_key(self) -> Path:
        """One line."""
        return self.folder / "colleague.pub"


def issue_wildcard(  # noqa: D417 (ca_key and ca_certificate say what they are)
    domain: str,
    ca_key: ec.EllipticCurvePrivateKey,
    ca_certificate: x509.Certificate,
    *,
    not_before: dt.datetime,
    not_after: dt.datetime,
) -> tuple[bytes, bytes]:
    """A certificate for `*.<domain>` and `<domain>` with the CA's appended, and its key, both PEM.

    Args:
        domain: such as `meltanodata.com`.
        not_before: start of validity; a test asks for one that is over or has not begun.
        not_after: end of validity.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.DNSName(f"*.{domain}"), x509.DNSName(domain)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_name(f"*.{domain}"))
        .issuer_name(ca_certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    return _pem(certificate) + _pem(ca_certificate), _key_pem(key)


def load_ca(keys: Keys) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """The CA's key and certificate, to issue further certificates with `issue_wildcard`."""
    key = serialization.load_pem_private_key((keys.folder / "ca.key").read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{keys.folder / 'ca.key'} is not the elliptic-curve key that the sandbox made")
    return key, x509.load_pem_x509_certificate(keys.ca_certificate.read_bytes())


def _make_certificates(keys: Keys, domain: str) -> None:
    now = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=5)  # clocks of two machines differ
    ca_key = ec.generate_private_key(ec.SECP256R1())
    subject = _name("MeltanoData sandbox CA")
    ca_certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(ca_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + _VALID)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=False,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=True,
                crl_sign=True,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    chain, key = issue_wildcard(domain, ca_key, ca_certificate, not_before=now, not_after=now + _VALID)
    write(keys.folder / "ca.key", _key_pem(ca_key), 0o600)
    write(keys.ca_certificate, _pem(ca_certificate), 0o644)
    write(keys.wildcard_key, key, 0o600)
    write(keys.wildcard_certificate, chain, 0o644)  # last: its presence says that all are there


def _make_ssh_key(path: Path, comment: str) -> None:
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    write(path, private, 0o600)
    write(path.with_suffix(".pub"), public + f" {comment}\n".encode(), 0o644)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def write(path: Path, content: bytes, mode: int) -> None:
    """Write a file whole or not at all, and never readable for more than `mode` says."""
    draft = path.with_name(path.name + ".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(content)
    draft.replace(path)
