"""PostgreSQL clusters: https://docs.digitalocean.com/reference/api/digitalocean/#tag/Databases."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import re
import secrets
import string
import time
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote

from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from sandbox.api.catalog import DATABASE_SIZES, END_OF_LIFE, REGIONS, versions
from sandbox.api.cloud import JSON, Call, Cloud, new_uuid, no_content, route
from sandbox.api.errors import not_found, unprocessable
from sandbox.api.messages import DatabaseMoment
from sandbox.api.projects import assign, default_project, unassign
from sandbox.api.state import Database, Rule, User, timestamp
from sandbox.api.tags import ensure_tags
from sandbox.api.vpcs import find_vpc
from sandbox.backends import Cluster

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

PORT = 25060
NAME_HELD = 10.0
"""Seconds for which the name of a deleted cluster is not available."""
_NAME = re.compile(r"[a-z][a-z0-9-]{1,61}[a-z0-9]")
_ADDRESSES = 2000
_LABEL = 63
_ZONE = "db.ondigitalocean.com"
_USER = "doadmin"
_DATABASE = "defaultdb"
_MOST_RULES = 100
_STORAGE_STEP = 10240
_MOST_STORAGE = 15 * 1024 * 1024
"""Mebibytes; what a plan has at most is not known."""
_THRESHOLDS, _DEFAULT_THRESHOLD = range(15, 96), 80
"""Percent."""
_INCREMENTS, _DEFAULT_INCREMENT = range(10, 501), 10
"""Gibibytes."""
_DAYS = {"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}


def cluster(database: Database) -> Cluster:
    """The database as its backend sees it."""
    return Cluster(
        id=database.id,
        name=database.name,
        version=database.version,
        address=database.address,
        host=database.host,
        port=PORT,
        user=_USER,
        password=database.users[0].password,
        database=_DATABASE,
    )


def urn(database: Database) -> str:
    """The cluster's name among a project's resources."""
    return f"do:dbaas:{database.id}"


def host_names(cloud: Cloud) -> dict[str, str]:
    """Every living cluster's host names and their address, for the DNS server."""
    return {
        name: database.address
        for database in cloud.state.databases
        if not database.deleted
        for name in (database.host, f"private-{database.host}")
    }


def resume(cloud: Cloud) -> None:
    """As the sandbox starts: what ran runs again, what was under way is finished."""
    for database in cloud.state.databases:
        if database.deleted:
            _destroy(cloud, database, held=NAME_HELD)
        elif database.status == "creating":
            _create_cluster(cloud, database, anew=True)
        else:
            _become(cloud, database, "online", partial(_start, cloud, database))


def destroy_all(cloud: Cloud) -> None:
    """As the sandbox is reset: every cluster goes, and its name is free at once."""
    for database in cloud.state.databases:
        _destroy(cloud, database, held=0)


async def _start(cloud: Cloud, database: Database) -> None:
    await cloud.databases.start(cluster(database))
    await cloud.databases.set_trusted_sources(cluster(database), _sources(cloud, database))


def _keep(cloud: Cloud, database: Database) -> None:
    """Remember a cluster as it is now, and that it was so."""
    cloud.state.databases.put(database)
    cloud.moments.append(
        DatabaseMoment(
            time=time.time(),
            id=database.id,
            team=database.team,
            name=database.name,
            status="deleted" if database.deleted else database.status,
            rules=tuple(f"{rule.type}:{rule.value}" for rule in database.rules),
        )
    )


def _sources(cloud: Cloud, database: Database) -> frozenset[str] | None:
    """The addresses that the rules accept; without any rule, everybody. A rule that matches nothing accepts nobody."""
    if not database.rules:
        return None
    addresses = set()
    for rule in database.rules:
        if rule.type == "ip_addr":
            addresses.add(rule.value)
        else:
            addresses |= {
                droplet.address
                for droplet in cloud.state.droplets
                if droplet.team == database.team
                and droplet.public
                and (str(droplet.id) == rule.value or rule.value in droplet.tags)
            }
    return frozenset(addresses)


