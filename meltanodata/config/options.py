"""A tenant's name and options, as an entry of tenants.yaml may have them. Pure."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from meltanodata.text import show

LABEL = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
"""A name's part between dots, RFC 1123 section 2.1, lower case."""

Tls: TypeAlias = Literal["wildcard", "self_signed"]
"""The kinds of certificate that an instance's web server serves."""

_FIRST_WITHOUT_UI = 3
"""Meltano's major version."""


def _day(value: object) -> object:
    if type(value) is date:
        return value
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
        raise ValueError("it is not a date, such as 2026-11-20")
    return date.fromisoformat(value)


def _with_ui(version: str) -> str:
    if int(version.split(".", maxsplit=1)[0]) >= _FIRST_WITHOUT_UI:
        raise ValueError("Meltano 3 and later have no UI and no user command; 2.20.0 is the last line that has them")
    return version


_Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
_PostgresVersion = Annotated[str, Field(pattern=r"^[1-9][0-9]?$")]
_MeltanoVersion = Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+(\.[0-9]+)?$"), AfterValidator(_with_ui)]
_DropletName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9.-]*[a-zA-Z0-9]$", max_length=255)]
_ClusterName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,61}[a-z0-9]$")]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)

    @field_validator("*", mode="before")
    @classmethod
    def _stated(cls, value: object, info: ValidationInfo) -> object:
        """An option without a value is a mistake; only the team may wait for `meltanodata assign`."""
        if value is None and info.field_name != "database_team":
            raise ValueError("it has no value")
        return value


class Adopt(_Strict):
    """The names of an instance made by hand, where they differ from those that the program gives."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    droplet: _DropletName | None = Field(
        default=None,
        title="a droplet's name",
        description="The droplet's name in the droplet team. Default: the instance's host name.",
        examples=["demo2.meltanodata.com"],
    )
    record: Annotated[str, Field(pattern=LABEL)] | None = Field(
        default=None,
        title="a record's name without the domain",
        description="The A record's name, without the domain: the first part of the instance's host name. Default: the"
        " tenant's name.",
        examples=["demo2"],
    )
    database: _ClusterName | None = Field(
        default=None,
        title="a database cluster's name",
        description="The database cluster's name in the tenant's team. Default: the one called"
        " db-postgresql-REGION-DIGITS-TENANT, whatever its digits.",
        examples=["db-postgresql-nyc1-01234"],
    )
    login: Literal["new", "keep"] | None = Field(
        default=None,
        title="new or keep",
        description="keep, or left out: an adopted droplet keeps its logins. The admin's password does not change"
        " until admin_password_generation increases. new: the admin gets a new password, and Meltano a new secret"
        " key and salt, so every other login of the instance stops working. It applies for as long as the tenant has"
        " that droplet.",
        examples=["new"],
    )

    @model_validator(mode="after")
    def _names_something(self) -> Adopt:
        if not self.model_fields_set:
            raise ValueError("it names nothing")
        return self


class Options(_Strict):
    """One tenant's options as the file has them. The team alone is enough."""

    database_team: str | None = Field(
        default=None,
        min_length=1,
        title="a database team's name",
        description="The DigitalOcean team that holds the tenant's database. `meltanodata assign` writes it"
        " (the first team that is not full); afterwards it never changes.",
        examples=["MeltanoData DBs 1"],
    )
    region: _Slug | None = Field(
        default=None,
        title="a region of DigitalOcean's",
        description="The region of the droplet and the database. Default: the stack's region. A change needs a new"
        " droplet, so increase `rebuild` with it; the database moves with its data.",
        examples=["nyc3"],
    )
    droplet_size: _Slug = Field(
        default="s-2vcpu-2gb",
        title="a droplet size",
        description="The droplet's plan. A change powers the droplet off, resizes it and powers it on; one with a"
        " smaller disk needs a new droplet, so increase `rebuild` with it.",
        examples=["s-2vcpu-4gb"],
    )
    database_size: _Slug = Field(
        default="db-s-1vcpu-1gb",
        title="a database size",
        description="The database cluster's plan. DigitalOcean cannot make it smaller again.",
        examples=["db-s-1vcpu-2gb"],
    )
    database_version: _PostgresVersion | None = Field(
        default=None,
        title="a major version of PostgreSQL",
        description="Default: the stack's version. It can only increase.",
        examples=["16"],
    )
    tls: Tls = Field(
        default="wildcard",
        title="a kind of certificate",
        description="wildcard: the stack's certificate. self_signed: Caddy makes one of its own, and browsers warn.",
        examples=["self_signed"],
    )
    meltano_version: _MeltanoVersion | None = Field(
        default=None,
        title="a version of Meltano",
        description="Default: the snapshot's version. Below 3, because later versions have no UI.",
        examples=["2.20.0"],
    )
    demo: bool = Field(
        default=False,
        title="true or false",
        description="A demo instance: its database has no customer's data and may be wiped.",
        examples=[True],
    )
    wipe_database: Annotated[date, BeforeValidator(_day)] | None = Field(
        default=None,
        title="a date",
        description="Each new date drops every schema but `public`, once, at the next up whatever the date."
        " Needs `demo: true` from an earlier change.",
        examples=["2026-11-20"],
    )
    admin_password_generation: int = Field(
        default=1,
        ge=1,
        title="a count",
        description="Increase it for a new admin password; the old one is refused afterwards.",
        examples=[2],
    )
    rebuild: int = Field(
        default=0,
        ge=0,
        title="a count",
        description="Increase it for a new droplet from the snapshot; the database and its data stay.",
        examples=[1],
    )
    snapshot: str | None = Field(
        default=None,
        min_length=1,
        title="a snapshot's name",
        description="The snapshot for a new droplet. Default: the newest that the stack's pattern matches."
        " It does not affect an existing droplet, unless `rebuild` increases.",
        examples=["Ubuntu meltano-123456789"],
    )
    adopt: Adopt | None = Field(
        default=None,
        title="a mapping of droplet, record, database and login",
        description="Adopt an instance made by hand whose names differ, or whose login is to be new. Otherwise"
        " nothing is needed.",
        examples=[{"database": "db-postgresql-nyc1-01234"}],
    )

    @property
    def keeps_secrets(self) -> bool:
        """Whether Meltano has the secret key and salt from before the adoption, which its passwords need.

        Here and below: for a tenant whose `adopt.login` is decided, see `kept_logins.settled`.
        """
        return self.adopt is not None and self.adopt.login == "keep"

    @property
    def keeps_login(self) -> bool:
        """Whether the admin has the password from before the adoption: until `admin_password_generation` goes up."""
        return self.keeps_secrets and self.admin_password_generation == 1


def name_problem(key: str) -> str | None:
    """Why a tenant cannot have a name; None if it can."""
    if re.fullmatch(LABEL, key):
        return None
    better = re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-")
    return (
        "a tenant's name is 1 to 63 of a-z, 0-9 and -, and neither begins nor ends with - (it is the first part of a"
        " host name)." + (f" Did you mean {show(better)}?" if re.fullmatch(LABEL, better) else "")
    )
