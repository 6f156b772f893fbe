"""A stack's settings and secrets as models: `Settings`, which anybody may see, and `Secrets`, which the program gets.

How they are read from a file or from Pulumi: see settings_loading.py.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from meltanodata.config.checks import Check  # noqa: TC001 - pydantic reads it from the annotation
from meltanodata.text import listing, show

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAMESPACE = "meltanodata"
"""What the names of our settings begin with in a stack's config, before a colon."""
DIGITALOCEAN = "https://api.digitalocean.com"

_T = TypeVar("_T")


def without_namespace(config: Mapping[str, _T]) -> dict[str, _T]:
    """Our settings of a stack's config, which may have those of plugins as well."""
    prefix = f"{NAMESPACE}:"
    return {name.removeprefix(prefix): value for name, value in config.items() if name.startswith(prefix)}


def file_of(stack: str) -> str:
    """The name of a stack's file."""
    return f"Pulumi.{stack}.yaml"


def stack_of(path: Path) -> str:
    """The stack whose file it is."""
    return path.name.removeprefix("Pulumi.").removesuffix(".yaml")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def _unmarked(name: str) -> str:
    if name.endswith("(full)"):
        raise ValueError("leave (full) out of the name and set full to true, so that tenants.yaml can keep the name")
    return name


_TeamName = Annotated[str, Field(min_length=1), AfterValidator(_unmarked)]
_AtDigitalOcean = Annotated[
    _TeamName | None,
    Field(
        title="a team's name at DigitalOcean",
        description="The team's name at DigitalOcean, without the mark (full), if it is not `name`.",
        examples=["MeltanoData DBs 1"],
    ),
]


class DatabaseTeam(_Frozen):
    """A DigitalOcean team that holds database clusters."""

    name: _TeamName = Field(
        title="a team's name",
        description="As in DigitalOcean, without the mark (full).",
        examples=["MeltanoData DBs 1"],
    )
    limit: int = Field(
        default=60, ge=1, title="a number of clusters", description="DigitalOcean's limit for the team.", examples=[60]
    )
    full: bool = Field(
        default=False,
        title="true or false",
        description="The team takes no new tenant, whatever its limit.",
        examples=[True],
    )
    account: _AtDigitalOcean = None


class DropletTeam(_Frozen):
    """The DigitalOcean team that holds the droplets, the domain and the project."""

    name: _TeamName = Field(title="a team's name", description="As in DigitalOcean.", examples=["Meltano"])
    limit: int = Field(
        default=500,
        ge=1,
        title="a number of droplets",
        description="DigitalOcean's limit for the team.",
        examples=[500],
    )
    account: _AtDigitalOcean = None


class Guard(_Frozen):
    """How many tenants one `up` may destroy without a label that allows it."""

    destroyed: int = Field(
        default=2,
        ge=0,
        title="a number of tenants",
        description="A plan that destroys more tenants needs the label.",
        examples=[2],
    )
    destroyed_percent: int = Field(
        default=10,
        ge=0,
        le=100,
        title="a percentage",
        description="A higher percentage of a stack's tenants needs the label too; a single tenant never does.",
        examples=[10],
    )


class Rollout(_Frozen):
    """How `meltanodata deploy` applies a change of many tenants."""

    canaries: tuple[str, ...] = Field(
        default=(),
        title="a list of tenants",
        description="The tenants that `meltanodata deploy` applies first, and checks before it continues.",
        examples=['["demo"]'],
    )
    batch: int = Field(
        default=20, ge=1, title="a number of tenants", description="How many are applied at a time.", examples=[20]
    )
    pause: float = Field(
        default=30,
        ge=0,
        title="seconds",
        description="The pause after a batch is checked and before the next.",
        examples=[30],
    )


def _root_url(url: str) -> str:
    if not re.fullmatch(r"https?://[^/?#@\s]+", url):
        raise ValueError(f"it has to be a root URL without path and closing slash, such as {DIGITALOCEAN}")
    return url


