"""Images and snapshots: https://docs.digitalocean.com/reference/api/digitalocean/#tag/Images."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from sandbox.api.cloud import JSON, Call, no_content, route
from sandbox.api.errors import ApiError, not_found, unprocessable
from sandbox.api.state import Image, State, timestamp

if TYPE_CHECKING:
    from sandbox.api.cloud import Cloud

BASE_GIGABYTES = 2.36
"""The size of a snapshot that holds nothing but what the sandbox's own one holds."""


def add_snapshot(state: State, team: str, name: str, region: str, *, droplet: int, min_disk_size: int) -> Image:
    """A new snapshot of a droplet, there at once.

    Args:
        state: where it is kept.
        team: whose it is.
        name: such as `Ubuntu meltano-123456789`.
        region: where it can be used.
        droplet: the id of the droplet that it was taken of; one that is gone will do.
        min_disk_size: GB that a droplet made of it must have.
    """
    return state.images.put(
        Image(
            id=state.next_id("image", 120_000_000),
            team=team,
            name=name,
            distribution="Ubuntu",
            slug=None,
            regions=[region],
            min_disk_size=min_disk_size,
            size_gigabytes=BASE_GIGABYTES,
            created_at=timestamp(),
            resource_id=droplet,
        )
    )


async def tidy(cloud: Cloud) -> None:
    """As the sandbox starts: disks go whose image is gone, or that were being taken when it stopped."""
    kept = {image.id for image in cloud.state.images if image.taken}
    kept |= {d.snapshot for d in cloud.state.droplets if d.status == "new" and d.snapshot is not None}
    await cloud.droplets.delete_other_snapshots(frozenset(kept))


def destroy_all(cloud: Cloud) -> None:
    """As the sandbox is reset: the disks that were kept go."""
    for image in cloud.state.images:
        _remove(cloud, image)


def _remove(cloud: Cloud, image: Image) -> None:
    """Forget an image; its disk goes once the droplets that are being made of it have theirs."""
    cloud.state.images.remove(image)
    if image.taken:
        made_of_it = [f"droplet {droplet.id}" for droplet in cloud.state.droplets if droplet.snapshot == image.id]
        cloud.jobs.start(f"image {image.id}", partial(cloud.droplets.delete_snapshot, image.id), after=made_of_it)


def visible(state: State, team: str) -> list[Image]:
    """DigitalOcean's own images, then the team's."""
    return [image for owner in (None, team) for image in state.images if image.team == owner]


def find_image(state: State, team: str, identifier: str | int) -> Image | None:
    """An image that the team may use, by id or slug."""
    for image in visible(state, team):
        if str(identifier) in {str(image.id), image.slug}:
            return image
    return None


def image_json(image: Image) -> JSON:
    """An image as lists show it and every droplet carries it."""
    return {
        "id": image.id,
        "name": image.name,
        "distribution": image.distribution,
        "slug": image.slug,
        "public": image.team is None,
        "regions": image.regions,
        "created_at": image.created_at,
        "min_disk_size": image.min_disk_size,
        "size_gigabytes": image.size_gigabytes,
        "description": "",
        "tags": image.tags,
        "status": "available",
        "type": "base" if image.team is None else "snapshot",
        "error_message": "",
    }


def _snapshot_json(image: Image) -> JSON:
    """The same thing as a snapshot: here the ids are strings."""
    return {
        "id": str(image.id),
        "name": image.name,
        "created_at": image.created_at,
        "regions": image.regions,
        "min_disk_size": image.min_disk_size,
        "size_gigabytes": image.size_gigabytes,
        "resource_id": str(image.resource_id),
        "resource_type": "droplet",
        "tags": image.tags,
    }


class _Rename(BaseModel):
    name: str | None = None
    distribution: str | None = None


async def _list(call: Call) -> Response:
    images = visible(call.state, call.team.name)
    if call.query("private") == "true":
        images = [image for image in images if image.team is not None]
    if call.query("type") == "distribution":
        images = [image for image in images if image.team is None]
    elif call.query("type") == "application":
        images = []
    if tag := call.query("tag_name"):
        images = [image for image in images if tag in image.tags]
    return call.page("images", [image_json(image) for image in images])


def _image(call: Call) -> Image:
    image = find_image(call.state, call.team.name, call.path("id"))
    if image is None:
        raise not_found()
    return image


def _own(call: Call) -> Image:
    image = _image(call)
    if image.team is None:
        raise ApiError(HTTPStatus.FORBIDDEN, "forbidden", "You do not have access for the attempted action.")
    return image


async def _show(call: Call) -> Response:
    return JSONResponse({"image": image_json(_image(call))})


async def _update(call: Call) -> Response:
    image = _own(call)
    body = await call.body(_Rename)
    image.name = body.name or image.name
    image.distribution = body.distribution or image.distribution
    call.state.images.put(image)
    return JSONResponse({"image": image_json(image)})


async def _create(_: Call) -> Response:
    raise unprocessable("Importing images from a URL is not part of the sandbox")


async def _delete(call: Call) -> Response:
    _remove(call.cloud, _own(call))
    return no_content()


async def _list_snapshots(call: Call) -> Response:
    snapshots = [image for image in call.state.images if image.team == call.team.name]
    if call.query("resource_type") == "volume":
        snapshots = []
    return call.page("snapshots", [_snapshot_json(image) for image in snapshots])


def _snapshot(call: Call) -> Image:
    image = call.state.images.get(call.path("id"))
    if image is None or image.team != call.team.name:
        raise not_found()
    return image


async def _show_snapshot(call: Call) -> Response:
    return JSONResponse({"snapshot": _snapshot_json(_snapshot(call))})


async def _delete_snapshot(call: Call) -> Response:
    _remove(call.cloud, _snapshot(call))
    return no_content()


routes = [
    route("GET", "/v2/images", _list),
    route("POST", "/v2/images", _create),
    route("GET", "/v2/images/{id}", _show),
    route("PUT", "/v2/images/{id}", _update),
    route("DELETE", "/v2/images/{id}", _delete),
    route("GET", "/v2/snapshots", _list_snapshots),
    route("GET", "/v2/snapshots/{id}", _show_snapshot),
    route("DELETE", "/v2/snapshots/{id}", _delete_snapshot),
]
