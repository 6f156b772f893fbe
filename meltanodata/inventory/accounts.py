"""The inventory of the stack's DigitalOcean teams, read once before anything is declared.

The only requests that write set the trusted sources of a cluster (`let_in`), which cannot wait for the provider, and
add and remove TXT records (`add_text`, `remove_text`), which are in no state.

The provider's functions (getSshKeys, getDropletSnapshot …) give the same answers, but start a process for each team.
API: https://docs.digitalocean.com/reference/api/. A function that asks raises a UserError that names the team, what
DigitalOcean answered, and what to do.
"""

from __future__ import annotations

import functools
import os
import re
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import count
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

import requests
from pydantic import AliasChoices, BeforeValidator, Field, TypeAdapter, ValidationError
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from meltanodata.config import config_commands
from meltanodata.config.settings_loading import TOKENS_VARIABLE
from meltanodata.engine.resource_types import Type
from meltanodata.errors import UserError
from meltanodata.text import show

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pydantic import SecretStr

    from meltanodata.config.settings import Settings

_T = TypeVar("_T")

TIMEOUT = (10, 30)
"""Seconds for a connection, and for silence on it."""


@dataclass(frozen=True)
class Waits:
    """The pauses between attempts at a request, in seconds."""

    backoff: float = 0.5
    """Before the second attempt; each further pause is twice as long."""
    longest: int = 60
    """When DigitalOcean asks for a pause; its limits are by the minute and by the hour."""


PER_PAGE = 200
"""DigitalOcean's maximum."""
READINGS = 3
"""How often to read a list that changes while it is read."""


def _slug(value: Any) -> str:
    """The slug of a region or a size, which is a text or an object; empty where there is none."""
    slug = value.get("slug") if isinstance(value, dict) else value
    return slug if isinstance(slug, str) else ""


def _public_address(networks: Any) -> str | None:
    """The public IPv4 address of a droplet that has these networks."""
    public = [network.get("ip_address") for network in networks.get("v4") or () if network.get("type") == "public"]
    return next((address for address in public if isinstance(address, str) and address), None)


def _public_ipv6(networks: Any) -> tuple[str, ...]:
    """The public IPv6 addresses of a droplet that has these networks."""
    public = [network.get("ip_address") for network in networks.get("v6") or () if network.get("type") == "public"]
    return tuple(address for address in public if isinstance(address, str) and address)


def _major(version: str) -> str:
    """PostgreSQL's major version; empty where DigitalOcean says something else."""
    major = version.partition(".")[0]
    return major if re.fullmatch("[0-9]{1,4}", major) else ""


def _time(stamp: object) -> datetime:
    """A time with its zone; 1970 where DigitalOcean does not say when."""
    try:
        time = datetime.fromisoformat(str(stamp))
    except ValueError:
        return _LONG_AGO
    return time if time.tzinfo else time.replace(tzinfo=UTC)


_LONG_AGO = datetime.fromtimestamp(0, UTC)
_Id = Annotated[str, BeforeValidator(str)]
_Slug = Annotated[str, BeforeValidator(_slug)]

# The models' fields are those of DigitalOcean's answers. A field with a default may be missing there, or null.


@dataclass(frozen=True)
class Droplet:
    """A droplet of the droplet team."""

    id: int
    name: str
    status: str = ""
    """`new` at first, then `active` or `off`."""
    region: _Slug = ""
    size: Annotated[_Slug, Field(validation_alias=AliasChoices("size_slug", "size"))] = ""
    disk: int = 0
    """GB; larger than its size's where it was resized without its disk."""
    address: Annotated[str | None, BeforeValidator(_public_address), Field(validation_alias="networks")] = None
    """Public, IPv4; None until it has one."""
    created_at: str = ""
    """RFC 3339."""
    ipv6: Annotated[tuple[str, ...], BeforeValidator(_public_ipv6), Field(validation_alias="networks")] = ()
    """Public IPv6 addresses; only a droplet that was made or changed by hand has one."""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class DropletSize:
    """A plan for droplets."""

    regions: frozenset[str] = frozenset()
    """Where it is available."""
    disk: int = 0
    """GB."""


@dataclass(frozen=True)
class Record:
    """An A record of the domain."""

    id: int
    name: str
    """Without the domain."""
    address: Annotated[str, Field(validation_alias="data")] = ""