_LAST_PORT = 65535


def _name_server(text: str) -> str:
    try:
        address, _, port = text.partition(":")
        if IPv4Address(address) and (not port or 0 < int(port) <= _LAST_PORT):
            return text
    except ValueError:
        pass
    raise ValueError("it has to be an IPv4 address, such as 9.9.9.9 or 127.0.0.1:5300")


def _regex(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"it is not a regular expression: {error}") from None
    return pattern


def _number(value: object) -> object:
    """Pulumi hands over every plain setting as text; pydantic turns it into a number, but not for a Literal."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _distinct(teams: tuple[DatabaseTeam, ...]) -> tuple[DatabaseTeam, ...]:
    names = [team.name for team in teams]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{listing(map(show, twice), 'and')} is listed twice")
    if not teams:
        raise ValueError("it lists no team")
    return teams


LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"


class CertificateRenewal(_Frozen):
    """How `meltanodata certificate renew` gets the wildcard certificate."""

    directory: Annotated[str, Field(pattern=r"^https://[^\s]+$")] = Field(
        default=LETS_ENCRYPT,
        title="the https URL of an ACME server's directory",
        description="The ACME server that issues the wildcard certificate.",
        examples=[LETS_ENCRYPT],
    )
    auto: bool = Field(
        default=False,
        title="true or false",
        description="The workflow `certificate` merges its pull request itself once the preview has passed, which rolls"
        " the certificate out. Default: somebody merges it.",
        examples=["true"],
    )


class Settings(_Frozen):
    """Non-secret stack settings."""

    stack: str = Field(title="a stack's name", description="Pulumi's name for the stack.", examples=["prod"])
    domain: Annotated[str, Field(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)+$")] = Field(
        title="a domain",
        description="The domain at DigitalOcean that all tenants' host names end with.",
        examples=["meltanodata.com"],
    )
    project: str = Field(
        min_length=1,
        title="a project's name",
        description="The DigitalOcean project, in the droplet team, of all droplets.",
        examples=["Meltano"],
    )
    database_version: Annotated[str, Field(pattern=r"^[1-9][0-9]?$")] = Field(
        title="a major version of PostgreSQL",
        description="For new clusters of tenants that state no version. DigitalOcean must offer it.",
        examples=["16"],
    )
    droplet_team: DropletTeam = Field(
        title="a team's name and limit",
        description="The team with the droplets, the domain and the project.",
        examples=['{"name": "Meltano", "limit": 500}'],
    )
    database_teams: Annotated[tuple[DatabaseTeam, ...], AfterValidator(_distinct)] = Field(
        title="a list of teams",
        description="The teams that the stack owns, in the order in which they fill up.",
        examples=['[{"name": "MeltanoData DBs 1", "limit": 60}]'],
    )
    tenants_file: str = Field(
        default="tenants.yaml",
        min_length=1,
        title="a file's path",
        description="The fleet file, from the project's folder or absolute.",
        examples=["tenants.yaml"],
    )
    region: Annotated[str, Field(pattern=r"^[a-z0-9]+$")] = Field(
        default="nyc3",
        title="a region of DigitalOcean's",
        description="For tenants that state no region.",
        examples=["nyc3"],
    )
    snapshot: Annotated[str, AfterValidator(_regex)] = Field(
        default=r"^Ubuntu meltano-\d+$",
        min_length=1,
        title="a regular expression",
        description="New droplets are made from the newest snapshot whose name matches.",
        examples=[r"^Ubuntu meltano-\d+$"],
    )
    caddy_version: Annotated[Literal[1, 2], BeforeValidator(_number)] = Field(
        default=1,
        title="a major version of Caddy",
        description="The major version of the snapshot's Caddy, which decides how the Caddyfile is written.",
        examples=[1],
    )
    requests_per_second: float = Field(
        default=4,
        gt=0,
        title="a number of requests a second",
        description="To DigitalOcean with each token, whose limits are 250 a minute and 5,000 an hour.",
        examples=[4],
    )
    ssh_port: int = Field(
        default=22, ge=1, le=65535, title="a port", description="The port of the droplets' SSH servers.", examples=[22]
    )
    api_url: Annotated[str, AfterValidator(_root_url)] = Field(
        default=DIGITALOCEAN,
        title="a root URL",
        description="DigitalOcean, or a sandbox. Stacks with the same one form one fleet.",
        examples=[DIGITALOCEAN],
    )
    resolver: Annotated[str, AfterValidator(_name_server)] | None = Field(
        default=None,
        title="a name server's address, with a port where it is not 53",
        description="The name server that `meltanodata doctor` asks. Default: that of its machine.",
        examples=["9.9.9.9"],
    )
    unchecked: tuple[Check, ...] = Field(
        default=(),
        title="a list of checks",
        description="Checks that `meltanodata doctor` skips, such as ping where a firewall drops it.",
        examples=['["ping"]'],
    )
    guard: Guard = Field(
        default=Guard(),
        title="a mapping of thresholds",
        description="The thresholds above which `meltanodata plan` and `deploy` require a label.",
        examples=['{"destroyed": 2, "destroyed_percent": 10}'],
    )
    rollout: Rollout = Field(
        default=Rollout(),
        title="a mapping of canaries, batch and pause",
        description="How `meltanodata deploy` applies a change of many tenants.",
        examples=['{"canaries": ["demo"], "batch": 20, "pause": 30}'],
    )
    certificate_renewal: CertificateRenewal = Field(
        default=CertificateRenewal(),
        title="a mapping of directory and auto",
        description="How the wildcard certificate is renewed.",
        examples=['{"auto": true}'],
    )
    onepassword_vault: str | None = Field(
        default=None,
        min_length=1,
        title="a vault's name",
        description="The vault that `meltanodata credentials --onepassword` updates. Default: the one that has the"
        " domain's name.",
        examples=["meltanodata.com"],
    )
    no_tenants: tuple[str, ...] = Field(
        default=(),
        title="a list of names",
        description="Droplets, records and clusters in the teams for another purpose. `drift` and `adopt` ignore them,"
        " and no tenant may have or adopt such a name. A record's name and its host name are the same here.",
        examples=['["controller.meltanodata.com", "www"]'],
    )

    @property
    def team_names(self) -> tuple[str, ...]:
        """The names of the database teams, in the order in which they fill up."""
        return tuple(team.name for team in self.database_teams)

    @property
    def teams(self) -> tuple[str, ...]:
        """The names of all teams whose tokens the program needs: the droplets' first."""
        return tuple(dict.fromkeys([self.droplet_team.name, *self.team_names]))

    @property
    def names_at_digitalocean(self) -> dict[str, str]:
        """What DigitalOcean calls each of the teams, without the mark (full), by its name here."""
        teams: tuple[DatabaseTeam | DropletTeam, ...] = (*self.database_teams, self.droplet_team)
        return {team.name: team.account or team.name for team in teams}

    def account_setting(self, team: str) -> tuple[str | int, ...]:
        """Where a team's name at DigitalOcean is set, as the functions of `config_commands` take it."""
        if team == self.droplet_team.name:
            return "droplet_team", "account"
        return "database_teams", self.team_names.index(team), "account"


class Secrets(_Frozen):
    """A stack's secrets, encrypted in its config. Neither repr nor str shows any of them."""

    tokens: dict[str, SecretStr]
    """API tokens by the team's name, one for every team in the settings."""
    ssh_private_key: SecretStr
    """Root's key on every droplet, OpenSSH or PEM, without passphrase; ends with a line break."""
    certificate: SecretStr
    """The wildcard certificate and its chain, PEM; ends with a line break."""
    certificate_key: SecretStr
    """The certificate's private key, PEM, without passphrase; ends with a line break."""
    acme_account_key: SecretStr | None = None
    """The private key of the account at the ACME server, PEM. `meltanodata certificate renew` makes and uses it; the
    program does not."""
