"""The body of the program: load, check, list what there is, decide, declare, export."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pulumi

from meltanodata import terminal
from meltanodata.config import rules, stacks
from meltanodata.config.fleet import load
from meltanodata.config.tenants import tenants_of
from meltanodata.engine import deletions, pulumi_cli
from meltanodata.errors import ProblemsError, UserError
from meltanodata.inventory import availability, host_records, kept_logins, names, ownership
from meltanodata.program import announcements, cluster_name, remote, stack_config
from meltanodata.program.context import Hooks, StackContext, shared_documents, team_providers
from meltanodata.program.deletion_hooks import DeletionGuard
from meltanodata.program.duplicate_check import DuplicateCheck
from meltanodata.program.sdk_patches import isolate_failures, patch_sdk
from meltanodata.program.survey import survey
from meltanodata.program.tenant import TenantArgs, TenantInstance
from meltanodata.program.trusted_sources import Trust

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    """Declare every tenant of the stack, or nothing at all.

    Raises:
        pulumi.RunError: nothing was declared, and why.
    """
    try:
        patch_sdk()
        stack = _load()
        inventory = _list(stack)
        _check(stack, inventory)
        tenants = _decide(stack, inventory)
        instances = _declare(stack, inventory, tenants)
        announcements.tell(instances, stack.state.tenants)
        pulumi.export("tenants", {key: instance.outputs for key, instance in instances.items()})
    except UserError as error:
        raise pulumi.RunError(terminal.plain(error)) from None


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


def _check(stack: _Stack, inventory: Survey) -> None:
    """Stop where the accounts lack something, where an object is another stack's, and before deleting a database."""
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
        *inventory.unclear,
        *host_records.problems(stack.tenants, inventory.existing, accounts, settings.domain, ids),
        *availability.problems(stack.tenants, inventory.existing, accounts, settings, rebuilds),
    ]
    if problems:
        raise UserError("\n".join(problems))
    unguarded = deletions.unguarded(stack.state, [tenant.key for tenant in stack.tenants])
    refused = set(unguarded) - deletions.named(os.environ)
    if refused and not pulumi.runtime.is_dry_run():
        raise UserError(deletions.refusal(refused))


def _decide(stack: _Stack, inventory: Survey) -> list[TenantArgs]:
    """The arguments of each tenant's component."""
    decided = []
    for tenant in stack.tenants:
        existing = inventory.existing[tenant.key]
        tenant_with_login, login_of_droplet = kept_logins.settled(tenant, existing, stack.state.tenants.get(tenant.key))
        snapshot = availability.snapshot(tenant, inventory.accounts, stack.settings.snapshot)
        image = snapshot.id if snapshot else ""
        decided.append(TenantArgs(tenant_with_login, existing, image, login_of_droplet))
    return decided


def _declare(stack: _Stack, inventory: Survey, tenants: Sequence[TenantArgs]) -> dict[str, TenantInstance]:
    """Declare the tenants; the run reports at its end what failed and what was created twice."""
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
    return instances
