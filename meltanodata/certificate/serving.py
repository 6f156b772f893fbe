"""Which certificate each droplet really serves."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from meltanodata.droplet.scripts import health

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meltanodata.engine.instances import Instance

_HTTPS = 443
_TOGETHER = 40
"""Droplets that are asked at the same time."""


def fingerprints(instances: Sequence[Instance]) -> dict[str, str | None]:
    """The SHA-256, as hexadecimal digits, of what each instance serves, by tenant; None where nothing answers."""
    with ThreadPoolExecutor(_TOGETHER) as pool:
        return dict(zip((each.tenant for each in instances), pool.map(_fingerprint, instances), strict=True))


def _fingerprint(instance: Instance) -> str | None:
    if instance.address is None:
        return None
    try:
        return hashlib.sha256(health.certificate(instance.host, (instance.address, _HTTPS))).hexdigest()
    except (OSError, ValueError):  # ssl.SSLError is an OSError
        return None
