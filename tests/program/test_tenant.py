"""A tenant's resources and their options: a change of any that matters to an operator fails here."""

from __future__ import annotations

import datetime as dt
import json
from types import MethodType
from typing import TYPE_CHECKING, Any

import pulumi
import pytest

from meltanodata.droplet import files
from meltanodata.engine import deletions
from meltanodata.engine.resource_types import ROLES, Type
from meltanodata.engine.stack_state import Resource, TenantState
from meltanodata.errors import UserError
from meltanodata.inventory.names import Existing
from meltanodata.program import cluster_name, remote
from meltanodata.program.context import Hooks, StackContext, shared_documents, team_providers
from meltanodata.program.deletion_hooks import DeletionGuard
from meltanodata.program.duplicate_check import DuplicateCheck
from meltanodata.program.survey import Survey
from meltanodata.program.tenant import TenantArgs, TenantInstance
from meltanodata.program.trusted_sources import Trust
from tests import previews
from tests.program import builders
from tests.program.builders import TEAM_1, TEAM_2
from tests.program.recording import HOST_KEY, PASSWORD, Recording, record

if TYPE_CHECKING:
    from collections.abc import Callable

ADDRESS = "address of acme-droplet"


def declared(
    existing: Existing | None = None,
    settings: dict[str, Any] | None = None,
    guard: Callable[[], DeletionGuard] = lambda: DeletionGuard([], []),
    *,
    rebuilt: bool = False,
    recorded: TenantState | None = None,
    **options: Any,
) -> Recording:
    """The tenant acme on the mocks."""

    def program() -> None:
        stack, secrets = builders.settings(**(settings or {})), builders.secrets()
        tenant = builders.tenant(**options)
        documents = shared_documents(stack, secrets)
        found = Survey(builders.accounts(), {tenant.key: existing or Existing()}, {})
        trusted = Trust(
            [tenant], stack, secrets.tokens, existing=found.existing, clusters=found.accounts.clusters, databases={}
        )
        context = StackContext(
            settings=stack,
            secrets=secrets,
            providers=team_providers(stack, secrets),
            project="project-id",
            ssh_keys=["41", "42"],
            shared_documents=documents,
            hooks=Hooks(
                cluster_name=cluster_name.error_hook(trusted.made_by_us),
                droplet_ready=remote.readiness(list(documents.values())),
                creating=DuplicateCheck([tenant], stack, secrets.tokens).creating,
                trust=trusted,
                deletion=guard(),
            ),
        )
        args = TenantArgs(tenant, existing or Existing(), "301", rebuilt=rebuilt, recorded=recorded)
        TenantInstance(tenant.key, args, context)

    return record(program)


@pytest.fixture(scope="module")
def acme() -> Recording:
    return declared()


def told(recording: Recording, name: str) -> dict[str, Any]:
    """What a Command's script is told, by standard input."""
    document: dict[str, Any] = json.loads(recording[name].inputs["stdin"])
    return document


def test_a_tenant_is_these_resources(acme: Recording) -> None:
    mine = [name for name, it in acme.resources.items() if it.parent == "acme"]
    assert sorted(mine) == [
        "acme-admin-password",
        "acme-database",
        "acme-droplet",
        "acme-files",
        "acme-firewall",
        "acme-host-key",
        "acme-meltano",
        "acme-password-salt",
        "acme-project",
        "acme-record",
        "acme-secret-key",
        "acme-verify",
    ]
    assert acme["acme"].type == "meltanodata:index:Tenant"
    assert not acme["acme"].custom
    assert not any(it.protect for it in acme.resources.values())  # it would contradict removal by deleting an entry


def test_the_component_says_what_a_preview_needs_for_its_reasons(acme: Recording) -> None:
    known = dict(acme["acme"].inputs)
    assert dt.date.fromisoformat(known.pop("certificate_expires")) > dt.date(2026, 1, 1)
    assert known == {
        "database_team": TEAM_1,
        "region": "nyc3",
        "droplet_size": "s-2vcpu-2gb",
        "database_size": "db-s-1vcpu-1gb",
        "database_version": "16",
        "tls": "wildcard",
        "demo": False,
        "admin_password_generation": 1,
        "rebuild": 0,
        "caddy_version": 1,
        "certificate": builders.fingerprint()[:16],
    }


