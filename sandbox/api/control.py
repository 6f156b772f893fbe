"""The endpoints under `/_sandbox/`: what a person or a test does to a sandbox, and no client of DigitalOcean sees."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.api import databases, droplets, images
from sandbox.api.errors import not_found, unprocessable
from sandbox.api.faults import Fault
from sandbox.api.images import add_snapshot
from sandbox.api.messages import DropletFault, Execution, NewSnapshot, Status, TeamCount
from sandbox.droplets import light

if TYPE_CHECKING:
    from starlette.requests import Request

    from sandbox.api.cloud import Cloud

Body = TypeVar("Body", bound=BaseModel)


async def _status(request: Request) -> Response:
    cloud = _cloud(request)
    status = Status(
        teams=[
            TeamCount(
                name=team.name,
                droplets=sum(droplet.team == team.name for droplet in cloud.state.droplets),
                droplet_limit=team.droplet_limit,
                databases=sum(d.team == team.name and not d.deleted for d in cloud.state.databases),
                database_limit=team.database_limit,
            )
            for team in cloud.state.teams
        ],
        records=sum(record.type not in {"SOA", "NS"} for record in cloud.state.records),
        faults=len(cloud.faults.all()),
        failures=cloud.jobs.failures,
    )
    return JSONResponse(status.model_dump())


async def _list_faults(request: Request) -> Response:
    return JSONResponse({str(number): fault.model_dump() for number, fault in _cloud(request).faults.all().items()})


async def _add_fault(request: Request) -> Response:
    number = _cloud(request).faults.add(await _body(request, Fault))
    return JSONResponse({"number": number}, status_code=HTTPStatus.CREATED)


async def _clear_faults(request: Request) -> Response:
    _cloud(request).faults.clear()
    return JSONResponse({})


async def _remove_fault(request: Request) -> Response:
    if not _cloud(request).faults.remove(request.path_params["number"]):
        raise not_found()
    return JSONResponse({})


async def _minutes(request: Request) -> Response:
    return JSONResponse([minute.model_dump() for minute in _cloud(request).traffic.minutes()])


async def _requests(request: Request) -> Response:
    since = float(request.query_params.get("since", "0"))
    return JSONResponse([seen.model_dump() for seen in _cloud(request).traffic.newest if seen.time >= since])


async def _add_snapshot(request: Request) -> Response:
    new = await _body(request, NewSnapshot)
    state = _cloud(request).state
    if state.teams.get(new.team) is None:
        raise unprocessable(f"no team {new.team!r}")
    image = add_snapshot(state, new.team, new.name, new.region, droplet=0, min_disk_size=new.min_disk_size)
    return JSONResponse({"id": image.id}, status_code=HTTPStatus.CREATED)


async def _list_droplets(request: Request) -> Response:
    return JSONResponse(
        [
            {"id": d.id, "team": d.team, "name": d.name, "status": d.status, "address": d.address}
            for d in _cloud(request).state.droplets
        ]
    )


async def _moments(request: Request) -> Response:
    since = float(request.query_params.get("since", "0"))
    return JSONResponse([moment.model_dump() for moment in _cloud(request).moments if moment.time >= since])


async def _executions(request: Request) -> Response:
    backend, number = _light(request)
    return JSONResponse([Execution.model_validate(e).model_dump() for e in backend.executions(number)])


async def _set_droplet_fault(request: Request) -> Response:
    backend, number = _light(request)
    fault = await _body(request, DropletFault)
    backend.set_fault(number, light.Fault(light.FaultKind(fault.kind), fault.status, fault.text, fault.command))
    return JSONResponse({})


async def _clear_droplet_fault(request: Request) -> Response:
    backend, number = _light(request)
    backend.set_fault(number, None)
    return JSONResponse({})


def _light(request: Request) -> tuple[light.LightDroplets, int]:
    """The backend and the droplet's id, when the droplets are light ones."""
    cloud, number = _cloud(request), request.path_params["id"]
    if not isinstance(cloud.droplets, light.LightDroplets):
        raise unprocessable("only light droplets record commands and have faults on request")
    if cloud.state.droplets.get(number) is None:
        raise not_found()
    return cloud.droplets, number


async def _new_hour(request: Request) -> Response:
    for limits in _cloud(request).limits.values():
        limits.hour.times.clear()
    return JSONResponse({})


async def _reset(request: Request) -> Response:
    """Machines and clusters go first, so that nothing of them is left."""
    cloud = _cloud(request)
    cloud.faults.clear()
    cloud.limits.clear()
    cloud.jobs.failures.clear()
    await cloud.jobs.cancel()
    droplets.destroy_all(cloud)
    databases.destroy_all(cloud)
    images.destroy_all(cloud)
    await cloud.jobs.idle()
    cloud.state.clear()
    request.app.state.replant()
    return JSONResponse({})


def _cloud(request: Request) -> Cloud:
    cloud: Cloud = request.app.state.cloud
    return cloud


async def _body(request: Request, form: type[Body]) -> Body:
    try:
        return form.model_validate_json(await request.body())
    except ValidationError as error:
        raise unprocessable(str(error)) from None


routes = [
    Route("/_sandbox/status", _status),
    Route("/_sandbox/faults", _list_faults),
    Route("/_sandbox/faults", _add_fault, methods=["POST"]),
    Route("/_sandbox/faults", _clear_faults, methods=["DELETE"]),
    Route("/_sandbox/faults/{number:int}", _remove_fault, methods=["DELETE"]),
    Route("/_sandbox/minutes", _minutes),
    Route("/_sandbox/requests", _requests),
    Route("/_sandbox/snapshots", _add_snapshot, methods=["POST"]),
    Route("/_sandbox/databases/moments", _moments),
    Route("/_sandbox/droplets", _list_droplets),
    Route("/_sandbox/droplets/{id:int}/executions", _executions),
    Route("/_sandbox/droplets/{id:int}/fault", _set_droplet_fault, methods=["PUT"]),
    Route("/_sandbox/droplets/{id:int}/fault", _clear_droplet_fault, methods=["DELETE"]),
    Route("/_sandbox/hour", _new_hour, methods=["POST"]),
    Route("/_sandbox/reset", _reset, methods=["POST"]),
]
