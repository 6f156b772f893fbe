"""The API as one ASGI application."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from sandbox.api import account, catalog, control, databases, domains, droplets, images, projects, tags, vpcs
from sandbox.api.cloud import new_uuid
from sandbox.api.errors import ApiError, not_found
from sandbox.api.gate import Gate, error_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from sandbox.api.cloud import Cloud

SERVICES = (account, catalog, databases, domains, droplets, images, projects, tags, vpcs)
"""Each has `routes`; catalog stands before databases, whose `{id}` would take `options` for one."""


def create_app(cloud: Cloud, control_token: str, replant: Callable[[], None]) -> Gate:
    """The application.

    Args:
        cloud: what it works on.
        control_token: for the endpoints under `/_sandbox/`.
        replant: gives the teams their first objects again, after a reset.
    """
    app = Starlette(
        routes=[route for service in (*SERVICES, control) for route in service.routes],
        exception_handlers={ApiError: _refused, HTTPException: _unknown, Exception: _failed},
    )
    app.state.cloud = cloud
    app.state.replant = replant
    return Gate(app, cloud, control_token)


def _answer(request: Request, error: ApiError) -> Response:
    return error_response(error, getattr(request.state, "request_id", None) or new_uuid())


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101 (registered for it)
    return _answer(request, error)


async def _unknown(request: Request, error: Exception) -> Response:
    """A path or method that no route has."""
    assert isinstance(error, HTTPException)  # noqa: S101 (registered for it)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return _answer(request, ApiError(error.status_code, "method_not_allowed", "Method not allowed"))
    return _answer(request, not_found())


async def _failed(request: Request, _: Exception) -> Response:
    """A bug of ours; Starlette raises it again after the answer, so that it is logged."""
    return _answer(request, ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "server_error", "Unexpected server-side error"))
