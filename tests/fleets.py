"""Valid fleets and settings; each test breaks or changes one thing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from meltanodata.config import document, fleet
from meltanodata.config.settings import Settings
from meltanodata.config.tenants import tenants_of

if TYPE_CHECKING:
    from pathlib import Path

    from meltanodata.config.fleet import Fleet
    from meltanodata.config.tenants import Tenant
    from meltanodata.errors import Problem

SETTINGS: dict[str, Any] = {
    "stack": "prod",
    "domain": "meltanodata.com",
    "project": "Meltano",
    "database_version": "16",
    "droplet_team": {"name": "Meltano", "limit": 500},
    "database_teams": [{"name": "DBs 1", "limit": 60}, {"name": "DBs 2", "limit": 60}],
}


def settings(**changes: Any) -> Settings:
    """A stack's settings, with some changed."""
    return Settings.model_validate({**SETTINGS, **changes})


def team(name: str, limit: int = 60, *, full: bool = False) -> dict[str, Any]:
    """A database team as settings have it."""
    return {"name": name, "limit": limit, "full": full}


def text(tenants: dict[str, dict[str, Any] | None]) -> str:
    """A fleet file, in a style of its own: block entries, quoted strings."""
    lines = []
    for key, options in tenants.items():
        lines.append(f"{json.dumps(key)}:")
        lines += [f"  {name}: {_written(value)}" for name, value in (options or {}).items()]
    return "\n".join([*lines, ""]) if tenants else "{}\n"


def _written(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_written(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, str):
        return yaml.safe_dump(value, default_style='"', width=10**6).strip()
    return json.dumps(value, default=str)


def parsed(source: str | bytes) -> tuple[Fleet, list[Problem]]:
    """What a fleet file of this text is read as, and its problems."""
    raw = source.encode() if isinstance(source, str) else source
    return fleet.parse(document.parse(raw, "tenants.yaml"))


def problems_in(source: str | bytes) -> list[str]:
    """The problems of a fleet file of this text."""
    return [str(problem) for problem in sorted(parsed(source)[1])]


def fleet_of(tenants: dict[str, dict[str, Any] | None]) -> Fleet:
    """A fleet whose form is right."""
    loaded, problems = parsed(text(tenants))
    assert problems == []
    return loaded


def placed(*teams: str) -> Fleet:
    """A fleet of tenants t1, t2 … in these teams."""
    return fleet_of({f"t{number}": {"database_team": team} for number, team in enumerate(teams, 1)})


def tenant(**options: Any) -> Tenant:
    """A tenant as the program gets it, in the first team."""
    (made,) = tenants_of(fleet_of({"acme": {"database_team": "DBs 1", **options}}), settings())
    return made


def write_stack(root: Path, name: str, **changes: Any) -> None:
    """A stack's file with valid settings, some of them changed."""
    values = {**SETTINGS, **changes}
    del values["stack"]
    lines = [f"  meltanodata:{key}: {json.dumps(value)}\n" for key, value in values.items()]
    (root / f"Pulumi.{name}.yaml").write_text("config:\n" + "".join(lines))