def test_the_droplet(acme: Recording) -> None:
    droplet = acme["acme-droplet"]
    assert droplet.type == Type.DROPLET
    assert droplet.name == "acme-droplet"
    assert droplet.inputs == {
        "name": "acme.meltanodata.com",
        "image": "301",
        "size": "s-2vcpu-2gb",
        "region": "nyc3",
        "sshKeys": ["41", "42"],
        "tags": ["production"],
    }
    assert droplet.provider == "Meltano"
    assert droplet.ignore_changes == {
        *("image", "sshKeys", "monitoring", "dropletAgent", "ipv6", "ipv6Address", "publicNetworking", "vpcUuid"),
        *("userData", "backups", "backupPolicy"),
    }
    assert droplet.replacement_trigger == 0
    assert droplet.delete_before_replace
    assert droplet.timeouts == {"delete": "10m"}
    assert droplet.import_id == ""


def test_the_project(acme: Recording) -> None:
    project = acme["acme-project"]
    assert project.type == "digitalocean:index/projectResources:ProjectResources"
    assert project.inputs == {"project": "project-id", "resources": ["do:droplet:acme-droplet"]}
    assert project.provider == "Meltano"
    assert project.deleted_with == "acme-droplet"


def test_the_record(acme: Recording) -> None:
    record_ = acme["acme-record"]
    assert record_.type == Type.RECORD
    assert record_.name == "acme-record"
    assert record_.inputs == {
        "domain": "meltanodata.com",
        "type": "A",
        "name": "acme",
        "value": ADDRESS,
        "ttl": 3600,
    }
    assert record_.provider == "Meltano"
    assert record_.import_id == ""
    assert not record_.ignore_changes


def test_the_database(acme: Recording) -> None:
    cluster = acme["acme-database"]
    assert cluster.type == Type.CLUSTER
    assert cluster.name == "acme-database"
    assert cluster.inputs == {
        "name": "db-postgresql-nyc3-11799-acme",
        "engine": "pg",
        "version": "16",
        "size": "db-s-1vcpu-1gb",
        "region": "nyc3",
        "nodeCount": 1,
        "tags": ["production"],
    }
    assert cluster.provider == TEAM_1
    assert cluster.ignore_changes == {"version", "engine", "projectId", "privateNetworkUuid", "nodeCount"}
    assert cluster.timeouts == {"create": "60m"}
    assert not cluster.delete_before_replace  # if ever, then the new one first
    assert cluster.import_id == ""


def test_the_firewall(acme: Recording) -> None:
    firewall = acme["acme-firewall"]
    assert firewall.type == "digitalocean:index/databaseFirewall:DatabaseFirewall"
    assert firewall.inputs == {"clusterId": "acme-database-id", "rules": [{"type": "ip_addr", "value": ADDRESS}]}
    assert firewall.provider == TEAM_1
    assert firewall.deleted_with == "acme-database"
    assert firewall.import_id == ""


def test_the_database_is_in_the_tenants_team() -> None:
    recording = declared(database_team=TEAM_2)
    assert recording["acme-database"].provider == TEAM_2
    assert recording["acme-firewall"].provider == TEAM_2
    assert recording["acme-droplet"].provider == "Meltano"


@pytest.mark.parametrize(
    ("name", "length", "keepers"),
    [("admin-password", 32, {"generation": "1"}), ("secret-key", 64, None), ("password-salt", 64, None)],
)
def test_the_passwords(acme: Recording, name: str, length: int, keepers: dict[str, str] | None) -> None:
    password = acme[f"acme-{name}"]
    assert password.type == "random:index/randomPassword:RandomPassword"
    assert password.inputs == {"length": length, "special": False, **({"keepers": keepers} if keepers else {})}


def test_the_first_contact(acme: Recording) -> None:
    command = acme["acme-host-key"]
    assert command.type == "command:remote:Command"
    assert command.inputs == {
        "connection": {
            "host": ADDRESS,
            "port": 22,
            "user": "root",
            "privateKey": builders.ssh_key(),
            "dialErrorLimit": 10,
            "perDialTimeout": 10,
        },
        "create": "timeout 300 sh -c 'cloud-init status --wait >/dev/null 2>&1;"
        ' exec cut -d " " -f 1,2 /etc/ssh/ssh_host_ed25519_key.pub\'',
        "triggers": ["acme-droplet-id"],
        "logging": "none",
        "addPreviousOutputInEnv": False,
    }
    assert command.secrets == {"connection"}
    assert command.secret_outputs == {"connection"}  # what it prints is public


