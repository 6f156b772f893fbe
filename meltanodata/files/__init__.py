"""What goes to a droplet: the files of the guide's steps 4 and 5, and the scripts that put them there.

Pure: text in, text out. Where a file has to be and whose it is stands here and nowhere else.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Tls: TypeAlias = Literal["wildcard", "self_signed"]
"""Which certificate is served."""

_HERE = Path(__file__).parent

HOME = "/var/meltano"
PROJECT = f"{HOME}/project"
"""The Meltano project of every instance, as the guide has it; its virtual environment is beside it."""

BROUGHT = "/run/meltanodata"
"""Where scripts wait to be run, and what they are all told alike; gone with a reboot, as old ones should be."""
_SCRIPTS = ("write_files", "meltano", "admin", "verify", "wipe")
"""All that a Command runs."""


@dataclass(frozen=True)
class File:
    """A file on a droplet; `write_files.py` makes it so."""

    path: str
    owner: str
    group: str
    mode: int
    service: Literal["caddy", "meltano"] | None = None
    """Restarted when the file's content changes, because it reads the file at its start only."""
    content: str | None = None
    """The whole file; None where `lines` says some of it."""
    lines: Mapping[str, str] | None = None
    """Lines of a file that others write to as well, by the name that each one sets."""
    kept: tuple[str, ...] = ()
    """Names whose line stays as it is where there is one."""


@dataclass(frozen=True)
class Database:
    """A cluster's connection details, as DigitalOcean gives them (guide, step 5)."""

    host: str
    port: int
    database: str
    user: str
    password: str


@dataclass(frozen=True)
class Login:
    """What signs and salts Meltano's logins: `ui.cfg` of the guide's step 4."""

    secret_key: str
    password_salt: str


@dataclass(frozen=True)
class Certificate:
    """The wildcard certificate and its key, PEM."""

    certificate: str
    key: str


def common_files(*, domain: str, caddy_version: Literal[1, 2], tls: Tls, certificate: Certificate) -> list[File]:
    """The files that all droplets have alike, with owners and modes of the guide's step 4.

    The certificate is there whatever `tls` says: to go back to it is then a change of the Caddyfile alone.

    Args:
        domain: the certificate's.
        caddy_version: its major version, which decides the dialect.
        tls: which certificate is served.
        certificate: the wildcard certificate.
    """
    # The guide's com.meltanodata for meltanodata.com.
    stem = "/etc/caddy/" + ".".join(reversed(domain.split(".")))
    constraints = f"{HOME}/constraints.txt"
    return [
        File(f"{stem}.crt", "root", "root", 0o644, "caddy", certificate.certificate),
        File(f"{stem}.key", "root", "caddy", 0o640, "caddy", certificate.key),
        File("/etc/caddy/Caddyfile", "root", "root", 0o644, "caddy", caddyfile(caddy_version, tls, stem)),
        # Meltano 3 has no UI: whoever types `meltano upgrade`, or clicks it, must not get it.
        File(constraints, "root", "root", 0o644, None, "meltano<3\n"),
        File(f"{HOME}/.venv/pip.conf", "root", "root", 0o644, None, f"[install]\nconstraint = {constraints}\n"),
    ]


def tenant_files(*, host_name: str, login: Login, keep_login: bool, database: Database) -> list[File]:
    """The files of a tenant's own, with owners and modes of the guide's steps 4 and 5.

    Args:
        host_name: the instance's.
        login: the secrets of the logins.
        keep_login: whether those that an instance made by hand has stay: with others no password would fit any more.
        database: the tenant's.
    """
    return [
        File("/etc/caddy/environment", "root", "root", 0o644, "caddy", f"HOSTNAME={host_name}\n"),
        File(
            f"{PROJECT}/ui.cfg",
            *("meltano", "meltano", 0o640, "meltano"),
            lines=ui_lines(host_name, login),
            kept=("SECRET_KEY", "SECURITY_PASSWORD_SALT") if keep_login else (),
        ),
        # The group writes it over FTP and cannot read it. Meltano keeps its plugins' settings there too.
        File(f"{PROJECT}/.env", "meltano", "meltano", 0o620, "meltano", lines=env_lines(database)),
    ]


