"""Create or correct the admin user by Meltano's own code. Runs in Meltano's virtual environment, as the user meltano.

`meltano user add` does the same, but takes the password as an argument, where every process can see it, and fails for
a user that exists.
"""

from __future__ import annotations

import logging
from typing import Any

ROLE = "admin"


def main(document: dict[str, Any]) -> None:
    """Print what was done. The document has the arguments of `ensure`."""
    logging.disable(logging.WARNING)
    try:
        print(ensure(**document))
    except Exception as error:  # noqa: BLE001 - a traceback's further lines may quote what was on its way to the database
        first_line = str(error).splitlines()[0] if str(error) else ""
        raise SystemExit(f"{type(error).__name__}: {first_line}") from None


def ensure(username: str, password: str, *, keep: bool) -> str:
    """Create the user, or set its password and role where they differ; says which.

    With `keep` a user keeps its password.

    Raises:
        LookupError: the user does not exist, so there is no password to keep, and nobody would know a new one.
    """
    # Only here: Meltano is in no environment but the droplet's.
    from flask_security.utils import hash_password, verify_password  # noqa: PLC0415
    from meltano.api.app import create_app  # noqa: PLC0415
    from meltano.api.security.identity import users  # noqa: PLC0415
    from meltano.core.db import project_engine  # noqa: PLC0415
    from meltano.core.migration_service import MigrationService  # noqa: PLC0415
    from meltano.core.project import Project  # noqa: PLC0415

    project = Project.find()
    migration = MigrationService(project_engine(project, default=True)[0])
    migration.upgrade(silent=True)
    migration.seed(project)
    with create_app().app_context():
        role = users.find_role(ROLE)
        user = users.get_user(username)
        if user is not None and role in user.roles and (keep or verify_password(password, user.password)):
            return f"{username} is as it should be"
        if user is None and keep:
            raise LookupError(f"there is no user {username} whose login could be kept; write login: new into its adopt")
        if user is None:
            user = users.create_user(username=username)
        if not keep:
            user.password = hash_password(password)
        user.roles = [role]
        users.db.session.commit()
    return f"set {username}"