@pytest.mark.parametrize(
    ("name", "script", "seconds", "triggers"),
    [
        ("files", "write_files", 180, ["acme-droplet-id"]),
        ("meltano", "meltano", 1200, ["acme-droplet-id"]),
        ("verify", "verify", 180, ["acme-droplet-id", "acme-files-id", "acme-meltano-id"]),
    ],
)
def test_the_other_commands(acme: Recording, name: str, script: str, seconds: int, triggers: list[str]) -> None:
    command = acme[f"acme-{name}"]
    assert command.type == "command:remote:Command"
    assert {**command.inputs, "stdin": None} == {
        "connection": {
            "host": ADDRESS,
            "port": 22,
            "user": "root",
            "privateKey": builders.ssh_key(),
            "hostKey": HOST_KEY,
            "dialErrorLimit": 10,
            "perDialTimeout": 10,
        },
        "create": f"{remote._ONE_AT_A_TIME} timeout --kill-after=10 {seconds} python3 {files.placed(script).path}",
        "stdin": None,
        "triggers": triggers,
        "logging": "none",
        "addPreviousOutputInEnv": False,
    }
    # The verification is told nothing that a visitor could not find out.
    assert command.secrets == {"connection", "stdin"} - ({"stdin"} if name == "verify" else set())
    said = set() if name == "verify" else {"stdout", "stderr"}
    assert command.secret_outputs == {"connection"} | said


@pytest.mark.parametrize("name", ["host-key", "files", "meltano", "verify"])
def test_every_command(acme: Recording, name: str) -> None:
    command = acme[f"acme-{name}"]
    assert command.ignore_changes == {"connection.privateKey"}
    assert command.replace_on_changes == {"*", "triggers[*]"}  # the second one is the SDK's own
    assert command.before_create == ("droplet-ready",)
    assert "delete" not in command.inputs  # nothing is dialled on teardown
    assert "update" not in command.inputs
    assert not command.delete_before_replace


def test_commands_follow_each_other(acme: Recording) -> None:
    assert acme["acme-files"].depends_on >= {"acme-host-key", "acme-firewall", "acme-database"}
    assert acme["acme-meltano"].depends_on >= {"acme-files"}
    assert acme["acme-verify"].depends_on >= {"acme-files", "acme-meltano"}


def test_the_files(acme: Recording) -> None:
    assert told(acme, "acme-files") == files.tenant_document(
        shared_documents(builders.settings(), builders.secrets())["wildcard"],
        files.tenant_values(
            host_name="acme.meltanodata.com",
            login=files.Login("result of acme-secret-key", "result of acme-password-salt"),
            database=files.Database("db-postgresql-nyc3-11799-acme.db", 25060, "defaultdb", "doadmin", PASSWORD),
        ),
        keep_secrets=False,
    )


def test_what_all_have_alike_is_brought_whichever_certificate_is_served(acme: Recording) -> None:
    crt, key = builders.certificate()
    documents = shared_documents(builders.settings(), builders.secrets())
    for tls, document in documents.items():
        expected = files.droplet_files(
            domain="meltanodata.com", caddy_version=1, tls=tls, certificate=files.Certificate(crt, key)
        )
        assert document == files.common_document(expected)
    hook = acme.hooks["droplet-ready"].callback
    assert isinstance(hook, MethodType)
    assert isinstance(hook.__self__, remote._Readiness)
    assert hook.__self__._bringing == files.bringing(list(documents.values()))


def test_the_admin(acme: Recording) -> None:
    assert told(acme, "acme-meltano") == {
        "version": None,
        "host_name": "acme.meltanodata.com",
        "admin_script": files.placed("admin").path,
        "username": "meltano",
        "password": "result of acme-admin-password",
        "keep": False,
    }


def test_the_verification(acme: Recording) -> None:
    assert told(acme, "acme-verify") == {
        "host_name": "acme.meltanodata.com",
        "fingerprint": builders.fingerprint(),
        "droplet_size": "s-2vcpu-2gb",
        "seconds": 120,
    }


def test_the_outputs(acme: Recording) -> None:
    assert acme.outputs["acme"] == {
        "url": "https://acme.meltanodata.com",
        "address": ADDRESS,
        "host_key": HOST_KEY,
        "database_team": TEAM_1,
        "database_host": "db-postgresql-nyc3-11799-acme.db",
        "admin_user": "meltano",
        "admin_password": {"secret": "result of acme-admin-password"},
    }