def _json(call: Call, database: Database) -> JSON:
    primary = database.users[0]
    assignment = call.state.assignments.get(urn(database))
    return {
        "id": database.id,
        "name": database.name,
        "engine": database.engine,
        "version": database.version,
        "semantic_version": f"{database.version}.4",
        "num_nodes": database.num_nodes,
        "size": database.size,
        "region": database.region,
        "status": database.status,
        "created_at": database.created_at,
        "private_network_uuid": database.private_network_uuid,
        "tags": database.tags,
        "db_names": database.db_names,
        "connection": _connection(database, database.host),
        "private_connection": _connection(database, f"private-{database.host}"),
        "users": [{"name": primary.name, "role": primary.role, "password": primary.password}],
        "maintenance_window": {
            "day": database.maintenance_day,
            "hour": database.maintenance_hour,
            "pending": False,
            "description": [],
        },
        "project_id": assignment.project if assignment else "",
        "storage_size_mib": database.storage_size_mib,
        "autoscale": {"storage": _autoscale(database)},
        "storage_autoscale": _autoscale(database),
        "version_end_of_life": END_OF_LIFE[database.version],
        "version_end_of_availability": END_OF_LIFE[database.version],
        "metrics_endpoints": [{"host": database.host, "port": 9273}],
        "rules": [_rule_json(database, rule) for rule in database.rules],
    }


def _connection(database: Database, host: str) -> JSON:
    primary = database.users[0]
    login = f"{primary.name}:{quote(primary.password, safe='')}"
    return {
        "protocol": "postgresql",
        "uri": f"postgresql://{login}@{host}:{PORT}/{_DATABASE}?sslmode=require",
        "database": _DATABASE,
        "host": host,
        "port": PORT,
        "user": primary.name,
        "password": primary.password,
        "ssl": True,
    }


def _rule_json(database: Database, rule: Rule) -> JSON:
    return {
        "uuid": rule.uuid,
        "cluster_uuid": database.id,
        "type": rule.type,
        "value": rule.value,
        "created_at": rule.created_at,
        "description": rule.description,
    }


class _NewRule(BaseModel):
    type: str
    value: str
    description: str | None = None


class _StorageAutoscale(BaseModel):
    enabled: bool
    threshold_percent: int | None = None
    increment_gib: int | None = None


class _Autoscale(BaseModel):
    storage: _StorageAutoscale | None = None


class _NewDatabase(BaseModel):
    name: str
    engine: str
    version: str | None = None
    size: str
    region: str
    num_nodes: int
    tags: list[str] | None = None
    private_network_uuid: str | None = None
    project_id: str | None = None
    storage_size_mib: int | None = None
    autoscale: _Autoscale | None = None
    storage_autoscale: _StorageAutoscale | None = None
    backup_restore: dict[str, object] | None = None
    rules: list[_NewRule] | None = None
    do_settings: dict[str, object] | None = None


class _Resize(BaseModel):
    size: str
    num_nodes: int
    storage_size_mib: int | None = None


class _Migrate(BaseModel):
    region: str
    private_network_uuid: str | None = None


class _Upgrade(BaseModel):
    version: str


class _Maintenance(BaseModel):
    day: str
    hour: str


class _Rules(BaseModel):
    rules: list[_NewRule] | None = None


def _own(call: Call) -> list[Database]:
    return [d for d in call.state.databases if d.team == call.team.name and not d.deleted]


async def _list(call: Call) -> Response:
    """All at once: this list has no pages, whatever the query says."""
    databases = _own(call)
    if tag := call.query("tag_name"):
        databases = [database for database in databases if tag in database.tags]
    return JSONResponse({"databases": [_json(call, database) for database in databases]})


