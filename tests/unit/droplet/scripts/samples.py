"""What a droplet holds on which all is well, what the script that examines it prints, and pieces of a `.env`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from meltanodata.droplet import files
from meltanodata.droplet.scripts import examine
from tests.fakes.caddy import HOST, caddy, certificate

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


DATABASE = "db-postgresql-nyc3-52483-acme-do-user-1.db.ondigitalocean.com"
PASSWORD = "AVNS_tiger"
SALT = "f33df00d"
DOCUMENT = {"host_name": HOST, "database_host": DATABASE, "reach": files.script("reach")}


def facts(root: Path, programs: Path, capsys: pytest.CaptureFixture[str], status: int = 401) -> dict[str, Any]:
    with caddy(certificate(root)[0], [status]) as address:
        examine.main(DOCUMENT, root, programs, address)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


PIECES = [
    *("PG_PASSWORD", "PG_PORT", "PG_USERNAME", "TAP", "export", "'PG_PORT'", "=", " = ", "= #", "#", " # ", "'", '"'),
    *("\\", "\\'", '\\"', "\\\\", "\\n", "$", "${PG_PORT}", "x", "25060", "doadmin", "AVNS x", " ", "\t", "\n", "\r\n"),
    *("\r", "\x0b", "\x0c", "\x1c", "\x1e", "\x85", "\u2028", "\u2029", "\xa0", "\ufeff", "é"),
    *("PG_PASSWORD=old\n", "PG_PORT=25060\n", "A='b\nPG_PASSWORD=inside\nc'\n", "\nPG_USERNAME=doadmin # default\n"),
]