def test_no_secret_in_the_open(acme: Recording) -> None:
    secret_texts = [builders.ssh_key(), builders.certificate()[1], PASSWORD, "result of acme-"]
    for resource in acme.resources.values():
        open_inputs = {path: value for path, value in resource.inputs.items() if path not in resource.secrets}
        assert not [text for text in secret_texts if text in str(open_inputs)], resource.name


def test_a_cluster_waits_for_its_name(acme: Recording) -> None:
    assert acme["acme-database"].on_error == ("cluster-name",)


def test_a_cluster_is_watched_while_it_is_created_and_closed_afterwards(acme: Recording) -> None:
    cluster = acme["acme-database"]
    assert cluster.before_create == (f"{deletions.HOOK}-replaced", "creating", "database-watch")
    assert cluster.after_create == ("database-close",)
    assert cluster.before_delete == (deletions.HOOK,)


def test_a_droplet_comes_and_goes_while_its_database_trusts_nobody(acme: Recording) -> None:
    droplet = acme["acme-droplet"]
    assert droplet.before_create == ("creating", "database-trusts-nobody")
    assert droplet.after_create == ("database-trusts-droplet",)
    assert droplet.before_delete == ("database-trusts-nobody",)
    assert droplet.on_error == ("database-trusts-kept-droplet",)


def test_whatever_can_be_made_twice_is_noted_before_it_is_made(acme: Recording) -> None:
    noted = {name for name, it in acme.resources.items() if "creating" in it.before_create}
    assert noted == {"acme-droplet", "acme-record", "acme-database"}


def test_what_exists_is_imported() -> None:
    existing = Existing(builders.droplet(), builders.record(), builders.cluster(), "7", "meltanodata.com,8", "c0ffee")
    recording = declared(existing)
    imports = {name: it.import_id for name, it in recording.resources.items() if it.import_id}
    assert imports == {"acme-droplet": "7", "acme-record": "meltanodata.com,8", "acme-database": "c0ffee"}
    assert recording["acme-database"].inputs["name"] == "db-postgresql-nyc3-52483-acme"  # another one would replace it


def test_what_is_in_the_state_keeps_its_name_and_is_not_imported() -> None:
    recording = declared(Existing(builders.droplet(), builders.record(), builders.cluster()))
    assert not [it for it in recording.resources.values() if it.import_id]
    assert recording["acme-database"].inputs["name"] == "db-postgresql-nyc3-52483-acme"


def test_an_instance_with_other_names_is_adopted() -> None:
    adopt = {"droplet": "Old droplet", "record": "demo", "database": "old-db"}
    existing = Existing(builders.droplet(), builders.record(), builders.cluster(name="old-db"))
    recording = declared(existing, adopt={**adopt, "droplet": "old.meltanodata.com"})
    assert recording["acme-droplet"].inputs["name"] == "old.meltanodata.com"
    assert recording["acme-record"].inputs["name"] == "demo"
    assert recording["acme-database"].inputs["name"] == "old-db"
    assert recording.outputs["acme"]["url"] == "https://demo.meltanodata.com"
    assert told(recording, "acme-verify")["host_name"] == "demo.meltanodata.com"


def test_sizes_region_and_version_are_the_tenants() -> None:
    recording = declared(
        region="fra1", droplet_size="s-4vcpu-8gb", database_size="db-s-2vcpu-4gb", database_version="15"
    )
    droplet, cluster = recording["acme-droplet"].inputs, recording["acme-database"].inputs
    assert (droplet["region"], droplet["size"]) == ("fra1", "s-4vcpu-8gb")
    assert (cluster["region"], cluster["size"], cluster["version"]) == ("fra1", "db-s-2vcpu-4gb", "15")
    assert cluster["name"] == "db-postgresql-fra1-11799-acme"


def test_rebuild_makes_a_new_droplet() -> None:
    assert declared(rebuild=2)["acme-droplet"].replacement_trigger == 2


def test_a_new_droplet_size_is_verified() -> None:
    assert told(declared(droplet_size="s-4vcpu-8gb"), "acme-verify")["droplet_size"] == "s-4vcpu-8gb"


