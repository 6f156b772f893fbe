"""psql on a tenant's database, which lets in nobody but the tenant's droplet: docs/decisions/psql-runs-here.md."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from meltanodata.droplet.memory_files import MemoryFiles
from meltanodata.droplet.ssh import NotSignedIn, sign_in
from meltanodata.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import SecretStr

    from meltanodata.engine.instances import DatabaseLogin, Instance

_ANSWER_SECONDS = 20
"""For the SSH server's answer."""
_ALIVE_SECONDS, _ALIVE_TIMES = 15, 4
"""An idle session asks the server so often, and ends after so many answers that do not come."""
_HERE = "127.0.0.1"
_NOT_CONNECTED = 2
"""psql's exit code if there is no connection, or it breaks: https://www.postgresql.org/docs/current/app-psql.html."""


def run(instance: Instance, port: int, private_key: SecretStr, arguments: Sequence[str]) -> int:
    """Run this machine's psql with this process's terminal, through the droplet; returns its exit code.

    Args:
        instance: whose database.
        port: of its droplet's SSH server.
        private_key: root's there.
        arguments: psql's, as somebody typed them. Nothing of ours is in its command line.

    Raises:
        UserError: the stack has no droplet or cluster yet, the droplet lets nobody in, or there is no psql here.
    """
    address, host_key, host, login = (
        instance.address,
        instance.host_key,
        instance.database_host,
        instance.database_login,
    )
    if address is None or host_key is None or host is None or login is None:
        raise UserError(
            f"{instance.tenant}: the stack has not finished creating it. Continue: meltanodata up --stack"
            f" {instance.stack}"
        )
    return asyncio.run(_run(instance, (address, port, private_key, host_key), host, login, arguments))


async def _run(
    instance: Instance,
    server: tuple[str, int, SecretStr, str],
    host: str,
    login: DatabaseLogin,
    arguments: Sequence[str],
) -> int:
    doctor = f"meltanodata doctor {instance.tenant} --stack {instance.stack}"
    try:
        connection = await sign_in(*server, _ANSWER_SECONDS)
    except NotSignedIn as error:
        raise UserError(
            f"{instance.tenant}: its droplet {error}. psql was not started. Diagnose it: {doctor}"
        ) from None
    try:
        connection.set_keepalive(_ALIVE_SECONDS, _ALIVE_TIMES)
        with MemoryFiles() as files:
            tunnel = await connection.forward_local_port(_HERE, 0, host, instance.database_port)
            password_file = files.file("pgpass", password_line(host, login))
            code = await _client(environment(host, tunnel.get_port(), login, password_file), arguments)
    finally:
        connection.abort()
    if code == _NOT_CONNECTED:
        print(f"If psql did not reach the database: {doctor}", file=sys.stderr)
    return code


async def _client(environment: dict[str, str], arguments: Sequence[str]) -> int:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # the terminal tells psql, too: there it ends a query
    try:
        client = await asyncio.create_subprocess_exec("psql", *arguments, env=environment)
    except FileNotFoundError:
        raise UserError(
            "psql, PostgreSQL's client, is not on the PATH; install it (Debian: postgresql-client)"
        ) from None
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, _end, client)
    code = await client.wait()
    return code if code >= 0 else 128 - code  # as a shell says of one that a signal ended


def _end(client: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        client.terminate()


def environment(host: str, port: int, login: DatabaseLogin, password_file: str) -> dict[str, str]:
    """The environment of psql: where to connect, and no password. Nothing of what somebody set for other databases.

    See https://www.postgresql.org/docs/current/libpq-envars.html.
    """
    others = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return others | {
        "PGHOST": host,
        "PGHOSTADDR": _HERE,
        "PGPORT": str(port),
        "PGDATABASE": login.database,
        "PGUSER": login.user,
        "PGPASSFILE": password_file,
        "PGSSLMODE": "require",
        "PGCONNECT_TIMEOUT": "30",
    }


def password_line(host: str, login: DatabaseLogin) -> str:
    """The line of a password file: https://www.postgresql.org/docs/current/libpq-pgpass.html."""
    fields = (host, login.user, login.password.get_secret_value())
    name, user, password = (field.replace("\\", "\\\\").replace(":", "\\:") for field in fields)
    return f"{name}:*:*:{user}:{password}\n"
