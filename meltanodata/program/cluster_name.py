"""Waits for a cluster's name, which DigitalOcean frees some time after a deletion; its provider does not wait."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import pulumi

from meltanodata.engine.resource_types import tenant_of
from meltanodata.errors import UserError

if TYPE_CHECKING:
    from meltanodata.inventory.accounts import Cluster

_TAKEN = "cluster name is not available"
"""What DigitalOcean says to a cluster's create, for some time after one of that name was deleted."""
_PAUSE = 5
"""Seconds between attempts."""
_ATTEMPTS = 60
"""The engine itself ends at 100."""


class MadeByUs(Protocol):
    """See `trusted_sources.Trust.made_by_us`."""

    async def __call__(self, key: str, name: str, *, last: bool) -> Cluster | None:
        """Look for it."""


def error_hook(made_by_us: MadeByUs) -> pulumi.ErrorHook:
    """The hook with which a cluster waits for its name, so that a tenant can be removed and added again at once.

    A name that a cluster bears is imported and not made, so one that is taken is on its way to be free, if its own
    team took it. Or this run took it: DigitalOcean carried out a request and answered it with an error, and the
    provider sent it again. Then there is nothing to wait for, and the next run takes over what was made.

    Call it once a run, in each run that may have to do with clusters: the state knows it by its name.
    """

    async def again(args: pulumi.ErrorHookArgs) -> bool:
        return await _again(args, made_by_us)

    return pulumi.ErrorHook("cluster-name", again)


async def _again(args: pulumi.ErrorHookArgs, made_by_us: MadeByUs, pause: float = _PAUSE) -> bool:
    """Whether to try once more.

    Raises:
        UserError: the cluster is there already.
    """
    newest, attempts = args.errors[0], len(args.errors)
    if args.failed_operation != "create":
        return False
    waits = _TAKEN in newest and attempts < _ATTEMPTS
    # While it waits for its name: at the attempts 1, 2, 4, 8 …, since what it waits for was made before the first.
    if not waits or attempts & (attempts - 1) == 0:
        await _not_made_already(args, made_by_us, last=not waits)
    if not waits:
        return False
    if attempts == 1:
        pulumi.log.info(f"{args.name} waits for its name: DigitalOcean says that it is not available yet")
    await asyncio.sleep(pause)
    return True


async def _not_made_already(args: pulumi.ErrorHookArgs, made_by_us: MadeByUs, *, last: bool) -> None:
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