async def _create(call: Call) -> Response:
    body = await call.body(_NewDatabase)
    version = body.version or versions(call.cloud)[-1]
    _check(call, body, version)
    rules = _rules(call, body.rules, ())
    project = body.project_id or default_project(call.state, call.team.name).id
    number = int(call.team.uuid[:6], 16)
    database = Database(
        id=new_uuid(),
        team=call.team.name,
        name=body.name,
        engine=body.engine,
        version=version,
        region=body.region,
        size=body.size,
        num_nodes=body.num_nodes,
        storage_size_mib=body.storage_size_mib or DATABASE_SIZES[body.size].storage_mib,
        address=_free_address(call.cloud),
        host=_host(body.name, number),
        created_at=timestamp(),
        private_network_uuid=_network(call, body.region, body.private_network_uuid),
        tags=ensure_tags(call.state, call.team.name, body.tags or []),
        users=[User(_USER, _password(), "primary")],
        db_names=[_DATABASE],
        rules=rules,
        autoscale=_wished_autoscale(body),
        stuck=call.stuck,
    )
    _keep(call.cloud, database)
    assign(call.state, urn(database), project)
    _create_cluster(call.cloud, database)
    return JSONResponse({"database": _json(call, database)}, status_code=HTTPStatus.CREATED)


def _check(call: Call, body: _NewDatabase, version: str) -> None:
    if not _NAME.fullmatch(body.name):
        raise unprocessable(
            "invalid cluster name: must be 3 to 63 lowercase letters, digits and dashes, and begin with a letter"
        )
    if body.engine != "pg":
        raise unprocessable(f"invalid engine {body.engine!r}: the sandbox's clusters are pg")
    if version not in versions(call.cloud):
        raise unprocessable("invalid cluster engine version")
    _check_region(body.region)
    _check_size(body.size, body.num_nodes)
    _check_storage(body.size, body.storage_size_mib)
    _wished_autoscale(body)
    _network(call, body.region, body.private_network_uuid)
    if body.backup_restore:
        raise unprocessable("The sandbox keeps no backups to restore from")
    if body.do_settings:
        raise unprocessable("The sandbox's clusters have no host names but their own: do_settings is not known")
    if body.project_id:
        project = call.state.projects.get(body.project_id)
        if project is None or project.team != call.team.name:
            raise unprocessable("project not found")
    if len(_own(call)) >= call.team.database_limit:
        raise unprocessable("creating this cluster would exceed your database cluster limit")
    if any(d.team == call.team.name and d.name == body.name for d in call.state.databases):
        raise unprocessable("cluster name is not available")


def _check_region(region: str) -> None:
    if region not in REGIONS:
        raise unprocessable("invalid region")


def _check_size(size: str, num_nodes: int) -> None:
    if size not in DATABASE_SIZES:
        raise unprocessable("invalid size")
    if not 1 <= num_nodes <= DATABASE_SIZES[size].nodes:
        raise unprocessable(f"invalid number of nodes: {size} clusters have 1 to {DATABASE_SIZES[size].nodes}")


def _check_storage(size: str, wanted: int | None) -> None:
    least = DATABASE_SIZES[size].storage_mib
    if wanted and not (least <= wanted <= _MOST_STORAGE and (wanted - least) % _STORAGE_STEP == 0):
        raise unprocessable(
            f"invalid storage_size_mib {wanted}: {size} clusters have {least} or more, in steps of {_STORAGE_STEP}"
        )


def _network(call: Call, region: str, wanted: str | None) -> str:
    """The id of the network that a cluster in a region is in.

    Raises:
        ApiError: 422 for a network that the team has not in this region.
    """
    vpc = find_vpc(call.state, call.team.name, region, wanted)
    if vpc is None:
        raise unprocessable(f"invalid private network: no VPC {wanted!r} in {region}")
    return vpc.id


def _wished_autoscale(body: _NewDatabase) -> dict[str, object] | None:
    """The settings of a new cluster: `storage_autoscale` in the clients, `autoscale.storage` in the specification."""
    wish = body.storage_autoscale or (body.autoscale and body.autoscale.storage)
    return _checked_autoscale(wish) if wish else None


