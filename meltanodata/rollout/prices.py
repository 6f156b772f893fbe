"""What DigitalOcean's sizes cost a month, in US dollars, before taxes.

The API has the prices of droplet sizes (`price_monthly` of `GET /v2/sizes`,
https://docs.digitalocean.com/reference/api/digitalocean/#tag/Sizes), but none of database sizes. So this module lists
the usual sizes. The price of any other is unknown.
"""

from __future__ import annotations

from decimal import Decimal

DROPLETS = {
    # https://www.digitalocean.com/pricing/droplets, basic droplets with a regular CPU, September 2026
    "s-1vcpu-1gb": Decimal(6),
    "s-1vcpu-2gb": Decimal(12),
    "s-2vcpu-2gb": Decimal(18),
    "s-2vcpu-4gb": Decimal(24),
    "s-4vcpu-8gb": Decimal(48),
    "s-8vcpu-16gb": Decimal(96),
}

DATABASES = {
    # https://www.digitalocean.com/pricing/managed-databases, PostgreSQL, one node, its smallest disk, September 2026
    "db-s-1vcpu-1gb": Decimal("15.15"),
    "db-s-1vcpu-2gb": Decimal("30.45"),
    "db-s-2vcpu-4gb": Decimal("60.90"),
}


def monthly(droplet_size: object, database_size: object) -> Decimal | None:
    """The price of a tenant with these sizes; None if the price of either is unknown."""
    droplet, database = DROPLETS.get(str(droplet_size)), DATABASES.get(str(database_size))
    return None if droplet is None or database is None else droplet + database
