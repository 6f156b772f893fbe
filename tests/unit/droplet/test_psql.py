"""Psql through a droplet: what it is told, and what nobody sees. That it gets there is in test_doctor_real.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from meltanodata.droplet import psql
from meltanodata.engine.instances import DatabaseLogin, Instance
from meltanodata.errors import UserError
from tests.fakes.ssh_server import SshServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = r"AVNS_a:b\c"
LOGIN = DatabaseLogin("defaultdb", "doadmin", SecretStr(PASSWORD))


@pytest.fixture(scope="module")
def droplet() -> Iterator[SshServer]:
    with SshServer() as server:
        yield server


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH, with a psql that keeps what it is told and sees, and ends as `code` says."""
    folder = tmp_path / "programs"
    folder.mkdir()
    client = folder / "psql"
    client.write_text(
        f"""#!/bin/sh
cd {tmp_path}
printf '%s\\n' "$@" > arguments
/usr/bin/env > environment
/bin/cat "$PGPASSFILE" > password
/usr/bin/stat --dereference --format=%a "$PGPASSFILE" > mode
test ! -e interrupts || {{ kill -INT $PPID; /bin/sleep 0.3; }}
exit $(/bin/cat code)
"""
    )
    client.chmod(0o755)
    (tmp_path / "code").write_text("0")
    monkeypatch.setenv("PATH", str(folder))
    return tmp_path


def instance(droplet: SshServer, host_key: str | None = None, login: DatabaseLogin | None = LOGIN) -> Instance:
    return Instance(
        tenant="acme",
        stack="prod",
        host="acme.meltanodata.com",
        droplet="4711",
        address="127.0.0.1",
        host_key=host_key or droplet.public_key,
        database_host="db-acme.example.com",
        database_port=25060,
        tls="wildcard",
        certificate=None,
        database_login=login,
    )


def run(droplet: SshServer, *arguments: str, of: Instance | None = None) -> int:
    return psql.run(of or instance(droplet), droplet.port, SecretStr(droplet.private_key), arguments)


def test_psql_is_told_where_to_connect_and_nobody_sees_the_password(
    droplet: SshServer, programs: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"PGSERVICE": "mine", "PGPASSWORD": "other", "PGSSLMODE": "disable", "PAGER": "less"}.items():
        monkeypatch.setenv(name, value)
    assert run(droplet, "--command", "SELECT 1") == 0
    assert (programs / "arguments").read_text() == "--command\nSELECT 1\n"
    told = dict(line.split("=", 1) for line in (programs / "environment").read_text().splitlines())
    port = told.pop("PGPORT")
    assert int(port) > 1023
    path = told.pop("PGPASSFILE")
    assert {name: value for name, value in told.items() if name.startswith("PG")} == {
        "PGHOST": "db-acme.example.com",
        "PGHOSTADDR": "127.0.0.1",
        "PGDATABASE": "defaultdb",
        "PGUSER": "doadmin",
        "PGSSLMODE": "require",
        "PGCONNECT_TIMEOUT": "30",
    }
    assert told["PAGER"] == "less"
    assert PASSWORD not in str(told)
    # In libpq's notation; gone with the command.
    assert (programs / "password").read_text() == "db-acme.example.com:*:*:doadmin:AVNS_a\\:b\\\\c\n"
    assert (programs / "mode").read_text() == "600\n"
    with pytest.raises(OSError, match="No such file"):
        open(path).close()  # noqa: PTH123 - it does not exist
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("code", "hint"), [(1, ""), (3, ""), (2, "meltanodata doctor acme --stack prod\n")])
def test_it_ends_as_psql_does(
    droplet: SshServer, programs: Path, capfd: pytest.CaptureFixture[str], code: int, hint: str
) -> None:
    (programs / "code").write_text(str(code))
    assert run(droplet) == code
    assert capfd.readouterr().err.endswith(hint)
    assert bool(hint) == (code == 2)


def test_an_interrupt_is_for_psql_alone(droplet: SshServer, programs: Path) -> None:
    """It ends a query, and not the session."""
    (programs / "interrupts").touch()
    (programs / "code").write_text("6")
    assert run(droplet) == 6


def test_another_host_key_stops_it_before_anything_is_started(droplet: SshServer, programs: Path) -> None:
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPoPCGPxQeddVQd8pgKx5i+D3shPukzo1LdWvSjqg5lS"
    with pytest.raises(UserError, match=r"its droplet has another host key, SHA256:.*meltanodata doctor acme"):
        run(droplet, of=instance(droplet, host_key=other))
    assert not (programs / "arguments").exists()


def test_without_psql_it_says_what_to_install(droplet: SshServer, programs: Path) -> None:
    (programs / "programs/psql").unlink()
    with pytest.raises(UserError, match="psql, PostgreSQL's client, is not on the PATH; install it"):
        run(droplet)


def test_a_tenant_that_is_half_made_has_no_database_yet(droplet: SshServer) -> None:
    with pytest.raises(UserError, match=r"has not finished creating it\. Continue: meltanodata up --stack prod"):
        run(droplet, of=instance(droplet, login=None))