@dataclass(frozen=True)
class OtherRecord:
    """A record of the domain of another type."""

    id: int
    name: str = ""
    """Without the domain; `@` is the domain itself."""
    type: str = ""
    """`AAAA`, `CNAME`, `NS`, `MX` …"""
    value: Annotated[str, Field(validation_alias="data")] = ""
    """An address, a host name or a text."""


@dataclass(frozen=True)
class Text:
    """A TXT record of the domain."""

    id: int
    data: str


@dataclass(frozen=True)
class Cluster:
    """A PostgreSQL cluster of a database team."""

    id: _Id
    name: str
    team: str
    status: str = ""
    """`creating` at first, then mostly `online`."""
    region: _Slug = ""
    size: _Slug = ""
    version: Annotated[str, BeforeValidator(_major)] = ""
    """PostgreSQL's major version."""
    created_at: str = ""
    """RFC 3339."""
    tags: tuple[str, ...] = ()
    nodes: Annotated[int, Field(validation_alias="num_nodes")] = 1
    """The primary and its standby nodes."""
    storage_mib: Annotated[int, Field(validation_alias="storage_size_mib")] = 0
    """0 where DigitalOcean does not say."""


Objects: TypeAlias = "Mapping[Type, Sequence[Any]]"
"""The droplets, records and clusters of an inventory, each under its type; all three of `OBJECTS`."""


@dataclass(frozen=True)
class Snapshot:
    """A snapshot of a droplet, the disk image of new ones."""

    id: _Id
    name: str
    regions: frozenset[str] = frozenset()
    created_at: Annotated[datetime, BeforeValidator(_time)] = _LONG_AGO
    min_disk: Annotated[int, Field(validation_alias="min_disk_size")] = 0
    """GB that a droplet needs for it."""


@dataclass(frozen=True)
class DatabaseOffer:
    """What a PostgreSQL cluster can be."""

    versions: tuple[str, ...]
    regions: frozenset[str]
    sizes: frozenset[str]
    """Of clusters with one node."""
    sizes_of_larger: dict[int, frozenset[str]] = field(default_factory=dict)
    """Of clusters with more nodes, by their number."""

    def sizes_with(self, nodes: int) -> frozenset[str]:
        """The sizes of clusters with so many nodes."""
        return self.sizes if nodes == 1 else self.sizes_of_larger.get(nodes, frozenset())


@dataclass(frozen=True)
class Inventory:
    """What the stack's teams have, and what DigitalOcean offers them."""

    droplets: tuple[Droplet, ...]
    records: tuple[Record, ...]
    clusters: tuple[Cluster, ...]
    """PostgreSQL's."""
    cluster_counts: Mapping[str, int]
    """How many clusters each team has, of any engine: its limit counts them all."""
    snapshots: tuple[Snapshot, ...]
    ssh_keys: tuple[str, ...]
    """The ids of the droplet team's keys."""
    projects: Mapping[str, str]
    """The droplet team's projects, id by name."""
    droplet_sizes: Mapping[str, DropletSize]
    """By slug."""
    database: DatabaseOffer
    other_records: tuple[OtherRecord, ...] = ()
    """The domain's records that are no A records."""

    @property
    def objects(self) -> Objects:
        """See `Objects`."""
        return {Type.DROPLET: self.droplets, Type.RECORD: self.records, Type.CLUSTER: self.clusters}


def read(settings: Settings, tokens: Mapping[str, SecretStr], waits: Waits = Waits()) -> Inventory:
    """Ask all teams at the same time, once each token has proved to be its team's.

    Raises:
        UserError: every token of another team, or every request that failed; with what to do.
    """
    teams = {name: _Team(name, settings, tokens, waits) for name in settings.teams}
    droplet_team = teams[settings.droplet_team.name]
    database_teams = [teams[team.name] for team in settings.database_teams]
    with ThreadPoolExecutor(max_workers=len(database_teams) + 7) as pool:
        _raise_all([pool.submit(team.refuse_other_team, settings.names_at_digitalocean) for team in teams.values()])
        asked: dict[str, Future[Any]] = {
            "droplets": pool.submit(_droplets, droplet_team),
            "records": pool.submit(_records, droplet_team, settings.domain),
            "snapshots": pool.submit(_snapshots, droplet_team),
            "ssh_keys": pool.submit(droplet_team.items, "/v2/account/keys", "ssh_keys", _id),
            "projects": pool.submit(_projects, droplet_team),
            "droplet_sizes": pool.submit(_droplet_sizes, droplet_team),
            "database": pool.submit(_database_offer, database_teams[0]),
        }
        clusters = [pool.submit(_clusters, team) for team in database_teams]
    _raise_all([*asked.values(), *clusters])
    records = asked.pop("records").result()
    return Inventory(
        records=_a_records(records),
        other_records=tuple(record for record in records if isinstance(record, OtherRecord)),
        clusters=tuple(cluster for future in clusters for cluster in future.result() if cluster),
        cluster_counts={team.name: len(future.result()) for team, future in zip(database_teams, clusters, strict=True)},
        **{name: request.result() for name, request in asked.items()},
    )


