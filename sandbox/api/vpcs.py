"""Networks of a team's own: https://docs.digitalocean.com/reference/api/digitalocean/#tag/VPCs.

They give droplets their private addresses and hold the team's droplets and clusters together; no packet goes that way.
"""

from __future__ import annotations

import re
import uuid
from http import HTTPStatus
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from sandbox.api.catalog import REGIONS
from sandbox.api.cloud import JSON, Call, new_uuid, no_content, route
from sandbox.api.errors import ApiError, not_found, unprocessable
from sandbox.api.state import Vpc, timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.api.state import State

_NAME = re.compile(r"[a-zA-Z0-9\-.]+")
_LONGEST_DESCRIPTION = 255
_GIVEN = IPv4Network("10.100.0.0/14")
"""Where a network without a wish has its /20."""
_PRIVATE = tuple(IPv4Network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
_LARGEST, _SMALLEST = 16, 28
_FIRST_HOST = 2
"""The first address is the gateway's."""


def default_vpc(state: State, team: str, region: str) -> Vpc:
    """The network that a team's new objects in a region are in; made when the region is used for the first time."""
    for vpc in _own(state, team):
        if vpc.region == region and vpc.default:
            return vpc
    identifier, block = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{region}.{team}.vpc")), _free_range(state, team)
    return state.vpcs.put(Vpc(identifier, team, f"default-{region}", "", region, block, timestamp(), default=True))


def find_vpc(state: State, team: str, region: str, identifier: str | None) -> Vpc | None:
    """A team's network for an object in a region: the one that was asked for, else the default one.

    None when there is no network of this id in the region.
    """
    if not identifier:
        return default_vpc(state, team, region)
    vpc = state.vpcs.get(identifier)
    return vpc if vpc is not None and (vpc.team, vpc.region) == (team, region) else None


def private_addresses(state: State, vpc: Vpc, count: int) -> list[str]:
    """Addresses of the network that no droplet has, so many; one that was just given back comes up again last.

    Raises:
        ApiError: 422 when there are not enough.
    """
    taken = {droplet.private_address for droplet in state.droplets if droplet.vpc_uuid == vpc.id}
    block = IPv4Network(vpc.ip_range)
    hosts = block.num_addresses - _FIRST_HOST - 1
    if hosts - len(taken) < count:
        raise unprocessable(f"VPC {vpc.name} has no free address left in {vpc.ip_range}")
    free: list[str] = []
    while len(free) < count:
        address = str(block[_FIRST_HOST + state.next_index(f"address of {vpc.id}", hosts)])
        if address not in taken:
            free.append(address)
    return free


def _own(state: State, team: str) -> list[Vpc]:
    return [vpc for vpc in state.vpcs if vpc.team == team]


def _free_range(state: State, team: str) -> str:
    taken = [IPv4Network(vpc.ip_range) for vpc in _own(state, team)]
    for block in _GIVEN.subnets(new_prefix=20):
        if not any(block.overlaps(other) for other in taken):
            return str(block)
    raise unprocessable("No range of addresses is left for another VPC: name one with ip_range")


def _urn(vpc: Vpc) -> str:
    return f"do:vpc:{vpc.id}"


def _json(vpc: Vpc) -> JSON:
    return {
        "id": vpc.id,
        "urn": _urn(vpc),
        "name": vpc.name,
        "description": vpc.description,
        "region": vpc.region,
        "ip_range": vpc.ip_range,
        "created_at": vpc.created_at,
        "default": vpc.default,
    }


def _members(state: State, vpc: Vpc) -> Iterator[JSON]:
    """What is in the network; a cluster that was deleted stays until its name is free."""
    for droplet in state.droplets:
        if droplet.vpc_uuid == vpc.id:
            yield {"urn": f"do:droplet:{droplet.id}", "name": droplet.name, "created_at": droplet.created_at}
    for database in state.databases:
        if database.private_network_uuid == vpc.id:
            yield {"urn": f"do:dbaas:{database.id}", "name": database.name, "created_at": database.created_at}


class _NewVpc(BaseModel):
    name: str
    region: str
    description: str = ""
    ip_range: str | None = None


class _Change(BaseModel):
    name: str | None = None
    description: str | None = None
    default: bool | None = None


class _Replacement(_Change):
    name: str


def _vpc(call: Call) -> Vpc:
    vpc = call.state.vpcs.get(call.path("id"))
    if vpc is None or vpc.team != call.team.name:
        raise not_found()
    return vpc


def _check(call: Call, name: str, description: str, current: Vpc | None = None) -> None:
    if not _NAME.fullmatch(name):
        raise unprocessable("invalid VPC name: letters, numbers, dashes and periods only")
    if any(vpc.name == name for vpc in _own(call.state, call.team.name) if vpc is not current):
        raise ApiError(HTTPStatus.CONFLICT, "conflict", f"a VPC named {name} exists already")
    if len(description) > _LONGEST_DESCRIPTION:
        raise unprocessable(f"invalid VPC description: at most {_LONGEST_DESCRIPTION} characters")


def _checked_range(call: Call, wanted: str) -> str:
    try:
        block = IPv4Network(wanted)
    except ValueError:
        raise unprocessable(f"invalid ip_range: {wanted!r} is no network such as 10.10.10.0/24") from None
    if not _LARGEST <= block.prefixlen <= _SMALLEST or not any(block.subnet_of(private) for private in _PRIVATE):
        raise unprocessable(f"invalid ip_range: a private network from /{_LARGEST} to /{_SMALLEST}")
    for vpc in _own(call.state, call.team.name):
        if block.overlaps(IPv4Network(vpc.ip_range)):
            raise unprocessable(f"This range/size overlaps with another VPC network in your account: {vpc.ip_range}")
    return str(block)


async def _list(call: Call) -> Response:
    return call.page("vpcs", [_json(vpc) for vpc in _own(call.state, call.team.name)])


async def _create(call: Call) -> Response:
    body = await call.body(_NewVpc)
    if body.region not in REGIONS:
        raise unprocessable("invalid region")
    _check(call, body.name, body.description)
    own = _own(call.state, call.team.name)
    block = _checked_range(call, body.ip_range) if body.ip_range else _free_range(call.state, call.team.name)
    first = not any(vpc.region == body.region for vpc in own)
    vpc = Vpc(new_uuid(), call.team.name, body.name, body.description, body.region, block, timestamp(), first)
    return JSONResponse({"vpc": _json(call.state.vpcs.put(vpc))}, status_code=HTTPStatus.CREATED)


async def _show(call: Call) -> Response:
    return JSONResponse({"vpc": _json(_vpc(call))})


async def _replace(call: Call) -> Response:
    body = await call.body(_Replacement)
    return _changed(call, body.name, body.description or "", default=body.default)


async def _update(call: Call) -> Response:
    vpc, body = _vpc(call), await call.body(_Change)
    description = vpc.description if body.description is None else body.description
    return _changed(call, body.name or vpc.name, description, default=body.default)


def _changed(call: Call, name: str, description: str, *, default: bool | None) -> Response:
    """A region has one default network: it is another's only once that one is told to be it."""
    vpc = _vpc(call)
    _check(call, name, description, vpc)
    if default is False and vpc.default:
        raise unprocessable("The default VPC of a region stays it until another one is made the default")
    if default and not vpc.default:
        for other in _own(call.state, call.team.name):
            if other.region == vpc.region and other.default:
                other.default = False
                call.state.vpcs.put(other)
        vpc.default = True
    vpc.name, vpc.description = name, description
    return JSONResponse({"vpc": _json(call.state.vpcs.put(vpc))})


async def _delete(call: Call) -> Response:
    vpc = _vpc(call)
    if vpc.default:
        raise ApiError(HTTPStatus.FORBIDDEN, "forbidden", "Can not delete default VPCs")
    if any(_members(call.state, vpc)):
        raise ApiError(HTTPStatus.FORBIDDEN, "forbidden", "Can not delete VPC with members")
    call.state.vpcs.remove(vpc)
    return no_content()


async def _list_members(call: Call) -> Response:
    members = list(_members(call.state, _vpc(call)))
    if kind := call.query("resource_type"):
        members = [member for member in members if member["urn"].startswith(f"do:{kind}:")]
    return call.page("members", members)


routes = [
    route("GET", "/v2/vpcs", _list),
    route("POST", "/v2/vpcs", _create),
    route("GET", "/v2/vpcs/{id}", _show),
    route("PUT", "/v2/vpcs/{id}", _replace),
    route("PATCH", "/v2/vpcs/{id}", _update),
    route("DELETE", "/v2/vpcs/{id}", _delete),
    route("GET", "/v2/vpcs/{id}/members", _list_members),
]
