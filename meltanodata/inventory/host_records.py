"""Records of a tenant's host name that are not the tenant's. Pure.

A tenant takes a name only while no other record leads visitors elsewhere. A CNAME allows no other record beside it
(RFC 1034, section 3.6.2), an NS hands the name to other name servers, an A or AAAA record is another address. MX, TXT
and CAA records stay. So does a wildcard, which does not apply to a name that has a record of its own (RFC 4592, section
2.2.1).

Once the state has the tenant's record, a record that somebody adds is no reason to stop: `meltanodata doctor` finds it.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from typing import TYPE_CHECKING

from meltanodata.config.object_names import names_of
from meltanodata.engine.resource_types import Type
from meltanodata.inventory.accounts import OtherRecord
from meltanodata.text import listing, show

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from meltanodata.config.tenants import Tenant
    from meltanodata.engine.stack_state import Ids
    from meltanodata.inventory.accounts import Droplet, Inventory
    from meltanodata.inventory.names import Existing


def problems(
    tenants: Iterable[Tenant], existing: Mapping[str, Existing], inventory: Inventory, domain: str, ids: Ids
) -> dict[str, list[str]]:
    """The tenants that take a name whose records are not theirs, with what to do. The ids are those of the state."""
    problems: dict[str, list[str]] = {}
    by_name: defaultdict[str, list[OtherRecord]] = defaultdict(list)
    for record in everything(inventory):
        by_name[record.name.lower()].append(record)
    droplets: defaultdict[str, list[Droplet]] = defaultdict(list)
    for droplet in inventory.droplets:
        droplets[droplet.name].append(droplet)
    known_names = {str(record.id): record.name for record in inventory.records}
    for tenant in tenants:
        its, names = existing[tenant.key], names_of(tenant, domain)
        known = ids.get((tenant.key, Type.RECORD))
        before = known_names.get(known or "")
        if known and before in {None, names.record}:
            continue
        own_droplets = [its.droplet] if its.droplet and not its.import_droplet else droplets[names.droplet]
        others = [record for record in by_name[names.record] if its.record is None or record.id != its.record.id]
        if in_the_way := obstacles(names.record, own_droplets, others):
            edit = _harmless_edit(tenant, its, before, in_the_way)
            problems[tenant.key] = [_sentences(names.host, in_the_way, edit, domain)]
    return problems


def everything(inventory: Inventory) -> list[OtherRecord]:
    """All records of the domain, the A records too."""
    return [*(OtherRecord(it.id, it.name, "A", it.address) for it in inventory.records), *inventory.other_records]


def obstacles(name: str, droplets: Iterable[Droplet], records: Iterable[OtherRecord]) -> list[OtherRecord]:
    """The records of a name that lead visitors elsewhere than to the tenant's droplet.

    Without a droplet, which is yet to be made, that is every address. Of two droplets of one name either is good here:
    see `duplicates`.
    """
    own = {address for droplet in droplets for address in (droplet.address, *map(_same_form, droplet.ipv6))}
    return [
        record
        for record in records
        if record.name.lower() == name
        and (record.type in {"CNAME", "NS"} or (record.type in {"A", "AAAA"} and _same_form(record.value) not in own))
    ]


def described(record: OtherRecord) -> str:
    """A record for a person: its type, id and value."""
    return f"the {record.type} record {record.id} ({show(record.value)})"


def _same_form(address: str) -> str:
    """An address in its shortest form; any other text as it is."""
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address


def _harmless_edit(tenant: Tenant, existing: Existing, before: str | None, in_the_way: Sequence[OtherRecord]) -> str:
    """What to do that deletes nothing; `before` is the name that the tenant's record has, where it has another one."""
    if before == tenant.key:
        return f"Leave record out of its adopt, so that its host name stays as it is ({before})"
    if before is not None:
        return f"Write adopt: {{record: {before}}} in its entry, so that its host name stays as it is"
    address = existing.droplet and existing.droplet.address
    if address is None:
        return "Give the tenant another name"
    if all(record.type == "A" for record in in_the_way):
        return (
            "Give the tenant another host name (adopt: {record: NAME}). Only if the record is meant to lead to the"
            f" tenant, set its value to the address of the tenant's droplet, {address}, and the next run adopts it"
        )
    return "Give the tenant another host name (adopt: {record: NAME})"


def _sentences(host: str, in_the_way: Sequence[OtherRecord], edit: str, domain: str) -> str:
    """What is in the way and what to do, the harmless edit first."""
    records = listing(map(described, in_the_way), "and")
    is_, them = ("is", "it") if len(in_the_way) == 1 else ("are", "them")
    commands = " and ".join(f"doctl compute domain records delete {domain} {record.id}" for record in in_the_way)
    return (
        f"{host} has {records}, which {is_} not the tenant's and would keep visitors from it. Nothing is created."
        f" {edit}. To keep {them} for another purpose, list the name in the setting no_tenants. Only if nobody uses"
        f" {them} any more, delete {them} at https://cloud.digitalocean.com/networking/domains/{domain}, or by:"
        f" {commands}"
    )
