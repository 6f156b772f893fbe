"""All that the API remembers: tables of plain objects in memory, each change also in one SQLite file."""

from __future__ import annotations

import datetime as dt
import random
import sqlite3
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from pydantic import TypeAdapter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def timestamp(moment: dt.datetime | None = None) -> str:
    """RFC 3339 in UTC to the second, as DigitalOcean writes times; by default now."""
    return (moment or dt.datetime.now(dt.UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Team:
    """An account: tokens see this team's objects and no other's."""

    name: str
    uuid: str
    token: str
    read_token: str
    droplet_limit: int
    database_limit: int


@dataclass
class SshKey:
    """A public key of a team."""

    id: int
    team: str
    name: str
    public_key: str
    fingerprint: str


@dataclass
class Image:
    """A snapshot of a team, or (team None) one of DigitalOcean's own images."""

    id: int
    team: str | None
    name: str
    distribution: str
    slug: str | None
    regions: list[str]
    min_disk_size: int
    size_gigabytes: float
    created_at: str
    resource_id: int
    """The droplet that a snapshot was taken of; 0 for DigitalOcean's own."""
    tags: list[str] = field(default_factory=list)
    taken: bool = False
    """Taken of a droplet of the sandbox's, so that the backend keeps a disk for it."""


@dataclass
class BackupPolicy:
    """When a droplet is backed up."""

    plan: str
    """daily or weekly."""
    hour: int
    """UTC; a window of four hours begins then."""
    weekday: str | None
    """Such as SUN; None for a daily one."""


@dataclass
class Droplet:
    """A virtual machine."""

    id: int
    team: str
    name: str
    region: str
    size: str
    disk: int
    """GB; stays when only memory and processors are resized."""
    image: int
    image_name: str
    ssh_keys: list[str]
    """Public keys, one line each: what root lets in from the first boot on."""
    address: str
    private_address: str
    created_at: str
    vpc_uuid: str
    features: list[str]
    tags: list[str]
    public: bool = True
    """Has public addresses; the one in `address` is its own even if it may not use it."""
    ipv6_from_first: bool = False
    """IPv6 was asked for at its creation; the address of one that got it later is not set up in the machine."""
    backup_policy: BackupPolicy | None = None
    """None while backups are off."""
    snapshot: int | None = None
    """The image that its disk begins as, if that was taken of a droplet."""
    status: str = "new"
    """new, active or off."""
    locked: bool = False
    stuck: bool = False
    """A fault: it never becomes active."""
    deleted: bool = False
    """DELETE was answered; the object goes when the machine is gone."""


@dataclass
class Action:
    """Work on a droplet."""

    id: int
    team: str
    type: str
    resource_id: int
    region: str
    started_at: str
    status: str = "in-progress"
    """in-progress, completed or errored."""
    completed_at: str | None = None


@dataclass
class Vpc:
    """A network of a team's in a region."""

    id: str
    team: str
    name: str
    description: str
    region: str
    ip_range: str
    created_at: str
    default: bool
    """Where objects of the region go that name none."""


@dataclass
class Domain:
    """A DNS zone."""

    name: str
    team: str
    ttl: int = 1800


@dataclass
class Record:
    """A record of a zone; the name is short (`www`, apex `@`)."""

    id: int
    team: str
    domain: str
    type: str
    name: str
    data: str
    ttl: int
    priority: int | None = None
    port: int | None = None
    weight: int | None = None
    flags: int | None = None
    tag: str | None = None


@dataclass
class Rule:
    """A trusted source of a cluster."""

    uuid: str
    type: str
    value: str
    created_at: str
    description: str = ""


@dataclass
class User:
    """A database user."""

    name: str
    password: str
    role: str = "normal"


@dataclass
class Database:
    """A PostgreSQL cluster."""

    id: str
    team: str
    name: str
    engine: str
    version: str
    region: str
    size: str
    num_nodes: int
    storage_size_mib: int
    address: str
    host: str
    created_at: str
    private_network_uuid: str
    tags: list[str]
    users: list[User]
    db_names: list[str]
    rules: list[Rule] = field(default_factory=list)
    maintenance_day: str = "sunday"
    maintenance_hour: str = "03:12:45"
    autoscale: dict[str, object] | None = None
    status: str = "creating"
    """creating, online, resizing, migrating."""
    stuck: bool = False
    """A fault: it never comes online."""
    deleted: bool = False
    """DELETE was answered: no longer shown, its name not yet free."""


@dataclass
class Project:
    """A folder of resources."""

    id: str
    team: str
    name: str
    description: str
    purpose: str
    environment: str | None
    is_default: bool
    created_at: str
    updated_at: str


@dataclass
class Assignment:
    """Which project a droplet, domain or cluster is in: always exactly one."""

    urn: str
    """Such as `do:droplet:412345678`."""
    project: str
    assigned_at: str


@dataclass
class Tag:
    """A tag exists by itself; the objects bear its name."""

    name: str
    team: str


def tag_key(tag: Tag) -> str:
    """Names are a team's own."""
    return f"{tag.team}/{tag.name}"


T = TypeVar("T")


class Table(Generic[T]):
    """Objects of one kind in the order they were made; all reads are from memory."""

    def __init__(self, connection: sqlite3.Connection, name: str, kind: type[T], key: Callable[[T], object]) -> None:
        self._connection = connection
        self._name = name
        self._key = key
        self._adapter = TypeAdapter(kind)
        connection.execute(f"CREATE TABLE IF NOT EXISTS {name} (key TEXT PRIMARY KEY, value TEXT) STRICT")
        rows = connection.execute(f"SELECT key, value FROM {name} ORDER BY rowid")  # noqa: S608 (a name of ours)
        self._items: dict[str, T] = {key: self._adapter.validate_json(value) for key, value in rows}

    def __iter__(self) -> Iterator[T]:
        return iter(list(self._items.values()))

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: object) -> T | None:
        """The object with this key, None when there is none."""
        return self._items.get(str(key))

    def put(self, item: T) -> T:
        """Keep a new object, or what was changed in one; durable after `State.commit`."""
        key = str(self._key(item))
        self._items[key] = item
        self._connection.execute(
            f"INSERT INTO {self._name} VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",  # noqa: S608
            (key, self._adapter.dump_json(item).decode()),
        )
        return item

    def remove(self, item: T) -> None:
        """Forget an object; nothing when it is gone already."""
        key = str(self._key(item))
        self._items.pop(key, None)
        self._connection.execute(f"DELETE FROM {self._name} WHERE key = ?", (key,))  # noqa: S608

    def clear(self) -> None:
        """Forget all."""
        for item in self:
            self.remove(item)


class State:
    """The tables, and the counters that ids come from.

    SQLite writes without waiting for the disk: what was committed survives a killed process, which is all a sandbox
    needs; a crash of the machine may lose the last seconds.
    """

    def __init__(self, path: Path | str) -> None:
        """Open or make the file; `:memory:` keeps nothing."""
        if path != ":memory:":
            # It holds tokens and passwords; SQLite gives the files beside it the same mode.
            Path(path).touch(mode=0o600)
            Path(path).chmod(0o600)
        self._connection = sqlite3.connect(path)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.execute("CREATE TABLE IF NOT EXISTS notes (key TEXT PRIMARY KEY, value TEXT) STRICT")
        self.teams = Table(self._connection, "teams", Team, attrgetter("name"))
        self.ssh_keys = Table(self._connection, "ssh_keys", SshKey, attrgetter("id"))
        self.images = Table(self._connection, "images", Image, attrgetter("id"))
        self.droplets = Table(self._connection, "droplets", Droplet, attrgetter("id"))
        self.actions = Table(self._connection, "actions", Action, attrgetter("id"))
        self.vpcs = Table(self._connection, "vpcs", Vpc, attrgetter("id"))
        self.domains = Table(self._connection, "domains", Domain, attrgetter("name"))
        self.records = Table(self._connection, "records", Record, attrgetter("id"))
        self.databases = Table(self._connection, "databases", Database, attrgetter("id"))
        self.projects = Table(self._connection, "projects", Project, attrgetter("id"))
        self.assignments = Table(self._connection, "assignments", Assignment, attrgetter("urn"))
        self.tags = Table(self._connection, "tags", Tag, tag_key)
        self._random = random.Random()  # noqa: S311 (ids are no secrets)

    def commit(self) -> None:
        """Make all changes since the last call durable, together."""
        self._connection.commit()

    def close(self) -> None:
        """Commit and let go of the file."""
        self.commit()
        self._connection.close()

    def note(self, key: str) -> str | None:
        """A single value by name, such as the API's port."""
        row = self._connection.execute("SELECT value FROM notes WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def set_note(self, key: str, value: str) -> None:
        """Keep a single value."""
        self._connection.execute(
            "INSERT INTO notes VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (key, value)
        )

    def next_id(self, kind: str, first: int) -> int:
        """A new number, greater than all before it of this kind, with gaps: other accounts get numbers too."""
        last = int(self.note(f"last {kind}") or first)
        number = last + self._random.randint(1, 997)
        self.set_note(f"last {kind}", str(number))
        return number

    def next_index(self, kind: str, count: int) -> int:
        """0, 1, … count - 1, 0 …: where to look for a free address, so that one is not given again at once."""
        index = int(self.note(f"index {kind}") or 0)
        self.set_note(f"index {kind}", str((index + 1) % count))
        return index

    def clear(self) -> None:
        """Forget all objects but the teams; counters go on."""
        for table in (
            self.ssh_keys,
            self.images,
            self.droplets,
            self.actions,
            self.vpcs,
            self.domains,
            self.records,
            self.databases,
            self.projects,
            self.assignments,
            self.tags,
        ):
            table.clear()
