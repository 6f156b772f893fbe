"""Projects and what is assigned to them.

Source: `digitalocean_project` and `digitalocean_project_resources` of terraform-provider-digitalocean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from sandbox.plugins.digitalocean import validate
from sandbox.plugins.digitalocean.attributes import Attribute, Attributes, Many, Values
from sandbox.plugins.digitalocean.client import ApiError, NotFound, explained
from sandbox.plugins.digitalocean.resource import BridgedResource, Object
from sandbox.plugins.digitalocean.waits import retried
from sandbox.plugins.package import ProviderError

if TYPE_CHECKING:
    from sandbox.plugins.digitalocean.client import Client


async def project_urns(client: Client, project: str) -> list[str]:
    """The URNs of all that is assigned to a project."""
    with explained("Error loading project resources"):
        resources = await client.pages(f"/v2/projects/{project}/resources", "resources")
    return sorted(resource["urn"] for resource in resources)


async def _assign(client: Client, project: str, urns: list[str]) -> None:
    with explained("Error assigning resources"):
        await client.send("POST", f"/v2/projects/{project}/resources", {"resources": urns})


async def _release(client: Client, urns: list[str]) -> None:
    """Whatever is in no other project is in the default one."""
    with explained("Error assigning resources to default project"):
        with explained("Error locating default project"):
            default = (await client.send("GET", "/v2/projects/default"))["project"]["id"]
        await _assign(client, default, urns)


async def _move(client: Client, thing: Object, project: str, doing: str) -> None:
    """Release what the plan does not have, assign what it has."""
    old, new = (set(values["resources"] or ()) for values in (thing.old, thing.plan))
    if old - new:
        await _release(client, sorted(old - new))
    if new - old:
        with explained(doing):
            await _assign(client, project, sorted(new - old))


class ProjectResources(BridgedResource):
    """The assignment of some resources to a project."""

    token = "digitalocean:index/projectResources:ProjectResources"  # noqa: S105 -- a type's name
    attributes: ClassVar[Attributes] = {
        "project": Attribute(required=True, force_new=True, validate=validate.not_empty),
        "resources": Attribute(Many("string", "set"), required=True),
    }

    async def make(self, client: Client, thing: Object) -> None:
        """As an update from nothing."""
        thing.id = thing.values["project"]
        await self.change(client, thing)

    async def change(self, client: Client, thing: Object) -> None:
        """GET the project, POST what is new."""
        project = thing.values["project"]
        try:
            with explained(f"Error while retrieving project {project}"):
                await client.send("GET", f"/v2/projects/{project}")
        except NotFound:
            thing.id = ""
            return
        await _move(client, thing, project, f"Error assigning resources to project {project}")
        await self.refresh(client, thing)

    async def look(self, client: Client, thing: Object) -> None:
        """GET; of the program's resources, those that are in the project."""
        with explained("Error while retrieving project"):
            await client.send("GET", f"/v2/projects/{thing.id}")
        with explained("Error while retrieving project resources"):
            there = await project_urns(client, thing.id)
        wanted = thing.values["resources"] or []
        thing.values |= {"project": thing.id, "resources": [urn for urn in wanted if urn in there]}

    async def adopt(self, client: Client, thing: Object) -> None:
        """Cannot be imported."""
        del client, thing
        raise ProviderError("there is nothing to import: an assignment is made anew without harm")

    async def remove(self, client: Client, thing: Object) -> None:
        """Back to the default project; a project that is gone is fine."""
        try:
            with explained("Error while retrieving project"):
                await client.send("GET", f"/v2/projects/{thing.values['project']}")
        except NotFound:
            return
        if thing.values["resources"]:
            await _release(client, thing.values["resources"])


def _same_environment(old: str, new: str, config: Values) -> bool:
    del config
    return old.lower() == new.lower()


class Project(BridgedResource):
    """A project of the team."""

    token = "digitalocean:index/project:Project"  # noqa: S105 -- a type's name
    timeouts: ClassVar[dict[str, int]] = {"delete": 180}
    attributes: ClassVar[Attributes] = {
        "name": Attribute(required=True, autonamed=True, validate=validate.not_zero),
        "description": Attribute(optional=True, default="", validate=validate.length(0, 255)),
        "purpose": Attribute(optional=True, default="Web Application", validate=validate.length(0, 255)),
        "environment": Attribute(
            optional=True,
            same=_same_environment,
            validate=validate.one_of("development", "staging", "production", ignore_case=True),
        ),
        "owner_uuid": Attribute(computed=True),
        "owner_id": Attribute("int", computed=True),
        "is_default": Attribute("bool", optional=True, default=False),
        "created_at": Attribute(computed=True),
        "updated_at": Attribute(computed=True),
        "resources": Attribute(Many("string", "set"), optional=True, computed=True),
    }

    async def make(self, client: Client, thing: Object) -> None:
        """POST; then its resources and whether it is the default, which a new project cannot be."""
        values = thing.values
        names = ("name", "description", "purpose", "environment")
        with explained("Error creating Project"):
            body = {name: values[name] or "" for name in names}
            project = (await client.send("POST", "/v2/projects", body))["project"]
            if values["resources"]:
                await _assign(client, project["id"], values["resources"])
        if values["is_default"]:
            with explained("Error setting project as default"):
                body = {name: project.get(name) or "" for name in names} | {"is_default": True}
                await client.send("PATCH", f"/v2/projects/{project['id']}", body)
        thing.id = project["id"]
        await self.refresh(client, thing)

    async def look(self, client: Client, thing: Object) -> None:
        """GET, with all its resources."""
        with explained("Error reading Project"):
            project = (await client.send("GET", f"/v2/projects/{thing.id}"))["project"]
            urns = await project_urns(client, project["id"])
        thing.values |= described(project) | {"resources": urns}

    async def change(self, client: Client, thing: Object) -> None:
        """PATCH, then its resources."""
        names = ("name", "description", "purpose", "environment", "is_default")
        with explained("Error updating Project"):
            body = {name: thing.values[name] for name in names}
            await client.send("PATCH", f"/v2/projects/{thing.id}", body)
        if thing.changed("resources"):
            await _move(client, thing, thing.id, "Error Updating project")
        await self.refresh(client, thing)

    async def remove(self, client: Client, thing: Object) -> None:
        """Release its resources, DELETE; as that takes a while, again as long as the API finds some."""
        if thing.values["resources"]:
            await _release(client, thing.values["resources"])

        async def delete() -> bool:
            try:
                await client.send("DELETE", f"/v2/projects/{thing.id}")
            except ApiError as error:
                busy = "cannot delete a project with resources"
                if error.status == 412 and busy in error.message.lower():  # noqa: PLR2004
                    return False
                raise
            return True

        with explained(f"Error deleting project ({thing.id})"):
            await retried(delete, thing.timeouts["delete"])


def described(project: dict[str, Any]) -> dict[str, Any]:
    """The provider's properties of a project, without its resources."""
    names = ("name", "description", "is_default", "owner_uuid", "owner_id", "created_at", "updated_at")
    environment = {"environment": project.get("environment") or ""}  # left out when there is none
    return (
        {name: project[name] for name in names} | environment | {"purpose": project["purpose"].removeprefix("Other: ")}
    )
