"""A tenant as resources: the guide's steps 1 to 6, in its order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_digitalocean as digitalocean
import pulumi_random as random

from meltanodata.config.object_names import names_of
from meltanodata.droplet import files
from meltanodata.engine.resource_types import TENANT, Type, resource_name
from meltanodata.inventory import kept_logins, tags
from meltanodata.inventory.availability import resizes, upgrades
from meltanodata.program import remote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meltanodata.config.tenants import Tenant
    from meltanodata.engine.stack_state import Resource, TenantState
    from meltanodata.inventory.names import Existing
    from meltanodata.program.context import StackContext

ADMIN = "meltano"
"""The login's user name, as the guide has it."""

_DROPLET_IGNORE_CHANGES = [
    *("image", "sshKeys"),  # a newer snapshot or one more key is no reason for a new droplet; `rebuild` is
    # What only a new droplet can have otherwise, so that one made by hand with some box ticked is not replaced.
    *("monitoring", "dropletAgent", "ipv6", "ipv6Address", "publicNetworking", "vpcUuid", "userData"),
    *("backups", "backupPolicy"),  # whoever switched them on by hand had a reason
]
_CLUSTER_IGNORE_CHANGES = [
    *("engine", "projectId", "privateNetworkUuid"),  # only a new cluster, an empty one, can have others
]


@dataclass(frozen=True)
class TenantArgs:
    """What differs from tenant to tenant."""

    tenant: Tenant
    existing: Existing
    image: str
    """The id of the snapshot for a new droplet."""
    login_of_droplet: str | None = None
    """See `kept_logins.settled`, which has decided the tenant's `adopt.login`."""
    rebuilt: bool = False
    """Whether a new droplet replaces the existing one."""
    recorded: TenantState | None = None
    """The tenant in the state before the run."""


