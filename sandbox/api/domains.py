"""Domains and their records: https://docs.digitalocean.com/reference/api/digitalocean/#tag/Domain-Records."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from sandbox.api.cloud import JSON, Call, no_content, route
from sandbox.api.errors import not_found, unprocessable
from sandbox.api.projects import assign, default_project, unassign
from sandbox.api.state import Domain, Record

if TYPE_CHECKING:
    from sandbox.api.state import State

_LABEL = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
_DOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})+", re.IGNORECASE)
_NAME = re.compile(rf"@|\*|(\*\.)?{_LABEL}(\.{_LABEL})*", re.IGNORECASE)
_NAME_SERVERS = ("ns1.digitalocean.com", "ns2.digitalocean.com", "ns3.digitalocean.com")
_POINTERS = {"CAA", "CNAME", "MX", "NS", "SRV"}
"""Their data is a host name: sent with a dot at the end, answered without."""
_DEFAULT_TTL = 1800
_MIN_TTL = 30


def add_domain(state: State, team: str, name: str) -> Domain:
    """A new domain with the records that DigitalOcean gives it: SOA and three name servers."""
    domain = state.domains.put(Domain(name, team))
    add_record(state, domain, "SOA", "@", str(_DEFAULT_TTL))
    for server in _NAME_SERVERS:
        add_record(state, domain, "NS", "@", server)
    assign(state, f"do:domain:{name}", default_project(state, team).id)
    return domain


def add_record(state: State, domain: Domain, kind: str, name: str, data: str) -> Record:
    """A new record that was checked; the name short."""
    number = state.next_id("record", 1_740_000_000)
    return state.records.put(Record(number, domain.team, domain.name, kind, name, data, _DEFAULT_TTL))


def records_of(state: State, domain: Domain) -> list[Record]:
    """A domain's records, oldest first."""
    return [record for record in state.records if record.domain == domain.name]


def zones(state: State) -> dict[str, list[Record]]:
    """Every domain's records as the DNS has them, for its server: a host name in the data is a full one."""
    return {
        domain.name: [
            replace(record, data=domain.name) if record.data == "@" else record for record in records_of(state, domain)
        ]
        for domain in state.domains
    }


def short_name(name: str, domain: str) -> str:
    """The name as it is stored: a full name is one that ends with a dot, and the domain itself is `@`."""
    if name in {"", f"{domain}."}:
        return "@"
    return name.removesuffix(f".{domain}.")


def _json(state: State, domain: Domain) -> JSON:
    lines = [f"$ORIGIN {domain.name}.", f"$TTL {domain.ttl}"]
    for record in records_of(state, domain):
        owner = f"{domain.name}." if record.name == "@" else f"{record.name}.{domain.name}."
        if record.type == "SOA":
            data = f"{_NAME_SERVERS[0]}. hostmaster.{domain.name}. 1700000000 10800 3600 604800 {record.data}"
            lines.append(f"{owner} IN SOA {data}")
        else:
            dot = "." if record.type in _POINTERS and record.data != "@" else ""
            priority = f"{record.priority} " if record.priority is not None else ""
            lines.append(f"{owner} {record.ttl} IN {record.type} {priority}{record.data}{dot}")
    return {"name": domain.name, "ttl": domain.ttl, "zone_file": "\n".join(lines) + "\n"}


def _record_json(record: Record) -> JSON:
    return {
        "id": record.id,
        "type": record.type,
        "name": record.name,
        "data": record.data,
        "priority": record.priority,
        "port": record.port,
        "ttl": record.ttl,
        "weight": record.weight,
        "flags": record.flags,
        "tag": record.tag,
    }


class _NewDomain(BaseModel):
    name: str
    ip_address: str | None = None


class _NewRecord(BaseModel):
    type: Literal["A", "AAAA", "CAA", "CNAME", "MX", "NS", "SRV", "TXT"]
    name: str
    data: str
    ttl: int | None = None
    priority: int | None = None
    port: int | None = None
    weight: int | None = None
    flags: int | None = None
    tag: str | None = None


class _RecordChange(BaseModel):
    """What is absent stays. Clients send the type too, which never changes, and zeros for fields of other types."""

    name: str | None = None
    data: str | None = None
    ttl: int | None = None
    priority: int | None = None
    port: int | None = None
    weight: int | None = None
    flags: int | None = None
    tag: str | None = None


async def _list(call: Call) -> Response:
    return call.page("domains", [_json(call.state, d) for d in call.state.domains if d.team == call.team.name])


async def _create(call: Call) -> Response:
    body = await call.body(_NewDomain)
    if not _DOMAIN.fullmatch(body.name):
        raise unprocessable("Name is not a valid domain name")
    if call.state.domains.get(body.name) is not None:  # of whatever team: DigitalOcean serves a zone once
        raise unprocessable("Name already exists")
    if body.ip_address:
        _check_data("A", body.ip_address)
    domain = add_domain(call.state, call.team.name, body.name)
    if body.ip_address:
        add_record(call.state, domain, "A", "@", body.ip_address)
    # At creation the zone is not written yet.
    return JSONResponse(
        {"domain": {"name": domain.name, "ttl": domain.ttl, "zone_file": None}}, status_code=HTTPStatus.CREATED
    )


def _domain(call: Call) -> Domain:
    domain = call.state.domains.get(call.path("domain"))
    if domain is None or domain.team != call.team.name:
        raise not_found()
    return domain


