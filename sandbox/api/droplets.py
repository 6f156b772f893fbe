"""Droplets and their actions: https://docs.digitalocean.com/reference/api/digitalocean/#tag/Droplets."""

from __future__ import annotations

import datetime as dt
import re
from functools import partial
from http import HTTPStatus
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import TYPE_CHECKING

from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from sandbox.api.account import find_key
from sandbox.api.backup_policies import SUPPORTED, BackupPolicyForm, checked, next_window, policy_json
from sandbox.api.catalog import REGIONS, SIZES, region_json, size_json
from sandbox.api.cloud import JSON, Call, Cloud, no_content, route
from sandbox.api.errors import not_found, unprocessable
from sandbox.api.images import BASE_GIGABYTES, find_image, image_json
from sandbox.api.projects import assign, default_project, unassign
from sandbox.api.state import Action, Droplet, Image, State, timestamp
from sandbox.api.tags import ensure_tags
from sandbox.api.vpcs import find_vpc, private_addresses
from sandbox.backends import Machine

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sandbox.api.state import BackupPolicy, Vpc

_NAME = re.compile(r"[a-zA-Z0-9]?[a-z0-9A-Z.\-]{0,254}[a-z0-9A-Z]")
_ADDRESSES = 2000
"""How many of the network's addresses are in use in turn; above any team's droplet limit."""
_MOST_AT_ONCE = 10
_DEFAULT_REGION = "nyc3"
_LARGEST_USER_DATA = 1 << 16
"""Bytes."""
_NETWORK6 = IPv6Address("2001:db8::")
"""Addresses of no real network, by RFC 3849; the last bits of a droplet's are its IPv4 address."""
_TOO_BUSY = "Droplet already has a pending event."
_IS_OFF = "Droplet is currently powered off. Please power it on to run this event."
_IS_OFF_ALREADY = "Droplet is already powered off."
"""The official provider knows it by these words, and goes on."""


def machine(droplet: Droplet) -> Machine:
    """The droplet as its backend sees it."""
    return Machine(
        droplet.id,
        droplet.name,
        droplet.address,
        droplet.image_name,
        tuple(droplet.ssh_keys),
        public=droplet.public,
        address6=_address6(droplet) if droplet.ipv6_from_first else None,
        snapshot=droplet.snapshot,
    )


def urn(droplet: Droplet) -> str:
    """The droplet's name among a project's resources."""
    return f"do:droplet:{droplet.id}"


def resume(cloud: Cloud) -> None:
    """As the sandbox starts: what ran runs again, what was under way is finished."""
    creations = {action.resource_id: action for action in cloud.state.actions if action.type == "create"}
    for action in cloud.state.actions:
        if action.status == "in-progress" and action.type != "create":
            _end(cloud.state, action, "errored")
    for droplet in cloud.state.droplets:
        if droplet.deleted:
            _destroy(cloud, droplet)
            continue
        if droplet.locked:
            droplet.locked = False
            cloud.state.droplets.put(droplet)
        if droplet.status == "active":
            _work(cloud, droplet, partial(cloud.droplets.power_on, machine(droplet)))
        elif droplet.status == "new":
            _create_machine(cloud, droplet, creations[droplet.id], anew=True)


def destroy_all(cloud: Cloud) -> None:
    """As the sandbox is reset: every machine goes."""
    for droplet in cloud.state.droplets:
        _destroy(cloud, droplet)


def _json(state: State, droplet: Droplet) -> JSON:
    size = SIZES[droplet.size]
    image = state.images.get(droplet.image)
    new = droplet.status == "new"
    return {
        "id": droplet.id,
        "name": droplet.name,
        "memory": size.memory,
        "vcpus": size.vcpus,
        "disk": droplet.disk,
        "disk_info": [{"type": "local", "size": {"amount": droplet.disk, "unit": "gib"}}],
        "locked": droplet.locked,
        "status": droplet.status,
        "kernel": None,
        "created_at": droplet.created_at,
        "features": droplet.features,
        "backup_ids": [],
        "next_backup_window": _backup_window(droplet),
        "snapshot_ids": [i.id for i in state.images if i.resource_id == droplet.id],
        "image": _image_json(droplet, image),
        "volume_ids": [],
        "size": size_json(droplet.size),
        "size_slug": droplet.size,
        # Addresses show up once the machine is there.
        "networks": {"v4": [] if new else _networks(state, droplet), "v6": [] if new else _networks6(droplet)},
        "region": region_json(droplet.region),
        "tags": droplet.tags,
        "vpc_uuid": droplet.vpc_uuid,
    }


