"""A droplet's files, as in the guide's steps 4 and 5, and the scripts that write them. Pure: text in, text out."""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, Literal

from meltanodata.droplet.layout import (
    CADDY_FOLDER,
    DATABASE_VARIABLES,
    ENV_FILE,
    HOST_NAME_SETTING,
    LOGIN_SETTINGS,
    MELTANO_HOME,
    MELTANO_USER,
    RUN_FOLDER,
    UI_FILE,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from meltanodata.config.options import Tls

_HERE = Path(__file__).parent

_PACKAGE = "meltanodata.droplet"
_CADDYFILE = f"{CADDY_FOLDER}/Caddyfile"
_CADDY_CHECKS: Mapping[int, tuple[str, ...]] = {
    1: ("-validate", "-conf", _CADDYFILE),
    2: ("validate", "--config", _CADDYFILE, "--adapter", "caddyfile"),
}
"""The check of a Caddyfile, by Caddy's major version; it loads the certificate, too, and serves nothing."""
_SCRIPTS = ("write_files", "meltano", "admin", "verify", "wipe")
"""The scripts that Commands run."""


@dataclass(frozen=True)
class File:
    """A file on a droplet, for `write_files.py`."""

    path: str
    owner: str
    group: str
    mode: int
    service: Literal["caddy", "meltano"] | None = None
    """Restarted when the file's content changes, because it reads the file at its start only."""
    content: str | None = None
    """The whole file; None where `lines` sets a part of it."""
    lines: Mapping[str, str] | None = None
    """Lines of a file that others write to as well, by the name that each one sets."""
    check: tuple[str, ...] | None = None
    """Arguments with which the service's program checks this file, and the files that it names."""
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
    """The secrets of Meltano's logins: `ui.cfg` of the guide's step 4."""

    secret_key: str
    password_salt: str


@dataclass(frozen=True)
class Certificate:
    """The wildcard certificate and its key, PEM."""

    certificate: str
    key: str


def droplet_files(*, domain: str, caddy_version: Literal[1, 2], tls: Tls, certificate: Certificate) -> list[File]:
    """A droplet's files, with the owners and modes of the guide's steps 4 and 5; the tenant's values are templates.

    They include the wildcard certificate whatever `tls` is, so that a change of `tls` changes the Caddyfile only.
    """
    # The guide's com.meltanodata for meltanodata.com.
    stem = f"{CADDY_FOLDER}/{'.'.join(reversed(domain.split('.')))}"
    constraints = f"{MELTANO_HOME}/constraints.txt"
    return [
        File(f"{stem}.crt", "root", "root", 0o644, "caddy", certificate.certificate),
        File(f"{stem}.key", "root", "caddy", 0o640, "caddy", certificate.key),
        File(
            _CADDYFILE,
            *("root", "root", 0o644, "caddy", caddyfile(caddy_version, tls, stem)),
            check=_CADDY_CHECKS[caddy_version],
        ),
        # Meltano 3 has no UI: `meltano upgrade`, typed or clicked, must not install it.
        File(constraints, "root", "root", 0o644, None, "meltano<3\n"),
        # Owned by the user, since the user copies and restores the whole environment at an upgrade.
        File(
            f"{MELTANO_HOME}/.venv/pip.conf",
            *(MELTANO_USER, MELTANO_USER, 0o644, None, f"[install]\nconstraint = {constraints}\n"),
        ),
        File(f"{CADDY_FOLDER}/environment", "root", "root", 0o644, "caddy", "HOSTNAME=${HOSTNAME}\n", template=True),
        # Meltano reads it as a .env file, whose double quotes are those of JSON.
        File(
            *UI_FILE,
            "meltano",
            lines={
                HOST_NAME_SETTING: f'{HOST_NAME_SETTING} = "${{HOSTNAME}}"',
                **{name: f'{name} = "${{{name}}}"' for name in LOGIN_SETTINGS},
            },
            template=True,
        ),
        File(
            *ENV_FILE,
            "meltano",
            lines={name: f"{name}=${{{name}}}" for name in DATABASE_VARIABLES.values()},
            template=True,
        ),
    ]


def tenant_values(*, host_name: str, login: Login, database: Database) -> dict[str, str]:
    """A tenant's values for the templates of its droplet's files, by name, quoted as each file needs it.

    Raises:
        ValueError: see `_env_quoted`.
    """
    secrets = zip(LOGIN_SETTINGS, (login.secret_key, login.password_salt), strict=True)
    return {
        "HOSTNAME": host_name,
        **{name: json.dumps(value)[1:-1] for name, value in secrets},  # the template has the quotes
        **{name: _env_quoted(str(getattr(database, field))) for field, name in DATABASE_VARIABLES.items()},
    }


class _Caddyfile(Template):
    """`$` belongs to Caddy."""

    delimiter = "%"


def caddyfile(version: Literal[1, 2], tls: Tls, stem: str) -> str:
    """The guide's Caddyfile, or its equivalent for Caddy 2; the kind of certificate that is not in use is a comment.

    `stem` is the certificate's path without `.crt`.
    """
    return _Caddyfile((_HERE / f"Caddyfile.v{version}").read_text(encoding="utf-8")).substitute(
        self_signed="" if tls == "self_signed" else "# ",
        wildcard="" if tls == "wildcard" else "# ",
        certificate=f"{stem}.crt",
        key=f"{stem}.key",
    )


def _env_quoted(value: str) -> str:
    """A value as python-dotenv, and so Meltano, reads it back.

    Without quotes where nothing can be misread. Else in single quotes, in which `\\` and `'` are escaped; and since a
    `${NAME}` is replaced there too, `${` is written as an empty name whose default is a dollar.

    Raises:
        ValueError: it has a line break, which would end the line; no password of DigitalOcean's has one.
    """
    if re.fullmatch(r"[A-Za-z0-9_./:@+-]+", value):
        return value
    if re.search(r"[\r\n]", value):
        raise ValueError("a value of .env has a line break")
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("${", "${:-$}{")
    return f"'{escaped}'"


def files_document(files: Iterable[File]) -> dict[str, Any]:
    """The document with whole files for `write_files.py`."""
    described = [{name: value for name, value in asdict(file).items() if value not in (None, False)} for file in files]
    return {"files": described}


def common_document(files: Iterable[File]) -> File:
    """The document of the files that droplets share, as a file of a droplet, which only root can read.

    Its path names its content: a tenant's state has the path only, see `tenant_document`.
    """
    return _in_run_folder("common", ".json", 0o600, json.dumps(files_document(files), sort_keys=True))


def tenant_document(common: File, values: Mapping[str, str], *, keep_secrets: bool) -> dict[str, Any]:
    """A tenant's document for `write_files.py`: short, since the state has it several times.

    With `keep_secrets` an instance made by hand keeps the secrets of its logins.
    """
    return {"common": common.path, "values": values, "kept": list(LOGIN_SETTINGS) if keep_secrets else []}


def restart_document(host_name: str, services: Iterable[str], caddy_version: int, seconds: int) -> dict[str, Any]:
    """The document for `restart.py`."""
    checks = {"caddy": _CADDY_CHECKS[caddy_version]}
    return {
        "host_name": host_name,
        "services": [{"name": name, "check": checks.get(name)} for name in services],
        "seconds": seconds,
    }


@functools.cache
def script(name: str) -> str:
    """The source of a script for droplets, with its parts in the place of their imports.

    A script has a function `main`, which raises SystemExit with a message if it fails.
    """
    parts: dict[str, str] = {}
    _collect(f"{_PACKAGE}.scripts.{name}", parts)
    return "\n\n".join(["from __future__ import annotations", *parts.values()])


def _collect(module: str, parts: dict[str, str]) -> None:
    """Add a module's source to `parts`, behind those of its own parts."""
    source = _HERE.joinpath(*module.removeprefix(_PACKAGE).split(".")).with_suffix(".py").read_text("utf-8")
    lines = source.split("\n")
    imports = [node for node in ast.parse(source).body if isinstance(node, ast.ImportFrom)]
    replaced = [node for node in imports if str(node.module).startswith((_PACKAGE, "__future__"))]
    for node in replaced:
        if node.module != "__future__" and node.module not in parts:
            _collect(str(node.module), parts)
    for node in reversed(replaced):
        del lines[node.lineno - 1 : node.end_lineno]
    parts[module] = "\n".join(lines).strip()


def call(name: str, document: Mapping[str, Any]) -> str:
    """A script with its document, for `python3 -`: neither stands in a command line."""
    return f"{script(name)}\n\n\nimport json\n\nmain(json.loads({json.dumps(document, sort_keys=True)!r}))\n"


@functools.cache
def placed(name: str) -> File:
    """A script as a file of a droplet; its document comes by standard input."""
    return _in_run_folder(
        name, ".py", 0o644, f"{script(name)}\n\n\nimport json\nimport sys\n\nmain(json.load(sys.stdin))\n"
    )


def _in_run_folder(stem: str, suffix: str, mode: int, text: str) -> File:
    """A file with another path for each content."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return File(f"{RUN_FOLDER}/{stem}-{digest}{suffix}", "root", "root", mode, content=text)


def bringing(common: Iterable[File]) -> str:
    """The program for `python3 -` that puts the scripts, and these documents, where Commands find them."""
    return call("write_files", files_document([*map(placed, _SCRIPTS), *common]))
