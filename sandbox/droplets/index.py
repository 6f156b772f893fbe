"""The package index that droplets install from, in place of the Python Package Index that they cannot reach.

It speaks the simple repository API (https://packaging.python.org/en/latest/specifications/simple-repository-api/).
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from starlette.requests import Request

PORT: Final = 3141
"""On the gateway's address of the sandbox's network."""


def pip_configuration(gateway: str) -> str:
    """A droplet's /etc/pip.conf."""
    return f"[global]\nindex-url = http://{gateway}:{PORT}/simple/\ntrusted-host = {gateway}\n"


def create_app(folders: Sequence[Path]) -> Starlette:
    """The index of some folders of wheels, each as it is when it is asked."""

    async def project(request: Request) -> HTMLResponse:
        wanted = _normalized(request.path_params["project"])
        found = [
            f"/{number}/{path.name}"
            for number, folder in enumerate(folders)
            for path in sorted(folder.iterdir())
            if _normalized(path.name.partition("-")[0]) == wanted
        ]
        if not found:
            raise HTTPException(404)
        links = "".join(f'<a href="{html.escape(it)}">{html.escape(it.split("/")[-1])}</a>\n' for it in found)
        return HTMLResponse(f"<!DOCTYPE html>\n{links}")

    files = [Mount(f"/{number}", StaticFiles(directory=folder)) for number, folder in enumerate(folders)]
    return Starlette(routes=[Route("/simple/{project}/", project), *files])


def _normalized(name: str) -> str:
    """A project's name as every spelling of it is compared."""
    return re.sub(r"[-_.]+", "-", name).lower()