def _image_json(droplet: Droplet, image: Image | None) -> JSON:
    """A droplet outlives its image."""
    if image is not None:
        return image_json(image)
    gone = {"id": droplet.image, "name": droplet.image_name, "distribution": "Ubuntu", "slug": None, "public": False}
    return (
        gone
        | {"regions": [], "created_at": droplet.created_at, "min_disk_size": 0, "type": "snapshot"}
        | {"size_gigabytes": 0, "description": "", "tags": [], "status": "deleted", "error_message": ""}
    )


def _networks(state: State, droplet: Droplet) -> list[JSON]:
    def network(address: str, kind: str, block: IPv4Network) -> JSON:
        return {"ip_address": address, "netmask": str(block.netmask), "gateway": str(block[1]), "type": kind}

    vpc = state.vpcs.get(droplet.vpc_uuid)
    private = IPv4Network(vpc.ip_range if vpc is not None else f"{droplet.private_address}/20", strict=False)
    networks = [network(droplet.private_address, "private", private)]
    if droplet.public:
        networks.append(network(droplet.address, "public", IPv4Network(f"{droplet.address}/20", strict=False)))
    return networks


def _networks6(droplet: Droplet) -> list[JSON]:
    if "ipv6" not in droplet.features:
        return []
    return [{"ip_address": _address6(droplet), "netmask": 64, "gateway": str(_NETWORK6 + 1), "type": "public"}]


def _address6(droplet: Droplet) -> str:
    return str(_NETWORK6 + int(IPv4Address(droplet.address)))


def _backup_window(droplet: Droplet) -> JSON | None:
    policy = _policy(droplet)
    return next_window(policy, dt.datetime.now(dt.UTC)) if policy else None


def _policy_json(droplet: Droplet) -> JSON:
    """What there is to say of a droplet's backups."""
    policy = _policy(droplet)
    record: JSON = {"droplet_id": droplet.id, "backup_enabled": policy is not None}
    if policy is not None:
        record |= {"backup_policy": policy_json(policy), "next_backup_window": _backup_window(droplet)}
    return record


def _action_json(action: Action) -> JSON:
    return {
        "id": action.id,
        "status": action.status,
        "type": action.type,
        "started_at": action.started_at,
        "completed_at": action.completed_at,
        "resource_id": action.resource_id,
        "resource_type": "droplet",
        "region": region_json(action.region),
        "region_slug": action.region,
    }


class _NewDroplets(BaseModel):
    name: str | None = None
    names: list[str] | None = None
    size: str
    image: int | str
    region: str | None = None
    ssh_keys: list[int | str] | None = None
    tags: list[str] | None = None
    backups: bool = False
    ipv6: bool = False
    monitoring: bool = False
    with_droplet_agent: bool = True
    public_networking: bool = True
    vpc_uuid: str | None = None
    backup_policy: BackupPolicyForm | None = None
    user_data: str | None = None
    volumes: list[object] | None = None


class _NewAction(BaseModel):
    type: str
    size: str | None = None
    disk: bool = False
    name: str | None = None
    backup_policy: BackupPolicyForm | None = None


def _own(call: Call) -> list[Droplet]:
    return [droplet for droplet in call.state.droplets if droplet.team == call.team.name]


async def _list(call: Call) -> Response:
    droplets = _own(call)
    if tag := call.query("tag_name"):
        droplets = [droplet for droplet in droplets if tag in droplet.tags]
    if name := call.query("name"):
        droplets = [droplet for droplet in droplets if droplet.name.lower() == name.lower()]
    if call.query("type") == "gpus":
        droplets = []
    return call.page("droplets", [_json(call.state, droplet) for droplet in droplets])