def _checked_autoscale(wish: _StorageAutoscale) -> dict[str, object]:
    """As the cluster keeps it; a threshold and a step that are not named are DigitalOcean's defaults.

    Raises:
        ApiError: 422 for what is out of range.
    """
    threshold = _DEFAULT_THRESHOLD if wish.threshold_percent is None else wish.threshold_percent
    increment = _DEFAULT_INCREMENT if wish.increment_gib is None else wish.increment_gib
    if not wish.enabled:
        return {"enabled": False}
    if threshold not in _THRESHOLDS:
        raise unprocessable(f"invalid threshold_percent {threshold}: {_THRESHOLDS[0]} to {_THRESHOLDS[-1]}")
    if increment not in _INCREMENTS:
        raise unprocessable(f"invalid increment_gib {increment}: {_INCREMENTS[0]} to {_INCREMENTS[-1]}")
    return {"enabled": True, "threshold_percent": threshold, "increment_gib": increment}


def _host(name: str, number: int) -> str:
    """A host name of the cluster's own; a long name is cut, for a label of the DNS has 63 characters at most."""
    suffix = f"-do-user-{number}-0"
    room = _LABEL - len("private-") - len(suffix)
    short = name if len(name) <= room else f"{name[: room - 7].rstrip('-')}-{secrets.token_hex(3)}"
    return f"{short}{suffix}.{secrets.choice('abcdefghijkl')}.{_ZONE}"


def _password() -> str:
    alphabet = string.ascii_letters + string.digits + "_-"
    return "AVNS_" + "".join(secrets.choice(alphabet) for _ in range(19))


def _free_address(cloud: Cloud) -> str:
    taken = {database.address for database in cloud.state.databases}
    while True:
        address = cloud.database_network.database_address(cloud.state.next_index("database address", _ADDRESSES))
        if address not in taken:
            return address


def _work(cloud: Cloud, database: Database, work: Callable[[], Awaitable[None]]) -> None:
    cloud.jobs.start(f"database {database.id}", work)


def _create_cluster(cloud: Cloud, database: Database, *, anew: bool = False) -> None:
    """Make the cluster in the background; `anew` when a first try may have got some way."""

    async def work() -> None:
        if anew:
            await cloud.databases.destroy(cluster(database))
        await cloud.databases.create(cluster(database))
        # What the rules say by now: they can be set before the cluster is online.
        await cloud.databases.set_trusted_sources(cluster(database), _sources(cloud, database))

    if not database.stuck:
        _become(cloud, database, "online", work)


def _become(cloud: Cloud, database: Database, status: str, work: Callable[[], Awaitable[None]]) -> None:
    """Do work in the background, then show another status."""

    async def run() -> None:
        await work()
        database.status = status
        _keep(cloud, database)
        cloud.state.commit()

    _work(cloud, database, run)


def _destroy(cloud: Cloud, database: Database, *, held: float) -> None:
    """Take the cluster away in the background; it is no longer shown, its name is not free yet."""
    database.deleted = True
    _keep(cloud, database)
    unassign(cloud.state, urn(database))

    async def work() -> None:
        await cloud.databases.destroy(cluster(database))
        await asyncio.sleep(held)
        cloud.state.databases.remove(database)
        cloud.state.commit()

    _work(cloud, database, work)


def _database(call: Call) -> Database:
    database = call.state.databases.get(call.path("id"))
    if database is None or database.team != call.team.name or database.deleted:
        raise not_found()
    return database


def _online(call: Call) -> Database:
    """The cluster, if it can be changed now."""
    database = _database(call)
    if database.status != "online":
        raise unprocessable(f"cluster is not online: its status is {database.status}")
    return database


async def _show(call: Call) -> Response:
    return JSONResponse({"database": _json(call, _database(call))})


async def _delete(call: Call) -> Response:
    _destroy(call.cloud, _database(call), held=NAME_HELD)
    return no_content()


