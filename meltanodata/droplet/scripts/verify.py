"""The guide's verification of an instance, steps 4 and 6. Runs on the droplet, as root; changes nothing.

Every finding is said, each with what to look at; nothing that is said is a secret.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json  # noqa: F401 - the call that is put behind this text reads its argument with it
import socket
import ssl
import subprocess
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SERVICES = ("caddy", "meltano", "vsftpd")
PARTIAL_CHAIN = 0x80000
"""OpenSSL's X509_V_FLAG_PARTIAL_CHAIN; Python names it since 3.10."""
SILENCE, VISIT = 10, 20
"""Seconds that a server may say nothing, and that one connection may take whatever it says."""
BODY_BYTES = 1 << 20
"""Read of an answer."""


def main(document: dict[str, Any], systemctl: str = "systemctl", caddy: tuple[str, int] = ("127.0.0.1", 443)) -> None:
    """Wait until everything is as it should be, or say what is not.

    Args:
        document: `host_name`; `fingerprint`, the SHA-256 of the certificate to be served (hexadecimal), None for any
            certificate that is made out to the host name; `seconds` to wait at most.
        systemctl: the program; another one in tests.
        caddy: where it listens; elsewhere in tests.
    """
    deadline = time.monotonic() + document["seconds"]
    findings = [
        wait(partial(page, document["host_name"], document["fingerprint"], caddy), deadline),
        *(wait(partial(service_state, systemctl, service), deadline) for service in SERVICES),
        wait(partial(state, systemctl), deadline),
    ]
    if any(findings):
        raise SystemExit("\n".join(filter(None, findings)))
    print(document["host_name"], "is up")


def wait(finding: Callable[[], str | None], deadline: float) -> str | None:
    """None as soon as there is nothing to find; the finding if there still is one at the deadline."""
    while (found := finding()) is not None and time.monotonic() < deadline:
        time.sleep(0.5)
    return found


def state(systemctl: str) -> str | None:
    """The guide's `systemctl status`: State is running."""
    found = ask(systemctl, "is-system-running")
    if found == "running":
        return None
    failed = ask(systemctl, "list-units", "--failed", "--plain", "--no-legend")
    units = " ".join(line.split()[0] for line in failed.splitlines() if line.strip())
    return f"the system is {found or 'silent'}, not running; failed: {units or 'none'}. Look at: systemctl --failed"


def service_state(systemctl: str, service: str) -> str | None:
    """The guide's three services."""
    found = ask(systemctl, "is-active", service)
    if found == "active":
        return None
    return f"{service}.service is {found or 'silent'}, not active. Look at: journalctl --unit {service} --lines 50"


def ask(*command: str) -> str:
    """What a command prints, whatever its exit code."""
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()


def page(host_name: str, fingerprint: str | None, caddy: tuple[str, int]) -> str | None:
    """HTTPS with the right certificate, Meltano behind it, and nothing to see for who is not signed in."""
    try:
        served = certificate(host_name, caddy)
        if fingerprint is not None and hashlib.sha256(served).hexdigest() != fingerprint:
            return f"https://{host_name} serves another certificate. Look at: /etc/caddy, journalctl --unit caddy"
        status, _ = ask_page(host_name, "/api/v1/identity", served, caddy)
    except ssl.SSLError as error:
        return f"https://{host_name} has no good certificate ({error.reason}). Look at: journalctl --unit caddy"
    except (OSError, http.client.HTTPException) as error:
        return f"https://{host_name} does not answer ({error}). Look at: journalctl --unit caddy"
    if status == http.HTTPStatus.UNAUTHORIZED:
        return None
    if status == http.HTTPStatus.OK:
        return (
            f"https://{host_name} shows itself to everybody. Look at: MELTANO_UI_AUTHENTICATION=true in"
            " systemctl cat meltano, and ui.anonymous_readonly of the project"
        )
    return (
        f"https://{host_name} answers {status}. Look at: /var/meltano/project/.meltano/run/meltano-ui.log,"
        " journalctl --unit meltano --lines 50"
    )


def certificate(host_name: str, caddy: tuple[str, int]) -> bytes:
    """What is served for the host name, whatever it is."""
    anything = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anything.check_hostname, anything.verify_mode = False, ssl.CERT_NONE
    with connect(anything, host_name, caddy) as connection:
        return connection.getpeercert(binary_form=True) or b""


def ask_page(host_name: str, path: str, served: bytes, caddy: tuple[str, int]) -> tuple[int, bytes]:
    """Meltano's answer, status and body; the certificate must be in time and made out to the host name.

    Trust rests on the certificate that was served, since it is compared with the one to be served already, and a
    self-signed one has nothing above it.
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
    """A connection to this droplet's Caddy as a visitor of the host name has it; cut when its time is up."""
    plain = socket.create_connection(caddy, timeout=SILENCE)
    with context.wrap_socket(plain, server_hostname=host_name, do_handshake_on_connect=False) as connection:
        # A byte now and then is no silence, and would be read for ever.
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
        # Not TLS's own goodbye: the other thread is in the middle of that protocol.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
