"""The names of the doctor's checks, which the setting `unchecked` lists."""

from __future__ import annotations

from enum import StrEnum


class Check(StrEnum):
    """What is examined, in the order in which it is reported."""

    PING = "ping"
    DNS = "dns"
    SSH = "ssh"
    SYSTEM = "system"
    """systemd's state, and the units that failed."""
    LOGS = "logs"
    """Errors in Meltano's `run/*.log`."""
    ENV = "env"
    """Owner and mode of `.env`."""
    FTP = "ftp"
    """Whether FTP logins work."""
    DATABASE = "database"
    """A connection from the droplet, as a pipeline makes it."""
    FIREWALL = "firewall"
    """That the database cannot be reached from here."""
    TRUSTED = "trusted"
    """The cluster's trusted sources at DigitalOcean."""
    CERTIFICATE = "certificate"
    PAGE = "page"
    """HTTPS from outside, and the login page."""


ON_DROPLET = frozenset({Check.SYSTEM, Check.LOGS, Check.ENV, Check.FTP, Check.DATABASE})
"""Those of one script on the droplet."""