class TenantInstance(pulumi.ComponentResource):
    """An instance of Meltano: its droplet, host name, database and login."""

    made: Mapping[Type, pulumi.CustomResource]
    """What can be made twice, by type."""
    url: str
    verified: pulumi.Output[str]
    """Known once everything is done and was looked at."""
    keeps_login: bool
    """Whether the admin has the password from before an adoption, which the state does not have."""
    wiped: pulumi.Output[list[str]] | None
    """The wiping Command's id, and what it prints; None where there is nothing to wipe."""
    outputs: Mapping[str, pulumi.Output[Any]]
    """The stack's outputs for the tenant. None is what could not be created."""

    def __init__(self, key: str, args: TenantArgs, stack: StackContext) -> None:
        super().__init__(TENANT, key, _described(args, stack))
        tenant, existing, settings, hooks = args.tenant, args.existing, stack.settings, stack.hooks
        droplet_team, database_team = stack.providers[settings.droplet_team.name], stack.providers[tenant.database_team]
        names = names_of(tenant, settings.domain)
        ours = pulumi.ResourceOptions(parent=self)
        guarded = hooks.deletion.binding

        def in_team(team: digitalocean.Provider, **options: Any) -> pulumi.ResourceOptions:
            return pulumi.ResourceOptions(parent=self, provider=team, **options)

        # Step 1: Create a New Droplet
        droplet = digitalocean.Droplet(
            resource_name(key, Type.DROPLET),
            name=names.droplet,
            image=args.image,
            size=tenant.droplet_size,
            region=tenant.region,
            ssh_keys=stack.ssh_keys,
            tags=tags.declared(existing.droplet.tags if existing.droplet else ()),
            opts=in_team(
                droplet_team,
                import_=existing.import_droplet,
                ignore_changes=_droplet_ignore_changes(args),
                replacement_trigger=tenant.rebuild,
                # Two droplets of one name are an error, by our own rule.
                delete_before_replace=True,
                custom_timeouts=pulumi.CustomTimeouts(delete="10m"),  # the plugin's 60 s are too short at times
                hooks=pulumi.ResourceHookBinding(
                    before_create=[hooks.creating, hooks.trust.trust_nobody],
                    after_create=[hooks.trust.trust_droplet],
                    before_delete=[hooks.trust.trust_nobody],
                    on_error=[hooks.trust.trust_kept_droplet],
                ),
            ),
        )
        digitalocean.ProjectResources(
            f"{key}-project",
            project=stack.project,
            resources=[droplet.droplet_urn],
            # A droplet leaves its project by being destroyed.
            opts=in_team(droplet_team, deleted_with=droplet),
        )

        # Step 2: Configure Network
        record = digitalocean.DnsRecord(
            resource_name(key, Type.RECORD),
            domain=settings.domain,
            type="A",
            name=names.record,
            value=droplet.ipv4_address,
            ttl=3600,
            opts=in_team(
                droplet_team,
                import_=existing.import_record,
                hooks=pulumi.ResourceHookBinding.merge(
                    guarded, pulumi.ResourceHookBinding(before_create=[hooks.creating])
                ),
            ),
        )

        # Step 3: Create Database Cluster. Without a project, like the guide: it is the team's default, and to set it
        # would replace the cluster if somebody moved it in the control panel.
        cluster = digitalocean.DatabaseCluster(
            resource_name(key, Type.CLUSTER),
            name=existing.cluster.name if existing.cluster else names.new_cluster,
            engine="pg",
            version=tenant.database_version,
            size=tenant.database_size,
            region=tenant.region,
            node_count=existing.cluster.nodes if existing.cluster else 1,
            tags=tags.declared(existing.cluster.tags if existing.cluster else ()),
            opts=in_team(
                database_team,
                import_=existing.import_cluster,
                ignore_changes=_cluster_ignore_changes(args),
                custom_timeouts=pulumi.CustomTimeouts(create="60m"),
                hooks=pulumi.ResourceHookBinding.merge(
                    hooks.deletion.of_database,
                    pulumi.ResourceHookBinding(
                        before_create=[hooks.creating, hooks.trust.watch_cluster],
                        after_create=[hooks.trust.close_cluster],
                        on_error=[hooks.cluster_name],
                    ),
                ),
            ),
        )
        firewall = digitalocean.DatabaseFirewall(
            resource_name(key, Type.FIREWALL),
            cluster_id=cluster.id,
            # By address: a rule by droplet names one of the database's own team.
            rules=[digitalocean.DatabaseFirewallRuleArgs(type="ip_addr", value=droplet.ipv4_address)],
            # Not imported: to create it states all the rules there are, whatever they were.
            # To delete it would open the database to the world for as long as the cluster takes to go.
            opts=in_team(database_team, deleted_with=cluster),
        )

        # Step 4: Configure Droplet, and step 5: Configure PostgreSQL Database
        admin_password = random.RandomPassword(
            f"{key}-admin-password",
            length=32,
            special=False,
            keepers={"generation": str(tenant.admin_password_generation)},
            opts=ours,
        )
        secret_key = random.RandomPassword(f"{key}-secret-key", length=64, special=False, opts=ours)
        password_salt = random.RandomPassword(f"{key}-password-salt", length=64, special=False, opts=ours)
        connection = {
            "host": cluster.host,
            "port": cluster.port.apply(int),
            "database": cluster.database,
            "user": cluster.user,
            "password": cluster.password,
        }
        unknown = remote.Host(
            droplet.id, droplet.ipv4_address, settings.ssh_port, stack.secrets.ssh_private_key, hooks.droplet_ready
        )
        host_key = remote.first_contact(f"{key}-host-key", unknown, ours)
        host = replace(unknown, host_key=host_key)
        written = remote.run(
            f"{key}-files",
            host,
            "write_files",
            pulumi.Output.all(
                login={"secret_key": secret_key.result, "password_salt": password_salt.result},
                database=connection,
            ).apply(lambda known: _files(args, stack, names.host, **known)),
            seconds=180,
            # Meltano is restarted when it can reach its database, and the database is closed to others by then.
            options=pulumi.ResourceOptions(parent=self, depends_on=[firewall]),
        )
        login = remote.run(
            f"{key}-meltano",
            host,
            "meltano",
            {
                "version": tenant.meltano_version,
                "host_name": names.host,
                "admin_script": files.placed("admin").path,
                "username": ADMIN,
                "password": admin_password.result,
                "keep": tenant.keeps_login,
            },
            seconds=1200,
            options=pulumi.ResourceOptions(parent=self, depends_on=[written]),
        )

        # Step 6: Validate Meltano UI
        verified = remote.run(
            f"{key}-verify",
            host,
            "verify",
            # The droplet's size is not looked at, but to change it is to switch the droplet off and on.
            {
                "host_name": names.host,
                "fingerprint": None if tenant.tls == "self_signed" else stack.fingerprint,
                "droplet_size": tenant.droplet_size,
                "seconds": 120,
            },
            seconds=180,
            options=pulumi.ResourceOptions(parent=self, hooks=guarded),
            after=[written, login],
            public=True,
        )
        hooks.deletion.declares(record, cluster, verified)

        # Maintaining: Wipe database in Meltano demo instance
        self.keeps_login = tenant.keeps_login
        self.wiped = None
        if tenant.demo:
            wiped = remote.run_once_for(
                str(tenant.wipe_database) if tenant.wipe_database else None,
                f"{key}-wipe",
                host,
                "wipe",
                connection,
                seconds=300,
                options=pulumi.ResourceOptions(parent=self, depends_on=[written], hooks=guarded),
            )
            hooks.deletion.declares(wiped)
            if tenant.wipe_database:
                self.wiped = pulumi.Output.unsecret(pulumi.Output.all(wiped.id, wiped.stdout))

        self.made = {Type.DROPLET: droplet, Type.RECORD: record, Type.CLUSTER: cluster}
        self.verified = verified.id
        self.url = f"https://{names.host}"
        outputs = {
            "url": self.url,
            "address": droplet.ipv4_address,
            "host_key": host_key,
            "database_team": tenant.database_team,
            "database_host": cluster.host,
            "admin_user": ADMIN,
            # Secret. An adopted instance may keep the password that it has, which nobody knows here.
            "admin_password": None if tenant.keeps_login else admin_password.result,
        }
        self.outputs = {
            name: pulumi.Output.from_input(value).recover(lambda _: None) for name, value in outputs.items()
        }
        self.register_outputs(self.outputs)


