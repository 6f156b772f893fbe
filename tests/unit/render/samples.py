"""What the renderers are given, and what they print."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
from typing import Any

from meltanodata import terminal
from meltanodata.config.lifetime import Lifetime
from meltanodata.render import diagnosis_table
from meltanodata.render.page import Entry, State


def text(*args: object) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as file:
        for part in diagnosis_table.shown(*args):  # type: ignore[arg-type]  # handed on
            terminal.console().print(part, soft_wrap=True)
    return file.getvalue()


def entry(tenant: str = "acme", **overrides: Any) -> Entry:
    values: dict[str, Any] = {
        "tenant": tenant,
        "url": f"https://{tenant}.meltanodata.com",
        "state": State.VERIFIED,
        "note": "2026-11-20",
        "meltano": "2.20.0",
        "postgres": "16",
        "certificate": Lifetime(dt.datetime(2026, 11, 2, tzinfo=dt.UTC), dt.datetime(2027, 1, 31, tzinfo=dt.UTC)),
        "droplet_size": "s-2vcpu-2gb",
        "region": "nyc3",
        "address": "198.51.100.7",
        "team": "MeltanoData DBs 1",
        "demo": False,
        "links": [("droplet", "https://cloud.digitalocean.com/droplets/1")],
    }
    return Entry(**{**values, **overrides})
