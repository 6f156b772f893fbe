"""What every service works with: the state, the backends and the limits of one sandbox."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.api.errors import bad_request, unprocessable
from sandbox.api.faults import Fault, Faults
from sandbox.api.jobs import Jobs
from sandbox.api.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from sandbox.api.limits import TokenLimits
    from sandbox.api.messages import DatabaseMoment
    from sandbox.api.state import State, Team
    from sandbox.backends import DatabaseBackend, DropletBackend, Network

JSON = dict[str, Any]
Body = TypeVar("Body", bound=BaseModel)

_DEFAULT_PER_PAGE = 20
_MAX_PER_PAGE = 200


@dataclass
class Cloud:
    """One sandbox: what it remembers and what makes it real."""

    state: State
    droplets: DropletBackend
    databases: DatabaseBackend
    droplet_network: Network
    database_network: Network
    jobs: Jobs = field(default_factory=Jobs)
    faults: Faults = field(default_factory=Faults)
    limits: dict[str, TokenLimits] = field(default_factory=dict)
    """By token."""
    traffic: Traffic = field(default_factory=Traffic)
    moments: deque[DatabaseMoment] = field(default_factory=lambda: deque(maxlen=20_000))
    """What the database clusters were like since the start, oldest first."""


@dataclass(frozen=True)
class Call:
    """A request that was let in."""

    cloud: Cloud
    team: Team
    request: Request
    fault: Fault | None
    """What it meets; only `stuck` is a handler's business."""

    @property
    def state(self) -> State:
        """What the sandbox remembers."""
        return self.cloud.state

    @property
    def stuck(self) -> bool:
        """What this request creates never becomes ready."""
        return self.fault is not None and self.fault.effect == "stuck"

    def path(self, name: str) -> str:
        """A parameter of the path."""
        return str(self.request.path_params[name])

    def query(self, name: str) -> str | None:
        """A parameter of the query, None when it is not there."""
        return self.request.query_params.get(name)

    async def body(self, form: type[Body]) -> Body:
        """The request's JSON.

        Raises:
            ApiError: 400 for what is no JSON object, 422 for a value of the wrong type.
        """
        try:
            content = await self.request.json()
        except ValueError:
            raise bad_request("The request body could not be parsed as JSON.") from None
        if not isinstance(content, dict):
            raise bad_request("The request body must be a JSON object.")
        try:
            return form.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            raise unprocessable(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None

    def url(self, path: str) -> str:
        """An absolute URL of this API."""
        return str(self.request.base_url).rstrip("/") + path

    def page(self, key: str, items: Sequence[JSON]) -> Response:
        """One page of a list, with `links` to the others and the total, as DigitalOcean pages."""
        return self.shaped_page(items, lambda chosen: {key: chosen})

    def shaped_page(self, items: Sequence[JSON], shape: Callable[[list[JSON]], JSON]) -> Response:
        """As `page`, where the answer holds the page's items in another shape than a list."""
        number, size, pages = self._paging(len(items))
        chosen = list(items[(number - 1) * size : number * size])
        return JSONResponse(shape(chosen) | {"links": self._links(number, pages), "meta": {"total": len(items)}})

    def _paging(self, total: int) -> tuple[int, int, int]:
        def positive(name: str, default: int) -> int:
            text = self.query(name)
            return int(text) if text and text.isdigit() and int(text) > 0 else default

        size = min(positive("per_page", _DEFAULT_PER_PAGE), _MAX_PER_PAGE)
        return positive("page", 1), size, max(1, -(-total // size))

    def _links(self, number: int, pages: int) -> JSON:
        """Clients go on while `last` is there, and read the number of the page off `prev`: neither may be missing."""
        links: JSON = {}
        if number > 1:
            links |= {"first": self._page_url(1), "prev": self._page_url(min(number - 1, pages))}
        if number < pages:
            links |= {"next": self._page_url(number + 1), "last": self._page_url(pages)}
        return {"pages": links} if links else {}

    def _page_url(self, number: int) -> str:
        return str(self.request.url.include_query_params(page=number))


Handler = Callable[[Call], Awaitable[Response]]


def route(method: str, path: str, handler: Handler) -> Route:
    """A route of the API, such as `route("GET", "/v2/droplets/{id:int}", show)`."""

    async def endpoint(request: Request) -> Response:
        await request.body()  # here, so that no other request comes between a handler's checks and its changes
        return await handler(Call(request.app.state.cloud, request.state.team, request, request.state.fault))

    return Route(path, endpoint, methods=[method])


def no_content() -> Response:
    """204, as deletes and some updates answer; DigitalOcean names a content type even so."""
    return Response(status_code=HTTPStatus.NO_CONTENT, headers={"content-type": "application/json; charset=utf-8"})


def new_uuid() -> str:
    """For clusters, projects, requests."""
    return str(uuid.uuid4())
