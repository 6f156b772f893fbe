"""Checks that a tenant works, or that nothing of it is left, made as a person would make them.

The person sits at the sandbox's machine, knows the stack's outputs and the account's API, and resolves names with
the sandbox's DNS. Each check returns in a few words what was seen, or raises `CheckError` with what to look at.
"""

from __future__ import annotations

import asyncio
import http
import json
import re
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

import asyncssh
import dns.exception
import dns.resolver
import requests
from requests.adapters import HTTPAdapter

from sandbox import browser
from sandbox.control import Control

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from urllib3.connectionpool import HTTPConnectionPool

    from sandbox.home import Home
    from sandbox.keys import Keys
    from sandbox.running import Running

SERVICES: Final = ("caddy", "meltano", "vsftpd")
"""What the guide's verification scans `systemctl status` for."""
FILES: Final = {
    "/etc/caddy/com.meltanodata.crt": "644 root:root",
    "/etc/caddy/com.meltanodata.key": "640 root:caddy",
    "/etc/caddy/Caddyfile": "644 root:root",
    "/etc/caddy/environment": "644 root:root",
    "/var/meltano/project/ui.cfg": "640 meltano:meltano",
    "/var/meltano/project/.env": "620 meltano:meltano",
}
"""Mode and owners (guide, steps 4 and 5); Caddy's key may be read by nobody else, ui.cfg holds secrets too."""
PYTHON: Final = "/var/meltano/.venv/bin/python"
NO_ANSWER: Final = 3
"""Seconds without an answer after which there is none; libpq waits two at least."""
DELETION_SECONDS: Final = 20.0
"""For the sandbox to finish a deletion that the API has answered already."""

# Runs on a droplet, as the user meltano; the credentials of another droplet come by stdin, or its own are read.
_DATABASE_SCRIPT: Final = f"""
import io, json, sys, dotenv, psycopg2
given = json.loads({{given!r}})
env = dotenv.dotenv_values(stream=io.StringIO(given)) if given else dotenv.dotenv_values("/var/meltano/project/.env")
try:
    connection = psycopg2.connect(
        host=env["PG_ADDRESS"], port=env["PG_PORT"], user=env["PG_USERNAME"], password=env["PG_PASSWORD"],
        dbname=env["PG_DATABASE"], sslmode="require", connect_timeout={NO_ANSWER})
except psycopg2.OperationalError as error:
    sys.exit("timed out" if "timeout expired" in str(error) else str(error).strip())
cursor = connection.cursor()
cursor.execute("SELECT current_user, current_database(), inet_client_addr(), current_setting('server_version')")
print(*cursor.fetchone())
"""


class CheckError(Exception):
    """A check failed; the message says what is wrong and what to look at."""


@dataclass(frozen=True)
class Instance:
    """A tenant as the stack's outputs and state describe it."""

    key: str
    host: str
    """Such as `acme.meltanodata.com`."""
    address: str
    """The droplet's."""
    droplet: str
    """The droplet's id."""
    cluster: str
    """The cluster's id."""
    database_host: str
    admin: str
    """The admin's name."""
    password: str = field(repr=False)
    host_key: str
    """The droplet's SSH host key as it was pinned, in OpenSSH's format."""


@dataclass(frozen=True)
class Person:
    """Somebody at the sandbox's machine."""

    home: Home
    running: Running
    keys: Keys

    def address_of(self, name: str) -> str | None:
        """The address of a host name in the sandbox's DNS; None if there is no such name.

        Raises:
            CheckError: the lookup failed.
        """
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port, resolver.lifetime = [self.running.resolver[0]], self.running.resolver[1], 5
        try:
            return str(resolver.resolve(name, "A")[0])
        except dns.resolver.NXDOMAIN:
            return None
        except dns.exception.DNSException as error:
            raise CheckError(f"DNS lookup for {name} failed: {error}") from error

    def on_droplet(self, instance: Instance, command: str, stdin: str = "") -> str:
        """What a command prints on a tenant's droplet, run by root over SSH with the pinned host key.

        Raises:
            CheckError: it fails, with what it said.
        """
        key = asyncssh.import_public_key(instance.host_key)

        async def ask() -> asyncssh.SSHCompletedProcess:
            async with asyncssh.connect(
                instance.address,
                self.running.ssh_port,
                username="root",
                client_keys=[str(self.keys.ssh_private_key)],
                known_hosts=([key], [], []),
                agent_path=None,
                connect_timeout=20,
            ) as connection:
                return await connection.run(command, input=stdin, timeout=60)

        try:
            done = asyncio.run(ask())
        except (OSError, asyncssh.Error) as error:
            raise CheckError(f"SSH to root@{instance.address} failed: {error}") from error
        said = str(done.stderr or done.stdout).strip()
        if done.exit_status != 0:
            raise CheckError(f"{instance.host}: `{command}` failed with exit code {done.exit_status}: {said}")
        return str(done.stdout).strip()

    def browser(self) -> requests.Session:
        """An HTTP client that trusts the sandbox's CA alone and resolves with the sandbox's DNS."""
        session = requests.Session()
        session.trust_env = False  # no proxy, no netrc
        session.verify = str(self.keys.ca_certificate)
        session.mount("https://", _ResolvingAdapter(self.address_of))
        return session

    def listed(self, team: str, path: str, key: str) -> list[dict[str, Any]]:
        """A list of the API's, such as `("Meltano", "droplets", "droplets")`; whole, up to 200 entries."""
        answer = requests.get(
            f"{self.running.api_url}/v2/{path}",
            headers={"Authorization": f"Bearer {self.running.teams[team].token}"},
            params={"per_page": "200"},
            timeout=30,
        )
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()[key] or []
        return found


