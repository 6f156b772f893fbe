"""The fleet on one page: a table of the tenants, and how full the teams are.

Pure: from the stacks' states to one self-contained HTML file. Secrets are encrypted in a state, and the page reads
none of them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from meltanodata.engine.resource_types import ROLES
from meltanodata.render.capacity_table import WARN_PERCENT
from meltanodata.text import listing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime

    from meltanodata.config.lifetime import Lifetime
    from meltanodata.config.placement import Use
    from meltanodata.engine.stack_state import StackState, TenantState

CONSOLE = "https://cloud.digitalocean.com"
"""DigitalOcean's control panel."""


class State(Enum):
    """A tenant's condition, according to the stack's state."""

    UNFINISHED = "unfinished", "…", "warn"
    VERIFIED = "verified", "✓", "good"

    def __init__(self, word: str, icon: str, colour: str) -> None:
        """The icon stands beside the word, so that colour, a class in the style sheet, is not the only difference."""
        self.word, self.icon, self.colour = word, icon, colour


@dataclass(frozen=True)
class Entry:
    """A tenant on the page."""

    tenant: str
    url: str
    state: State
    note: str
    """When the tenant was last verified, or what is missing."""
    meltano: str | None
    """The version in the tenant's entry; None for the snapshot's version."""
    postgres: str
    certificate: Lifetime | None
    """The certificate's; None for a self-signed one, which Caddy renews itself."""
    droplet_size: str
    region: str
    address: str | None
    team: str
    demo: bool
    links: Sequence[tuple[str, str]]
    """Links to DigitalOcean: the text and the address."""

    @property
    def certificate_text(self) -> str:
        """The certificate's last day, or that it is self-signed."""
        return "self-signed" if self.certificate is None else str(self.certificate.ends.date())

    def certificate_colour(self, now: datetime) -> str:
        """Red if it has expired, yellow if it is due for renewal."""
        if self.certificate is None:
            return "dim"
        return "bad" if now >= self.certificate.ends else "warn" if self.certificate.due(now) else ""


@dataclass(frozen=True)
class Team:
    """A team's bar."""

    use: Use
    kind: str
    """`droplets` or `databases`."""

    @property
    def colour(self) -> str:
        """Red if the team has no room, yellow if it is nearly full."""
        return "bad" if self.use.free == 0 else "warn" if self.use.percent >= WARN_PERCENT else ""


@dataclass(frozen=True)
class Page:
    """The page's content."""

    domain: str
    made: datetime
    """In UTC."""
    revision: str | None
    """Of the repository."""
    entries: Sequence[Entry]
    """In the order of `in_order`."""
    teams: Sequence[Team]

    @property
    def counts(self) -> list[tuple[State, int]]:
        """The number of tenants in each state that occurs."""
        found = Counter(entry.state for entry in self.entries)
        return [(state, found[state]) for state in State if found[state]]


def in_order(found: Iterable[Entry]) -> list[Entry]:
    """The unfinished tenants first, then by name."""
    return sorted(found, key=lambda entry: (entry.state is State.VERIFIED, entry.tenant))


def entries(state: StackState) -> list[Entry]:
    """The tenants of one stack, from its state."""
    pending = {operation.urn for operation in state.pending}
    return [_entry(tenant, state.certificate(tenant), pending) for tenant in state.tenants.values()]


def _entry(tenant: TenantState, certificate: Lifetime | None, pending: Collection[str]) -> Entry:
    verified = tenant.resources.get("verify")
    missing = [role for role in ROLES.values() if role not in tenant.resources]
    state = State.UNFINISHED
    if missing:
        note = f"without {listing(missing, 'and')}"
    elif verified is None:
        note = "not verified yet"
    elif any(resource.urn in pending for resource in tenant.resources.values()):
        note = "the last run was interrupted; run up to continue"
    else:
        state, note = State.VERIFIED, str(verified.json.get("modified") or verified.json.get("created") or "")[:10]
    droplet = tenant.droplet.outputs if tenant.droplet else {}
    cluster = tenant.cluster.outputs if tenant.cluster else {}
    options, outputs = tenant.inputs, tenant.component.outputs if tenant.component else {}
    return Entry(
        tenant=tenant.name,
        url=outputs.get("url") or f"https://{droplet.get('name', '')}",
        state=state,
        note=note,
        meltano=options.get("meltano_version"),
        postgres=cluster.get("version") or "?",
        certificate=certificate,
        droplet_size=droplet.get("size") or options.get("droplet_size") or "?",
        region=droplet.get("region") or options.get("region") or "?",
        address=droplet.get("ipv4Address"),
        team=tenant.team or "?",
        demo=bool(options.get("demo")),
        links=[
            (text, f"{CONSOLE}/{path}/{resource.id}")
            for text, path, resource in (
                ("droplet", "droplets", tenant.droplet),
                ("database", "databases", tenant.cluster),
            )
            if resource and resource.id
        ],
    )


def render(page: Page) -> str:
    """The page as HTML; values from the state are escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(loader=PackageLoader("meltanodata.render"), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("page.html").render(page=page) + "\n"