async def _create(call: Call) -> Response:
    body = await call.body(_NewDroplets)
    names = body.names if body.names is not None else [body.name or ""]
    region, size, image, keys = _checked(call, body, names)
    vpc = _checked_vpc(call, body, region)
    private = private_addresses(call.state, vpc, len(names))
    tags = ensure_tags(call.state, call.team.name, body.tags or [])
    made = []
    for name, private_address in zip(names, private, strict=True):
        droplet = Droplet(
            id=call.state.next_id("droplet", 412_000_000),
            team=call.team.name,
            name=name,
            region=region,
            size=size,
            disk=SIZES[size].disk,
            image=image.id,
            image_name=image.name,
            ssh_keys=keys,
            address=_free_address(call.cloud),
            private_address=private_address,
            created_at=timestamp(),
            vpc_uuid=vpc.id,
            features=_features(body),
            tags=[*tags],
            public=body.public_networking,
            ipv6_from_first=body.ipv6,
            backup_policy=checked(body.backup_policy) if body.backups else None,
            snapshot=image.id if image.taken else None,
            stuck=call.stuck,
        )
        call.state.droplets.put(droplet)
        assign(call.state, urn(droplet), default_project(call.state, call.team.name).id)
        action = _begin(call.state, droplet, "create", droplet.created_at)
        _create_machine(call.cloud, droplet, action)
        made.append((droplet, action))
    links = {"actions": [{"id": a.id, "rel": "create", "href": call.url(f"/v2/actions/{a.id}")} for _, a in made]}
    shown = [_json(call.state, droplet) for droplet, _ in made]
    content = {"droplets": shown} if body.names is not None else {"droplet": shown[0]}
    return JSONResponse(content | {"links": links}, status_code=HTTPStatus.ACCEPTED)


def _checked(call: Call, body: _NewDroplets, names: list[str]) -> tuple[str, str, Image, list[str]]:
    """Region, size, image and public keys of a request that DigitalOcean would take."""
    if not all(_NAME.fullmatch(name) for name in names) or not names:
        raise unprocessable("Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)")
    if len(names) > _MOST_AT_ONCE:
        raise unprocessable(f"You can only create up to {_MOST_AT_ONCE} Droplets at once.")
    region = body.region or _DEFAULT_REGION
    if region not in REGIONS:
        raise unprocessable("You specified an invalid region for Droplet creation.")
    if body.size not in SIZES:
        raise unprocessable("You specified an invalid size for Droplet creation.")
    image = _usable_image(call, body.image, region, body.size)
    keys = _public_keys(call, body.ssh_keys or [])
    if len(_own(call)) + len(names) > call.team.droplet_limit:
        raise unprocessable("creating this/these droplet(s) will exceed your droplet limit")
    _check_extras(call, body)
    return region, body.size, image, keys


def _check_extras(call: Call, body: _NewDroplets) -> None:
    """What a droplet may have and most have not."""
    if body.backup_policy is not None and not body.backups:
        raise unprocessable("backup_policy can only be set when backups are enabled")
    checked(body.backup_policy)
    if body.volumes:
        raise unprocessable("Invalid volume allocations")  # the sandbox has no volume that could be meant
    if body.ipv6:
        _check_ipv6(call.cloud, public=body.public_networking)
    if len((body.user_data or "").encode()) > _LARGEST_USER_DATA:
        raise unprocessable("user_data is too large: 64 KiB at most")
    if body.user_data and "user_data" in call.cloud.droplets.cannot:
        raise unprocessable("The sandbox's real droplets do not run user_data")


def _check_ipv6(cloud: Cloud, *, public: bool) -> None:
    if not public:
        raise unprocessable("IPv6 addresses are public, and this Droplet has no public networking")
    if "ipv6" in cloud.droplets.cannot:
        raise unprocessable("The sandbox's droplets have no IPv6 on this machine, whose kernel has none")


def _checked_vpc(call: Call, body: _NewDroplets, region: str) -> Vpc:
    vpc = find_vpc(call.state, call.team.name, region, body.vpc_uuid)
    if vpc is None:
        raise unprocessable("You specified invalid VPC parameters for Droplet creation.")
    return vpc


