"""The tenants of one stack: load, check, list what there is, declare, export."""

from datetime import UTC, datetime
from pathlib import Path

import pulumi

from meltanodata import deployment, engine, names, offers, owners, patience, remote, rules, stacks, teams, terminal
from meltanodata.errors import ProblemsError, UserError
from meltanodata.fleet import load
from meltanodata.isolation import isolate_failures
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
    misplaced = rules.problems(fleet, fleet_stacks, names.homes(fleet, settings, held))
    others = [it.stack for it in fleet_stacks if it.stack != settings.stack] if owners.take_over(existing) else []
    not_ours = [
        *owners.strangers(fleet, settings, fleet_stacks, state),
        *owners.taken(existing, {other: engine.export(prefix + other, root) for other in others}),
    ]
    unfit = offers.problems(tenants, existing, held, settings, deployment.replacement_triggers(exported))
    if lacking := [*not_ours, *map(str, misplaced), *found.unclear, *unfit]:
        raise UserError("\n".join(lacking))

    isolate_failures()
    providers = teams.providers(settings, secrets)
    alike = common(settings, secrets)
    wait_for_name = patience.for_the_name()
    made_ready = remote.readiness(list(alike.values()))
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
            ),
        )
        for tenant in tenants
    }
    pulumi.export("tenants", {key: instance.outputs() for key, instance in instances.items()})


try:
    main()
except UserError as error:
    raise pulumi.RunError(terminal.plain(error)) from None