class _ResolvingAdapter(HTTPAdapter):
    """Connects to the address that a resolver of ours gives; certificate and Host header are the name's as ever."""

    def __init__(self, resolve: Callable[[str], str | None]) -> None:
        self._resolve = resolve
        super().__init__()

    def get_connection_with_tls_context(
        self,
        request: requests.PreparedRequest,
        verify: bool | str | None,
        proxies: Mapping[str, str] | None = None,  # noqa: ARG002 (the library's signature)
        cert: Any = None,
    ) -> HTTPConnectionPool:
        host, pool = self.build_connection_pool_key_attributes(request, verify, cert)  # type: ignore[arg-type]  # a path, too
        name = str(host["host"])
        address = self._resolve(name)
        if address is None:
            raise requests.ConnectionError(f"{name}: no such name in the sandbox's DNS")
        request.headers["Host"] = name
        whose = {"server_hostname": name, "assert_hostname": name}
        found: HTTPConnectionPool = self.poolmanager.connection_from_host(
            **{**host, "host": address}, pool_kwargs={**pool, **whose}
        )
        return found


@dataclass(frozen=True)
class Check:
    """Something to look at."""

    title: str
    look: Callable[[], str]
    """Returns what was seen; raises CheckError."""


def working(person: Person, instance: Instance, others: list[Instance]) -> list[Check]:
    """The checks that a tenant works; `others` are other tenants."""
    found = [
        Check("ping by address", partial(ping, instance.address)),
        Check("ping by name", partial(ping_by_name, person, instance)),
    ]
    if person.running.droplets == "light":
        return found
    found += [
        Check("systemd and services", partial(services, person, instance)),
        Check("modes and owners of files", partial(files, person, instance)),
    ]
    if person.running.databases == "real":
        found.append(Check("database from its droplet", partial(database_from_droplet, person, instance)))
        for other in others:
            title = f"database from {other.key}'s droplet"
            found.append(Check(title, partial(database_from_other, person, instance, other)))
        found.append(Check("database from this machine", partial(database_from_machine, person, instance)))
    found += [
        Check("login over HTTPS", partial(login, person, instance)),
        Check("login with a wrong password", partial(wrong_password, person, instance)),
    ]
    return found


