"""What the accounts hold at first: the teams of the sandbox's stack, keys, domain, snapshot."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from sandbox.api.account import add_key
from sandbox.api.catalog import REGIONS
from sandbox.api.cloud import new_uuid
from sandbox.api.domains import add_domain
from sandbox.api.images import add_snapshot
from sandbox.api.projects import add_project
from sandbox.api.state import Image, Team

if TYPE_CHECKING:
    from meltanodata.config.settings import Settings
    from sandbox.api.state import State
    from sandbox.keys import Keys

FIRST_SNAPSHOT = "Ubuntu meltano-123456789"
_MIN_DISK = 50
_PUBLIC_IMAGES = (
    ("ubuntu-22-04-x64", "22.04 (LTS) x64", "2025-05-17T02:12:41Z"),
    ("ubuntu-20-04-x64", "20.04 (LTS) x64", "2025-05-14T19:09:48Z"),
)
"""Of DigitalOcean's own, so that "snapshots only" is not the same as "all images"; a droplet of either is the sandbox's
own snapshot."""
_NEW_TEAM_DROPLETS = 25
_NEW_TEAM_DATABASES = 10
"""What DigitalOcean allows a team that has asked for no more."""


def plant_teams(state: State, settings: Settings) -> None:
    """Make the teams that are not there yet; those that are keep their tokens and get the settings' limits."""
    limits = {settings.droplet_team.name: (settings.droplet_team.limit, _NEW_TEAM_DATABASES)}
    for team in settings.database_teams:
        droplets, _ = limits.get(team.name, (_NEW_TEAM_DROPLETS, 0))
        limits[team.name] = (droplets, team.limit)
    for name, (droplets, databases) in limits.items():
        known = state.teams.get(name)
        state.teams.put(
            Team(
                name=name,
                uuid=known.uuid if known else new_uuid(),
                token=known.token if known else _token(),
                read_token=known.read_token if known else _token(),
                droplet_limit=droplets,
                database_limit=databases,
            )
        )


def plant(state: State, settings: Settings, keys: Keys) -> None:
    """Give each team its first objects; nothing for a team that has its default project already."""
    for team in state.teams:
        if not any(project.team == team.name for project in state.projects):
            add_project(state, team.name, settings.project, is_default=True)
            if team.name == settings.droplet_team.name:
                _plant_droplet_team(state, team.name, settings, keys)
    for slug, name, created_at in _PUBLIC_IMAGES:
        if not any(image.slug == slug for image in state.images):
            _plant_public_image(state, slug, name, created_at)
    state.commit()


def _plant_droplet_team(state: State, team: str, settings: Settings, keys: Keys) -> None:
    add_key(state, team, "sandbox", keys.ssh_public_key.read_text())
    add_key(state, team, "colleague", keys.colleague_public_key.read_text())
    add_domain(state, team, settings.domain)
    add_snapshot(
        state,
        team,
        FIRST_SNAPSHOT,
        settings.region,
        droplet=state.next_id("droplet", 412_000_000),  # gone since
        min_disk_size=_MIN_DISK,
    )


def _plant_public_image(state: State, slug: str, name: str, created_at: str) -> None:
    state.images.put(
        Image(
            id=state.next_id("image", 120_000_000),
            team=None,
            name=name,
            distribution="Ubuntu",
            slug=slug,
            regions=sorted(REGIONS),
            min_disk_size=7,
            size_gigabytes=0.67,
            created_at=created_at,
            resource_id=0,
        )
    )


def _token() -> str:
    return f"dop_v1_{secrets.token_hex(32)}"
