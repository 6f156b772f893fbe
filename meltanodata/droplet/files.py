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
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from meltanodata.config.options import Tls

"""Which certificate is served."""

_HERE = Path(__file__).parent

HOME = "/var/meltano"
PROJECT = f"{HOME}/project"
"""The Meltano project of every instance, as the guide has it; its virtual environment is beside it."""

BROUGHT = "/run/meltanodata"
"""Where scripts wait to be run, and what they are all told alike; gone with a reboot, as old ones should be."""
_CADDYFILE = "/etc/caddy/Caddyfile"
_CADDY_CHECKS: Mapping[int, tuple[str, ...]] = {
    1: ("-validate", "-conf", _CADDYFILE),
    2: ("validate", "--config", _CADDYFILE, "--adapter", "caddyfile"),
}
"""By Caddy's major version; each loads the certificate, too, and serves nothing."""
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
    check: tuple[str, ...] | None = None
    """What the service's program is told so that it says whether it takes this file and all that it names."""
    template: bool = False
    """Each `${NAME}` in it is one of `tenant_values`."""


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


def droplet_files(*, domain: str, caddy_version: Literal[1, 2], tls: Tls, certificate: Certificate) -> list[File]:
    """The files of a droplet, with owners and modes of the guide's steps 4 and 5, but for the tenant's own values.

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
        File(
            _CADDYFILE,
            *("root", "root", 0o644, "caddy", caddyfile(caddy_version, tls, stem)),
            check=_CADDY_CHECKS[caddy_version],
        ),
        # Meltano 3 has no UI: whoever types `meltano upgrade`, or clicks it, must not get it.
        File(constraints, "root", "root", 0o644, None, "meltano<3\n"),
        # The user's, as all of the environment: an upgrade's copy of that is made and put back as the user.
        File(f"{HOME}/.venv/pip.conf", "meltano", "meltano", 0o644, None, f"[install]\nconstraint = {constraints}\n"),
        File("/etc/caddy/environment", "root", "root", 0o644, "caddy", "HOSTNAME=${HOSTNAME}\n", template=True),
        # Meltano reads it as a .env file, whose double quotes are those of JSON.
        File(
            f"{PROJECT}/ui.cfg",
            *("meltano", "meltano", 0o640, "meltano"),
            lines={
                "SERVER_NAME": 'SERVER_NAME = "${HOSTNAME}"',
                "SECRET_KEY": 'SECRET_KEY = "${SECRET_KEY}"',
                "SECURITY_PASSWORD_SALT": 'SECURITY_PASSWORD_SALT = "${SECURITY_PASSWORD_SALT}"',
            },
            template=True,
        ),
        # The group writes it over FTP and cannot read it. Meltano keeps its plugins' settings there too.
        File(
            f"{PROJECT}/.env",
            *("meltano", "meltano", 0o620, "meltano"),
            lines={
                "PG_USERNAME": "PG_USERNAME=${PG_USERNAME}",
                "PG_PASSWORD": "PG_PASSWORD=${PG_PASSWORD}",
                "PG_ADDRESS": "PG_ADDRESS=${PG_ADDRESS}",
                "PG_PORT": "PG_PORT=${PG_PORT}",
                "PG_DATABASE": "PG_DATABASE=${PG_DATABASE}",
            },
            template=True,
        ),
    ]


def tenant_values(*, host_name: str, login: Login, database: Database) -> dict[str, str]:
    """What the files of a droplet have of its tenant's own, by name, each as it stands there.

    Args:
        host_name: the instance's.
        login: the secrets of the logins.
        database: the tenant's.

    Raises:
        ValueError: a value for `.env` has a line break; no password of DigitalOcean's has one.
    """
    return {
        "HOSTNAME": host_name,
        "SECRET_KEY": json.dumps(login.secret_key)[1:-1],
        "SECURITY_PASSWORD_SALT": json.dumps(login.password_salt)[1:-1],
        "PG_USERNAME": _env_quoted(database.user),
        "PG_PASSWORD": _env_quoted(database.password),
        "PG_ADDRESS": _env_quoted(database.host),
        "PG_PORT": str(database.port),
        "PG_DATABASE": _env_quoted(database.database),
    }


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


def _env_quoted(value: str) -> str:
    """A value as python-dotenv, and so Meltano, reads it back.

    Plain where nothing can be misread, as a person would write it. Else in single quotes, in which `\\` and `'` are
    escaped; and since a `${NAME}` is replaced there too, `${` is said by an empty name whose default is a dollar.

    Raises:
        ValueError: for a line break, which would end the line; no password of DigitalOcean's has one.
    """
    if re.fullmatch(r"[A-Za-z0-9_./:@+-]+", value):
        return value
    if re.search(r"[\r\n]", value):
        raise ValueError("a value of .env has a line break")
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("${", "${:-$}{")
    return f"'{escaped}'"


def files_document(files: Iterable[File]) -> dict[str, Any]:
    """What `write_files.py` is told, the files whole."""
    told = [{name: value for name, value in asdict(file).items() if value not in (None, False)} for file in files]
    return {"files": told}


def common_document(files: Iterable[File]) -> File:
    """The document of the files that all droplets have alike, as a file of a droplet: for `tenant_document` to name.

    So it is not in the state of every tenant, but its path is, which is another one for another content. Root's alone.
    """
    return _brought("common", ".json", 0o600, json.dumps(files_document(files), sort_keys=True))


def tenant_document(common: File, values: Mapping[str, str], *, keep_secrets: bool) -> dict[str, Any]:
    """What `write_files.py` is told of a tenant: no more than is its own, since the state has it several times.

    Args:
        common: the document that is on the droplet, see `common_document`.
        values: see `tenant_values`.
        keep_secrets: whether the secrets of the logins stay that an instance made by hand has.
    """
    # With others no password of the instance's logins would fit any more.
    kept = ["SECRET_KEY", "SECURITY_PASSWORD_SALT"] if keep_secrets else []
    return {"common": common.path, "values": values, "kept": kept}


def script(name: str) -> str:
    """The source of a script for droplets: standard library only, Python 3.8 or newer.

    A script ends in a function `main` that takes a document and raises SystemExit with a message if it fails.
    """
    return (_HERE / "scripts" / f"{name}.py").read_text(encoding="utf-8")


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
