"""The guide's verification of an instance, steps 4 and 6. Runs on the droplet, as root; changes nothing."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from meltanodata.droplet.layout import SERVICES
from meltanodata.droplet.scripts.health import failed_units, page_problem, service_state, system_state
from meltanodata.droplet.scripts.words import Sentence, about_page, about_service, about_system

if TYPE_CHECKING:
    from collections.abc import Callable


def main(document: dict[str, Any], systemctl: str = "systemctl", caddy: tuple[str, int] = ("127.0.0.1", 443)) -> None:
    """Wait until page, services and system work, or say which do not; no secret is printed.

    The document has `host_name`, `fingerprint` (of the certificate to be served: SHA-256, hexadecimal; None for any
    certificate that names the host) and `seconds` to wait at most. Tests set the other arguments.
    """
    deadline = time.monotonic() + document["seconds"]
    checks = [
        partial(check_page, document["host_name"], document["fingerprint"], caddy),
        *(partial(check_service, systemctl, service) for service in SERVICES),
        partial(check_system, systemctl),
    ]
    wrong = [sentence for sentence in (wait(check, deadline) for check in checks) if sentence is not None]
    if wrong:
        raise SystemExit("\n".join(f"{sentence.text}. Look at: {sentence.look_at}" for sentence in wrong))
    print(document["host_name"], "is up")


def wait(check: Callable[[], Sentence | None], deadline: float) -> Sentence | None:
    """None as soon as the check passes, or what is wrong at the deadline."""
    while (sentence := check()) is not None and time.monotonic() < deadline:
        time.sleep(0.5)
    return sentence


def check_page(host_name: str, fingerprint: str | None, caddy: tuple[str, int]) -> Sentence | None:
    """See `page_problem`."""
    problem = page_problem(host_name, fingerprint, caddy)
    return problem and about_page(host_name, problem)


def check_service(systemctl: str, service: str) -> Sentence | None:
    """One of the guide's three services."""
    state = service_state(systemctl, service)
    return None if state == "active" else about_service(service, state)


def check_system(systemctl: str) -> Sentence | None:
    """The guide's `systemctl status`: State is running."""
    state = system_state(systemctl)
    return None if state == "running" else about_system(state, failed_units(systemctl))