@pytest.mark.parametrize(("version", "ignored"), [("15", False), ("16", True), ("17", True)])
def test_only_an_upgrade_of_the_database_is_looked_at(version: str, ignored: bool) -> None:
    existing = Existing(cluster=builders.cluster(version=version))
    recording = declared(existing, database_version="16")
    others = {"engine", "projectId", "privateNetworkUuid", "nodeCount", "size"}  # the size that it has is the entry's
    assert recording["acme-database"].ignore_changes == (others | {"version"} if ignored else others)
    assert declared(existing)["acme-database"].ignore_changes == others | {"version"}  # the stack's, for new clusters


def test_a_version_of_meltano() -> None:
    assert told(declared(meltano_version="2.20.0"), "acme-meltano")["version"] == "2.20.0"


WIPE = {"connection", "create", "stdin", "logging", "addPreviousOutputInEnv"}


def test_a_demo_is_wiped_for_a_new_date_and_for_nothing_else() -> None:
    command = declared(demo=True, wipe_database=dt.date(2026, 11, 20))["acme-wipe"]
    assert command.inputs["create"] == (
        "flock --close --timeout 1500 /run/meltanodata.lock"
        " timeout --kill-after=10 300 runuser --user meltano -- /var/meltano/.venv/bin/python"
        f" {files.placed('wipe').path}"
    )
    assert command.inputs["triggers"] == ["2026-11-20"]
    assert command.inputs["connection"]["hostKey"] == HOST_KEY
    assert command.ignore_changes == WIPE | {"connection.privateKey"}
    assert command.replace_on_changes == {"*", "triggers[*]"}
    assert command.secrets == {"connection", "stdin"}
    assert command.secret_outputs == {"connection", "stdout", "stderr"}
    assert command.depends_on >= {"acme-files"}
    assert command.parent == "acme"
    assert "delete" not in command.inputs


def test_the_wipe_is_told_the_database() -> None:
    assert told(declared(demo=True, wipe_database=dt.date(2026, 11, 20)), "acme-wipe") == {
        "host": "db-postgresql-nyc3-11799-acme.db",
        "port": 25060,
        "database": "defaultdb",
        "user": "doadmin",
        "password": PASSWORD,
    }


def test_a_date_taken_away_changes_nothing() -> None:
    command = declared(demo=True)["acme-wipe"]
    assert command.inputs["create"] == "true"
    assert command.inputs["triggers"] == [""]
    assert "stdin" not in command.inputs
    assert command.ignore_changes == WIPE | {"connection.privateKey", "triggers"}


def test_what_is_no_demo_cannot_be_wiped() -> None:
    assert "acme-wipe" not in declared().resources


KEEP: dict[str, Any] = {"adopt": {"login": "keep"}}


def test_an_adopted_login_is_kept() -> None:
    recording = declared(**KEEP)
    assert told(recording, "acme-meltano")["keep"] is True
    assert told(recording, "acme-files")["kept"] == ["SECRET_KEY", "SECURITY_PASSWORD_SALT"]
    assert "admin_password" not in recording.outputs["acme"]


@pytest.mark.parametrize("options", [{**KEEP, "admin_password_generation": 2}, {"adopt": {"record": "x"}}])
def test_a_login_is_made_anew_when_somebody_wants_it(options: dict[str, Any]) -> None:
    recording = declared(**options)
    assert told(recording, "acme-meltano")["keep"] is False
    assert recording.outputs["acme"]["admin_password"] == {"secret": "result of acme-admin-password"}


def test_a_new_password_generation_makes_a_new_password() -> None:
    recording = declared(admin_password_generation=2)
    assert recording["acme-admin-password"].inputs["keepers"] == {"generation": "2"}


def test_a_self_signed_certificate_is_not_compared() -> None:
    recording = declared(tls="self_signed")
    assert told(recording, "acme-verify")["fingerprint"] is None
    documents = shared_documents(builders.settings(), builders.secrets())
    assert told(recording, "acme-files")["common"] == documents["self_signed"].path
    caddyfile = json.loads(documents["self_signed"].content or "")["files"][2]["content"]
    assert "\ntls self_signed\n" in caddyfile
    assert "\n# tls /etc/caddy/com.meltanodata.crt" in caddyfile