def ping(address: str) -> str:
    """The guide's step 1."""
    done = subprocess.run(["ping", "-n", "-c", "1", "-W", "5", address], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise CheckError(f"{address} does not answer ping; is the droplet active in the API?")
    found = re.search(r"time[=<]([0-9.]+ ms)", done.stdout)
    return f"{address} answers" + (f" in {found[1]}" if found else "")


def ping_by_name(person: Person, instance: Instance) -> str:
    """The guide's step 2."""
    address = person.address_of(instance.host)
    if address is None:
        raise CheckError(f"{instance.host} does not resolve; look at the domain's A records")
    if address != instance.address:
        raise CheckError(f"{instance.host} resolves to {address}, but the stack's outputs have {instance.address}")
    return f"{instance.host} is {ping(address)}"


def services(person: Person, instance: Instance) -> str:
    """The guide's `systemctl status`, steps 4 and 5."""
    state = person.on_droplet(instance, "systemctl is-system-running || systemctl --failed --plain --no-legend >&2")
    active = person.on_droplet(instance, f"systemctl is-active {' '.join(SERVICES)} || true").split()
    seen = ", ".join(f"{name} {what}" for name, what in zip(SERVICES, active, strict=True))
    if state != "running" or set(active) != {"active"}:
        raise CheckError(f"{instance.host}: {state or 'degraded'}, {seen}; look at systemctl --failed there")
    return f"{state}: {seen}"


def files(person: Person, instance: Instance) -> str:
    """Modes and owners as the guide's step 5 sets them."""
    said = person.on_droplet(instance, f"stat -c '%n %a %U:%G' {' '.join(FILES)}")
    found = dict(line.split(" ", 1) for line in said.splitlines())
    wrong = [
        f"{path} is {found.get(path)}, not {wanted}" for path, wanted in FILES.items() if found.get(path) != wanted
    ]
    if wrong:
        raise CheckError(f"{instance.host}: {'; '.join(wrong)}")
    return f".env {FILES['/var/meltano/project/.env']}, {len(FILES) - 1} others as expected"


def database_from_droplet(person: Person, instance: Instance) -> str:
    """The credentials in `.env` lead from the tenant's droplet into its database."""
    said = _ask_database(person, instance, "")
    try:
        user, database, client, version = said.split(" ", 3)
    except ValueError:
        raise CheckError(
            f"{instance.host}: the database answers {said!r}; look at .env and the cluster's firewall"
        ) from None
    if client != instance.address:
        raise CheckError(f"{instance.database_host} sees the client {client}, not {instance.address}")
    return f"{user} in {database} of PostgreSQL {version.split()[0]}"


def database_from_other(person: Person, instance: Instance, other: Instance) -> str:
    """The same credentials lead nowhere from another tenant's droplet."""
    env = person.on_droplet(instance, "cat /var/meltano/project/.env")
    said = _ask_database(person, other, env)
    if said != "timed out":
        raise CheckError(f"{instance.database_host} answers {other.host}; look at the cluster's firewall")
    return "no answer"


def _ask_database(person: Person, instance: Instance, env: str) -> str:
    script = _DATABASE_SCRIPT.format(given=json.dumps(env))
    return person.on_droplet(instance, f"runuser -u meltano -- {PYTHON} - 2>&1 || true", script)


def database_from_machine(person: Person, instance: Instance) -> str:
    """This machine is no trusted source."""
    address = person.address_of(instance.database_host)
    if address is None:
        raise CheckError(f"{instance.database_host} does not resolve")
    if (answer := _answer(address, 25060)) != "is silent":
        raise CheckError(f"{instance.database_host} {answer} this machine; look at the cluster's firewall")
    return "no answer"


def _answer(address: str, port: int) -> Literal["accepts", "refuses", "is silent"]:
    """What happens to a TCP connection."""
    try:
        socket.create_connection((address, port), timeout=NO_ANSWER).close()
    except ConnectionRefusedError:
        return "refuses"
    except OSError:  # no answer, or nobody at the address
        return "is silent"
    return "accepts"


def login(person: Person, instance: Instance) -> str:
    """The guide's step 6: with the generated password, over HTTPS, by name."""
    identity = sign_in(person, instance, instance.password)
    if identity is None:
        raise CheckError(f"https://{instance.host} refuses {instance.admin} with the stack's password")
    return f"signed in at https://{instance.host} as {identity}"


def wrong_password(person: Person, instance: Instance) -> str:
    """A wrong password is refused."""
    if sign_in(person, instance, f"{instance.password}-wrong") is not None:
        raise CheckError(f"https://{instance.host} accepts a wrong password")
    return "refused"


def sign_in(person: Person, instance: Instance, password: str) -> str | None:
    """Sign in as a browser does; the user's name, or None when the password is refused.

    The login form answers 200 to a wrong password, so this asks Meltano who is signed in.

    Raises:
        CheckError: the site does not work.
    """
    base = f"https://{instance.host}"
    with person.browser() as session:
        try:
            page = session.get(f"{base}/auth/login", timeout=30)
            page.raise_for_status()
            token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.text)
            if token is None:
                raise CheckError(f"{base}/auth/login has no login form")
            form = {"email": instance.admin, "password": password, "csrf_token": token[1]}
            session.post(page.url, data=form, headers={"Referer": page.url}, timeout=30, allow_redirects=False)
            answer = session.get(f"{base}/api/v1/identity", timeout=30)
        except requests.RequestException as error:
            raise CheckError(f"{base}: {error}; look at journalctl -u caddy -u meltano there") from error
    if answer.status_code == http.HTTPStatus.UNAUTHORIZED:
        return None
    identity = answer.json()
    return None if identity.get("anonymous", True) else str(identity["username"])