async def _show(call: Call) -> Response:
    return JSONResponse({"domain": _json(call.state, _domain(call))})


async def _delete(call: Call) -> Response:
    domain = _domain(call)
    for record in records_of(call.state, domain):
        call.state.records.remove(record)
    unassign(call.state, f"do:domain:{domain.name}")
    call.state.domains.remove(domain)
    return no_content()


async def _list_records(call: Call) -> Response:
    domain = _domain(call)
    records = records_of(call.state, domain)
    if kind := call.query("type"):
        records = [record for record in records if record.type == kind]
    if name := call.query("name"):  # a full name, without the dot
        short = short_name(f"{name.removesuffix('.')}.", domain.name)
        records = [record for record in records if record.name == short]
    return call.page("domain_records", [_record_json(record) for record in records])


def _record(call: Call) -> Record:
    domain = _domain(call)
    record = call.state.records.get(call.path("id"))
    if record is None or record.domain != domain.name:
        raise not_found()
    return record


def _check_data(kind: str, data: str) -> None:
    if kind == "A":
        try:
            ipaddress.IPv4Address(data)
        except ValueError:
            raise unprocessable("IP address did not match IPv4 format (e.g. 127.0.0.1).") from None
    elif kind == "AAAA":
        try:
            ipaddress.IPv6Address(data)
        except ValueError:
            raise unprocessable("IP address did not match IPv6 format (e.g. 2001:db8::).") from None
    elif kind in _POINTERS - {"CAA"} and not (data == "@" or data.endswith(".")):
        raise unprocessable("Data needs to end with a dot (.)")


def _check(call: Call, record: Record) -> None:
    """The checks of a record that is about to be kept. Two that are alike are allowed, as DNS allows them."""
    if not _NAME.fullmatch(record.name):
        raise unprocessable("Name Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)")
    _check_data(record.type, record.data)
    if record.ttl < _MIN_TTL:
        raise unprocessable(f"TTL must be greater than or equal to {_MIN_TTL}")
    others = [r for r in records_of(call.state, _domain(call)) if r.name == record.name and r.id != record.id]
    if record.type == "CNAME" and others:
        raise unprocessable("CNAME records cannot share a name with other records")
    if any(other.type == "CNAME" for other in others):
        raise unprocessable("records cannot share a name with a CNAME record")


async def _create_record(call: Call) -> Response:
    domain = _domain(call)
    body = await call.body(_NewRecord)
    record = Record(
        id=0,
        team=domain.team,
        domain=domain.name,
        type=body.type,
        name=short_name(body.name, domain.name),
        data=body.data,
        ttl=body.ttl or _DEFAULT_TTL,
        priority=body.priority if body.type in {"MX", "SRV"} else None,
        port=body.port if body.type == "SRV" else None,
        weight=body.weight if body.type == "SRV" else None,
        flags=body.flags if body.type == "CAA" else None,
        tag=body.tag if body.type == "CAA" else None,
    )
    _check(call, record)
    record.data = _stored_data(record)
    record.id = call.state.next_id("record", 1_740_000_000)
    call.state.records.put(record)
    return JSONResponse({"domain_record": _record_json(record)}, status_code=HTTPStatus.CREATED)


def _stored_data(record: Record) -> str:
    """Host names are answered without their dot, and the domain's own as `@`."""
    if record.type not in _POINTERS:
        return record.data
    return "@" if record.data == f"{record.domain}." else record.data.removesuffix(".")


async def _show_record(call: Call) -> Response:
    return JSONResponse({"domain_record": _record_json(_record(call))})


async def _update_record(call: Call) -> Response:
    record = _record(call)
    body = await call.body(_RecordChange)
    changed = replace(record)
    if body.name is not None:
        changed.name = short_name(body.name, record.domain)
    changed.data = body.data if body.data is not None else _full_data(record)
    changed.ttl = body.ttl or record.ttl
    if record.type in {"MX", "SRV"} and body.priority is not None:
        changed.priority = body.priority
    if record.type == "SRV":
        changed.port = body.port if body.port is not None else record.port
        changed.weight = body.weight if body.weight is not None else record.weight
    if record.type == "CAA":
        changed.flags = body.flags if body.flags is not None else record.flags
        changed.tag = body.tag if body.tag is not None else record.tag
    _check(call, changed)
    changed.data = _stored_data(changed)
    call.state.records.put(changed)
    return JSONResponse({"domain_record": _record_json(changed)})


def _full_data(record: Record) -> str:
    """What a client would have sent for the data as it is stored."""
    return f"{record.data}." if record.type in _POINTERS and record.data != "@" else record.data


async def _delete_record(call: Call) -> Response:
    call.state.records.remove(_record(call))
    return no_content()


routes = [
    route("GET", "/v2/domains", _list),
    route("POST", "/v2/domains", _create),
    route("GET", "/v2/domains/{domain}", _show),
    route("DELETE", "/v2/domains/{domain}", _delete),
    route("GET", "/v2/domains/{domain}/records", _list_records),
    route("POST", "/v2/domains/{domain}/records", _create_record),
    route("GET", "/v2/domains/{domain}/records/{id}", _show_record),
    route("PUT", "/v2/domains/{domain}/records/{id}", _update_record),
    route("PATCH", "/v2/domains/{domain}/records/{id}", _update_record),
    route("DELETE", "/v2/domains/{domain}/records/{id}", _delete_record),
]