def test_the_stacks_port_and_dialect_are_used() -> None:
    recording = declared(settings={"ssh_port": 2222, "caddy_version": 2})
    ports = {it.inputs["connection"]["port"] for it in recording.resources.values() if "connection" in it.inputs}
    assert ports == {2222}
    documents = shared_documents(builders.settings(caddy_version=2), builders.secrets())
    assert "reverse_proxy localhost:5000" in json.loads(documents["wildcard"].content or "")["files"][2]["content"]
    assert told(recording, "acme-files")["common"] == documents["wildcard"].path


def test_every_team_of_the_stack_has_its_provider() -> None:
    recording = declared(settings={"requests_per_second": 2, "api_url": "http://127.0.0.1:1"})
    providers = {it.name: it for it in recording.resources.values() if it.type == "pulumi:providers:digitalocean"}
    assert set(providers) == {"Meltano", TEAM_1, TEAM_2}
    for team, provider in providers.items():
        assert provider.inputs["token"] == f"token of {team}"
        assert provider.secrets == {"token"}
        assert provider.inputs["apiEndpoint"] == "http://127.0.0.1:1"
        assert float(provider.inputs["requestsPerSecond"]) == 2


def test_nothing_of_a_tenant_is_deleted_before_the_hook_was_asked() -> None:
    """What nothing depends on is deleted first: the hook is there, or what is deleted is in the state alone."""
    recording = declared(demo=True)
    mine = {name: it for name, it in recording.resources.items() if it.parent == "acme"}
    needed = {name for it in mine.values() for name in it.depends_on}
    first = {name for name, it in mine.items() if name not in needed and not it.deleted_with}
    guarded = {name for name, it in mine.items() if deletions.HOOK in it.before_delete}
    assert first <= guarded
    assert guarded == {"acme-record", "acme-database", "acme-verify", "acme-wipe"}
    assert {mine[name].before_delete for name in guarded} == {(deletions.HOOK,)}
    assert recording["acme-verify"].before_create == ("droplet-ready",)
    assert len(recording["acme-database"].on_error) == 1


def args(name: str, type_: str, id_: str) -> pulumi.ResourceHookArgs:
    """What the engine calls the hook with."""
    return pulumi.ResourceHookArgs(urn=f"urn::{name}", id=id_, name=name, type=type_)


@pytest.mark.parametrize("allowed", [[], ["acm"], ["acme-2"]])
def test_the_hook_lets_only_what_was_replaced_go(allowed: list[str]) -> None:
    guards: list[DeletionGuard] = []

    def guard() -> DeletionGuard:
        guards.append(DeletionGuard(allowed, ["acme", "core-2"]))
        return guards[0]

    declared(demo=True, guard=guard)
    judge = guards[0]._judge
    command = "command:remote:Command"
    # No demo any more: the tenant is declared, its wiping Command is not.
    plain: list[DeletionGuard] = []

    def guard_of_plain() -> DeletionGuard:
        plain.append(DeletionGuard(allowed, []))
        return plain[0]

    declared(guard=guard_of_plain)
    plain[0]._judge(args("acme-wipe", "command:remote:Command", "7"))
    # Declared, and what the engine deletes is another object than the one it answered with: the predecessor.
    judge(args("acme-verify", command, "the old one's"))
    judge(args("acme-record", Type.RECORD, "the old one's"))
    # `pulumi destroy`: the very object that it answered with. A tenant without an entry: nothing was declared.
    for name, type_ in (("acme-verify", command), ("acme-wipe", command), ("acme-record", Type.RECORD)):
        with pytest.raises(UserError, match="MELTANODATA_DELETE_DATABASES=acme"):
            judge(args(name, type_, f"{name}-id"))
        with pytest.raises(UserError, match="MELTANODATA_DELETE_DATABASES=core-2"):
            judge(args(name.replace("acme", "core-2"), type_, "7"))
    # A database has no successor that would have its data.
    for id_ in ("the old one's", "acme-database-id"):
        with pytest.raises(UserError, match="acme: this run would delete its database"):
            judge(args("acme-database", Type.CLUSTER, id_))


def test_the_hook_lets_a_named_tenant_go() -> None:
    guard = recorded_guard(["acme"])
    for name, type_ in (("acme-verify", "command:remote:Command"), ("acme-database", Type.CLUSTER)):
        guard._judge(args(name, type_, "7"))
    with pytest.raises(UserError):
        guard._judge(args("acme-2-database", Type.CLUSTER, "7"))


