"""What DigitalOcean offers: regions, sizes, PostgreSQL versions. A small part of the real list, with real values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from sandbox.api.cloud import JSON, Call, route

if TYPE_CHECKING:
    from sandbox.api.cloud import Cloud

_REGIONS = {
    "nyc1": "New York 1",
    "nyc3": "New York 3",
    "sfo3": "San Francisco 3",
    "ams3": "Amsterdam 3",
    "lon1": "London 1",
}
_CLOSED_REGIONS = {"nyc2": "New York 2"}
"""Listed, but nothing new can be made there."""
_REGION_FEATURES = ["backups", "ipv6", "metadata", "install_agent", "storage", "image_transfer"]


@dataclass(frozen=True)
class Size:
    """A droplet plan."""

    slug: str
    vcpus: int
    memory: int
    """MB"""
    disk: int
    """GB"""
    transfer: float
    """TB a month"""
    price_hourly: float
    price_monthly: float


@dataclass(frozen=True)
class DatabaseSize:
    """A cluster plan."""

    slug: str
    storage_mib: int
    nodes: int
    """The most nodes that a cluster of this size may have."""


SIZES = {
    size.slug: size
    for size in (
        Size("s-1vcpu-1gb", 1, 1024, 25, 1.0, 0.00893, 6.0),
        Size("s-1vcpu-2gb", 1, 2048, 50, 2.0, 0.01786, 12.0),
        Size("s-2vcpu-2gb", 2, 2048, 60, 3.0, 0.02679, 18.0),
        Size("s-2vcpu-4gb", 2, 4096, 80, 4.0, 0.03571, 24.0),
        Size("s-4vcpu-8gb", 4, 8192, 160, 5.0, 0.07143, 48.0),
    )
}
DATABASE_SIZES = {
    size.slug: size
    for size in (
        DatabaseSize("db-s-1vcpu-1gb", 10240, 1),
        DatabaseSize("db-s-1vcpu-2gb", 30720, 3),
        DatabaseSize("db-s-2vcpu-4gb", 61440, 3),
        DatabaseSize("db-s-4vcpu-8gb", 143360, 3),
    )
}
REGIONS = frozenset(_REGIONS)
END_OF_LIFE = {
    "9": "2021-11-11T00:00:00Z",
    "10": "2022-11-10T00:00:00Z",
    "11": "2023-11-09T00:00:00Z",
    "12": "2024-11-14T00:00:00Z",
    "13": "2025-11-13T00:00:00Z",
    "14": "2026-11-12T00:00:00Z",
    "15": "2027-11-11T00:00:00Z",
    "16": "2028-11-09T00:00:00Z",
    "17": "2029-11-08T00:00:00Z",
    "18": "2030-11-14T00:00:00Z",
}
"""PostgreSQL's own dates, which DigitalOcean's follow; they stand in the answers and decide nothing."""
_OFFERED = ("14", "15", "16", "17", "18")


def versions(cloud: Cloud) -> list[str]:
    """The PostgreSQL versions that can be created: those that DigitalOcean offers and the backend can run."""
    return [version for version in _OFFERED if version in cloud.databases.versions]


def region_json(slug: str) -> JSON:
    """A region as every droplet carries it."""
    return _REGION_JSON[slug]


def size_json(slug: str) -> JSON:
    """A size as every droplet carries it."""
    return _SIZE_JSON[slug]


def _region(slug: str, name: str, sizes: list[str]) -> JSON:
    return {"slug": slug, "name": name, "features": _REGION_FEATURES, "available": bool(sizes), "sizes": sizes}


def _size(size: Size) -> JSON:
    return {
        "slug": size.slug,
        "memory": size.memory,
        "vcpus": size.vcpus,
        "disk": size.disk,
        "transfer": size.transfer,
        "price_monthly": size.price_monthly,
        "price_hourly": size.price_hourly,
        "regions": sorted(REGIONS),
        "available": True,
        "description": "Basic",
        "disk_info": [{"type": "local", "size": {"amount": size.disk, "unit": "gib"}}],
    }


_REGION_JSON = {slug: _region(slug, name, list(SIZES)) for slug, name in _REGIONS.items()} | {
    slug: _region(slug, name, []) for slug, name in _CLOSED_REGIONS.items()
}
_SIZE_JSON = {slug: _size(size) for slug, size in SIZES.items()}


async def _list_regions(call: Call) -> Response:
    return call.page("regions", list(_REGION_JSON.values()))


async def _list_sizes(call: Call) -> Response:
    return call.page("sizes", list(_SIZE_JSON.values()))


async def _database_options(call: Call) -> Response:
    offered = versions(call.cloud)
    layouts = [
        {"num_nodes": nodes, "sizes": [size.slug for size in DATABASE_SIZES.values() if nodes <= size.nodes]}
        for nodes in (1, 2, 3)
    ]
    # Values, not keys, of the availability are null while DigitalOcean has named no date.
    availability = [
        {"version": version, "end_of_life": END_OF_LIFE[version], "end_of_availability": None} for version in offered
    ]
    return JSONResponse(
        {
            "options": {"pg": {"regions": sorted(REGIONS), "versions": offered, "layouts": layouts}},
            "version_availability": {"pg": availability},
        }
    )


routes = [
    route("GET", "/v2/regions", _list_regions),
    route("GET", "/v2/sizes", _list_sizes),
    route("GET", "/v2/databases/options", _database_options),
]
