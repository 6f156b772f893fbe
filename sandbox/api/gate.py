"""What every request passes before a service sees it: token, limits, scope, faults; and what is noted of it."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import math
import socket
import struct
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse

from sandbox.api.cloud import Cloud, new_uuid
from sandbox.api.errors import ApiError, forbidden, unauthorized
from sandbox.api.limits import TokenLimits

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from sandbox.api.faults import Fault
    from sandbox.api.state import Team

_CONTROL = "/_sandbox/"


@dataclass(frozen=True)
class _Holder:
    """Whose token it is, and what it may do."""

    team: Team
    read_only: bool


class Gate:
    """ASGI middleware in front of the API's routes."""

    def __init__(self, app: ASGIApp, cloud: Cloud, control_token: str) -> None:
        """Wrap `app`; whoever bears `control_token` may use the endpoints under `/_sandbox/`, uncounted."""
        self._app = app
        self._cloud = cloud
        self._control_token = control_token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["path"].startswith(_CONTROL):
            await self._control(scope, receive, send)
        else:
            await self._api(scope, receive, send)

    async def _control(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not hmac.compare_digest(_bearer(scope), self._control_token):
            await error_response(unauthorized(), new_uuid())(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            self._cloud.state.commit()

    async def _api(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = _Answer(send, new_uuid())
        scope.setdefault("state", {})["request_id"] = answer.request_id
        token = _bearer(scope)
        holder = self._holder(token)
        try:
            await self._admit(token, holder, answer, scope, receive)
        except ApiError as error:
            await error_response(error, answer.request_id)(scope, receive, answer.send)
        finally:
            path = scope["path"] + (f"?{scope['query_string'].decode()}" if scope["query_string"] else "")
            self._cloud.traffic.add(
                holder.team.name if holder else "",
                read_only=holder.read_only if holder else False,
                method=scope["method"],
                path=path,
                status=answer.status,
            )

    async def _admit(self, token: str, holder: _Holder | None, answer: _Answer, scope: Scope, receive: Receive) -> None:
        now = time.time()
        if holder is None:
            answer.headers |= TokenLimits().headers(now)
            raise unauthorized()
        limits = self._cloud.limits.setdefault(token, TokenLimits())
        wait = limits.admit(scope["method"], scope["path"], now)
        answer.headers |= limits.headers(now)
        if wait:
            answer.headers["retry-after"] = str(math.ceil(wait))
            raise ApiError(HTTPStatus.TOO_MANY_REQUESTS, "too_many_requests", "API Rate limit exceeded.")
        if holder.read_only and scope["method"] not in {"GET", "HEAD"}:
            raise forbidden()
        fault = self._cloud.faults.take(scope["method"], scope["path"], holder.team.name)
        scope["state"] |= {"team": holder.team, "fault": fault}
        if fault is None or fault.effect in {"stuck", "delay"}:
            if fault is not None:
                await asyncio.sleep(fault.delay)
            await self._serve(scope, receive, answer.send)
        else:
            await self._fail(fault, answer, scope, receive)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An answer is sent only once what it says is kept."""

        async def send_kept(message: Message) -> None:
            self._cloud.state.commit()
            await send(message)

        await self._app(scope, receive, send_kept)

    async def _fail(self, fault: Fault, answer: _Answer, scope: Scope, receive: Receive) -> None:
        await asyncio.sleep(fault.delay)
        if fault.after_work:
            await self._serve(scope, receive, _discard)
        if fault.effect == "status":
            if fault.retry_after is not None:
                answer.headers["retry-after"] = str(fault.retry_after)
            status = HTTPStatus(fault.status)
            raise ApiError(status, status.phrase.lower().replace(" ", "_"), f"{status.phrase} ({fault.message})")
        if fault.effect == "reset":
            _reset(scope["state"]["transport"])
        while (await receive())["type"] != "http.disconnect":
            pass

    def _holder(self, token: str) -> _Holder | None:
        for team in self._cloud.state.teams:
            if hmac.compare_digest(token, team.token):
                return _Holder(team, read_only=False)
            if hmac.compare_digest(token, team.read_token):
                return _Holder(team, read_only=True)
        return None


class _Answer:
    """Adds the headers that every answer bears, and remembers its status."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self.request_id = request_id
        self.headers = {"x-request-id": request_id}
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message).update(self.headers)
        await self._send(message)


def error_response(error: ApiError, request_id: str) -> JSONResponse:
    """DigitalOcean's error body."""
    return JSONResponse(
        {"id": error.kind, "message": error.message, "request_id": request_id}, status_code=error.status
    )


def _bearer(scope: Scope) -> str:
    kind, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
    return token if kind.lower() == "bearer" and token.isascii() else ""


async def _discard(message: Message) -> None:
    """The client never hears of it."""


def _reset(transport: asyncio.Transport) -> None:
    """Break the TCP connection off as a dying load balancer does: RST instead of FIN."""
    with contextlib.suppress(OSError):
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