def _raise_all(requests_: Sequence[Future[Any]]) -> None:
    """Raise one error for all requests that failed."""
    errors = [request.exception() for request in requests_]
    if unforeseen := next((error for error in errors if error and not isinstance(error, UserError)), None):
        raise unforeseen
    if any(errors):
        raise UserError("\n".join(dict.fromkeys(str(error) for error in errors if error)))


@dataclass(frozen=True)
class Source:
    """A trusted source: https://docs.digitalocean.com/reference/api/#operation/databases_list_firewall_rules."""

    kind: str
    """`ip_addr`, `droplet`, `tag` …"""
    value: str
    """An address, an id, a tag's name."""

    def __str__(self) -> str:
        """For a person."""
        return f"nobody ({self.value})" if self == NOBODY else f"{self.value} ({self.kind})"

    def is_droplet(self, id_: str, address: str | None) -> bool:
        """Whether it is this droplet: by address, or by id where the cluster is in the droplet team."""
        if self.kind == "droplet":
            return self.value == id_
        return self.kind == "ip_addr" and address is not None and self.value.removesuffix("/32") == address


def trusted_sources(
    settings: Settings, tokens: Mapping[str, SecretStr], clusters: Iterable[Cluster]
) -> dict[str, frozenset[Source]]:
    """The trusted sources of clusters, by the cluster's id; asks for each cluster, many at a time."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        sources = pool.map(
            lambda cluster: (cluster.id, trusted_by(settings, tokens, cluster.team, cluster.id)), clusters
        )
    return dict(sources)


def trusted_by(settings: Settings, tokens: Mapping[str, SecretStr], team: str, cluster: str) -> frozenset[Source]:
    """The trusted sources of one cluster, by its team and its id; an open cluster has none."""
    return _Team(team, settings, tokens).one(
        f"/v2/databases/{cluster}/firewall",
        lambda answer: frozenset(Source(rule["type"], rule["value"]) for rule in answer["rules"] or ()),
    )


NOBODY = Source("ip_addr", "192.0.2.1")
"""An address that nobody has: docs/decisions/databases-are-never-open.md. A cluster without trusted sources is open."""


def let_in(settings: Settings, tokens: Mapping[str, SecretStr], team: str, cluster: str, source: Source) -> bool:
    """Make a source the only trusted one of a cluster, by its team and its id; False where there is no such cluster."""
    rules = {"rules": [{"type": source.kind, "value": source.value}]}
    return _Team(team, settings, tokens).put(f"/v2/databases/{cluster}/firewall", rules)


def close(settings: Settings, tokens: Mapping[str, SecretStr], cluster: Cluster, source: Source, called: str) -> None:
    """Trust one source alone, if the cluster is open; `called` is the cluster's name in an error.

    Raises:
        UserError: the cluster is online, and cannot be closed.
    """
    if trusted_by(settings, tokens, cluster.team, cluster.id):
        return
    try:
        let_in(settings, tokens, cluster.team, cluster.id, source)
    except UserError as error:
        if cluster.status != "creating":  # it accepts nobody yet, and a later run closes it
            raise UserError(f"{called} is open to everybody and cannot be closed: {error}") from None


def droplets_now(settings: Settings, tokens: Mapping[str, SecretStr]) -> tuple[Droplet, ...]:
    """The droplet team's droplets as they are now."""
    return _droplets(_Team(settings.droplet_team.name, settings, tokens))


def records_now(settings: Settings, tokens: Mapping[str, SecretStr]) -> tuple[Record, ...]:
    """The domain's A records as they are now."""
    return _a_records(_records(_Team(settings.droplet_team.name, settings, tokens), settings.domain))


def texts(settings: Settings, tokens: Mapping[str, SecretStr], name: str) -> tuple[Text, ...]:
    """The domain's TXT records of a name, which is without the domain."""
    records = _records(_droplet_team(settings, tokens), settings.domain)
    others = [record for record in records if isinstance(record, OtherRecord)]
    return tuple(Text(it.id, it.value) for it in others if (it.type, it.name.lower()) == ("TXT", name))