def test_what_is_left_of_a_tenant_without_a_database_may_go() -> None:
    guard = recorded_guard([])
    for name, type_ in (("lost-verify", "command:remote:Command"), ("lost-record", Type.RECORD)):
        guard._judge(args(name, type_, "7"))
    with pytest.raises(UserError, match="lost: this run would delete its database"):
        guard._judge(args("lost-database", Type.CLUSTER, "7"))


def test_a_database_that_the_state_has_is_not_made_once_more() -> None:
    guard = recorded_guard(["acme"])
    for tenant in ("acme", "a-new-one"):
        guard._judge_successor(args(f"{tenant}-database", Type.CLUSTER, ""))
    with pytest.raises(UserError, match="core-2: this run would delete its database"):
        guard._judge_successor(args("core-2-database", Type.CLUSTER, ""))
    # Before anything that has to do with making one.
    assert declared()["acme-database"].before_create[0] == f"{deletions.HOOK}-replaced"


def recorded_guard(allowed: list[str]) -> DeletionGuard:
    """One in a program that declares nothing."""
    guards: list[DeletionGuard] = []
    record(lambda: guards.append(DeletionGuard(allowed, ["acme", "core-2"])))
    return guards[0]


@pytest.mark.parametrize(
    ("has", "rebuilt", "tags", "ignored"),
    [
        (("monitored", "production"), False, ["monitored", "production"], True),
        (("Production",), False, ["production"], True),
        (("monitored",), False, ["monitored", "production"], False),
        (("monitored", "production"), True, ["monitored", "production"], False),
    ],
)
def test_tags_that_others_set_stay(has: tuple[str, ...], *, rebuilt: bool, tags: list[str], ignored: bool) -> None:
    existing = Existing(builders.droplet(tags=has), None, builders.cluster(tags=has))
    recording = declared(existing, rebuilt=rebuilt)
    droplet, cluster = recording["acme-droplet"], recording["acme-database"]
    assert (droplet.inputs["tags"], "tags" in droplet.ignore_changes) == (tags, ignored)
    assert cluster.inputs["tags"] == tags
    assert "tags" in cluster.ignore_changes or "production" not in has


def in_the_state(droplet: dict[str, Any], cluster: dict[str, Any]) -> TenantState:
    """The tenant, with what the provider read last of its droplet and its cluster."""

    def resource(kind: Type, outputs: dict[str, Any]) -> Resource:
        return Resource.read({"urn": previews.urn("acme", ROLES[kind]), "type": kind, "outputs": outputs})

    read = {Type.DROPLET: droplet, Type.CLUSTER: cluster}
    return TenantState("acme", None, {ROLES[kind]: resource(kind, outputs) for kind, outputs in read.items()})


def test_what_the_provider_has_read_is_declared_so_that_no_later_update_sets_the_older_value() -> None:
    tags = ("monitored", "production")
    existing = Existing(builders.droplet(tags=tags), None, builders.cluster(tags=tags, nodes=2))
    size, cluster_size = existing.droplet.size, existing.cluster.size  # type: ignore[union-attr]  # both are given
    read = in_the_state({"size": size, "tags": list(tags)}, {"size": cluster_size, "nodeCount": 2, "tags": list(tags)})
    recording = declared(existing, recorded=read, droplet_size=size, database_size=cluster_size)
    for name, changeable in (("acme-droplet", {"size", "tags"}), ("acme-database", {"size", "tags", "nodeCount"})):
        assert not changeable & set(recording[name].ignore_changes)
    # The state has not seen the change by hand yet: to set it again would power the droplet off.
    older = in_the_state({"size": "s-1vcpu-1gb", "tags": ["production"]}, {"size": "x", "nodeCount": 1, "tags": []})
    recording = declared(existing, recorded=older, droplet_size=size, database_size=cluster_size)
    for name, changeable in (("acme-droplet", {"size", "tags"}), ("acme-database", {"size", "tags", "nodeCount"})):
        assert changeable <= set(recording[name].ignore_changes)


def test_another_size_keeps_the_standby_nodes() -> None:
    existing = Existing(builders.droplet(), None, builders.cluster(nodes=2))
    resized = declared(existing, database_size="db-s-1vcpu-2gb")["acme-database"]
    assert (resized.inputs["nodeCount"], "nodeCount" in resized.ignore_changes) == (2, False)
    assert "nodeCount" in declared(existing)["acme-database"].ignore_changes