def _usable_image(call: Call, identifier: int | str, region: str, size: str) -> Image:
    image = find_image(call.state, call.team.name, identifier)
    if image is None:
        raise unprocessable("You specified an invalid image for Droplet creation.")
    if region not in image.regions:
        raise unprocessable("The image you specified is not available in the selected region.")
    if SIZES[size].disk < image.min_disk_size:
        raise unprocessable("The size you specified has a smaller disk than the image needs.")
    return image


def _public_keys(call: Call, identifiers: list[int | str]) -> list[str]:
    found = {identifier: find_key(call.state, call.team.name, identifier) for identifier in identifiers}
    unknown = [str(identifier) for identifier, key in found.items() if key is None]
    if unknown:
        raise unprocessable(f"{', '.join(unknown)} are invalid key identifiers for Droplet creation.")
    return [key.public_key for key in found.values() if key is not None]


def _features(body: _NewDroplets) -> list[str]:
    """Exactly what is on: clients read backups, ipv6 and monitoring off this list."""
    optional = {"backups": body.backups, "ipv6": body.ipv6, "monitoring": body.monitoring}
    always = ["droplet_agent"] if body.with_droplet_agent else []
    return [name for name, on in optional.items() if on] + always + ["private_networking"]


def _free_address(cloud: Cloud) -> str:
    """A public address; one that was just given back comes up again last."""
    taken = {droplet.address for droplet in cloud.state.droplets}
    while True:
        address = cloud.droplet_network.droplet_address(cloud.state.next_index("droplet address", _ADDRESSES))
        if address not in taken:
            return address


def _work(cloud: Cloud, droplet: Droplet, work: Callable[[], Awaitable[None]]) -> None:
    cloud.jobs.start(f"droplet {droplet.id}", work)


def _begin(state: State, droplet: Droplet, kind: str, now: str) -> Action:
    number = state.next_id("action", 2_300_000_000)
    return state.actions.put(Action(number, droplet.team, kind, droplet.id, droplet.region, now))


def _end(state: State, action: Action, status: str) -> None:
    action.status = status
    action.completed_at = timestamp()
    state.actions.put(action)


def _create_machine(cloud: Cloud, droplet: Droplet, action: Action, *, anew: bool = False) -> None:
    """Make the machine in the background; `anew` when a first try may have got some way."""

    async def work() -> None:
        if anew:
            await cloud.droplets.destroy(machine(droplet))
        try:
            await cloud.droplets.create(machine(droplet))
        except Exception:
            _end(cloud.state, action, "errored")
            cloud.state.commit()
            raise
        droplet.status = "active"
        cloud.state.droplets.put(droplet)
        _end(cloud.state, action, "completed")
        cloud.state.commit()

    if not droplet.stuck:
        _work(cloud, droplet, work)


def _destroy(cloud: Cloud, droplet: Droplet) -> None:
    """Take the machine away in the background; the droplet is there, locked, until it is gone."""
    droplet.deleted = droplet.locked = True
    cloud.state.droplets.put(droplet)

    async def work() -> None:
        await cloud.droplets.destroy(machine(droplet))
        unassign(cloud.state, urn(droplet))
        cloud.state.droplets.remove(droplet)
        for action in cloud.state.actions:
            if action.resource_id == droplet.id and action.status == "in-progress":
                _end(cloud.state, action, "completed")
        cloud.state.commit()

    _work(cloud, droplet, work)


def _droplet(call: Call) -> Droplet:
    droplet = call.state.droplets.get(call.path("id"))
    if droplet is None or droplet.team != call.team.name:
        raise not_found()
    return droplet


async def _show(call: Call) -> Response:
    return JSONResponse({"droplet": _json(call.state, _droplet(call))})


async def _delete(call: Call) -> Response:
    droplet = _droplet(call)
    if droplet.locked:
        raise unprocessable(_TOO_BUSY)
    _destroy(call.cloud, droplet)
    return no_content()