def add_text(settings: Settings, tokens: Mapping[str, SecretStr], name: str, data: str) -> None:
    """Add a TXT record beside others of its name."""
    body = {"type": "TXT", "name": name, "data": data, "ttl": _SHORTEST_TTL}
    if not _droplet_team(settings, tokens).post(_records_path(settings), body):
        raise UserError(f"{settings.droplet_team.name}: there is no domain {settings.domain} in this team")


def remove_text(settings: Settings, tokens: Mapping[str, SecretStr], text: Text) -> None:
    """Remove a TXT record; nothing if it is gone."""
    _droplet_team(settings, tokens).delete(f"{_records_path(settings)}/{text.id}")


_SHORTEST_TTL = 30
"""Seconds; DigitalOcean's minimum."""


def _records_path(settings: Settings) -> str:
    return f"/v2/domains/{settings.domain}/records"


def _droplet_team(settings: Settings, tokens: Mapping[str, SecretStr]) -> _Team:
    team = settings.droplet_team.name
    if team not in tokens:
        raise UserError(f"{team}: the token is missing. {_set_token(settings.stack, team)}")
    return _Team(team, settings, tokens)


def clusters_now(settings: Settings, tokens: Mapping[str, SecretStr], team: str) -> tuple[Cluster, ...]:
    """A database team's PostgreSQL clusters as they are now."""
    return tuple(cluster for cluster in _clusters(_Team(team, settings, tokens)) if cluster)


_ACCOUNT = "/v2/account"
_ACCOUNT_SCOPE = "; one with custom scopes needs account:read, which tells whose token it is"


