"""The models of a stack's settings."""

from __future__ import annotations

from meltanodata.config.settings import DatabaseTeam, DropletTeam, Guard, Rollout, Settings


def test_every_setting_is_titled_and_described_with_an_example() -> None:
    for model in (Settings, DatabaseTeam, DropletTeam, Guard, Rollout):
        for name, field in model.model_fields.items():
            assert field.title, name
            assert field.description, name
            assert field.examples, name
