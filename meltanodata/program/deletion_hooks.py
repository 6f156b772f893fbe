"""The hooks by which the engine deletes nothing of a tenant whose database may not be deleted.

See docs/decisions/deleting-a-database-wants-a-word.md.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import pulumi

from meltanodata.engine.deletions import GUARDED, HOOK, refusal
from meltanodata.engine.resource_types import Type, resource_name, tenant_of
from meltanodata.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Collection


class DeletionGuard:
    """Lets the engine delete nothing of a tenant whose database may not be deleted."""

    def __init__(self, allowed: Collection[str], with_database: Collection[str]) -> None:
        """Register the hooks: once a run, and in each, since the engine refuses what it does not know by name.

        Args:
            allowed: the tenants whose databases may be deleted.
            with_database: those whose databases the state has.
        """
        self._allowed, self._with_database = frozenset(allowed), frozenset(with_database)
        self._ids: dict[str, str | None] = {}
        self.binding = pulumi.ResourceHookBinding(before_delete=[pulumi.ResourceHook(HOOK, self._judge)])
        """For the options of the resources in `GUARDED`."""
        first = pulumi.ResourceHook(f"{HOOK}-replaced", self._judge_successor)
        self.of_database = pulumi.ResourceHookBinding.merge(
            self.binding, pulumi.ResourceHookBinding(before_create=[first])
        )
        """For a database's: the engine makes the new, empty one first, and lets the tenant work with it."""

    @staticmethod
    def guards(type_: str, role: str) -> bool:
        """Whether a tenant's resource has the hook."""
        return GUARDED.get(role) == type_

    def declares(self, *declared: pulumi.CustomResource) -> None:
        """Know the resources that have the hook, so that the predecessor of one that was replaced may go."""
        for resource in declared:
            name = resource._name  # noqa: SLF001 - the SDK has no other way to ask
            self._ids[name] = None
            resource.id.apply(functools.partial(self._ids.__setitem__, name))

    def _judge(self, args: pulumi.ResourceHookArgs) -> None:
        """Called by the engine before it deletes something.

        Raises:
            UserError: it has to stay.
        """
        tenant = tenant_of(args.name)
        # Where the database is gone already, whoever deleted it, what is left of the tenant guards nothing.
        guards = args.type == Type.CLUSTER or tenant in self._with_database
        if guards and tenant not in self._allowed and not self._is_done_with(args):
            raise UserError(refusal([tenant]))

    def _judge_successor(self, args: pulumi.ResourceHookArgs) -> None:
        """Called by the engine before it makes a database.

        Raises:
            UserError: there is one that has to stay.
        """
        tenant = tenant_of(args.name)
        if tenant in self._with_database - self._allowed:
            raise UserError(refusal([tenant]))

    def _is_done_with(self, args: pulumi.ResourceHookArgs) -> bool:
        """Whether a tenant that stays does without it: it was replaced. Never a database, whose data has no successor.

        The engine answers a declaration with the new object's id. Where it deletes first, it has not answered yet.
        `pulumi destroy` answers with the id of what it deletes next.
        """
        stays = resource_name(tenant_of(args.name), Type.CLUSTER) in self._ids
        declared = args.name in self._ids  # the wiping Command is not, where a tenant is no demo any more
        return stays and args.type != Type.CLUSTER and not (declared and self._ids[args.name] == args.id)
