"""Reach the database as a pipeline does: with what `.env` says.

Runs in Meltano's virtual environment, as the user meltano. Prints a JSON object: `address`, the host that `.env` names,
and `problem`, null when the login succeeds, else its `code` and `detail`.
"""

from __future__ import annotations

import json

from meltanodata.droplet.layout import DATABASE_VARIABLES, ENV_FILE
from meltanodata.droplet.scripts.codes import Problem

SECONDS = 10


def main() -> None:
    """Sign in, and nothing else."""
    import dotenv  # noqa: PLC0415 - on a droplet only
    import psycopg2  # noqa: PLC0415

    env = dotenv.dotenv_values(ENV_FILE.path)
    problem = None
    try:
        told = {field: env[variable] for field, variable in DATABASE_VARIABLES.items()}
        told["dbname"] = told.pop("database")
        psycopg2.connect(**told, sslmode="require", connect_timeout=SECONDS).close()
    except KeyError as missing:
        problem = Problem("variable_missing", missing.args[0])
    except psycopg2.Error as error:
        problem = Problem("not_let_in", str(error).strip())
    print(json.dumps({"address": env.get(DATABASE_VARIABLES["host"]), "problem": problem and problem._asdict()}))
