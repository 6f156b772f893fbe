"""Reach the database as a pipeline does: with what `.env` says.

Runs in Meltano's virtual environment, as the user meltano. Prints a JSON object: `address`, the host that `.env` names,
and `error`, null when the database lets us in.
"""

from __future__ import annotations

import json

ENV = "/var/meltano/project/.env"
SECONDS = 10


def main() -> None:
    """Sign in, and nothing else."""
    import dotenv  # noqa: PLC0415 - on a droplet only
    import psycopg2  # noqa: PLC0415

    env = dotenv.dotenv_values(ENV)
    error = None
    try:
        psycopg2.connect(
            host=env["PG_ADDRESS"],
            port=env["PG_PORT"],
            user=env["PG_USERNAME"],
            password=env["PG_PASSWORD"],
            dbname=env["PG_DATABASE"],
            sslmode="require",
            connect_timeout=SECONDS,
        ).close()
    except KeyError as missing:
        error = f"{missing.args[0]} is not in .env"
    except psycopg2.Error as failed:
        error = str(failed).strip()
    print(json.dumps({"address": env.get("PG_ADDRESS"), "error": error}))
