"""Pebble (https://github.com/letsencrypt/pebble), which validates by the sandbox's DNS and issues certificates.

It keeps nothing: each start has new keys, and knows no account of an earlier one.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import BaseModel, ConfigDict
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from sandbox.engine import build
from sandbox.engine.obtain import built
from sandbox.home import cache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_MODULE = Path(__file__).parent
_STATED = re.search(r"pebble/v2 v(\S+)", (_MODULE / "go.mod").read_text())
VERSION = _STATED[1] if _STATED else ""
PEBBLE = build.Program(
    "pebble",
    f"Pebble {VERSION}",
    _MODULE,
    "github.com/letsencrypt/pebble/v2/cmd/pebble",
    "usually 30 seconds on 2 cores",
)
_START_SECONDS = 30
_ADDRESS = "127.0.0.1"


class Pebble(BaseModel):
    """A running Pebble."""

    model_config = ConfigDict(frozen=True)

    directory: str
    """The URL that clients are given."""
    ca_file: Path
    """PEM: what vouches for the server's own HTTPS, and all public CAs; a client takes it by REQUESTS_CA_BUNDLE."""
    root: str
    """PEM: the root of the certificates that it issues."""
    management: str
    """The URL of its own interface, where tests say what it shall answer; the same HTTPS."""
    log: Path


def obtain(say: Callable[[str], None]) -> Path:
    """The executable, built when there is none yet.

    Raises:
        BuildError: it cannot be built.
    """
    return built(PEBBLE, cache() / "pebble" / VERSION, say)


@contextlib.contextmanager
def running(
    folder: Path,
    resolver: tuple[str, int],
    *,
    days: float = 90,
    environment: Mapping[str, str] | None = None,
    say: Callable[[str], None] = print,
) -> Iterator[Pebble]:
    """A Pebble that runs as long as the context lasts.

    Args:
        folder: for its configuration and log.
        resolver: the name server that it validates by.
        days: how long its certificates are valid.
        environment: Pebble's own variables, such as PEBBLE_WFE_NONCEREJECT.
        say: called with a line per step of a build.
    """
    command = obtain(say)
    folder.mkdir(parents=True, exist_ok=True)
    certificate, key = _own_certificate()
    (folder / "server.crt").write_bytes(certificate)
    (folder / "server.key").write_bytes(key)
    port, management = _free_ports()
    profile = {"description": "the sandbox's", "validityPeriod": int(days * 86400)}
    config = {
        "listenAddress": f"{_ADDRESS}:{port}",
        "managementListenAddress": f"{_ADDRESS}:{management}",
        "certificate": str(folder / "server.crt"),
        "privateKey": str(folder / "server.key"),
        "httpPort": 1,  # validations by HTTP and TLS are not served here
        "tlsPort": 1,
        "retryAfter": {"authz": 1, "order": 1},
        "keyAlgorithm": "ecdsa",
        "profiles": {"default": profile},
    }
    (folder / "pebble.json").write_text(json.dumps({"pebble": config}))
    # It ends when we die.
    tied = ["setpriv", "--pdeathsig", "TERM", "--"] if shutil.which("setpriv") else []
    argv = [
        *tied,
        str(command),
        "-config",
        str(folder / "pebble.json"),
        "-strict",
        "-dnsserver",
        "{}:{}".format(*resolver),
    ]
    variables = {**os.environ, "PEBBLE_VA_NOSLEEP": "1", **(environment or {})}
    with (folder / "pebble.log").open("w") as log:
        process = subprocess.Popen(argv, env=variables, stdout=log, stderr=subprocess.STDOUT)
    try:
        url = f"https://{_ADDRESS}:{management}"
        root = _when_ready(process, f"{url}/roots/0", folder / "server.crt")
        bundle = folder / "trusted.crt"
        bundle.write_text(Path(DEFAULT_CA_BUNDLE_PATH).read_text() + certificate.decode())
        yield Pebble(
            directory=f"https://{_ADDRESS}:{port}/dir",
            ca_file=bundle,
            root=root,
            management=url,
            log=folder / "pebble.log",
        )
    finally:
        process.terminate()
        process.wait()


def _when_ready(process: subprocess.Popen[bytes], url: str, ca_file: Path) -> str:
    """The root that the server tells of once it listens."""
    context = ssl.create_default_context(cafile=str(ca_file))
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    ends = time.monotonic() + _START_SECONDS
    while True:
        try:
            with direct.open(url, timeout=5) as answer:
                root: str = answer.read().decode()
                return root
        except OSError:
            if process.poll() is not None or time.monotonic() > ends:
                log = ca_file.with_name("pebble.log").read_text()[-1000:]
                raise RuntimeError(f"Pebble does not start: {log}") from None
            time.sleep(0.05)


def _free_ports() -> tuple[int, int]:
    with socket.create_server((_ADDRESS, 0)) as one, socket.create_server((_ADDRESS, 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


def _own_certificate() -> tuple[bytes, bytes]:
    """A self-signed certificate for the address, and its key, both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Pebble")])
    now = dt.datetime.now(dt.UTC)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(_ADDRESS))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=30))
        .add_extension(alternative, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private
