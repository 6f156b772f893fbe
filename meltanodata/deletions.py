"""A database is deleted only where somebody names its tenant, whoever runs the engine and however.

`meltanodata up` and `deploy` name the tenants of the plan that the guard let pass. Whoever types `pulumi up` or `pulumi
destroy` names them in an environment variable, which holds for that one run. See
docs/decisions/deleting-a-database-wants-a-word.md.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from meltanodata.deployment import name, resources
from meltanodata.errors import UserError
from meltanodata.names import CLUSTER, RECORD

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    import pulumi

    from meltanodata.plan import Plan

VARIABLE = "MELTANODATA_DELETE_DATABASES"
"""The environment variable that names the tenants whose databases may be deleted, separated by commas."""

HOOK = f"only-with-{VARIABLE}"
"""What the engine knows the hook by. `pulumi destroy` without the program shows it."""

_COMMAND = "command:remote:Command"
_GUARDED = {CLUSTER[1]: CLUSTER[0], RECORD[1]: RECORD[0], "verify": _COMMAND, "wipe": _COMMAND}
"""The resources that have the hook, type by role. The engine deletes what nothing depends on first, and keeps whatever
something depends on that it could not delete: with these it deletes nothing of a tenant before its database."""


def named(environment: Mapping[str, str]) -> frozenset[str]:
    """The tenants that an environment names."""
    return frozenset(re.split(r"[,\s]+", environment.get(VARIABLE, ""))) - {""}


def variable(tenants: Iterable[str]) -> dict[str, str]:
    """The environment that names these tenants and nobody else."""
    return {VARIABLE: ",".join(sorted(tenants))}


def held(exported: Mapping[str, Any]) -> frozenset[str]:
    """The tenants whose databases a state has; to make such a database is to replace it."""
    return frozenset(
        _tenant(name(resource["urn"]))
        for resource in resources(exported)
        if resource["type"] == CLUSTER[0] and not resource.get("delete") and not resource.get("pendingReplacement")
    )


def planned(plan: Plan) -> frozenset[str]:
    """The tenants whose databases a plan deletes or replaces."""
    return frozenset(
        _tenant(name(operation.urn))
        for operation in (*(operation for row in plan.rows for operation in row.operations), *plan.others)
        if operation.type == CLUSTER[0] and operation.op in {"delete", "replace"}
    )


def unguarded(exported: Mapping[str, Any], declared: Collection[str]) -> list[str]:
    """The tenants whose databases a run would delete without asking the hook, by name.

    Theirs are states that an older version of the program wrote. A run writes the hooks of whatever it declares; it
    declares nothing of a tenant whose entry is gone.

    Args:
        exported: the stack's state.
        declared: the tenants that the program is about to declare.
    """
    databases: set[str] = set()
    without_hook: set[str] = set()
    for resource in resources(exported):
        role = name(resource["urn"]).rpartition("-")[2]
        tenant = _tenant(name(resource["urn"]))
        if _GUARDED.get(role) != resource["type"] or resource.get("pendingReplacement"):
            continue
        if tenant in declared and not resource.get("delete"):
            continue
        if role == CLUSTER[1]:
            databases.add(tenant)
        if HOOK not in (resource.get("resourceHooks") or {}).get("BeforeDelete", ()):
            without_hook.add(tenant)
    return sorted(databases & without_hook)


def refusal(tenants: Iterable[str]) -> str:
    """Why databases are not deleted, and what to do."""
    names = sorted(tenants)
    lines = [
        f"{tenant}: this run would delete its database, with all data and backups, and nobody said that it may."
        " Nothing of the tenant is deleted."
        for tenant in names
    ]
    lines.append(
        "To keep a tenant, put its entry back into the fleet file. To delete it, run `meltanodata up --allow"
        " guard:data-loss`, which shows the plan first; or, with pulumi itself, name it for that one run:"
        f" {VARIABLE}={','.join(names)}"
    )
    return "\n".join(lines)


class Keeper:
    """Lets the engine delete nothing of a tenant whose database may not be deleted."""

    def __init__(self, allowed: Collection[str], held: Collection[str]) -> None:
        """Register the hooks: once a run, and in each, since the engine refuses what it does not know by name.

        Args:
            allowed: the tenants whose databases may be deleted.
            held: see there.
        """
        import pulumi  # noqa: PLC0415 - half a second that the commands need not wait for

        self._allowed, self._held = frozenset(allowed), frozenset(held)
        self._ids: dict[str, str | None] = {}
        self.binding = pulumi.ResourceHookBinding(before_delete=[pulumi.ResourceHook(HOOK, self._judge)])
        """For the options of the resources in `_GUARDED`."""
        first = pulumi.ResourceHook(f"{HOOK}-replaced", self._judge_successor)
        self.of_database = pulumi.ResourceHookBinding.merge(
            self.binding, pulumi.ResourceHookBinding(before_create=[first])
        )
        """For a database's: the engine makes the new, empty one first, and lets the tenant work with it."""

    def declares(self, *declared: pulumi.CustomResource) -> None:
        """Know the resources that have the hook, so that the predecessor of one that was replaced may go."""
        for resource in declared:
            self._declare(resource)

    def _declare(self, resource: pulumi.CustomResource) -> None:
        name_ = resource._name  # noqa: SLF001 - the SDK has no other way to ask
        self._ids[name_] = None

        def know(id_: str) -> None:
            self._ids[name_] = id_

        resource.id.apply(know)

    def _judge(self, args: pulumi.ResourceHookArgs) -> None:
        """Called by the engine before it deletes something.

        Raises:
            UserError: it has to stay.
        """
        tenant = _tenant(args.name)
        if tenant not in self._allowed and not self._is_done_with(args):
            raise UserError(refusal([tenant]))

    def _judge_successor(self, args: pulumi.ResourceHookArgs) -> None:
        """Called by the engine before it makes a database.

        Raises:
            UserError: there is one that has to stay.
        """
        tenant = _tenant(args.name)
        if tenant in self._held - self._allowed:
            raise UserError(refusal([tenant]))

    def _is_done_with(self, args: pulumi.ResourceHookArgs) -> bool:
        """Whether a tenant that stays does without it: it was replaced. Never a database, whose data has no successor.

        The engine answers a declaration with the new object's id. Where it deletes first, it has not answered yet.
        `pulumi destroy` answers with the id of what it deletes next.
        """
        stays = f"{_tenant(args.name)}-{CLUSTER[1]}" in self._ids
        declared = args.name in self._ids  # the wiping Command is not, where a tenant is no demo any more
        return stays and args.type != CLUSTER[0] and not (declared and self._ids[args.name] == args.id)


def _tenant(resource: str) -> str:
    """The tenant in the name of one of its resources."""
    return resource.rpartition("-")[0]
