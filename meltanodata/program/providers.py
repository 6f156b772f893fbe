"""DigitalOcean's teams as Pulumi sees them: an explicit provider each, with the team's own token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
import pulumi_digitalocean as digitalocean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meltanodata.config.settings import Secrets, Settings


def team_providers(settings: Settings, secrets: Secrets) -> Mapping[str, digitalocean.Provider]:
    """A provider for every team that the stack lists, by the team's name.

    For every one, also without a tenant: the engine needs the provider of whatever its state still refers to, and
    takes an outdated token from the state where the program declares none.
    """
    return {
        team: digitalocean.Provider(
            team,
            token=pulumi.Output.secret(secrets.tokens[team].get_secret_value()),
            api_endpoint=settings.api_url,
            requests_per_second=settings.requests_per_second,
        )
        for team in settings.teams
    }