async def _resize(call: Call) -> Response:
    database = _online(call)
    body = await call.body(_Resize)
    _check_size(body.size, body.num_nodes)
    _check_storage(body.size, body.storage_size_mib)
    if list(DATABASE_SIZES).index(body.size) < list(DATABASE_SIZES).index(database.size):
        raise unprocessable("cluster nodes cannot be resized to a smaller size")
    storage = body.storage_size_mib or max(database.storage_size_mib, DATABASE_SIZES[body.size].storage_mib)
    if storage < database.storage_size_mib:
        raise unprocessable("storage cannot be made smaller")
    database.status = "resizing"
    call.state.databases.put(database)

    async def work() -> None:
        database.size, database.num_nodes, database.storage_size_mib = body.size, body.num_nodes, storage

    _become(call.cloud, database, "online", work)
    return Response(status_code=HTTPStatus.ACCEPTED)


async def _migrate(call: Call) -> Response:
    database = _online(call)
    body = await call.body(_Migrate)
    _check_region(body.region)
    network = _network(call, body.region, body.private_network_uuid)
    database.status = "migrating"
    call.state.databases.put(database)

    async def work() -> None:
        database.region = body.region
        database.private_network_uuid = network

    _become(call.cloud, database, "online", work)
    return Response(status_code=HTTPStatus.ACCEPTED)


async def _upgrade(call: Call) -> Response:
    database = _online(call)
    body = await call.body(_Upgrade)
    offered = versions(call.cloud)
    if body.version not in offered or int(body.version) <= int(database.version):
        raise unprocessable(f"cannot upgrade from version {database.version} to {body.version}")
    database.version = body.version
    call.state.databases.put(database)
    return no_content()


async def _maintenance(call: Call) -> Response:
    database = _database(call)
    body = await call.body(_Maintenance)
    if body.day.lower() not in _DAYS or not re.fullmatch(r"\d{2}:\d{2}(:\d{2})?", body.hour):
        raise unprocessable("invalid maintenance window: a day of the week and an hour such as 14:00")
    database.maintenance_day, database.maintenance_hour = body.day.lower(), body.hour
    call.state.databases.put(database)
    return no_content()


async def _show_firewall(call: Call) -> Response:
    database = _database(call)
    return JSONResponse({"rules": [_rule_json(database, rule) for rule in database.rules]})


async def _set_firewall(call: Call) -> Response:
    """The whole list; an empty one accepts everybody."""
    database = _database(call)
    body = await call.body(_Rules)
    database.rules = _rules(call, body.rules, database.rules)
    _keep(call.cloud, database)

    async def work() -> None:
        if not database.deleted and not database.stuck:
            await call.cloud.databases.set_trusted_sources(cluster(database), _sources(call.cloud, database))

    _work(call.cloud, database, work)
    return no_content()


def _rules(call: Call, wanted: Sequence[_NewRule] | None, known: Sequence[Rule]) -> list[Rule]:
    """The rules of a request; one that was there already keeps its id and its time."""
    if wanted and len(wanted) > _MOST_RULES:
        raise unprocessable(f"a cluster has at most {_MOST_RULES} firewall rules")
    there = {(rule.type, rule.value): rule for rule in known}
    rules = []
    for new in wanted or []:
        _check_rule(call, new)
        old = there.get((new.type, new.value))
        rules.append(
            Rule(
                uuid=old.uuid if old else new_uuid(),
                type=new.type,
                value=new.value,
                created_at=old.created_at if old else timestamp(),
                description=new.description or "",
            )
        )
    return rules


def _check_rule(call: Call, rule: _NewRule) -> None:
    if rule.type == "ip_addr":
        try:
            ipaddress.IPv4Network(rule.value, strict=False)
        except ValueError:
            raise unprocessable(f"invalid IPv4 address or network: {rule.value!r}") from None
    elif rule.type == "droplet":
        droplet = call.state.droplets.get(rule.value)
        if droplet is None or droplet.team != call.team.name:
            raise unprocessable(f"droplet {rule.value!r} not found")
    elif rule.type != "tag":
        raise unprocessable(f"invalid firewall rule type: {rule.type!r}")


