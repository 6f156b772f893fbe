"""A person's browser on the sandbox's instances: it uses their addresses and trusts the sandbox's certificates."""

from __future__ import annotations

import base64
import hashlib
import os
import shlex
import shutil
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import serialization

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.keys import Keys


def program() -> str | None:
    """Chromium's path, where it is installed."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def options(keys: Keys, host: str, address: str, profile: Path | str) -> list[str]:
    """Chromium's options with which a host name leads to an address, and the sandbox's CA is trusted.

    Nothing outside the profile's folder changes: neither this machine's names nor its certificates.
    """
    return [
        f"--user-data-dir={profile}",
        "--no-first-run",
        # Chromium has a store of CAs of its own: let it trust this one key, and no error beside it.
        f"--ignore-certificate-errors-spki-list={_pin(keys.ca_certificate)}",
        f"--host-resolver-rules=MAP {host} {address}, MAP * ~NOTFOUND",
    ]


def as_this_user() -> list[str]:
    """The option without which Chromium refuses to be root's."""
    return ["--no-sandbox"] if os.geteuid() == 0 else []


def through_a_tunnel(keys: Keys, host: str, address: str, port: int) -> str:
    """The two commands that open an instance on another machine than the sandbox's, to be read by a person."""
    command = ["chromium", *options(keys, host, f"127.0.0.1:{port}", "meltanodata-browser"), f"https://{host}/"]
    return (
        "On your own machine, in two shells (USER@HERE is this machine):\n"
        f"  ssh -N -L {port}:{address}:443 USER@HERE\n"
        f"  {shlex.join(command)}"
    )


def _pin(certificate: Path) -> str:
    """The hash of a certificate's public key as RFC 7469 has it; any certificate of a chain may have it."""
    public = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    encoded = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(encoded).digest()).decode()
