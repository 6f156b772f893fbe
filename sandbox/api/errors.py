"""DigitalOcean's error answers: `{"id", "message", "request_id"}`."""

from __future__ import annotations

from http import HTTPStatus


class ApiError(Exception):
    """An answer that says no; the gate turns it into JSON."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        """HTTP status, the body's `id` and its `message`."""
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message


def unprocessable(message: str) -> ApiError:
    """The request is understood and refused."""
    return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "unprocessable_entity", message)


def not_found() -> ApiError:
    """No such object, or another team's."""
    return ApiError(HTTPStatus.NOT_FOUND, "not_found", "The resource you were accessing could not be found.")


def bad_request(message: str) -> ApiError:
    """The body or a parameter is not of the endpoint's form."""
    return ApiError(HTTPStatus.BAD_REQUEST, "bad_request", message)


def unauthorized() -> ApiError:
    """No token, or an unknown one."""
    return ApiError(HTTPStatus.UNAUTHORIZED, "Unauthorized", "Unable to authenticate you")


def forbidden() -> ApiError:
    """The token's scope does not cover the request."""
    return ApiError(HTTPStatus.FORBIDDEN, "Forbidden", "You are not authorized to perform this operation")
