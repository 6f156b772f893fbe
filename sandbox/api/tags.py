"""Tags: https://docs.digitalocean.com/reference/api/digitalocean/#tag/Tags."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from sandbox.api.cloud import JSON, Call, no_content, route
from sandbox.api.errors import not_found, unprocessable
from sandbox.api.state import Database, Droplet, Image, Tag, tag_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.api.state import State, Table, Team

Taggable = TypeVar("Taggable", Droplet, Database, Image)

_NAME = re.compile(r"[a-zA-Z0-9_\-:]{1,255}")


def ensure_tags(state: State, team: str, names: list[str]) -> list[str]:
    """The tags that a new object bears: those that do not exist are made.

    Raises:
        ApiError: 422 for a name that no tag may have.
    """
    if wrong := [name for name in names if not _NAME.fullmatch(name)]:
        allowed = "letters, numbers, colons, dashes and underscores"
        raise unprocessable(f"Tag name {wrong[0]!r} is invalid: {allowed} only")
    for name in names:
        if state.tags.get(tag_key(Tag(name, team))) is None:
            state.tags.put(Tag(name, team))
    return list(dict.fromkeys(names))


def _json(call: Call, tag: Tag) -> JSON:
    state, team = call.state, call.team.name
    droplets = [d.id for d in state.droplets if d.team == team and tag.name in d.tags]
    databases = [d.id for d in state.databases if d.team == team and tag.name in d.tags and not d.deleted]
    images = [i.id for i in state.images if i.team == team and tag.name in i.tags]

    def count(kind: str, ids: list[int] | list[str]) -> JSON:
        return {"count": len(ids)} | ({"last_tagged_uri": call.url(f"/v2/{kind}/{ids[-1]}")} if ids else {})

    # Every kind is there even if it is empty: clients follow the pointers unasked.
    return {
        "name": tag.name,
        "resources": {
            "count": len(droplets) + len(databases) + len(images),
            "droplets": count("droplets", droplets),
            "images": count("images", images),
            "volumes": {"count": 0},
            "volume_snapshots": {"count": 0},
            "databases": count("databases", databases),
        },
    }


class _NewTag(BaseModel):
    name: str


class _Resource(BaseModel):
    resource_id: str
    resource_type: str


class _Resources(BaseModel):
    resources: list[_Resource]


async def _list(call: Call) -> Response:
    return call.page("tags", [_json(call, tag) for tag in call.state.tags if tag.team == call.team.name])


async def _create(call: Call) -> Response:
    body = await call.body(_NewTag)
    (name,) = ensure_tags(call.state, call.team.name, [body.name])
    return JSONResponse({"tag": _json(call, Tag(name, call.team.name))}, status_code=HTTPStatus.CREATED)


def _tag(call: Call) -> Tag:
    tag = call.state.tags.get(tag_key(Tag(call.path("name"), call.team.name)))
    if tag is None:
        raise not_found()
    return tag


async def _show(call: Call) -> Response:
    return JSONResponse({"tag": _json(call, _tag(call))})


async def _delete(call: Call) -> Response:
    tag = _tag(call)
    for kind in ("droplet", "database", "image"):
        _change_all(call.state, call.team, kind, lambda tags: [name for name in tags if name != tag.name])
    call.state.tags.remove(tag)
    return no_content()


async def _tag_resources(call: Call) -> Response:
    tag = _tag(call)
    for resource in (await call.body(_Resources)).resources:
        _change(call, resource, lambda tags: [*tags, tag.name] if tag.name not in tags else tags)
    return no_content()


async def _untag_resources(call: Call) -> Response:
    tag = _tag(call)
    for resource in (await call.body(_Resources)).resources:
        _change(call, resource, lambda tags: [name for name in tags if name != tag.name])
    return no_content()


def _change(call: Call, resource: _Resource, change: Callable[[list[str]], list[str]]) -> None:
    if not _change_all(call.state, call.team, resource.resource_type, change, only=resource.resource_id):
        raise not_found()


def _change_all(
    state: State, team: Team, kind: str, change: Callable[[list[str]], list[str]], only: str | None = None
) -> int:
    """Change the tags of a team's objects of a kind; returns how many there were."""

    def change_in(table: Table[Taggable]) -> int:
        items = [item for item in table if item.team == team.name and only in {None, str(item.id)}]
        for item in items:
            item.tags = change(item.tags)
            table.put(item)
        return len(items)

    match kind:
        case "droplet":
            return change_in(state.droplets)
        case "database":
            return change_in(state.databases)
        case "image":
            return change_in(state.images)
        case _:
            return 0


routes = [
    route("GET", "/v2/tags", _list),
    route("POST", "/v2/tags", _create),
    route("GET", "/v2/tags/{name}", _show),
    route("DELETE", "/v2/tags/{name}", _delete),
    route("POST", "/v2/tags/{name}/resources", _tag_resources),
    route("DELETE", "/v2/tags/{name}/resources", _untag_resources),
]
