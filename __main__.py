"""The tenants of one stack: load, check, list what there is, declare, export."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pulumi

from meltanodata import (
    afterwards,
    deletions,
    deployment,
    engine,
    inherited,
    names,
    news,
    offers,
    owners,
    patience,
    remote,
    rules,
    stacks,
    teams,
    terminal,
    trust,
)
from meltanodata.errors import ProblemsError, UserError
from meltanodata.fleet import load
from meltanodata.isolation import isolate_failures
from meltanodata.plan import TENANT
from meltanodata.sdk import go_easy
from meltanodata.settings import from_pulumi
from meltanodata.survey import survey
from meltanodata.tenant import TenantArgs, TenantInstance, common


def main() -> None:
    """Declare every tenant, or nothing at all and say why."""
    go_easy()
    settings, secrets = from_pulumi(datetime.now(UTC))
    fleet, problems = load(Path(settings.tenants_file))
    root = Path(pulumi.get_root_directory())
    fleet_stacks = stacks.fleet_of(settings, root)
    if problems := [*problems, *rules.problems(fleet, fleet_stacks)]:
        raise ProblemsError(problems)

    tenants = fleet.tenants(settings)
    prefix = f"{pulumi.get_organization()}/{pulumi.get_project()}/"
    exported = engine.export(prefix + settings.stack, root)
    state = deployment.ids(exported)
    wait = None if pulumi.runtime.is_dry_run() else lambda what: pulumi.log.info(f"waiting for {what}")
    found = survey(tenants, settings, secrets.tokens, state, wait)
    held, existing = found.accounts, found.existing
    misplaced = rules.problems(fleet, fleet_stacks, names.homes(fleet, settings, held, state))
    states = {settings.stack: exported}
    if owners.take_over(existing):
        # Those without a file as well: a stack may be younger than the files that are at hand.
        others = {it.stack for it in fleet_stacks} | set(engine.stacks(root))
        other_states = {other: engine.export(prefix + other, root) for other in sorted(others - {settings.stack})}
        states |= {other: it for other, it in other_states.items() if owners.shares_account(it, settings.api_url)}
    not_ours = [
        *owners.strangers(fleet, settings, fleet_stacks, state),
        *owners.taken(existing, states, settings.stack),
    ]
    triggers = deployment.replacement_triggers(exported)
    unfit = offers.problems(tenants, existing, held, settings, triggers)
    if lacking := [*not_ours, *map(str, misplaced), *found.unclear, *unfit]:
        raise UserError("\n".join(lacking))
    may_go = deletions.named(os.environ)
    going = set(deletions.unguarded(exported, [tenant.key for tenant in tenants])) - may_go
    if going and not pulumi.runtime.is_dry_run():
        raise UserError(deletions.refusal(going))

    recorded = deployment.inputs(exported, TENANT)
    tenants_with_logins = [
        inherited.settled(
            tenant,
            existing[tenant.key],
            recorded.get(tenant.key),
            state.get((names.DROPLET[0], f"{tenant.key}-{names.DROPLET[1]}")),
            triggers.get(f"{tenant.key}-{names.DROPLET[1]}"),
        )
        for tenant in tenants
    ]
    isolate_failures()
    providers = teams.providers(settings, secrets)
    alike = common(settings, secrets)
    trusted = trust.Trust(tenants, settings, secrets.tokens, found, deployment.databases(exported))
    trust_hooks = trusted.hooks()
    wait_for_name = patience.for_the_name(trusted.made_by_us)
    end = afterwards.Afterwards(tenants, settings, secrets.tokens)
    made_ready = remote.readiness(list(alike.values()))
    keeper = deletions.Keeper(may_go, deletions.held(exported))
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
                image=offers.image(tenant, held, settings.snapshot) or "",
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
    news.tell(instances, state)
    pulumi.export("tenants", {key: instance.outputs() for key, instance in instances.items()})


try:
    main()
except UserError as error:
    raise pulumi.RunError(terminal.plain(error)) from None
