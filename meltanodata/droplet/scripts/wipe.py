"""Drop every schema but `public`: the guide's chapter on the demo's database. Runs on the demo's droplet.

In Meltano's virtual environment, whose psycopg2 is the one PostgreSQL client that every droplet has; and on the
droplet, because the database lets in nobody else.
"""

from __future__ import annotations

import json
from typing import Any


def main(document: dict[str, Any]) -> None:
    """Drop them all or none; print a JSON object: `dropped`, their names.

    The document has the cluster's `host`, `port`, `database`, `user` and `password`.
    """
    import psycopg2  # noqa: PLC0415 - on a droplet only
    from psycopg2.sql import SQL, Identifier  # noqa: PLC0415

    try:
        connection = psycopg2.connect(
            host=document["host"],
            port=document["port"],
            dbname=document["database"],
            user=document["user"],
            password=document["password"],
            sslmode="require",
            connect_timeout=30,
            options="-c lock_timeout=60s",  # a running pipeline ends by itself, or somebody has to stop it
        )
        with connection, connection.cursor() as cursor:
            cursor.execute(
                r"SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\_%'"
                " AND nspname NOT IN ('information_schema', 'public') ORDER BY nspname"
            )
            schemas = [name for (name,) in cursor.fetchall()]
            for schema in schemas:
                cursor.execute(SQL("DROP SCHEMA {} CASCADE").format(Identifier(schema)))
        connection.close()
    except psycopg2.Error as error:
        raise SystemExit(f"nothing was dropped: {error}") from None
    print(json.dumps({"dropped": schemas}))
