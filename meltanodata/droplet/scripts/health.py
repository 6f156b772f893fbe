"""The state of an instance's services and page, in codes and fields that `words` turns into sentences."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import socket
import ssl
import subprocess
import threading
from typing import TYPE_CHECKING

from meltanodata.droplet.scripts.codes import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

PARTIAL_CHAIN = 0x80000
"""OpenSSL's X509_V_FLAG_PARTIAL_CHAIN; Python names it since 3.10."""
SILENCE, VISIT = 10, 20
"""Seconds that a server may be silent, and that a connection may take in all."""
BODY_BYTES = 1 << 20
"""Read of an answer."""


def system_state(systemctl: str) -> str:
    """Systemd's state, such as `running` or `degraded`; empty where there is none."""
    return ask(systemctl, "is-system-running")


def failed_units(systemctl: str) -> list[str]:
    """The names of the units that failed."""
    lines = ask(systemctl, "list-units", "--failed", "--plain", "--no-legend").splitlines()
    return [line.split()[0] for line in lines if line.strip()]


def service_state(systemctl: str, service: str) -> str:
    """Systemd's state of a service, such as `active` or `failed`; empty where there is none."""
    return ask(systemctl, "is-active", service)


def ask(*command: str) -> str:
    """A command's output, whatever its exit code."""
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()


def page_problem(host_name: str, fingerprint: str | None, caddy: tuple[str, int]) -> Problem | None:
    """What is wrong with the page; None where it has the certificate, and Meltano asks for the login."""
    try:
        served = certificate(host_name, caddy)
        if fingerprint is not None and hashlib.sha256(served).hexdigest() != fingerprint:
            return Problem("another_certificate")
        status, _ = ask_page(host_name, "/api/v1/identity", served, caddy)
    except ssl.SSLError as error:
        return Problem("bad_certificate", str(error.reason))
    except (OSError, http.client.HTTPException) as error:
        return Problem("no_answer", str(error))
    if status == http.HTTPStatus.UNAUTHORIZED:
        return None
    return Problem("public") if status == http.HTTPStatus.OK else Problem("another_status", str(status))


def certificate(host_name: str, caddy: tuple[str, int]) -> bytes:
    """The certificate that is served for the host name, DER, unchecked."""
    anything = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anything.check_hostname, anything.verify_mode = False, ssl.CERT_NONE
    with connect(anything, host_name, caddy) as connection:
        return connection.getpeercert(binary_form=True) or b""


def ask_page(host_name: str, path: str, served: bytes, caddy: tuple[str, int]) -> tuple[int, bytes]:
    """Meltano's status and body; the certificate must be valid now and for the host name.

    The served certificate itself is trusted: the caller has compared it, and a self-signed one has no issuer.
    """
    this_one = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    this_one.verify_flags |= PARTIAL_CHAIN
    this_one.load_verify_locations(cadata=served)
    with connect(this_one, host_name, caddy) as connection:
        request = http.client.HTTPConnection(host_name)
        request.sock = connection
        request.request("GET", path)
        answer = request.getresponse()
        return answer.status, answer.read(BODY_BYTES)


@contextlib.contextmanager
def connect(context: ssl.SSLContext, host_name: str, caddy: tuple[str, int]) -> Iterator[ssl.SSLSocket]:
    """A visitor's connection to the droplet's Caddy, cut after `VISIT` seconds."""
    plain = socket.create_connection(caddy, timeout=SILENCE)
    with context.wrap_socket(plain, server_hostname=host_name, do_handshake_on_connect=False) as connection:
        # A server that sends a byte now and then is not silent, and would be read for ever.
        timer = threading.Timer(VISIT, cut, [connection])
        timer.daemon = True
        timer.start()
        try:
            connection.do_handshake()
            yield connection
        finally:
            timer.cancel()


def cut(connection: socket.socket) -> None:
    """End a connection that another thread is reading from."""
    with contextlib.suppress(OSError):
        # Not TLS's own shutdown: the other thread is in the middle of that protocol.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
