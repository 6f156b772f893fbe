"""Where things are on a droplet, whose they are, and what the variables in them are called.

Everything else takes these facts from here, the scripts that run on droplets included: standard library only.
"""

from __future__ import annotations

from typing import NamedTuple


class Place(NamedTuple):
    """The path, owner and mode of a file."""

    path: str
    owner: str
    group: str
    mode: int


MELTANO_USER = "meltano"
"""Runs Meltano, and with it customers' pipelines."""
MELTANO_HOME = "/var/meltano"
MELTANO_PYTHON = f"{MELTANO_HOME}/.venv/bin/python"
PROJECT = f"{MELTANO_HOME}/project"
"""The Meltano project of every tenant, as the guide has it."""
UI_LOG = f"{PROJECT}/.meltano/run/meltano-ui.log"

ENV_FILE = Place(f"{PROJECT}/.env", MELTANO_USER, MELTANO_USER, 0o620)
"""The group writes it over FTP and cannot read it. Meltano keeps its plugins' settings there too."""
DATABASE_VARIABLES = {
    "user": "PG_USERNAME",
    "password": "PG_PASSWORD",
    "host": "PG_ADDRESS",
    "port": "PG_PORT",
    "database": "PG_DATABASE",
}
"""The variables of `.env`, by what each holds of the cluster's connection."""
UI_FILE = Place(f"{PROJECT}/ui.cfg", MELTANO_USER, MELTANO_USER, 0o640)
HOST_NAME_SETTING = "SERVER_NAME"
LOGIN_SETTINGS = ("SECRET_KEY", "SECURITY_PASSWORD_SALT")
"""Of `ui.cfg`. With others no stored password fits any more."""

CADDY_FOLDER = "/etc/caddy"
SERVICES = ("caddy", "meltano", "vsftpd")
"""The units that have to be active."""

HOST_KEY_FILE = "/etc/ssh/ssh_host_ed25519_key.pub"
"""Made at the droplet's first boot; of this kind only, since the client then asks the server for no other."""
RUN_FOLDER = "/run/meltanodata"
"""Scripts and the documents that droplets share. A reboot removes it, and with it outdated ones."""
RUN_LOCK = "/run/meltanodata.lock"
