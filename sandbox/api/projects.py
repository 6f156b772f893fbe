"""Projects: https://docs.digitalocean.com/reference/api/digitalocean/#tag/Projects."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from sandbox.api.cloud import JSON, Call, new_uuid, no_content, route
from sandbox.api.errors import ApiError, not_found, unprocessable
from sandbox.api.state import Assignment, Project, timestamp

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.api.state import State


class _Owned(Protocol):
    team: str


_ENVIRONMENTS = {None, "Development", "Staging", "Production"}
_URN = re.compile(r"do:(dbaas|domain|droplet|floatingip|kubernetes|loadbalancer|space|volume|vpc):.+")
_PATHS = {"droplet": "droplets", "domain": "domains", "dbaas": "databases"}
"""Kind in a URN → collection in the API."""


def add_project(state: State, team: str, name: str, *, is_default: bool = False) -> Project:
    """A new, empty project."""
    now = timestamp()
    return state.projects.put(
        Project(
            id=new_uuid(),
            team=team,
            name=name,
            description="",
            purpose="Service or API",
            environment="Production",
            is_default=is_default,
            created_at=now,
            updated_at=now,
        )
    )


def default_project(state: State, team: str) -> Project:
    """Where a team's new objects go."""
    return next(p for p in state.projects if p.team == team and p.is_default)


def assign(state: State, urn: str, project: str) -> Assignment:
    """Put an object into a project, and out of the one that it was in."""
    return state.assignments.put(Assignment(urn, project, timestamp()))


def unassign(state: State, urn: str) -> None:
    """The object is gone."""
    state.assignments.remove(Assignment(urn, "", ""))


def _owner(state: State, urn: str) -> str | None:
    """Whose object it is, None when it does not exist."""
    _, kind, identifier = urn.split(":", 2)
    owners: dict[str, Callable[[str], _Owned | None]] = {
        "droplet": state.droplets.get,
        "dbaas": state.databases.get,
        "domain": state.domains.get,
    }
    item = owners[kind](identifier) if kind in owners else None
    return item.team if item is not None else None


def _json(call: Call, project: Project) -> JSON:
    return {
        "id": project.id,
        "owner_uuid": call.team.uuid,
        "owner_id": int(call.team.uuid[:6], 16),
        "name": project.name,
        "description": project.description,
        "purpose": project.purpose,
        "is_default": project.is_default,
        "created_at": project.created_at,
        "updated_at": project.updated_at,
    } | ({"environment": project.environment} if project.environment else {})


def _resource(call: Call, urn: str, assigned_at: str, status: str) -> JSON:
    _, kind, identifier = urn.split(":", 2)
    return {
        "urn": urn,
        "assigned_at": assigned_at,
        "links": {"self": call.url(f"/v2/{_PATHS.get(kind, kind)}/{identifier}")},
        "status": status,
    }


class _NewProject(BaseModel):
    name: str
    purpose: str
    description: str = ""
    environment: str | None = None


class _Change(BaseModel):
    name: str | None = None
    purpose: str | None = None
    description: str | None = None
    environment: str | None = None
    is_default: bool | None = None


class _Assign(BaseModel):
    resources: list[str]


def _project(call: Call) -> Project:
    identifier = call.path("id")
    project = (
        default_project(call.state, call.team.name) if identifier == "default" else call.state.projects.get(identifier)
    )
    if project is None or project.team != call.team.name:
        raise not_found()
    return project


def _check(call: Call, name: str, environment: str | None, current: Project | None = None) -> str | None:
    """The environment as it is kept; clients send it in any case."""
    if not name.strip():
        raise unprocessable("name is required")
    if any(p.name == name and p.team == call.team.name and p is not current for p in call.state.projects):
        raise ApiError(HTTPStatus.CONFLICT, "conflict", "name is already in use")
    kept = environment.capitalize() if environment else None
    if kept not in _ENVIRONMENTS:
        raise unprocessable("environment must be one of: Development, Staging, Production")
    return kept


async def _list(call: Call) -> Response:
    return call.page("projects", [_json(call, p) for p in call.state.projects if p.team == call.team.name])


async def _create(call: Call) -> Response:
    body = await call.body(_NewProject)
    environment = _check(call, body.name, body.environment)
    project = add_project(call.state, call.team.name, body.name)
    project.purpose, project.description, project.environment = body.purpose, body.description, environment
    call.state.projects.put(project)
    return JSONResponse({"project": _json(call, project)}, status_code=HTTPStatus.CREATED)


async def _show(call: Call) -> Response:
    return JSONResponse({"project": _json(call, _project(call))})


async def _update(call: Call) -> Response:
    project = _project(call)
    change = (await call.body(_Change)).model_dump(exclude_none=True)
    name = change.get("name", project.name)
    change["environment"] = _check(call, name, change.get("environment", project.environment), project)
    if change.get("is_default"):
        previous = default_project(call.state, call.team.name)
        previous.is_default = False
        call.state.projects.put(previous)
    for key, value in change.items():
        setattr(project, key, value)
    project.updated_at = timestamp()
    call.state.projects.put(project)
    return JSONResponse({"project": _json(call, project)})


async def _delete(call: Call) -> Response:
    project = _project(call)
    if project.is_default:
        raise ApiError(HTTPStatus.CONFLICT, "conflict", "cannot delete a default project")
    if any(a.project == project.id for a in call.state.assignments):
        raise ApiError(
            HTTPStatus.PRECONDITION_FAILED,
            "precondition_failed",
            "cannot delete a project with resources. move or remove the resources first",
        )
    call.state.projects.remove(project)
    return no_content()


async def _list_resources(call: Call) -> Response:
    project = _project(call)
    return call.page(
        "resources",
        [_resource(call, a.urn, a.assigned_at, "ok") for a in call.state.assignments if a.project == project.id],
    )


async def _assign(call: Call) -> Response:
    project = _project(call)
    urns = (await call.body(_Assign)).resources
    if wrong := [urn for urn in urns if not _URN.fullmatch(urn)]:
        raise unprocessable(f"invalid URN: {', '.join(wrong)}")
    if networks := [urn for urn in urns if urn.startswith("do:vpc:")]:
        raise unprocessable(f"VPCs are in no project: {', '.join(networks)}")
    answers = []
    for urn in urns:
        current = call.state.assignments.get(urn)
        if _owner(call.state, urn) != call.team.name or current is None:
            answers.append(_resource(call, urn, timestamp(), "not_found"))
        elif current.project == project.id:
            answers.append(_resource(call, urn, current.assigned_at, "already_assigned"))
        else:
            answers.append(_resource(call, urn, assign(call.state, urn, project.id).assigned_at, "assigned"))
    return JSONResponse({"resources": answers})


routes = [
    route("GET", "/v2/projects", _list),
    route("POST", "/v2/projects", _create),
    # The provider says `default` for the default project in each of these.
    route("GET", "/v2/projects/{id}", _show),
    route("PUT", "/v2/projects/{id}", _update),
    route("PATCH", "/v2/projects/{id}", _update),
    route("DELETE", "/v2/projects/{id}", _delete),
    route("GET", "/v2/projects/{id}/resources", _list_resources),
    route("POST", "/v2/projects/{id}/resources", _assign),
]