class _Team:
    """A team's account. Every error names the team; none shows the token."""

    def __init__(self, name: str, settings: Settings, tokens: Mapping[str, SecretStr], waits: Waits = Waits()) -> None:
        self.name = name
        self._waits = waits
        self._token = tokens[name]
        self._root = settings.api_url
        self._stack = settings.stack
        self._setting = settings.account_setting(name)

    def items(self, path: str, key: str, make: Callable[[Any], _T], **query: str) -> tuple[_T, ...]:
        """A list from all its pages, in the member `key` of each: https://docs.digitalocean.com/reference/api/#pagination.

        An object that comes or goes meanwhile shifts the pages after its own, so that others are on two pages or on
        none. So each object is taken once, by its id, and a list whose length is not its total is read again.
        """
        before: Mapping[str, Any] | None = None
        with self._session() as session:
            for _ in range(READINGS):
                items, complete = self._reading(session, path, key, query)
                # The total of a filtered list may count what the filter leaves out: the API's reference does not say.
                # Then two readings have to agree.
                if complete or (query and before is not None and items.keys() == before.keys()):
                    break
                before = items
            else:
                raise self._error(f"the list {path} changed during each of {READINGS} readings. Run it again")
        with self._understanding(path):
            return tuple(make(item) for item in items.values())

    def _reading(
        self, session: requests.Session, path: str, key: str, query: Mapping[str, str]
    ) -> tuple[dict[str, Any], bool]:
        """A list's items by their ids, and whether they are as many as each page's total."""
        items: dict[str, Any] = {}
        totals = set()
        for page in count(1):
            answer = self._get(session, path, {**query, "page": page, "per_page": PER_PAGE})
            with self._understanding(path):
                before, total = len(items), (answer.get("meta") or {}).get("total")
                totals.add(None if total is None else int(total))
                items |= {_id(item): item for item in _listed(answer, key, total)}
                # Never the address of the link: the token goes to the API of the settings only.
                if "next" not in ((answer.get("links") or {}).get("pages") or {}):
                    break
            if len(items) == before:
                return items, False  # such a list never ends
        # A list of clusters has neither total nor pages.
        return items, totals in ({None}, {len(items)})

    def put(self, path: str, body: Mapping[str, Any]) -> bool:
        """Set what is at a path; False where nothing is."""
        return self._write("PUT", path, json=body)

    def post(self, path: str, body: Mapping[str, Any]) -> bool:
        """Add to the list at a path, perhaps twice; False where there is none."""
        return self._write("POST", path, json=body)

    def delete(self, path: str) -> bool:
        """Delete what is at a path; False where nothing is."""
        return self._write("DELETE", path)

    def _write(self, method: str, path: str, **content: Any) -> bool:
        with self._session() as session:
            answer = self._send(session, method, path, **content)
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return False
        if answer.status_code == HTTPStatus.FORBIDDEN:
            raise self._error(f"the token may not write {path} (403). Make one with full access. {self._set_token()}")
        if not answer.ok:
            raise self._error(f"DigitalOcean answered {method} {path} with {answer.status_code}{_explanation(answer)}")
        return True

    def one(self, path: str, make: Callable[[Any], _T]) -> _T:
        """The result of `make` for a single answer."""
        with self._session() as session:
            answer = self._get(session, path, {})
        with self._understanding(path):
            return make(answer)

    def refuse_other_team(self, names: Mapping[str, str]) -> None:
        """Raise an error unless the token is this team's; `names` are DigitalOcean's, by those of the settings."""
        # https://docs.digitalocean.com/reference/api/digitalocean/#operation/account_get
        answered = self.one(_ACCOUNT, lambda answer: (answer["account"].get("team") or {}).get("name"))
        if not isinstance(answered, str) or not answered.strip():
            raise self._error(
                "DigitalOcean does not say which team the token is of. Make one in the control panel of this team."
                f" {self._set_token()}"
            )
        # The guide puts this mark behind the name of a full team.
        name = re.sub(r"\s*\(full\)$", "", answered.strip(), flags=re.IGNORECASE)
        if name == names[self.name]:
            return
        others = [other for other, at_digitalocean in names.items() if at_digitalocean == name]
        if others:
            raise self._error(
                f"the token is of the team {others[0]}, where everything of {self.name} would be looked for and made."
                f" {self._set_token()}"
            )
        command = config_commands.set_plain(self._stack, self._setting, name)
        rename = f". If it is the right one, and only its name differs: {command}" if name.isprintable() else ""
        raise self._error(
            f"the token is of a team that DigitalOcean calls {show(name)}. If it is the wrong one, take a token of"
            f" {names[self.name]}. {self._set_token()}{rename}"
        )

    @contextmanager
    def _understanding(self, path: str) -> Iterator[None]:
        try:
            yield
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise self._error(
                f"the answer to GET {path} is not as expected ({_fault(error):.200}); is {self._root} DigitalOcean?"
            ) from None

    def _session(self) -> requests.Session:
        """Tries four times more after 429 and 5xx, as the provider does."""
        session = requests.Session()
        session.auth = self._authorized
        retry = Retry(
            4,
            status_forcelist=[429, *range(500, 600)],  # 520 to 530 come from the proxy before DigitalOcean
            allowed_methods=["GET", "PUT", "POST", "DELETE"],
            backoff_factor=self._waits.backoff,
            raise_on_status=False,
            retry_after_max=self._waits.longest,
        )
        session.mount(self._root, HTTPAdapter(max_retries=retry))
        return session

    def _authorized(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Adds the token. A session without `auth` would send what ~/.netrc has for the host."""
        request.headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        return request

    def _send(self, session: requests.Session, method: str, path: str, **content: Any) -> requests.Response:
        try:
            answer = session.request(method, f"{self._root}{path}", timeout=TIMEOUT, allow_redirects=False, **content)
        except requests.RequestException as error:
            raise self._error(f"{self._root} cannot be reached: {_reason(error)}") from None
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            raise self._error(f"the token is refused (401). {self._set_token()}")
        return answer

    def _get(self, session: requests.Session, path: str, query: Mapping[str, str | int]) -> Any:
        answer = self._send(session, "GET", path, params=query)
        status = answer.status_code
        if status != HTTPStatus.OK:
            refusals: dict[int, str] = {
                HTTPStatus.FORBIDDEN: f"the token may not read {path} (403). Make one with full access, or for previews"
                f" with read access{_ACCOUNT_SCOPE if path == _ACCOUNT else ''}. {self._set_token()}",
                HTTPStatus.NOT_FOUND: f"there is no {path} in this team (404)",
                HTTPStatus.TOO_MANY_REQUESTS: f"no requests left for the token (429, GET {path}). Wait, and run it"
                " again",
            }
            other = f"DigitalOcean answered GET {path} with {status}. Run it again, or see status.digitalocean.com"
            raise self._error(refusals.get(status, other))
        try:
            return answer.json()
        except (ValueError, RecursionError):
            raise self._error(f"the answer to GET {path} is no JSON; is {self._root} DigitalOcean?") from None

    def _set_token(self) -> str:
        return _set_token(self._stack, self.name)

    def _error(self, message: str) -> UserError:
        return UserError(f"{self.name}: {message}")


def _set_token(stack: str, team: str) -> str:
    if os.environ.get(TOKENS_VARIABLE):
        return f"Set it in the environment variable {TOKENS_VARIABLE} (on GitHub: the secret READ_ONLY_TOKENS)"
    return f"Set it: {config_commands.set_token(stack, team)}"


def _listed(answer: Mapping[str, Any], key: str, total: object) -> list[Any]:
    """A page's items. Only a list that is empty for certain may be null."""
    items = answer[key]
    if items is None and (total == 0 or (total is None and key == "databases")):
        return []
    if not isinstance(items, list):
        raise TypeError(f"{key} is no list")
    return items


def _id(item: Mapping[str, Any]) -> str:
    """An object's id, or a size's slug."""
    id_ = item["id"] if "id" in item else item["slug"]
    if not isinstance(id_, str | int) or isinstance(id_, bool) or id_ == "":
        raise TypeError("an object without an id")
    return str(id_)


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _parsed(kind: Callable[..., _T], item: Mapping[str, Any]) -> _T:
    """An object of the inventory from DigitalOcean's description of it; null counts as missing."""
    parsed: _T = _adapter(kind).validate_python({name: value for name, value in item.items() if value is not None})
    return parsed


def _fault(error: Exception) -> str:
    """What is wrong with an answer; nothing of the answer itself."""
    if not isinstance(error, ValidationError):
        return repr(error)
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def _reason(error: BaseException) -> str:
    """The innermost reason, such as `Connection refused`."""
    while inner := error.__cause__ or getattr(error, "reason", None) or error.__context__:
        if not isinstance(inner, BaseException):
            break
        error = inner
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


def _explanation(answer: requests.Response) -> str:
    """DigitalOcean's reason for an error, on one line and shortened."""
    try:
        message = answer.json()["message"]
    except (ValueError, KeyError, TypeError):
        return ""
    return f": {show(message)}"


def _droplets(team: _Team) -> tuple[Droplet, ...]:
    return team.items("/v2/droplets", "droplets", functools.partial(_parsed, Droplet))


def _records(team: _Team, domain: str) -> tuple[Record | OtherRecord, ...]:
    """All records of the domain: another type than A may take a tenant's name, too."""

    def make(item: Any) -> Record | OtherRecord:
        return _parsed(Record, item) if item["type"] == "A" else _parsed(OtherRecord, item)

    return team.items(f"/v2/domains/{domain}/records", "domain_records", make)


def _a_records(records: Iterable[Record | OtherRecord]) -> tuple[Record, ...]:
    return tuple(record for record in records if isinstance(record, Record))


def _clusters(team: _Team) -> tuple[Cluster | None, ...]:
    """None for a cluster of another engine."""

    def make(item: Any) -> Cluster | None:
        engine = _adapter(str).validate_python(item["engine"])
        return _parsed(Cluster, {**item, "team": team.name}) if engine == "pg" else None

    return team.items("/v2/databases", "databases", make)


def _snapshots(team: _Team) -> tuple[Snapshot, ...]:
    return team.items("/v2/snapshots", "snapshots", functools.partial(_parsed, Snapshot), resource_type="droplet")


def _projects(team: _Team) -> Mapping[str, str]:
    named = _adapter(str).validate_python
    return dict(team.items("/v2/projects", "projects", lambda item: (named(item["name"]), _id(item))))


def _droplet_sizes(team: _Team) -> Mapping[str, DropletSize]:
    def make(item: Any) -> tuple[str, DropletSize]:
        available = item if item.get("available") is True else {**item, "regions": None}
        return _adapter(str).validate_python(item["slug"]), _parsed(DropletSize, available)

    return dict(team.items("/v2/sizes", "sizes", make))


def _database_offer(team: _Team) -> DatabaseOffer:
    def make(answer: Any) -> DatabaseOffer:
        offered = answer["options"]["pg"]
        sizes: dict[int, list[str]] = {1: []}
        for layout in offered["layouts"]:
            sizes.setdefault(int(layout["num_nodes"]), []).extend(layout["sizes"] or ())
        versions, regions = offered["versions"] or (), offered["regions"] or ()
        of_one = sizes.pop(1)
        described = {"versions": versions, "regions": regions, "sizes": of_one, "sizes_of_larger": sizes}
        return _parsed(DatabaseOffer, described)

    return team.one("/v2/databases/options", make)
