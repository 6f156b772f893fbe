"""The fleet on one page: a table of the tenants and how full the teams are.

Pure: from the stacks' states to one HTML file that needs nothing beside it. The state has the secrets encrypted, and no
secret is among what is read from it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from meltanodata.capacity import WARN_PERCENT
from meltanodata.deployment import name, resources
from meltanodata.drift import DAYS
from meltanodata.impact import NAMES, Type
from meltanodata.plan import TENANT
from meltanodata.wording import listing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from meltanodata.rules import Use

CONSOLE = "https://cloud.digitalocean.com"
"""DigitalOcean's control panel."""


class State(Enum):
    """How a tenant is."""

    WELL = "well"
    WRONG = "to be looked at"
    UNFINISHED = "unfinished"
    UNKNOWN = "not checked"

    @property
    def icon(self) -> str:
        """Beside the word, so that colour is not all there is to tell them apart."""
        return {State.WELL: "✓", State.WRONG: "✗", State.UNFINISHED: "…", State.UNKNOWN: "?"}[self]

    @property
    def colour(self) -> str:
        """The style sheet's name of it."""
        return {State.WELL: "good", State.WRONG: "bad", State.UNFINISHED: "warn", State.UNKNOWN: "dim"}[self]


@dataclass(frozen=True)
class Entry:
    """A tenant on the page."""

    tenant: str
    url: str
    state: State
    notes: Sequence[str]
    """What is wrong with it."""
    meltano: str | None
    """The version that the tenant's entry states; None where it is what the snapshot has."""
    postgres: str
    certificate: date | None
    """The last day of the certificate; None for a self-signed one, which Caddy renews by itself."""
    droplet_size: str
    region: str
    address: str | None
    team: str
    demo: bool
    links: Sequence[tuple[str, str]]
    """What to open at DigitalOcean: what it is called, and its address."""

    @property
    def certificate_text(self) -> str:
        """Its last day."""
        return "self-signed" if self.certificate is None else str(self.certificate)

    def certificate_colour(self, now: datetime) -> str:
        """Red when it has expired, and a warning before."""
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
        """Red when it takes no more, and a warning before."""
        return "bad" if self.use.free == 0 else "warn" if self.use.percent >= WARN_PERCENT else ""


@dataclass(frozen=True)
class Page:
    """What stands on the page."""

    domain: str
    made: datetime
    """In UTC."""
    revision: str | None
    """Of the repository."""
    entries: Sequence[Entry]
    """Those to be looked at first."""
    teams: Sequence[Team]

    @property
    def counts(self) -> list[tuple[State, int]]:
        """How many tenants are in each state that there is."""
        found = Counter(entry.state for entry in self.entries)
        return [(state, found[state]) for state in State if found[state]]


def in_order(found: Iterable[Entry]) -> list[Entry]:
    """Those to be looked at first, then by name."""
    order = [State.WRONG, State.UNFINISHED, State.UNKNOWN, State.WELL]
    return sorted(found, key=lambda entry: (order.index(entry.state), entry.tenant))


def entries(exported: Mapping[str, Any], health: Mapping[str, Sequence[str]]) -> Iterator[Entry]:
    """The tenants of one stack.

    Args:
        exported: the stack's state, see `engine.export`.
        health: what is wrong, by tenant; a tenant that is not in it was not checked.
    """
    state = resources(exported)
    pending = {it["resource"]["urn"] for it in exported["deployment"].get("pending_operations") or []}
    children: dict[str, dict[str, Mapping[str, Any]]] = {}
    for resource in state:
        if not resource.get("delete"):
            children.setdefault(resource.get("parent", ""), {})[resource["type"]] = resource
    for component in state:
        if component["type"] == TENANT:
            yield _entry(component, children.get(component["urn"], {}), pending, health)


_PARTS = (Type.DROPLET, Type.RECORD, Type.CLUSTER, Type.FIREWALL)
"""What every tenant has once it is finished."""


def _entry(
    component: Mapping[str, Any],
    parts: Mapping[str, Mapping[str, Any]],
    pending: Collection[str],
    health: Mapping[str, Sequence[str]],
) -> Entry:
    tenant = name(component["urn"])
    options, outputs = component.get("inputs") or {}, component.get("outputs") or {}
    notes = list(health.get(tenant, ()))
    missing = [NAMES[part] for part in _PARTS if part not in parts]
    broken_off = any(part.get("urn") in pending for part in parts.values())
    if missing or broken_off or "url" not in outputs:
        state = State.UNFINISHED
        notes = [
            f"without {listing(missing, 'and')}" if missing else "the last run broke off; the next up goes on",
            *notes,
        ]
    elif tenant not in health:
        state = State.UNKNOWN
    else:
        state = State.WRONG if notes else State.WELL
    droplet = (parts.get(Type.DROPLET) or {}).get("outputs") or {}
    expires = options.get("certificate_expires")
    return Entry(
        tenant=tenant,
        url=outputs.get("url") or f"https://{droplet.get('name', '')}",
        state=state,
        notes=notes,
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
    """The page as HTML; whatever stands in the state is text there."""
    environment = Environment(loader=PackageLoader("meltanodata"), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("page.html").render(page=page) + "\n"
