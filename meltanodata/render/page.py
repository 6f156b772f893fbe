"""The fleet on one page: a table of the tenants, and how full the teams are.

Pure: from the stacks' states to one self-contained HTML file. Secrets are encrypted in a state, and the page reads
none of them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

from meltanodata.engine.resource_types import NAMES, TENANT, Type
from meltanodata.engine.stack_state import name, resources
from meltanodata.render.capacity_table import WARN_PERCENT
from meltanodata.rollout.drift import DAYS
from meltanodata.text import listing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from meltanodata.config.placement import Use

CONSOLE = "https://cloud.digitalocean.com"
"""DigitalOcean's control panel."""


class State(Enum):
    """A tenant's condition, according to the stack's state."""

    UNFINISHED = "unfinished"
    VERIFIED = "verified"

    @property
    def icon(self) -> str:
        """An icon beside the word, so that colour is not the only difference."""
        return {State.VERIFIED: "✓", State.UNFINISHED: "…"}[self]

    @property
    def colour(self) -> str:
        """Its class in the style sheet."""
        return {State.VERIFIED: "good", State.UNFINISHED: "warn"}[self]


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
    certificate: date | None
    """The certificate's last day; None for a self-signed one, which Caddy renews itself."""
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
        return "self-signed" if self.certificate is None else str(self.certificate)

    def certificate_colour(self, now: datetime) -> str:
        """Red if it has expired, yellow if it expires soon."""
        if self.certificate is None:
            return "dim"
        days = (self.certificate - now.date()).days
        return "bad" if days < 0 else "warn" if days < DAYS else ""


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


def entries(exported: Mapping[str, Any]) -> Iterator[Entry]:
    """The tenants of one stack, from its state (`engine.export`)."""
    state = resources(exported)
    pending = {it["resource"]["urn"] for it in exported["deployment"].get("pending_operations") or []}
    children: dict[str, dict[str, Mapping[str, Any]]] = {}
    for resource in state:
        if not resource.get("delete"):
            siblings = children.setdefault(resource.get("parent", ""), {})
            siblings[name(resource["urn"]) if resource["type"] == Type.COMMAND else resource["type"]] = resource
    for component in state:
        if component["type"] == TENANT:
            yield _entry(component, children.get(component["urn"], {}), pending)


_PARTS = (Type.DROPLET, Type.RECORD, Type.CLUSTER, Type.FIREWALL)
"""The resources of every finished tenant."""


def _entry(component: Mapping[str, Any], parts: Mapping[str, Mapping[str, Any]], pending: Collection[str]) -> Entry:
    tenant = name(component["urn"])
    options, outputs = component.get("inputs") or {}, component.get("outputs") or {}
    verified = parts.get(f"{tenant}-verify")
    missing = [NAMES[part] for part in _PARTS if part not in parts]
    state = State.UNFINISHED
    if missing:
        note = f"without {listing(missing, 'and')}"
    elif verified is None:
        note = "not verified yet"
    elif any(part["urn"] in pending for part in parts.values()):
        note = "the last run was interrupted; run up to continue"
    else:
        state, note = State.VERIFIED, str(verified.get("modified") or verified.get("created") or "")[:10]
    droplet = (parts.get(Type.DROPLET) or {}).get("outputs") or {}
    expires = options.get("certificate_expires")
    return Entry(
        tenant=tenant,
        url=outputs.get("url") or f"https://{droplet.get('name', '')}",
        state=state,
        note=note,
        meltano=options.get("meltano_version"),
        postgres=((parts.get(Type.CLUSTER) or {}).get("outputs") or {}).get("version") or "?",
        certificate=date.fromisoformat(expires) if expires and options.get("tls") == "wildcard" else None,
        droplet_size=droplet.get("size") or options.get("droplet_size") or "?",
        region=droplet.get("region") or options.get("region") or "?",
        address=droplet.get("ipv4Address"),
        team=options.get("database_team") or "?",
        demo=bool(options.get("demo")),
        links=[
            (text, f"{CONSOLE}/{path}/{parts[part]['id']}")
            for text, path, part in (("droplet", "droplets", Type.DROPLET), ("database", "databases", Type.CLUSTER))
            if (parts.get(part) or {}).get("id")
        ],
    )


def render(page: Page) -> str:
    """The page as HTML; values from the state are escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(loader=PackageLoader("meltanodata.render"), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("page.html").render(page=page) + "\n"
