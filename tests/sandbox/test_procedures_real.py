"""The guide's procedures as edits of tenants.yaml, on real droplets and databases: each does what it says and no more.

Each edit is previewed, applied, and previewed once more; docs/reference/guide.md says which test proves which heading.
That every edit is finished by the next run when it is killed in the middle is in test_edits.py, and for what takes
longest on a droplet also here.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import re
import socket
import ssl
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest
from cryptography import x509

from meltanodata.engine.stack_state import StackState
from sandbox import checks
from sandbox.api.messages import NewSnapshot
from sandbox.choice import obstacle
from sandbox.demo import Stack
from sandbox.droplets import snapshot
from sandbox.home import Home
from sandbox.keys import Keys, issue_wildcard, load_ca
from tests.guide import CADDYFILE
from tests.sandbox.api import new_database, new_droplet
from tests.sandbox.fleet import REMOVES, Fleet, fleet_on
from tests.sandbox.programs import SECONDS
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandbox.checks import Instance

REASON = obstacle("droplets") or obstacle("databases")
pytestmark = [
    pytest.mark.skipif(REASON is not None, reason=f"real droplets and databases: {REASON}"),
    pytest.mark.timeout(1500),  # the first time on a machine the engine and the snapshot are made
]

DEMO: dict[str, Any] = {"database_team": "MeltanoData DBs 1", "demo": True}
ACME = {"database_team": "MeltanoData DBs 2"}
NEWER = "Ubuntu meltano-999999999"
SERVICES = ("caddy", "meltano", "vsftpd")
PROJECT = "/var/meltano/project"
MARK = f"{PROJECT}/of-this-disk"

FILES = {"files": "replace", "verify": "replace"}
"""The steps of an edit that changes files on the droplet."""
MELTANO = {"meltano": "replace", "verify": "replace"}
"""The steps of an edit that changes Meltano's version or users."""
NEW_PASSWORD = {"admin-password": "replace", **MELTANO}
NEW_DROPLET = {
    "droplet": "replace",
    "project": "update",
    "record": "update",
    "firewall": "update",
    "host-key": "replace",
    **FILES,
    **MELTANO,
}

KEPT = "CREATE TABLE IF NOT EXISTS public.kept AS SELECT 7 AS a"
_SQL = """
import dotenv, json, psycopg2
env = dotenv.dotenv_values("/var/meltano/project/.env")
connection = psycopg2.connect(
    host=env["PG_ADDRESS"], port=env["PG_PORT"], user=env["PG_USERNAME"], password=env["PG_PASSWORD"],
    dbname=env["PG_DATABASE"], sslmode="require", connect_timeout=20)
connection.autocommit = True
cursor = connection.cursor()
cursor.execute({statement!r})
print(json.dumps([row[0] for row in cursor.fetchall()] if cursor.description else []))
"""