class _Caddyfile(Template):
    """`$` belongs to Caddy."""

    delimiter = "%"


def caddyfile(version: Literal[1, 2], tls: Tls, stem: str) -> str:
    """The guide's Caddyfile, or the same in Caddy 2's dialect; the kind of certificate not in use is a comment.

    Args:
        version: Caddy's major version on the droplet.
        tls: where the certificate comes from.
        stem: the certificate's path without `.crt`.
    """
    return _Caddyfile((_HERE / f"Caddyfile.v{version}").read_text(encoding="utf-8")).substitute(
        self_signed="" if tls == "self_signed" else "# ",
        wildcard="" if tls == "wildcard" else "# ",
        certificate=f"{stem}.crt",
        key=f"{stem}.key",
    )


def ui_lines(host_name: str, login: Login) -> dict[str, str]:
    """The guide's `ui.cfg`; Meltano reads it as a .env file, whose quotes are those of JSON."""
    values = {"SERVER_NAME": host_name, "SECRET_KEY": login.secret_key, "SECURITY_PASSWORD_SALT": login.password_salt}
    return {name: f"{name} = {json.dumps(value)}" for name, value in values.items()}


def env_lines(database: Database) -> dict[str, str]:
    """The guide's five variables for target-postgres, each as its line of `.env`."""
    values = {
        "PG_USERNAME": database.user,
        "PG_PASSWORD": database.password,
        "PG_ADDRESS": database.host,
        "PG_PORT": str(database.port),
        "PG_DATABASE": database.database,
    }
    return {name: f"{name}={_env_quoted(value)}" for name, value in values.items()}


def _env_quoted(value: str) -> str:
    """A value as python-dotenv, and so Meltano, reads it back.

    Plain where nothing can be misread, as a person would write it. Else in single quotes, in which `\\` and `'` are
    escaped; and since a `${NAME}` is replaced there too, `${` is said by an empty name whose default is a dollar.

    Raises:
        ValueError: for a line break, which would end the line; no password of DigitalOcean's has one.
    """
    if re.fullmatch(r"[A-Za-z0-9_./:@+-]+", value):
        return value
    if len(f"{value}.".splitlines()) > 1:
        raise ValueError("a value of .env has a line break")
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("${", "${:-$}{")
    return f"'{escaped}'"


def files_document(files: Iterable[File], common: File | None = None) -> dict[str, Any]:
    """What `write_files.py` is told; with what is in a document that is on the droplet, where one is named."""
    told = [{name: value for name, value in asdict(file).items() if value not in (None, ())} for file in files]
    return {"files": told, **({"common": common.path} if common else {})}


def common_document(files: Iterable[File]) -> File:
    """The document of the files that all droplets have alike, as a file of a droplet: for `files_document` to name.

    So it is not in the state of every tenant, but its path is, which is another one for another content. Root's alone.
    """
    return _brought("common", ".json", 0o600, json.dumps(files_document(files), sort_keys=True))


def script(name: str) -> str:
    """The source of a script for droplets: standard library only, Python 3.8 or newer.

    A script ends in a function `main` that takes a document and raises SystemExit with a message if it fails.
    """
    return (_HERE / f"{name}.py").read_text(encoding="utf-8")


def call(name: str, document: Mapping[str, Any]) -> str:
    """A script that knows what to do: for `python3 -`, so that neither stands in a command line."""
    return f"{script(name)}\n\nmain(json.loads({json.dumps(document, sort_keys=True)!r}))\n"


@functools.cache
def placed(name: str) -> File:
    """A script as a file of a droplet, which is told its document by standard input.

    Whoever runs it names it by its path, which is another one for another text. It is nobody's secret.
    """
    return _brought(name, ".py", 0o644, f"{script(name)}\n\nimport sys\n\nmain(json.load(sys.stdin))\n")


def _brought(stem: str, suffix: str, mode: int, text: str) -> File:
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return File(f"{BROUGHT}/{stem}-{digest}{suffix}", "root", "root", mode, content=text)


def bringing(common: Iterable[File]) -> str:
    """The program for `python3 -` that puts on a droplet what Commands find there: the scripts, and these documents."""
    return call("write_files", files_document([*map(placed, _SCRIPTS), *common]))