def _droplet_ignore_changes(args: TenantArgs) -> list[str]:
    droplet = args.existing.droplet
    if droplet is None or args.rebuilt:
        return _DROPLET_IGNORE_CHANGES
    recorded = args.recorded.droplet if args.recorded else None
    ignored = [*_DROPLET_IGNORE_CHANGES]
    if tags.has_ours(droplet.tags) and not _is_recorded(recorded, "tags", tags.declared(droplet.tags)):
        ignored.append("tags")  # those that others set stay
    # Resized in the control panel, as its entry says now: the provider would switch it off to do it again.
    resized = (droplet.size, droplet.status) == (args.tenant.droplet_size, "active")
    if resized and not _is_recorded(recorded, "size", droplet.size):
        ignored.append("size")
    return ignored


def _cluster_ignore_changes(args: TenantArgs) -> list[str]:
    cluster = args.existing.cluster
    recorded = args.recorded.cluster if args.recorded else None
    ignored = [*_CLUSTER_IGNORE_CHANGES]
    if not upgrades(args.tenant, args.existing):
        ignored.append("version")  # DigitalOcean's forced upgrades must not become downgrades
    if cluster is None:
        return [*ignored, "nodeCount"]
    if not resizes(args.tenant, args.existing):
        if not _is_recorded(recorded, "nodeCount", cluster.nodes):
            ignored.append("nodeCount")  # a standby node that was added by hand stays
        if cluster.status == "online" and not _is_recorded(recorded, "size", cluster.size):
            ignored.append("size")  # scaled in the control panel, as its entry says now
    if tags.has_ours(cluster.tags) and not _is_recorded(recorded, "tags", tags.declared(cluster.tags)):
        ignored.append("tags")
    return ignored


def _is_recorded(resource: Resource | None, name: str, value: object) -> bool:
    """Whether the state has this value, as the provider read it last.

    Then the value is declared. To ignore it would declare the older input, which the next update of any other property
    would set.
    """
    known = resource.outputs.get(name) if resource else None
    return sorted(known or ()) == value if isinstance(value, list) else known == value


def _files(
    args: TenantArgs, stack: StackContext, host_name: str, *, login: Mapping[str, str], database: Mapping[str, Any]
) -> Mapping[str, Any]:
    """The document of the files' Command, once the cluster and the passwords are there."""
    return files.tenant_document(
        stack.shared_documents[args.tenant.tls],
        files.tenant_values(host_name=host_name, login=files.Login(**login), database=files.Database(**database)),
        keep_secrets=args.tenant.keeps_secrets,
    )


def _described(args: TenantArgs, stack: StackContext) -> dict[str, Any]:
    """The component's inputs, without secrets: their changes are the reasons that a plan gives."""
    adopted_login = {kept_logins.DROPLET: args.login_of_droplet} if args.login_of_droplet else {}
    return {
        **args.tenant.model_dump(mode="json", exclude={"key", "states_database_version"}, exclude_none=True),
        **adopted_login,
        "caddy_version": stack.settings.caddy_version,
        "certificate": stack.fingerprint[:16],
        "certificate_expires": stack.lifetime.ends.date().isoformat(),
    }
