"""The hooks by which the engine deletes nothing of a tenant whose database may not be deleted.

See docs/decisions/deleting-a-database-needs-permission.md.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import pulumi

from meltanodata.engine.deletions import HOOK, refusal
from meltanodata.engine.resource_types import Type, resource_name, tenant_of
from meltanodata.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Collection


class DeletionGuard:
    """Lets the engine delete nothing of a tenant whose database may not be deleted."""

    def __init__(self, allowed: Collection[str], with_database: Collection[str]) -> None:
        """Register the hooks, in every run, since the state has their names.

        `allowed` are the tenants whose databases may be deleted, `with_database` those whose databases the state has.
        """
        self._allowed, self._with_database = frozenset(allowed), frozenset(with_database)
        self._ids: dict[str, str | None] = {}
        self.binding = pulumi.ResourceHookBinding(before_delete=[pulumi.ResourceHook(HOOK, self._judge)])
        """For the options of the resources in `_GUARDED`."""
        first = pulumi.ResourceHook(f"{HOOK}-replaced", self._judge_successor)
        self.of_database = pulumi.ResourceHookBinding.merge(
            self.binding, pulumi.ResourceHookBinding(before_create=[first])
        )
        """For a database: the engine creates the new, empty one first, and lets the tenant work with it."""

    def declares(self, *declared: pulumi.CustomResource) -> None:
        """Note resources that have the hook, so that the engine may delete the predecessor of a replaced one."""
        for resource in declared:
            name = resource._name  # noqa: SLF001 - the SDK has no other way to ask
            self._ids[name] = None
            resource.id.apply(functools.partial(self._ids.__setitem__, name))

    def _judge(self, args: pulumi.ResourceHookArgs) -> None:
        """The engine calls this before it deletes a resource; raises a UserError if the resource has to stay."""
        tenant = tenant_of(args.name)
        # Where the database is gone already, whoever deleted it, the rest of the tenant protects nothing.
        protected = args.type == Type.CLUSTER or tenant in self._with_database
        if protected and tenant not in self._allowed and not self._is_replaced(args):
            raise UserError(refusal([tenant]))

    def _judge_successor(self, args: pulumi.ResourceHookArgs) -> None:
        """The engine calls this before it creates a database; raises a UserError if an older one has to stay."""
        tenant = tenant_of(args.name)
        if tenant in self._with_database - self._allowed:
            raise UserError(refusal([tenant]))

    def _is_replaced(self, args: pulumi.ResourceHookArgs) -> bool:
        """Whether a tenant that stays has a successor of the resource. Never for a database, whose data has none.

        The engine answers a declaration with the new object's id. Where it deletes first, it has not answered yet.
        `pulumi destroy` answers with the id of what it deletes next.
        """
        tenant_stays = resource_name(tenant_of(args.name), Type.CLUSTER) in self._ids
        declared = args.name in self._ids  # the wiping Command is not, where a tenant is no demo any more
        return tenant_stays and args.type != Type.CLUSTER and not (declared and self._ids[args.name] == args.id)
