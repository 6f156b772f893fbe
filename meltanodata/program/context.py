"""What all tenants of a stack share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, get_args

import pulumi
import pulumi_digitalocean as digitalocean

from meltanodata.config import certificates
from meltanodata.config.options import Tls
from meltanodata.droplet import files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meltanodata.config.lifetime import Lifetime
    from meltanodata.config.settings import Secrets, Settings
    from meltanodata.program.deletion_hooks import DeletionGuard
    from meltanodata.program.trusted_sources import Trust


@dataclass(frozen=True)
class Hooks:
    """What the engine calls; the state has their names, so each is registered once in every run."""

    cluster_name: pulumi.ErrorHook
    """See `cluster_name`."""
    droplet_ready: pulumi.ResourceHook
    """See `remote.readiness`."""
    creating: pulumi.ResourceHook
    """See `duplicate_check`."""
    trust: Trust
    deletion: DeletionGuard

    @cached_property
    def by_name(self) -> Mapping[str, pulumi.ResourceHook | pulumi.ErrorHook]:
        """All of them, as a state names them."""
        guarding, trust = self.deletion.of_database, self.trust
        hooks: list[Any] = [self.cluster_name, self.droplet_ready, self.creating, trust.watch_cluster]
        hooks += [trust.close_cluster, trust.trust_nobody, trust.trust_droplet, trust.trust_kept_droplet]
        hooks += [*(guarding.before_create or ()), *(guarding.before_delete or ())]
        return {hook.name: hook for hook in hooks}


@dataclass(frozen=True)
class StackContext:
    """The settings, secrets, providers and hooks that every tenant is declared with."""

    settings: Settings
    secrets: Secrets
    providers: Mapping[str, digitalocean.Provider]
    """By the team's name."""
    project: str
    """The id of the project for the droplets."""
    ssh_keys: Sequence[str]
    """The ids of the keys that a new droplet lets in."""
    shared_documents: Mapping[Tls, files.File]
    hooks: Hooks

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the wildcard certificate, hexadecimal."""
        return certificates.fingerprint(self.secrets.certificate.get_secret_value())

    @cached_property
    def lifetime(self) -> Lifetime:
        """How long the wildcard certificate is valid."""
        return certificates.lifetime(self.secrets.certificate.get_secret_value())


def team_providers(settings: Settings, secrets: Secrets) -> Mapping[str, digitalocean.Provider]:
    """An explicit provider with the team's own token, by team.

    For every team of the stack, also without a tenant: the engine needs a provider for each resource in its state, and
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


def shared_documents(settings: Settings, secrets: Secrets) -> dict[Tls, files.File]:
    """The documents that droplets of a stack share, by the certificate that is served; for `remote.readiness`."""
    certificate = files.Certificate(secrets.certificate.get_secret_value(), secrets.certificate_key.get_secret_value())
    kinds: tuple[Tls, ...] = get_args(Tls)
    return {
        tls: files.common_document(
            files.droplet_files(
                domain=settings.domain, caddy_version=settings.caddy_version, tls=tls, certificate=certificate
            )
        )
        for tls in kinds
    }