def screenshot(person: Person, instance: Instance, program: str, picture: Path) -> str:
    """The login page in a real browser, as a PNG file."""
    picture.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        address = person.address_of(instance.host)
        options = [
            *("--headless=new", "--disable-gpu", "--hide-scrollbars", "--window-size=1280,800"),
            *(
                "--virtual-time-budget=15000",
                *browser.as_this_user(),
                *browser.options(person.keys, instance.host, str(address), profile),
            ),
        ]
        page = subprocess.run(
            [program, *options, f"--screenshot={picture}", "--dump-dom", f"https://{instance.host}/"],
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
    if 'type="password"' not in page.stdout:
        raise CheckError(f"{program} sees no login form at https://{instance.host}")
    if not picture.exists():
        raise CheckError(f"{program} took no screenshot: {page.stderr[-500:]}")
    return f"the login page, see {picture}"


def contacts(person: Person, instance: Instance) -> int:
    """The number of SSH logins to a tenant's droplet so far, this one included."""
    if person.running.droplets == "light":
        return len(Control(person.running).executions(int(instance.droplet)))
    return int(person.on_droplet(instance, "journalctl --unit=ssh --output=cat | grep --count '^Accepted '"))


def left_alone(person: Person, instance: Instance, before: int) -> str:
    """No Command ran on the droplet: there were no logins since `contacts` returned `before`, but this one."""
    again = contacts(person, instance) - before - (person.running.droplets == "real")
    if again:
        raise CheckError(f"{again} logins to {instance.host} since then; look at the Commands in the output of up")
    return "none ran again: there was no login to its droplet"


def gone(person: Person, instance: Instance) -> list[Check]:
    """The checks that nothing of a removed tenant is left."""
    return [
        Check("API", partial(gone_from_api, person, instance)),
        Check("DNS", partial(gone_from_dns, person, instance)),
        Check("droplet", partial(gone_from_machine, person, instance)),
        Check("database", partial(gone_from_databases, person, instance)),
    ]


def gone_from_api(person: Person, instance: Instance) -> str:
    """No team's droplets, records, clusters or project hold anything of it."""
    left: list[str] = []
    identities = {instance.key, instance.host, f"do:droplet:{instance.droplet}", f"do:dbaas:{instance.cluster}"}
    for team in person.running.teams:
        left += [f"droplet {found['name']}" for found in person.listed(team, "droplets", "droplets")
                 if found["name"] in identities or str(found["id"]) == instance.droplet]  # fmt: skip
        left += [f"cluster {found['name']}" for found in person.listed(team, "databases", "databases")
                 if found["name"].endswith(f"-{instance.key}") or found["id"] == instance.cluster]  # fmt: skip
        for domain in person.listed(team, "domains", "domains"):
            records = person.listed(team, f"domains/{domain['name']}/records", "domain_records")
            left += [f"record {found['name']}" for found in records if found["name"] == instance.key]
        for project in person.listed(team, "projects", "projects"):
            resources = person.listed(team, f"projects/{project['id']}/resources", "resources")
            left += [
                f"{found['urn']} in project {project['name']}" for found in resources if found["urn"] in identities
            ]
    if left:
        raise CheckError(f"the API still holds {', '.join(left)}")
    return f"no droplet, record, cluster or project entry in {len(person.running.teams)} teams"


def gone_from_dns(person: Person, instance: Instance) -> str:
    """Neither host name resolves."""
    for name in (instance.host, instance.database_host):
        address = person.address_of(name)
        if address is not None:
            raise CheckError(f"{name} still resolves, to {address}")
    return f"{instance.host} and {instance.database_host.split('.')[0]} no longer resolve"


def gone_from_machine(person: Person, instance: Instance, seconds: float = DELETION_SECONDS) -> str:
    """Nothing answers at its address, and the disk is deleted."""
    _wait_until_deleted(person.home.path / "droplets" / instance.droplet, seconds)
    if _answer(instance.address, person.running.ssh_port) == "accepts":
        raise CheckError(f"SSH still answers at {instance.address}")
    return "its disk is deleted, no SSH at its address"


def gone_from_databases(person: Person, instance: Instance) -> str:
    """No server, and the data are deleted."""
    _wait_until_deleted(person.home.path / "databases" / instance.cluster, DELETION_SECONDS)
    return "its data are deleted" if person.running.databases == "real" else "a light one has no data"


def _wait_until_deleted(folder: Path, seconds: float) -> None:
    """The API answers a DELETE before it has been carried out, as DigitalOcean's does."""
    deadline = time.monotonic() + seconds
    while folder.exists():
        if time.monotonic() > deadline:
            raise CheckError(f"not deleted: {folder}")
        time.sleep(0.1)
