"""Checks, before a run ends, that it created nothing twice."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi.runtime.settings import SETTINGS
from pulumi.runtime.stack import ResourceRegistrationFailed

from meltanodata.engine.resource_types import Type, tenant_of
from meltanodata.errors import UserError
from meltanodata.inventory import accounts, names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import SecretStr

    from meltanodata.config.settings import Settings
    from meltanodata.config.tenants import Tenant
    from meltanodata.engine.stack_state import Ids

_WHY = (
    "Something was created twice. Most likely DigitalOcean carried out a request and answered it with an error, and the"
    " provider sent it again. This run removed nothing. Until there is one of each name, every further preview and run"
    " stops here and changes nothing"
)


class DuplicateCheck:
    """The check at the end of a run."""

    def __init__(self, tenants: Sequence[Tenant], settings: Settings, tokens: Mapping[str, SecretStr]) -> None:
        """Before anything is declared; see `survey.survey`."""
        self._tenants = {tenant.key: tenant for tenant in tenants}
        self._settings, self._tokens = settings, tokens
        self._tried: set[tuple[str, Type]] = set()
        """Tenant's key and type of each resource that the engine began to create."""
        self.creating = pulumi.ResourceHook("creating", self._note)
        """Before the creation of anything that can be created twice."""

    def _note(self, args: pulumi.ResourceHookArgs) -> None:
        self._tried.add((tenant_of(args.name), Type(args.type)))

    def look(self, made: Mapping[str, Mapping[Type, pulumi.CustomResource]]) -> None:
        """Fail the run in the end if something was created twice; asks nobody where nothing was created."""

        async def at_the_end() -> None:
            ids = await _ids(made)
            if ids is None or not self._tried:
                return
            try:
                twice = await asyncio.to_thread(self._twice, ids)
            except UserError as error:
                _fail(f"the check for duplicates failed: {error}. The next preview repeats it")
                return
            if twice:
                _fail("\n".join([f"{_WHY}:", *twice]))

        # Among what the SDK waits for in any case: after a failure it waits for no output.
        self._look = asyncio.ensure_future(SETTINGS.rpc_manager.do_rpc("look for what was made twice", at_the_end)())

    def _twice(self, ids: Ids) -> list[str]:
        """A sentence for each object that was created twice; lists the types that were created."""
        types = {type_ for _, type_ in self._tried}
        teams = {self._tenants[key].database_team for key, type_ in self._tried if type_ is Type.CLUSTER}
        settings, tokens = self._settings, self._tokens
        with ThreadPoolExecutor(len(teams) + 2) as pool:
            droplets = pool.submit(accounts.droplets_now, settings, tokens) if Type.DROPLET in types else None
            records = pool.submit(accounts.records_now, settings, tokens) if Type.RECORD in types else None
            clusters = [pool.submit(accounts.clusters_now, settings, tokens, team) for team in sorted(teams)]
        listed: accounts.Objects = {
            Type.DROPLET: droplets.result() if droplets else (),
            Type.RECORD: records.result() if records else (),
            Type.CLUSTER: [cluster for request in clusters for cluster in request.result()],
        }
        tenants = [self._tenants[key] for key in sorted({key for key, _ in self._tried})]
        return names.twice(tenants, listed, settings.domain, ids)


def _fail(message: str) -> None:
    """End the program with this error, or log it where the program ends with another one already."""
    if SETTINGS.rpc_manager.unhandled_exception is not None:
        pulumi.log.error(message)
    else:
        raise pulumi.RunError(message) from None


async def _ids(made: Mapping[str, Mapping[Type, pulumi.CustomResource]]) -> Ids | None:
    """Every resource's id once the engine is through with it; None where the engine has failed and ended."""
    resources = {(key, type_): resource for key, of_tenant in made.items() for type_, resource in of_tenant.items()}
    answers: list[Any] = await asyncio.gather(
        *(resource.id.future() for resource in resources.values()), return_exceptions=True
    )
    ids = {}
    for key_and_type, answer in zip(resources, answers, strict=True):
        if isinstance(answer, str):
            ids[key_and_type] = answer
        elif isinstance(answer, BaseException) and not isinstance(answer, ResourceRegistrationFailed):
            return None
    return ids
