"""The settings and secrets of the running program, as the engine hands them over."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pulumi
import pytest
from pulumi.runtime import set_all_config

from meltanodata.config import settings_loading
from meltanodata.errors import ProblemsError
from meltanodata.program import stack_config
from tests.program import builders
from tests.program.builders import TEAM_1


def test_pulumis_config_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi, "get_stack", lambda: "prod")
    now = datetime.now(UTC)
    crt, key = builders.certificate()
    values = {
        "domain": "meltanodata.com",
        "project": "Meltano",
        "database_version": "16",
        "droplet_team": json.dumps({"name": "Meltano"}),
        "database_teams": json.dumps([{"name": TEAM_1}]),
        "tokens": json.dumps({"Meltano": "token-0", TEAM_1: "token-1"}),
        "ssh_private_key": key,
        "certificate": crt,
        "certificate_key": key,
    }
    config = {f"meltanodata:{name}": value for name, value in values.items()}
    set_all_config(config | {"other:domain": "x"})
    try:
        assert stack_config.read(now) == settings_loading.from_values(values, "prod", now)
        set_all_config(config | {"meltanodata:domian": "x"})
        with pytest.raises(ProblemsError, match="domian is not a setting"):
            stack_config.read(now)
    finally:
        set_all_config({})
