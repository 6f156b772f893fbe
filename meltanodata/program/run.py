"""The body of the program: load, check, list what there is, decide, declare, export."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi

from meltanodata import terminal
from meltanodata.config import certificates, rules, stacks
from meltanodata.config.fleet import load
from meltanodata.config.tenants import tenants_of
from meltanodata.engine import deletions, left_alone, pulumi_cli
from meltanodata.errors import ProblemsError, UserError
from meltanodata.inventory import availability, host_records, kept_logins, names, ownership
from meltanodata.program import announcements, as_in_state, cluster_name, remote, stack_config
from meltanodata.program.context import Hooks, StackContext, shared_documents, team_providers
from meltanodata.program.deletion_hooks import DeletionGuard
from meltanodata.program.duplicate_check import DuplicateCheck
from meltanodata.program.sdk_patches import isolate_failures, patch_sdk
from meltanodata.program.survey import survey
from meltanodata.program.tenant import TenantArgs, TenantInstance
from meltanodata.program.trusted_sources import Trust

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from meltanodata.config.fleet import Fleet
    from meltanodata.config.settings import Secrets, Settings
    from meltanodata.config.tenants import Tenant
    from meltanodata.engine.stack_state import StackState
    from meltanodata.program.survey import Survey


@dataclass(frozen=True)
class _Stack:
    """What people wrote, and what the last run left."""

    settings: Settings
    secrets: Secrets
    fleet: Fleet
    fleet_stacks: Sequence[Settings]
    """All stacks of the fleet, this one too."""
    tenants: Sequence[Tenant]
    root: Path
    state: StackState


def run() -> None:
    """Declare every tenant of the stack, or nothing at all; one that cannot be planned as the state has it.

    Raises:
        pulumi.RunError: nothing was declared, and why.
    """
    try:
        patch_sdk()
        stack = _load()
        inventory = _list(stack)
        unplannable = _check(stack, inventory)
        for tenant, reasons in unplannable.items():
            for reason in reasons:
                pulumi.log.warn(left_alone.warning(tenant, terminal.plain(reason)))
        tenants = _decide(stack, inventory, unplannable)
        instances, untouched = _declare(stack, inventory, tenants, unplannable)
        announcements.tell(instances, stack.state.tenants)
        pulumi.export("certificate", _certificate(stack))
        outputs = {key: instance.outputs for key, instance in instances.items()} | untouched
        pulumi.export("tenants", {tenant.key: outputs[tenant.key] for tenant in stack.tenants if tenant.key in outputs})
    except UserError as error:
        raise pulumi.RunError(terminal.plain(error)) from None


def _certificate(stack: _Stack) -> dict[str, str]:
    """What `StackState.certificate` reads of the wildcard certificate."""
    pem = stack.secrets.certificate.get_secret_value()
    lifetime = certificates.lifetime(pem)
    return {
        "fingerprint": certificates.fingerprint(pem)[:16],
        "begins": lifetime.begins.isoformat(),
        "ends": lifetime.ends.isoformat(),
    }


def _load() -> _Stack:
    """Read settings, secrets, entries and state; checks settings and entries before any account is asked."""
    root = Path(pulumi.get_root_directory())
    stacks.Project(root).refuse_checkout(pulumi.get_stack())
    settings, secrets = stack_config.read(datetime.now(UTC))
    fleet, problems = load(Path(settings.tenants_file))
    fleet_stacks = stacks.fleet_of(settings, root)
    if problems := [*problems, *rules.problems(fleet, fleet_stacks)]:
        raise ProblemsError(problems)
    state = pulumi_cli.state(_full_name(settings.stack), root)
    return _Stack(settings, secrets, fleet, fleet_stacks, tenants_of(fleet, settings), root, state)


def _full_name(stack: str) -> str:
    return f"{pulumi.get_organization()}/{pulumi.get_project()}/{stack}"


def _list(stack: _Stack) -> Survey:
    """Read the inventory; a run waits for what is being created."""
    wait = None if pulumi.runtime.is_dry_run() else lambda what: pulumi.log.info(f"waiting for {what}")
    return survey(stack.tenants, stack.settings, stack.secrets.tokens, stack.state.ids, wait)


def _check(stack: _Stack, inventory: Survey) -> Mapping[str, Sequence[str]]:
    """Stop where an object is another tenant's or stack's, and before deleting a database.

    Returns the tenants that cannot be planned, with the reasons.
    """
    settings, accounts, ids = stack.settings, inventory.accounts, stack.state.ids
    states = {settings.stack: stack.state}
    if any(existing.imports for existing in inventory.existing.values()):
        # Stacks without a file as well: a stack may be younger than this checkout.
        others = {other.stack for other in stack.fleet_stacks} | set(pulumi_cli.stacks(stack.root))
        for other in sorted(others - {settings.stack}):
            state = pulumi_cli.state(_full_name(other), stack.root)
            if ownership.shares_account(state, settings.api_url):
                states[other] = state
    placements = names.placements(stack.fleet, settings, accounts, ids)
    rebuilds = {name: tenant.rebuild for name, tenant in stack.state.tenants.items()}
    problems = [
        *ownership.strangers(stack.fleet, settings, stack.fleet_stacks, ids),
        *ownership.taken(inventory.existing, states, settings.stack),
        *map(str, rules.problems(stack.fleet, stack.fleet_stacks, placements)),
        *names.swapped(stack.tenants, accounts, settings.domain, ids),
        *availability.lacking(accounts, settings),
    ]
    reasons_by_tenant = (
        inventory.unclear,
        host_records.problems(stack.tenants, inventory.existing, accounts, settings.domain, ids),
        availability.problems(stack.tenants, inventory.existing, accounts, settings, rebuilds),
    )
    unplannable = {
        tenant.key: reasons
        for tenant in stack.tenants
        if (reasons := [reason for by_tenant in reasons_by_tenant for reason in by_tenant.get(tenant.key, ())])
    }
    # Where one can be neither declared nor left out, or where there is nobody else to go on with.
    stuck = [
        key
        for key in unplannable
        if key in stack.state.tenants and not as_in_state.is_declarable(stack.state.tenants[key])
    ]
    if problems or stuck or len(unplannable) == len(stack.tenants):
        problems += [f"{key}: {reason}" for key, reasons in unplannable.items() for reason in reasons]
    if problems:
        raise UserError("\n".join(problems))
    unguarded = deletions.unguarded(stack.state, [tenant.key for tenant in stack.tenants])
    refused = set(unguarded) - deletions.named(os.environ)
    if refused and not pulumi.runtime.is_dry_run():
        raise UserError(deletions.refusal(refused))
    return unplannable


def _decide(stack: _Stack, inventory: Survey, unplannable: Container[str]) -> list[TenantArgs]:
    """What each tenant that can be planned is declared from."""
    decided = []
    for tenant in stack.tenants:
        if tenant.key in unplannable:
            continue
        existing = inventory.existing[tenant.key]
        tenant_with_login, login_of_droplet = kept_logins.settled(tenant, existing, stack.state.tenants.get(tenant.key))
        snapshot = availability.snapshot(tenant, inventory.accounts, stack.settings.snapshot)
        image = snapshot.id if snapshot else ""
        recorded = stack.state.tenants.get(tenant.key)
        rebuilt = recorded is not None and recorded.rebuild not in {None, tenant.rebuild}
        decided.append(TenantArgs(tenant_with_login, existing, image, login_of_droplet, rebuilt, recorded))
    return decided


def _declare(
    stack: _Stack, inventory: Survey, tenants: Sequence[TenantArgs], unplannable: Iterable[str]
) -> tuple[dict[str, TenantInstance], dict[str, Mapping[str, Any]]]:
    """Declare the tenants; the run reports at its end what failed and what was created twice.

    Returns the instances, and the outputs of the tenants that are left as the state has them.
    """
    isolate_failures()
    settings, secrets, accounts = stack.settings, stack.secrets, inventory.accounts
    documents = shared_documents(settings, secrets)
    trust = Trust(
        stack.tenants,
        settings,
        secrets.tokens,
        existing=inventory.existing,
        clusters=accounts.clusters,
        databases=stack.state.databases,
    )
    duplicate_check = DuplicateCheck(stack.tenants, settings, secrets.tokens)
    context = StackContext(
        settings=settings,
        secrets=secrets,
        providers=team_providers(settings, secrets),
        project=accounts.projects[settings.project],
        ssh_keys=accounts.ssh_keys,
        shared_documents=documents,
        hooks=Hooks(
            cluster_name=cluster_name.error_hook(trust.made_by_us),
            droplet_ready=remote.readiness(list(documents.values())),
            creating=duplicate_check.creating,
            trust=trust,
            deletion=DeletionGuard(deletions.named(os.environ), deletions.with_database(stack.state)),
        ),
    )
    instances = {args.tenant.key: TenantInstance(args.tenant.key, args, context) for args in tenants}
    duplicate_check.look({key: instance.made for key, instance in instances.items()})
    known = stack.state.tenants
    return instances, {key: as_in_state.declare(known[key], context) for key in unplannable if key in known}
