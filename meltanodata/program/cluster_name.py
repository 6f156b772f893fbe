"""Waits for a cluster's name, which DigitalOcean frees some time after a deletion; its provider does not wait."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias

import pulumi

from meltanodata.engine.resource_types import tenant_of
from meltanodata.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from meltanodata.inventory.accounts import Cluster

_TAKEN = "cluster name is not available"
"""What DigitalOcean says to a cluster's create, for some time after one of that name was deleted."""
_PAUSE = 5
"""Seconds between attempts."""
_ATTEMPTS = 60
"""The engine itself ends at 100."""


MadeByUs: TypeAlias = "Callable[..., Awaitable[Cluster | None]]"
"""See `trusted_sources.Trust.made_by_us`."""


def error_hook(made_by_us: MadeByUs) -> pulumi.ErrorHook:
    """The hook with which a cluster waits for its name, so that a tenant can be removed and added again at once.

    A cluster that exists is imported, so a name that is taken is about to become free. Unless this run took it:
    DigitalOcean carried out a request and answered it with an error, and the provider sent it again. Then there is
    nothing to wait for, and the next run adopts the cluster. Call this once in every run: the state has the name.
    """

    async def again(args: pulumi.ErrorHookArgs) -> bool:
        return await _again(args, made_by_us)

    return pulumi.ErrorHook("cluster-name", again)


async def _again(args: pulumi.ErrorHookArgs, made_by_us: MadeByUs, pause: float = _PAUSE) -> bool:
    """Whether to try once more; raises a UserError if the cluster exists already."""
    newest, attempts = args.errors[0], len(args.errors)
    if args.failed_operation != "create":
        return False
    waits = _TAKEN in newest and attempts < _ATTEMPTS
    # While it waits: at the attempts 1, 2, 4, 8 …, since such a cluster was created before the first.
    if not waits or attempts & (attempts - 1) == 0:
        await _refuse_existing(args, made_by_us, last=not waits)
    if not waits:
        return False
    if attempts == 1:
        pulumi.log.info(f"{args.name} waits for its name: DigitalOcean says that it is not available yet")
    await asyncio.sleep(pause)
    return True


async def _refuse_existing(args: pulumi.ErrorHookArgs, made_by_us: MadeByUs, *, last: bool) -> None:
    name = (args.new_inputs or {})["name"]
    try:
        cluster = await made_by_us(tenant_of(args.name), name, last=last)
    except UserError as error:
        pulumi.log.warn(f"{args.name}: checking whether the cluster {name} exists nevertheless failed: {error}")
        return
    if cluster is not None:
        answer = " ".join(args.errors[0].split())
        raise UserError(
            f"the cluster {name} exists nevertheless: {cluster.id} (team {cluster.team}, status {cluster.status},"
            f" created {cluster.created_at}). Run `meltanodata up` again, which takes it over. The provider's error:"
            f" {answer}"
        )