async def _delete_tagged(call: Call) -> Response:
    tag = call.query("tag_name")
    if not tag:
        raise unprocessable("tag_name is required")
    for droplet in _own(call):
        if tag in droplet.tags and not droplet.locked:
            _destroy(call.cloud, droplet)
    return no_content()


async def _act(call: Call) -> Response:
    """Start an action; the droplet is locked until it is done."""
    droplet = _droplet(call)
    body = await call.body(_NewAction)
    if droplet.locked or droplet.status == "new":
        raise unprocessable(_TOO_BUSY)
    now = timestamp()
    work = _action(call.cloud, droplet, body, now)
    action = _begin(call.state, droplet, body.type, now)
    droplet.locked = True
    call.state.droplets.put(droplet)

    async def run() -> None:
        status = "errored"
        try:
            await work()
            status = "completed"
        finally:
            droplet.locked = droplet.deleted
            call.state.droplets.put(droplet)
            _end(call.state, action, status)
            call.state.commit()

    _work(call.cloud, droplet, run)
    return JSONResponse({"action": _action_json(action)}, status_code=HTTPStatus.CREATED)


def _action(cloud: Cloud, droplet: Droplet, body: _NewAction, now: str) -> Callable[[], Awaitable[None]]:
    """What an action that begins now does, once it is checked that it may."""
    if body.type in {"power_off", "shutdown", "reboot", "power_cycle", "power_on"}:
        return _power(cloud, droplet, body.type)
    if body.type == "resize":
        return _resize(droplet, body)
    if body.type == "rename":
        return _rename(droplet, body.name or "")
    if body.type == "snapshot":
        return _snapshot(cloud, droplet, body.name or f"{droplet.name}-{now}", now)
    if body.type in {"enable_backups", "change_backup_policy", "disable_backups"}:
        return _backups(droplet, body)
    if body.type == "enable_ipv6":
        _check_ipv6(cloud, public=droplet.public)
        return partial(_feature, droplet, "ipv6", on=True)
    raise unprocessable(f"The sandbox's droplets know no action {body.type!r}")


def _power(cloud: Cloud, droplet: Droplet, kind: str) -> Callable[[], Awaitable[None]]:
    async def off() -> None:
        await cloud.droplets.power_off(machine(droplet))
        droplet.status = "off"

    async def on() -> None:
        await cloud.droplets.power_on(machine(droplet))
        droplet.status = "active"

    async def off_and_on() -> None:
        await off()
        await on()

    if kind == "power_on":
        return on
    if droplet.status == "off":
        raise unprocessable(_IS_OFF_ALREADY if kind == "power_off" else _IS_OFF)
    return off if kind in {"power_off", "shutdown"} else off_and_on


def _resize(droplet: Droplet, body: _NewAction) -> Callable[[], Awaitable[None]]:
    size = SIZES.get(body.size or "")
    if size is None:
        raise unprocessable("You specified an invalid size for Droplet resize.")
    if droplet.status != "off":
        raise unprocessable("Droplet must be powered off to be resized.")
    if size.disk < droplet.disk:
        raise unprocessable("This size is not available because it has a smaller disk.")

    async def work() -> None:
        droplet.size = size.slug
        if body.disk:
            droplet.disk = size.disk

    return work


def _rename(droplet: Droplet, name: str) -> Callable[[], Awaitable[None]]:
    if not _NAME.fullmatch(name):
        raise unprocessable("Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)")

    async def work() -> None:
        droplet.name = name

    return work


def _snapshot(cloud: Cloud, droplet: Droplet, name: str, now: str) -> Callable[[], Awaitable[None]]:
    """The image is there when its disk is; the provider finds it by the time at which the action began."""
    base = cloud.state.images.get(droplet.image)
    image = Image(
        id=cloud.state.next_id("image", 120_000_000),
        team=droplet.team,
        name=name,
        distribution=base.distribution if base is not None else "Ubuntu",
        slug=None,
        regions=[droplet.region],
        min_disk_size=droplet.disk,
        size_gigabytes=BASE_GIGABYTES,
        created_at=now,
        resource_id=droplet.id,
        taken=True,
    )

    async def work() -> None:
        size = await cloud.droplets.take_snapshot(machine(droplet), image.id)
        image.size_gigabytes = round(BASE_GIGABYTES + size / 1e9, 2)
        cloud.state.images.put(image)

    return work