class World:
    """Two tenants on real droplets, and a person at the machine. Each test leaves both at work."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        running = fleet.world.running
        self.person = checks.Person(fleet.home, running, Keys.ensure(fleet.home, running.domain))
        self.entries: dict[str, dict[str, Any]] = {"demo": DEMO, "acme": ACME}
        fleet.tenants(**self.entries)
        fleet.up()

    def write(self, key: str, **changes: Any) -> None:
        """Change options of a tenant's entry; None takes one away."""
        entry = {**self.entries.get(key, {}), **changes}
        self.entries[key] = {option: value for option, value in entry.items() if value is not None}
        self.fleet.tenants(**self.entries)

    def edit(self, key: str, steps: dict[str, str], **changes: Any) -> None:
        """Change an entry; a preview shows these steps on its resources and no others; apply; nothing is left."""
        self.write(key, **changes)
        self.shows(key, steps)
        self.fleet.up()
        self.fleet.unchanged()

    def next(self, key: str, option: str, default: int) -> dict[str, int]:
        """A count of an entry, one up."""
        return {option: self.entries[key].get(option, default) + 1}

    def shows(self, key: str, steps: dict[str, str]) -> None:
        """A preview shows these steps on a tenant's resources, and no others."""
        assert self.fleet.steps() == {key: "update", **{f"{key}-{role}": step for role, step in steps.items()}}

    def instance(self, key: str) -> Instance:
        return Stack(StackState(self.fleet.export("--show-secrets"))).instance(key)

    def works(self, key: str) -> Instance:
        """All that a person looks at is as it should be."""
        instance = self.instance(key)
        for check in checks.working(self.person, instance, []):
            check.look()
        return instance

    def on(self, instance: Instance, command: str, stdin: str = "") -> str:
        return self.person.on_droplet(instance, command, stdin)

    def started(self, instance: Instance) -> dict[str, str]:
        """Of each service its process and since when it runs, and the machine's boot."""
        show = f"systemctl show --property=MainPID,ActiveEnterTimestampMonotonic {' '.join(SERVICES)}"
        boot, *services = self.on(instance, f"cat /proc/sys/kernel/random/boot_id; echo; {show}").split("\n\n")
        return {"boot": boot, **dict(zip(SERVICES, services, strict=True))}

    def restarted(self, instance: Instance, before: dict[str, str]) -> set[str]:
        """What has been started anew since `before`."""
        return {name for name, now in self.started(instance).items() if now != before[name]}

    def sql(self, instance: Instance, statement: str) -> list[Any]:
        """The first column of what the tenant's database answers to its droplet."""
        python = f"cd {PROJECT} && runuser -u meltano -- {checks.PYTHON} -"
        found: list[Any] = json.loads(self.on(instance, python, _SQL.format(statement=statement)))
        return found

    def schemas(self, instance: Instance) -> set[str]:
        rows = self.sql(instance, "SELECT schema_name FROM information_schema.schemata")
        return {name for name in rows if not name.startswith(("pg_", "information_schema"))}

    def version(self, instance: Instance) -> str:
        """Of the Meltano that is installed."""
        return self.on(instance, "/var/meltano/.venv/bin/meltano --version").split()[-1]

    def is_running(self, instance: Instance, what: str) -> bool:
        """Whether a process with these words in its command line is at work on the droplet."""
        return bool(self.on(instance, f"pgrep --full '{what}' || true"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with fleet_on(Home(tmp_path_factory.mktemp("procedures") / "home"), "real") as fleet:
        yield World(fleet)


def served(instance: Instance) -> x509.Certificate:
    """The certificate that a browser is shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((instance.address, 443), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname=instance.host) as connection,
    ):
        return x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"")


# Creating a New Instance


def test_a_new_instance_is_as_the_guide_makes_it(world: World) -> None:
    acme, meltano, team = world.works("acme"), world.fleet.world.meltano, world.fleet.world.team(ACME["database_team"])

    # Step 1
    droplet = meltano.get(f"/v2/droplets/{acme.droplet}")["droplet"]
    chosen = {name: droplet[name] for name in ("name", "size_slug", "tags", "volume_ids", "backup_ids", "status")}
    assert chosen == {
        "name": "acme.meltanodata.com",
        "size_slug": "s-2vcpu-2gb",
        "tags": ["production"],
        "volume_ids": [],
        "backup_ids": [],
        "status": "active",
    }
    assert not {"backups", "monitoring", "ipv6"} & set(droplet["features"])
    assert (droplet["region"]["slug"], droplet["image"]["type"]) == ("nyc3", "snapshot")
    keys = {key["public_key"] for key in meltano.get("/v2/account/keys")["ssh_keys"]}
    assert set(world.on(acme, "cat /root/.ssh/authorized_keys").splitlines()) == keys
    (project,) = [it["id"] for it in meltano.get("/v2/projects")["projects"] if it["name"] == "Meltano"]
    resources = meltano.get(f"/v2/projects/{project}/resources")["resources"]
    assert f"do:droplet:{acme.droplet}" in {it["urn"] for it in resources}

    # Step 2
    record = world.fleet.world.records()["acme"]
    assert (record["data"], record["ttl"]) == (acme.address, 3600)

    # Step 3
    cluster = team.get(f"/v2/databases/{acme.cluster}")["database"]
    assert re.fullmatch(r"db-postgresql-nyc3-[0-9]{5}-acme", cluster["name"])
    assert (cluster["engine"], cluster["size"], cluster["region"]) == ("pg", "db-s-1vcpu-1gb", "nyc3")
    assert (cluster["num_nodes"], cluster["tags"]) == (1, ["production"])
    rules = team.get(f"/v2/databases/{acme.cluster}/firewall")["rules"]
    assert [(rule["type"], rule["value"]) for rule in rules] == [("ip_addr", acme.address)]

    # Steps 4 and 5
    assert world.on(acme, "cat /etc/caddy/Caddyfile") == CADDYFILE.strip()
    assert world.on(acme, "cat /etc/caddy/environment") == "HOSTNAME=acme.meltanodata.com"
    ui = dict(line.split(" = ") for line in world.on(acme, f"cat {PROJECT}/ui.cfg").splitlines())
    assert ui.keys() == {"SERVER_NAME", "SECRET_KEY", "SECURITY_PASSWORD_SALT"}
    assert ui["SERVER_NAME"] == '"acme.meltanodata.com"'
    connection = cluster["connection"]
    assert set(world.on(acme, f"cat {PROJECT}/.env").splitlines()) == {
        "PG_USERNAME=doadmin",
        f"PG_PASSWORD={connection['password']}",
        f"PG_ADDRESS={connection['host']}",
        "PG_PORT=25060",
        "PG_DATABASE=defaultdb",
    }


# Debugging: Caddy Service Failed Error


def test_a_self_signed_certificate_and_back(world: World) -> None:
    before, acme = world.fleet.ids("acme"), world.works("acme")
    wildcard, started = served(acme), world.started(acme)
    world.edit("acme", FILES, tls="self_signed")
    assert served(acme).issuer != wildcard.issuer
    assert world.restarted(acme, started) == {"caddy"}
    with pytest.raises(checks.CheckError, match="CERTIFICATE_VERIFY_FAILED"):
        checks.login(world.person, acme)
    asked = f"curl --silent --insecure --resolve {acme.host}:443:127.0.0.1 https://{acme.host}/api/v1/identity"
    assert world.on(acme, f"{asked} --output /dev/null --write-out '%{{http_code}}'") == "401"

    world.edit("acme", FILES, tls=None)
    assert served(acme) == wildcard
    assert world.works("acme") == acme
    assert world.restarted(acme, started) == {"caddy"}
    after = world.fleet.ids("acme")
    assert {urn.rpartition("::")[2] for urn in after if after[urn] != before[urn]} == {"acme-files", "acme-verify"}


def test_a_renewed_wildcard_certificate(world: World) -> None:
    instances = {key: world.works(key) for key in world.entries}
    started = {key: world.started(instance) for key, instance in instances.items()}
    old = served(instances["acme"])
    now = dt.datetime.now(dt.UTC)
    ca = load_ca(world.person.keys)
    chain, key = issue_wildcard("meltanodata.com", *ca, not_before=now, not_after=now + dt.timedelta(days=90))
    world.fleet.secret("certificate", chain.decode())
    said = world.fleet.preview(code=1)  # half of it
    assert "certificate_key does not match the certificate" in said
    world.fleet.secret("certificate_key", key.decode())
    roles = {"": "update", "-files": "replace", "-verify": "replace"}
    assert world.fleet.steps() == {f"{tenant}{role}": it for tenant in instances for role, it in roles.items()}
    world.fleet.up()
    world.fleet.unchanged()
    for tenant, instance in instances.items():
        assert served(instance) == x509.load_pem_x509_certificates(chain)[0] != old
        assert world.restarted(instance, started[tenant]) == {"caddy"}
        assert world.works(tenant) == instance


# Maintaining: Wipe database in Meltano demo instance


def test_wiping_a_demo(world: World) -> None:
    demo, other = world.works("demo"), world.works("acme")
    started = world.started(demo)
    for instance in (demo, other):
        world.sql(instance, "CREATE SCHEMA tap_gitlab CREATE TABLE t (a int) CREATE VIEW v AS SELECT a FROM t")
        world.sql(instance, KEPT)
    world.sql(demo, """CREATE SCHEMA "with spaces and "" quotes" """)
    world.edit("demo", {"wipe": "replace"}, wipe_database="2026-11-20")
    assert world.schemas(demo) == {"public"}
    assert world.sql(demo, "SELECT a FROM public.kept") == [7]

    # Once for each date, whatever else happens.
    world.sql(demo, "CREATE SCHEMA tap_gitlab")
    world.edit("demo", NEW_PASSWORD, **world.next("demo", "admin_password_generation", 1))
    assert world.schemas(demo) == {"public", "tap_gitlab"}
    world.edit("demo", {}, wipe_database=None)
    assert world.schemas(demo) == {"public", "tap_gitlab"}
    world.edit("demo", {"wipe": "replace"}, wipe_database="2026-11-24")
    assert world.schemas(demo) == {"public"}

    # Never of what is no demo.
    assert world.schemas(other) == {"public", "tap_gitlab"}
    world.write("acme", wipe_database="2026-11-24")
    said = world.fleet.preview(code=1)
    assert re.search(r"tenants\.yaml:\d+:\d+: acme: wipe_database drops the data and is for demos only", said)
    world.write("acme", wipe_database=None)
    assert world.restarted(demo, started) == set()


# Step 4: Change Login Password


def test_a_new_admin_password(world: World) -> None:
    acme = world.works("acme")
    started = world.started(acme)
    world.edit("acme", NEW_PASSWORD, **world.next("acme", "admin_password_generation", 1))
    now = world.works("acme")
    assert now.password != acme.password
    assert replace(now, password=acme.password) == acme
    assert checks.sign_in(world.person, acme, acme.password) is None
    assert world.restarted(acme, started) == set()


# Maintaining: Upgrade a Meltano instance manually


def without_ui(wheels: Path, folder: Path, version: str) -> Path:
    """Make a version of Meltano whose UI ends at once, as a wheel in a folder."""
    (wheel,) = wheels.glob("meltano-2.20.0-*.whl")
    made = folder / wheel.name.replace("2.20.0", version)
    with (
        zipfile.ZipFile(wheel) as old,
        zipfile.ZipFile(made, "w") as new,
    ):
        for name in old.namelist():
            content = old.read(name)
            if ".dist-info/" in name:
                content = content.replace(b"2.20.0", version.encode())
            if name == "meltano/api/wsgi.py":
                content = b"raise SystemExit('no UI today')\n"
            new.writestr(name.replace("meltano-2.20.0.dist-info", f"meltano-{version}.dist-info"), content)
    return made


def test_another_version_of_meltano(world: World) -> None:
    acme = world.works("acme")
    assert world.version(acme) == "2.20.0"
    owners = f"find /var/meltano/.venv {PROJECT} -not -user meltano"
    owned = world.on(acme, owners)
    started = world.started(acme)

    # One whose UI does not come up: back to the old one, the others go on, and the next run tries again.
    wheels = asyncio.run(snapshot.build(print)).wheels
    broken = without_ui(wheels, world.fleet.home.folder("packages"), "2.20.1")
    world.write("acme", meltano_version="2.20.1")
    world.write("demo", **world.next("demo", "admin_password_generation", 1))
    said = world.fleet.up(code=1)
    # On a slow machine the time is over before it has ended three times.
    assert re.search(
        r"Meltano 2\.20\.1 does not work, 2\.20\.0 is restored: it (crashed|does not answer).*Look at: jo", said
    )
    assert world.version(acme) == "2.20.0"
    assert world.works("acme") == acme
    world.works("demo")
    broken.unlink()

    # One that does. The engine is killed while pip is at work; what it began on the droplet goes on by itself.
    world.write("acme", meltano_version="2.19.1")
    world.shows("acme", MELTANO)
    world.fleet.killed_when(lambda: world.is_running(acme, "[p]ip install"))
    assert world.is_running(acme, "[m]eltanodata.lock")
    world.fleet.up()
    world.fleet.unchanged()
    assert world.version(acme) == "2.19.1"
    assert world.works("acme") == acme
    assert world.on(acme, "ls -d /var/meltano/.venv*") == "/var/meltano/.venv"
    world.edit("acme", MELTANO, meltano_version="2.20.0")
    assert world.version(acme) == "2.20.0"
    assert world.works("acme") == acme
    assert world.restarted(acme, started) == {"meltano"}
    assert world.on(acme, owners) == owned

    # Nothing goes past 2 by itself, and an entry cannot.
    upgrade = f"cd {PROJECT} && runuser -u meltano -- /var/meltano/.venv/bin/meltano upgrade package"
    world.on(acme, upgrade)
    assert world.version(acme).startswith("2.")
    world.write("acme", meltano_version="3.7.9")
    said = world.fleet.preview(code=1)
    assert re.search(r"tenants\.yaml:\d+:\d+: acme: meltano_version: '3.7.9' is not possible: Meltano 3", said)
    world.write("acme", meltano_version="2.20.0")


# Rebuild, resize, move


def test_larger_sizes(world: World) -> None:
    acme = world.works("acme")
    world.on(acme, f"touch {MARK}")
    world.sql(acme, KEPT)
    started = world.started(acme)
    steps = {"droplet": "update", "database": "update", "verify": "replace"}
    world.edit("acme", steps, droplet_size="s-2vcpu-4gb", database_size="db-s-1vcpu-2gb")
    assert world.works("acme") == acme
    world.on(acme, f"test -e {MARK}")
    assert world.sql(acme, "SELECT a FROM public.kept") == [7]
    assert "boot" in world.restarted(acme, started)


def test_a_rebuild_from_a_newer_snapshot(world: World) -> None:
    demo, droplets = world.works("demo"), world.fleet.world.droplets()
    old = droplets["demo"]
    world.sql(demo, KEPT)
    world.fleet.control.add_snapshot(NewSnapshot(team="Meltano", name=NEWER, region="nyc3"))
    world.write("demo", snapshot=NEWER)
    world.shows("demo", {})  # by itself it does nothing
    world.write("demo", **world.next("demo", "rebuild", 0))
    world.shows("demo", NEW_DROPLET)
    # Killed when the old one goes, and when the new one is there and nobody has noted it.
    world.fleet.killed_when(world.fleet.asked("DELETE", f"/v2/droplets/{demo.droplet}"))
    world.fleet.killed_when(lambda: world.fleet.world.droplets().get("demo", old) != old)
    made = world.fleet.world.droplets()["demo"]
    world.fleet.up()
    world.fleet.unchanged()
    now = world.works("demo")
    assert world.fleet.world.droplets() == {**droplets, "demo": made}
    assert now.droplet == str(made) != demo.droplet
    assert (now.cluster, now.database_host, now.password) == (demo.cluster, demo.database_host, demo.password)
    assert now.host_key != demo.host_key
    assert world.sql(now, "SELECT a FROM public.kept") == [7]
    image = world.fleet.world.meltano.get(f"/v2/droplets/{made}")["droplet"]["image"]
    assert image["name"] == NEWER


def test_another_region(world: World) -> None:
    acme = world.works("acme")
    world.sql(acme, KEPT)
    world.fleet.control.add_snapshot(NewSnapshot(team="Meltano", name=NEWER, region="sfo3"))
    world.write("acme", region="sfo3")
    anew = world.next("acme", "rebuild", 0)
    said = world.fleet.preview(code=1)
    assert f"acme: region is sfo3, and its droplet is in nyc3 and cannot move; write rebuild: {anew['rebuild']}" in said
    world.edit("acme", NEW_DROPLET | {"database": "update"}, **anew)
    now = world.works("acme")
    assert now.droplet != acme.droplet
    assert (now.cluster, now.password) == (acme.cluster, acme.password)
    assert world.sql(now, "SELECT a FROM public.kept") == [7]
    droplet = world.fleet.world.meltano.get(f"/v2/droplets/{now.droplet}")["droplet"]
    cluster = world.fleet.world.team(ACME["database_team"]).get(f"/v2/databases/{now.cluster}")["database"]
    assert (droplet["region"]["slug"], cluster["region"]) == ("sfo3", "sfo3")


# The same by hand, adopted

BY_HAND = """\
set -eu
cd /var/meltano/project
cat > ui.cfg <<EOF
SERVER_NAME = "old-name.meltanodata.com"
SECRET_KEY = "n33dc0ff33"
SECURITY_PASSWORD_SALT = "f33df00d"
EOF
cat > .env <<EOF
PG_USERNAME=doadmin # default DO credential
PG_PASSWORD={password}
PG_ADDRESS={host}
PG_PORT=25060 # default DO port
PG_DATABASE=defaultdb # default DO database name
TAP_GITLAB_PRIVATE_TOKEN='of the tenant'
EOF
chown meltano:meltano .env ui.cfg
chmod 620 .env
runuser -u meltano -- sh -c '. /var/meltano/.venv/bin/activate; meltano user add meltano of-1Password --role admin'
runuser -u meltano -- sh -c '. /var/meltano/.venv/bin/activate; meltano user add ann of-Ann --role admin'
systemctl restart caddy meltano
"""


def made_by_hand(world: World) -> Instance:
    """An instance as the guide makes one, under names of its own."""
    meltano, team = world.fleet.world.meltano, world.fleet.world.team(DEMO["database_team"])
    keys = [key["id"] for key in meltano.get("/v2/account/keys")["ssh_keys"]]
    body = new_droplet(meltano, name="droplet-of-old.meltanodata.com", ssh_keys=keys)
    droplet = meltano.post("/v2/droplets", body, 202)["droplet"]["id"]
    version = world.fleet.world.running.database_versions[-1]
    cluster = team.post("/v2/databases", new_database(name="db-postgresql-nyc3-01234", version=version))["database"]
    shown = eventually(
        lambda: (it := meltano.get(f"/v2/droplets/{droplet}")["droplet"])["status"] == "active" and it, SECONDS
    )
    (address,) = [it["ip_address"] for it in shown["networks"]["v4"] if it["type"] == "public"]
    record = {"type": "A", "name": "old-name", "data": address, "ttl": 3600}
    meltano.post("/v2/domains/meltanodata.com/records", record)
    eventually(lambda: team.get(f"/v2/databases/{cluster['id']}")["database"]["status"] == "online", SECONDS)
    team.put(f"/v2/databases/{cluster['id']}/firewall", {"rules": [{"type": "ip_addr", "value": address}]}, 204)
    made = checks.Instance(
        key="hand",
        host="old-name.meltanodata.com",
        address=address,
        droplet=str(droplet),
        cluster=cluster["id"],
        database_host=cluster["connection"]["host"],
        admin="meltano",
        password="of-1Password",
        host_key=asyncio.run(asyncio.wait_for(host_key(address, world.fleet.world.running.ssh_port), SECONDS)),
    )
    for path, mode, text in (
        ("com.meltanodata.crt", "644", world.fleet.pulumi("config", "get", "meltanodata:certificate")),
        ("com.meltanodata.key", "640", world.fleet.pulumi("config", "get", "meltanodata:certificate_key")),
        ("Caddyfile", "644", CADDYFILE),
        ("environment", "644", "HOSTNAME=old-name.meltanodata.com\n"),
    ):
        world.on(made, f"install -m {mode} -o root -g caddy /dev/stdin /etc/caddy/{path}", text.rstrip("\n") + "\n")
    password = cluster["connection"]["password"]
    world.on(made, "sh -s", BY_HAND.format(password=password, host=made.database_host))
    eventually(lambda: signs_in(world, made), SECONDS)
    return made


async def host_key(address: str, port: int) -> str:
    """What ssh-keyscan would say, once it answers."""
    while True:
        try:
            key = await asyncssh.get_server_host_key(address, port, server_host_key_algs=["ssh-ed25519"])
        except OSError:  # it boots
            await asyncio.sleep(0.2)
        else:
            assert key
            return " ".join(key.export_public_key().decode().split()[:2])


def signs_in(world: World, instance: Instance) -> bool:
    """Whether the admin gets in; not yet while a service starts."""
    try:
        return checks.sign_in(world.person, instance, instance.password) is not None
    except checks.CheckError:
        return False


def test_an_instance_made_by_hand_is_adopted(world: World) -> None:
    hand = made_by_hand(world)
    world.sql(hand, "CREATE SCHEMA tap_gitlab")
    world.sql(hand, "CREATE TABLE tap_gitlab.t AS SELECT 7 AS a")
    started = world.started(hand)
    adopt = {
        "droplet": "droplet-of-old.meltanodata.com",
        "record": "old-name",
        "database": "db-postgresql-nyc3-01234",
    }
    world.write("hand", database_team=DEMO["database_team"], adopt=adopt)
    imports = dict.fromkeys(("droplet", "record", "database"), "import")
    others = ("project", "firewall", "admin-password", "secret-key", "password-salt", "host-key", "files", "meltano")
    steps = {**imports, **dict.fromkeys([*others, "verify"], "create")}
    assert world.fleet.steps() == {"hand": "create", **{f"hand-{role}": step for role, step in steps.items()}}
    world.fleet.up()
    world.fleet.unchanged()
    assert world.instance("hand") == replace(hand, password="")
    assert world.restarted(hand, started) == set()
    for check in checks.working(world.person, hand, []):
        check.look()
    assert world.sql(hand, "SELECT a FROM tap_gitlab.t") == [7]
    assert "TAP_GITLAB_PRIVATE_TOKEN" in world.on(hand, f"cat {PROJECT}/.env")

    # Later it gets a password of ours; until then it has the one in 1Password.
    world.edit("hand", NEW_PASSWORD, admin_password_generation=2)
    now = world.works("hand")
    assert replace(now, password=hand.password) == hand
    assert checks.sign_in(world.person, hand, hand.password) is None
    # Whoever else has a login there has it still.
    assert checks.sign_in(world.person, replace(hand, admin="ann"), "of-Ann") is not None
    assert world.restarted(hand, started) == set()

    # A new droplet has nothing of that, and the login that the stack knows.
    world.edit("hand", NEW_DROPLET, rebuild=1)
    anew = world.works("hand")
    assert anew.droplet != hand.droplet
    assert anew.cluster == hand.cluster


def test_a_droplet_without_a_login_is_not_adopted_as_if_it_had_one(world: World) -> None:
    """Nobody would know the password that is made for it."""
    acme = world.works("acme")
    told = {"username": "nobody", "password": "of nobody's", "keep": True}
    script = world.on(acme, "ls -t /run/meltanodata/admin-*.py | head -1").strip()
    said = world.on(
        acme, f"cd {PROJECT} && runuser -u meltano -- {checks.PYTHON} {script} 2>&1 || true", json.dumps(told)
    )
    assert "there is no user nobody whose login could be kept; write login: new into its adopt" in said
    assert "of nobody's" not in said


# Deleting an instance


def test_removed_and_added_again_right_away(world: World) -> None:
    acme, demo = world.works("acme"), world.fleet.ids("demo")
    world.fleet.tenants(**{key: entry for key, entry in world.entries.items() if key != "acme"})
    assert set(world.fleet.steps().values()) == {"delete"}
    world.fleet.up(*REMOVES)
    for check in checks.gone(world.person, acme):
        check.look()
    world.fleet.tenants(**world.entries)
    world.fleet.up()
    world.fleet.unchanged()
    now = world.works("acme")
    assert now.droplet != acme.droplet
    assert now.cluster != acme.cluster
    assert checks.sign_in(world.person, now, acme.password) is None
    assert world.schemas(now) == {"public"}
    assert world.fleet.ids("demo") == demo
