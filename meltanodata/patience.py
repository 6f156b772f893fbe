"""What DigitalOcean takes its time for, and its provider does not wait for."""

from __future__ import annotations

import asyncio

import pulumi

_TAKEN = "cluster name is not available"
"""What DigitalOcean says to a cluster's create, for some time after one of that name was deleted."""
_PAUSE = 5
"""Seconds between attempts."""
_ATTEMPTS = 60
"""The engine itself ends at 100."""


def for_the_name() -> pulumi.ErrorHook:
    """The hook with which a cluster waits for its name, so that a tenant can be removed and added again at once.

    A name that a cluster bears is imported and not made, so one that is taken is on its way to be free, if its own
    team took it. Call it once a run, in each run that may have to do with clusters: the state knows it by its name.
    """
    return pulumi.ErrorHook("cluster-name", _again)


async def _again(args: pulumi.ErrorHookArgs) -> bool:
    """Whether to try once more."""
    newest, attempts = args.errors[0], len(args.errors)
    if args.failed_operation != "create" or _TAKEN not in newest or attempts >= _ATTEMPTS:
        return False
    if attempts == 1:
        pulumi.log.info(f"{args.name} waits for its name: DigitalOcean says that it is not available yet")
    await asyncio.sleep(_PAUSE)
    return True