async def _ca(call: Call) -> Response:
    _database(call)
    pem = call.cloud.databases.ca_pem()
    return JSONResponse({"ca": {"certificate": base64.b64encode(pem.encode()).decode()}})


async def _list_users(call: Call) -> Response:
    return JSONResponse({"users": [vars(user) for user in _database(call).users]})


async def _show_user(call: Call) -> Response:
    for user in _database(call).users:
        if user.name == call.path("user"):
            return JSONResponse({"user": vars(user)})
    raise not_found()


async def _list_dbs(call: Call) -> Response:
    return JSONResponse({"dbs": [{"name": name} for name in _database(call).db_names]})


async def _show_db(call: Call) -> Response:
    if call.path("db") not in _database(call).db_names:
        raise not_found()
    return JSONResponse({"db": {"name": call.path("db")}})


async def _backups(call: Call) -> Response:
    _database(call)
    return JSONResponse({"backups": [], "scheduled_backup_time": {"backup_hour": 3, "backup_minute": 40}})


async def _show_autoscale(call: Call) -> Response:
    """As the official clients read it: the specification has `autoscale` around it, which they do not know."""
    return JSONResponse({"storage": _autoscale(_database(call))})


def _autoscale(database: Database) -> dict[str, object]:
    kept = database.autoscale or {"enabled": False}
    storage = kept.get("storage", kept)  # a sandbox from before kept the body as it came
    return storage if isinstance(storage, dict) else {"enabled": False}


async def _set_autoscale(call: Call) -> Response:
    database = _database(call)
    body = await call.body(_Autoscale)
    if body.storage is None:
        raise unprocessable("storage is required")
    database.autoscale = _checked_autoscale(body.storage)
    call.state.databases.put(database)
    return no_content()


async def _unsupported(call: Call) -> Response:
    _database(call)
    raise unprocessable("The sandbox's clusters have one user and one database")


routes = [
    route("GET", "/v2/databases", _list),
    route("POST", "/v2/databases", _create),
    route("GET", "/v2/databases/{id}", _show),
    route("DELETE", "/v2/databases/{id}", _delete),
    route("PUT", "/v2/databases/{id}/resize", _resize),
    route("PUT", "/v2/databases/{id}/migrate", _migrate),
    route("PUT", "/v2/databases/{id}/upgrade", _upgrade),
    route("PUT", "/v2/databases/{id}/maintenance", _maintenance),
    route("GET", "/v2/databases/{id}/firewall", _show_firewall),
    route("PUT", "/v2/databases/{id}/firewall", _set_firewall),
    route("GET", "/v2/databases/{id}/ca", _ca),
    route("GET", "/v2/databases/{id}/backups", _backups),
    route("GET", "/v2/databases/{id}/autoscale", _show_autoscale),
    route("PUT", "/v2/databases/{id}/autoscale", _set_autoscale),
    route("GET", "/v2/databases/{id}/users", _list_users),
    route("GET", "/v2/databases/{id}/users/{user}", _show_user),
    route("GET", "/v2/databases/{id}/dbs", _list_dbs),
    route("GET", "/v2/databases/{id}/dbs/{db}", _show_db),
    # In DigitalOcean, but nothing that the program asks for; refused rather than answered with a lie.
    route("POST", "/v2/databases/{id}/users", _unsupported),
    route("PUT", "/v2/databases/{id}/users/{user}", _unsupported),
    route("DELETE", "/v2/databases/{id}/users/{user}", _unsupported),
    route("POST", "/v2/databases/{id}/users/{user}/reset_auth", _unsupported),
    route("POST", "/v2/databases/{id}/dbs", _unsupported),
    route("DELETE", "/v2/databases/{id}/dbs/{db}", _unsupported),
]
