"""The names of the doctor's checks, which the setting `unchecked` lists, and what it shares with the drift's."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum


class Check(StrEnum):
    """What is looked at, in the order in which it is told."""

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
    """Whether the FTP server lets in who may write."""
    DATABASE = "database"
    """From the droplet, as a pipeline."""
    FIREWALL = "firewall"
    """The database again, from here, where nobody may reach it."""
    TRUSTED = "trusted"
    """Whom the database lets in, as DigitalOcean has it."""
    CERTIFICATE = "certificate"
    PAGE = "page"
    """HTTPS from outside, and the login page."""


ON_DROPLET = frozenset({Check.SYSTEM, Check.LOGS, Check.ENV, Check.FTP, Check.DATABASE})
"""What one script there looks at."""

EXPIRES_SOON = timedelta(days=30)
"""A certificate that has less time left is reported."""
