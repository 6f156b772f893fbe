"""The body of the program: load, check, list what there is, declare, export."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pulumi

from meltanodata import terminal
from meltanodata.config import rules, stacks
from meltanodata.config.fleet import load
from meltanodata.config.tenants import tenants_of
from meltanodata.engine import deletions, pulumi_cli
from meltanodata.errors import ProblemsError, UserError
from meltanodata.inventory import availability, kept_logins, names, ownership
from meltanodata.program import (
    announcements,
    cluster_name,
    deletion_hooks,
    duplicate_check,
    remote,
    stack_config,
    trusted_sources,
)
from meltanodata.program.isolation import isolate_failures
from meltanodata.program.providers import team_providers
from meltanodata.program.sdk_patches import go_easy
from meltanodata.program.survey import survey
from meltanodata.program.tenant import TenantArgs, TenantInstance, common


def run() -> None:
    """Declare every tenant of the stack.

    Raises:
        pulumi.RunError: nothing was declared, and why.
    """
    try:
        _declare()
    except UserError as error:
        raise pulumi.RunError(terminal.plain(error)) from None


def _declare() -> None:
    """Declare every tenant, or nothing at all and say why."""
    go_easy()
    settings, secrets = stack_config.read(datetime.now(UTC))
    fleet, problems = load(Path(settings.tenants_file))
    root = Path(pulumi.get_root_directory())
    fleet_stacks = stacks.fleet_of(settings, root)
    if problems := [*problems, *rules.problems(fleet, fleet_stacks)]:
        raise ProblemsError(problems)

    tenants = tenants_of(fleet, settings)
    prefix = f"{pulumi.get_organization()}/{pulumi.get_project()}/"
    state = pulumi_cli.state(prefix + settings.stack, root)
    wait = None if pulumi.runtime.is_dry_run() else lambda what: pulumi.log.info(f"waiting for {what}")
    found = survey(tenants, settings, secrets.tokens, state.ids, wait)
    held, existing = found.accounts, found.existing
    misplaced = rules.problems(fleet, fleet_stacks, names.placements(fleet, settings, held, state.ids))
    states = {settings.stack: state}
    if any(its.imports for its in existing.values()):
        # Those without a file as well: a stack may be younger than the files that are at hand.
        others = {it.stack for it in fleet_stacks} | set(pulumi_cli.stacks(root))
        other_states = {other: pulumi_cli.state(prefix + other, root) for other in sorted(others - {settings.stack})}
        states |= {other: it for other, it in other_states.items() if ownership.shares_account(it, settings.api_url)}
    not_ours = [
        *ownership.strangers(fleet, settings, fleet_stacks, state.ids),
        *ownership.taken(existing, states, settings.stack),
    ]
    rebuilds = {name: tenant.rebuild for name, tenant in state.tenants.items()}
    unfit = availability.problems(tenants, existing, held, settings, rebuilds)
    if lacking := [*not_ours, *map(str, misplaced), *found.unclear, *unfit]:
        raise UserError("\n".join(lacking))
    may_go = deletions.named(os.environ)
    going = set(deletions.unguarded(state, [tenant.key for tenant in tenants])) - may_go
    if going and not pulumi.runtime.is_dry_run():
        raise UserError(deletions.refusal(going))

    tenants_with_logins = [
        kept_logins.settled(tenant, existing[tenant.key], state.tenants.get(tenant.key)) for tenant in tenants
    ]
    isolate_failures()
    providers = team_providers(settings, secrets)
    alike = common(settings, secrets)
    trusted = trusted_sources.Trust(
        tenants,
        settings,
        secrets.tokens,
        existing=existing,
        clusters=held.clusters,
        known=state.databases,
    )
    trust_hooks = trusted.hooks()
    wait_for_name = cluster_name.for_the_name(trusted.made_by_us)
    end = duplicate_check.Afterwards(tenants, settings, secrets.tokens)
    made_ready = remote.readiness(list(alike.values()))
    keeper = deletion_hooks.Keeper(may_go, deletions.with_database(state))
    snapshots = {it.key: availability.snapshot(it, held, settings.snapshot) for it in tenants}
    instances = {
        tenant.key: TenantInstance(
            tenant.key,
            TenantArgs(
                tenant=tenant,
                settings=settings,
                secrets=secrets,
                droplet_team=providers[settings.droplet_team.name],
                database_team=providers[tenant.database_team],
                project=held.projects[settings.project],
                image=newest.id if (newest := snapshots[tenant.key]) else "",
                ssh_keys=held.ssh_keys,
                existing=existing[tenant.key],
                common=alike,
                wait_for_name=wait_for_name,
                made_ready=made_ready,
                trust=trust_hooks,
                creating=end.creating,
                keeper=keeper,
                login_of_droplet=login_of_droplet,
            ),
        )
        for tenant, login_of_droplet in tenants_with_logins
    }
    end.look({key: instance.made for key, instance in instances.items()})
    announcements.tell(instances, state.tenants)
    pulumi.export("tenants", {key: instance.outputs() for key, instance in instances.items()})