def _backups(droplet: Droplet, body: _NewAction) -> Callable[[], Awaitable[None]]:
    on = body.type != "disable_backups"
    policy = checked(body.backup_policy) if on else None
    if body.type == "change_backup_policy":
        if body.backup_policy is None:
            raise unprocessable("backup_policy is required")
        if _policy(droplet) is None:
            raise unprocessable("backup_policy can only be changed when backups are enabled")

    async def work() -> None:
        droplet.backup_policy = policy
        await _feature(droplet, "backups", on=on)

    return work


async def _feature(droplet: Droplet, feature: str, *, on: bool) -> None:
    others = [name for name in droplet.features if name != feature]
    droplet.features = [feature, *others] if on else others


def _policy(droplet: Droplet) -> BackupPolicy | None:
    """When it is backed up; None while backups are off. A sandbox from before there were policies has daily ones."""
    return droplet.backup_policy or (checked(None) if "backups" in droplet.features else None)


def _shown(call: Call, actions: list[Action]) -> Response:
    """Newest first, as DigitalOcean lists actions."""
    return call.page("actions", [_action_json(action) for action in reversed(actions)])


async def _list_all_actions(call: Call) -> Response:
    return _shown(call, [action for action in call.state.actions if action.team == call.team.name])


async def _list_actions(call: Call) -> Response:
    droplet = _droplet(call)
    return _shown(call, [action for action in call.state.actions if action.resource_id == droplet.id])


async def _show_action(call: Call) -> Response:
    action = call.state.actions.get(call.path("action"))
    droplet = call.request.path_params.get("id", action and str(action.resource_id))
    if action is None or action.team != call.team.name or str(action.resource_id) != droplet:
        raise not_found()
    return JSONResponse({"action": _action_json(action)})


async def _list_snapshots(call: Call) -> Response:
    droplet = _droplet(call)
    snapshots = [
        {
            "id": image.id,
            "name": image.name,
            "regions": image.regions,
            "created_at": image.created_at,
            "min_disk_size": image.min_disk_size,
            "size_gigabytes": image.size_gigabytes,
            "type": "snapshot",
        }
        for image in call.state.images
        if image.resource_id == droplet.id
    ]
    return call.page("snapshots", snapshots)


async def _list_backups(call: Call) -> Response:
    """None: the sandbox makes no backups, whatever the policy."""
    _droplet(call)
    return call.page("backups", [])


async def _show_policy(call: Call) -> Response:
    return JSONResponse({"policy": _policy_json(_droplet(call))})


async def _list_policies(call: Call) -> Response:
    """Paged like a list, and a map from the droplet's id."""
    return call.shaped_page(
        [_policy_json(droplet) for droplet in _own(call)],
        lambda records: {"policies": {str(record["droplet_id"]): record for record in records}},
    )


async def _list_supported_policies(_: Call) -> Response:
    return JSONResponse({"supported_policies": SUPPORTED})


routes = [
    route("GET", "/v2/droplets", _list),
    route("POST", "/v2/droplets", _create),
    route("DELETE", "/v2/droplets", _delete_tagged),
    route("GET", "/v2/droplets/backups/policies", _list_policies),
    route("GET", "/v2/droplets/backups/supported_policies", _list_supported_policies),
    route("GET", "/v2/droplets/{id}", _show),
    route("DELETE", "/v2/droplets/{id}", _delete),
    route("GET", "/v2/droplets/{id}/snapshots", _list_snapshots),
    route("GET", "/v2/droplets/{id}/backups", _list_backups),
    route("GET", "/v2/droplets/{id}/backups/policy", _show_policy),
    route("GET", "/v2/droplets/{id}/actions", _list_actions),
    route("POST", "/v2/droplets/{id}/actions", _act),
    route("GET", "/v2/droplets/{id}/actions/{action}", _show_action),
    route("GET", "/v2/actions", _list_all_actions),
    route("GET", "/v2/actions/{action}", _show_action),
]
