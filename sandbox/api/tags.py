"""Tags: https://docs.digitalocean.com/reference/api/digitalocean/#tag/Tags."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from sandbox.api.cloud import JSON, Call, no_content, route
from sandbox.api.errors import not_found, unprocessable
from sandbox.api.state import Tag, tag_key

if TYPE_CHECKING:
    from sandbox.api.state import State, Table


class _Taggable(Protocol):
    team: str | None
    tags: list[str]


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
    for table in _tables(call.state).values():
        for item in table:
            if item.team == call.team.name and tag.name in item.tags:
                item.tags.remove(tag.name)
                table.put(item)
    call.state.tags.remove(tag)
    return no_content()


async def _tag_resources(call: Call) -> Response:
    tag = _tag(call)
    for table, item in await _resources(call):
        if tag.name not in item.tags:
            item.tags.append(tag.name)
            table.put(item)
    return no_content()


async def _untag_resources(call: Call) -> Response:
    tag = _tag(call)
    for table, item in await _resources(call):
        if tag.name in item.tags:
            item.tags.remove(tag.name)
            table.put(item)
    return no_content()


async def _resources(call: Call) -> list[tuple[Table[Any], _Taggable]]:
    """The team's objects that the request names, each with its table.

    Raises:
        ApiError: 404 when one of them does not exist.
    """
    found = []
    for resource in (await call.body(_Resources)).resources:
        table = _tables(call.state).get(resource.resource_type)
        item = table.get(resource.resource_id) if table is not None else None
        if table is None or item is None or item.team != call.team.name:
            raise not_found()
        found.append((table, item))
    return found


def _tables(state: State) -> dict[str, Table[Any]]:
    """What can be tagged, by the name of its kind; the items are `_Taggable`."""
    return {"droplet": state.droplets, "database": state.databases, "image": state.images}


routes = [
    route("GET", "/v2/tags", _list),
    route("POST", "/v2/tags", _create),
    route("GET", "/v2/tags/{name}", _show),
    route("DELETE", "/v2/tags/{name}", _delete),
    route("POST", "/v2/tags/{name}/resources", _tag_resources),
    route("DELETE", "/v2/tags/{name}/resources", _untag_resources),
]
