"""A stack's settings, typed: `Settings`, which anybody may see, and `Secrets`, which only the program gets.

Two readers of the same models: `of` for the program, and `read` for the commands, which look at Pulumi.<stack>.yaml
itself and so need neither the engine nor the passphrase.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from decimal import Decimal
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from meltanodata.config import document
from meltanodata.config.checks import Check
from meltanodata.config.document import Document, Place, Value
from meltanodata.errors import Problem, ProblemsError
from meltanodata.text import did_you_mean, example_of, findings, is_token, listing, show

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from pydantic.fields import FieldInfo

NAMESPACE = "meltanodata"
DIGITALOCEAN = "https://api.digitalocean.com"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def _unmarked(name: str) -> str:
    if name.endswith("(full)"):
        raise ValueError("leave (full) out of the name and set full to true, so that tenants.yaml can keep the name")
    return name


_TeamName = Annotated[str, Field(min_length=1), AfterValidator(_unmarked)]


_AtDigitalOcean = Annotated[
    str | None,
    Field(
        min_length=1,
        title="a team's name at DigitalOcean",
        description="What DigitalOcean calls the team, without the mark (full), where it is not `name`.",
        examples=["MeltanoData DBs 1"],
    ),
    AfterValidator(lambda name: name and _unmarked(name)),
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
        description="Takes no more tenants, whatever its limit.",
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
    """How many tenants one `up` may destroy before somebody has to allow it by a label."""

    destroyed: int = Field(
        default=2,
        ge=0,
        title="a number of tenants",
        description="More tenants than these need the label.",
        examples=[2],
    )
    destroyed_percent: int = Field(
        default=10,
        ge=0,
        le=100,
        title="a percentage",
        description="More than these of a stack's hundred tenants need it too; one tenant alone never does.",
        examples=[10],
    )


class Rollout(_Frozen):
    """How a change of many tenants goes out."""

    canaries: tuple[str, ...] = Field(
        default=(),
        title="a list of tenants",
        description="Those that `meltanodata deploy` applies first, and checks before it goes on.",
        examples=['["demo"]'],
    )
    batch: int = Field(default=20, ge=1, title="a number of tenants", description="Applied at a time.", examples=[20])
    pause: float = Field(
        default=30, ge=0, title="seconds", description="Between a batch that was checked and the next.", examples=[30]
    )


def _root_url(url: str) -> str:
    if not re.fullmatch(r"https?://[^/?#@\s]+", url):
        raise ValueError(f"a root URL is wanted, without path and closing slash, such as {DIGITALOCEAN}")
    return url


_LAST_PORT = 65535


def _name_server(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        address, _, port = text.partition(":")
        if IPv4Address(address) and (not port or 0 < int(port) <= _LAST_PORT):
            return text
    except ValueError:
        pass
    raise ValueError("an IPv4 address is wanted, such as 9.9.9.9 or 127.0.0.1:5300")


def _regex(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None
    return pattern


def _number(value: object) -> object:
    """Pulumi hands over every plain setting as text; pydantic turns it into a number, but not for a Literal."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _once(teams: tuple[DatabaseTeam, ...]) -> tuple[DatabaseTeam, ...]:
    names = [team.name for team in teams]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{listing(map(show, twice), 'and')} is listed twice")
    if not teams:
        raise ValueError("it lists no team")
    return teams


def _from_json(value: object) -> object:
    """Pulumi hands over a structured setting as JSON."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


class Settings(_Frozen):
    """What a stack's config says in the open."""

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
        description="For new clusters of tenants that state none. DigitalOcean must offer it.",
        examples=["16"],
    )
    droplet_team: DropletTeam = Field(
        title="a team's name and limit",
        description="Where the droplets, the domain and the project are.",
        examples=['{"name": "Meltano", "limit": 500}'],
    )
    database_teams: Annotated[tuple[DatabaseTeam, ...], AfterValidator(_once)] = Field(
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
        description="For tenants that state none.",
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
        description="The dialect of the Caddyfile; what the snapshot has.",
        examples=[1],
    )
    requests_per_second: float = Field(
        default=4,
        gt=0,
        title="a number of requests a second",
        description="To DigitalOcean for each token. Its limits are 250 a minute and 5,000 an hour.",
        examples=[4],
    )
    ssh_port: int = Field(
        default=22, ge=1, le=65535, title="a port", description="Where the droplets' SSH server listens.", examples=[22]
    )
    api_url: Annotated[str, AfterValidator(_root_url)] = Field(
        default=DIGITALOCEAN,
        title="a root URL",
        description="DigitalOcean, or a sandbox. Stacks with the same one form one fleet.",
        examples=[DIGITALOCEAN],
    )
    resolver: Annotated[str | None, AfterValidator(_name_server)] = Field(
        default=None,
        title="a name server's address, with a port where it is not 53",
        description="Whom `meltanodata doctor` asks for names; left out, whom its machine asks.",
        examples=["9.9.9.9"],
    )
    unchecked: Annotated[tuple[Check, ...], BeforeValidator(_from_json)] = Field(
        default=(),
        title="a list of checks",
        description="What `meltanodata doctor` leaves out here: ping, say, where something on the way drops it.",
        examples=['["ping"]'],
    )
    guard: Guard = Field(
        default=Guard(),
        title="a mapping of thresholds",
        description="What `meltanodata plan` and `deploy` refuse without a label.",
        examples=['{"destroyed": 2, "destroyed_percent": 10}'],
    )
    rollout: Rollout = Field(
        default=Rollout(),
        title="a mapping of canaries, batch and pause",
        description="How `meltanodata deploy` applies a change of many tenants.",
        examples=['{"canaries": ["demo"], "batch": 20, "pause": 30}'],
    )
    onepassword_vault: str | None = Field(
        default=None,
        min_length=1,
        title="a vault's name",
        description="The vault of 1Password that `meltanodata credentials --onepassword` keeps. Left out, the one"
        " that is called like the domain.",
        examples=["meltanodata.com"],
    )
    no_tenants: Annotated[tuple[str, ...], BeforeValidator(_from_json)] = Field(
        (),
        title="a list of names",
        description="Droplets, records and clusters in the teams that are there for another purpose; `drift` and"
        " `adopt` leave them alone.",
        examples=['["controller.meltanodata.com", "www"]'],
    )

    @property
    def teams(self) -> tuple[str, ...]:
        """The names of all teams whose tokens the program needs: the droplets' first."""
        return tuple(dict.fromkeys([self.droplet_team.name, *(team.name for team in self.database_teams)]))

    @property
    def names_at_digitalocean(self) -> dict[str, str]:
        """What DigitalOcean calls each of the teams, without the mark (full), by its name here."""
        named = {team.name: team.account or team.name for team in self.database_teams}
        return {**named, self.droplet_team.name: self.droplet_team.account or self.droplet_team.name}

    def name_setting(self, team: str) -> str:
        """Where a team's name at DigitalOcean is set, in Pulumi's notation."""
        if team == self.droplet_team.name:
            return f"{NAMESPACE}:droplet_team.account"
        index = [known.name for known in self.database_teams].index(team)
        return f"{NAMESPACE}:database_teams[{index}].account"


class Secrets(_Frozen):
    """What a stack's config holds encrypted. Neither repr nor str shows any of it."""

    tokens: dict[str, SecretStr]
    """API tokens by the team's name, one for every team in the settings."""
    ssh_private_key: SecretStr
    """Root's on every droplet, OpenSSH or PEM, without passphrase; ends with a line break."""
    certificate: SecretStr
    """The wildcard certificate and its chain, PEM; ends with a line break."""
    certificate_key: SecretStr
    """The certificate's private key, PEM, without passphrase; ends with a line break."""


_PUBLIC = tuple(name for name in Settings.model_fields if name != "stack")
_STRUCTURED = ("droplet_team", "database_teams", "unchecked", "guard", "rollout")
_SECRET = tuple(Secrets.model_fields)


def from_config(config: Mapping[str, str], stack: str, now: datetime) -> tuple[Settings, Secrets]:
    """The same for a command, from what `pulumi config` prints, see `engine.config`.

    Raises:
        ProblemsError: see `of`.
    """
    prefix = f"{NAMESPACE}:"
    values = {name.removeprefix(prefix): value for name, value in config.items() if name.startswith(prefix)}
    return of(with_other_tokens(values), stack, now)


def tokens(config: Mapping[str, str]) -> dict[str, SecretStr]:
    """The teams' tokens alone, as far as there are any, for who can do without: what else is wrong does not matter."""
    prefix = f"{NAMESPACE}:"
    values = {name.removeprefix(prefix): value for name, value in config.items() if name.startswith(prefix)}
    found = _from_json(with_other_tokens(values).get("tokens"))
    if not isinstance(found, dict):
        return {}
    return {
        str(team): SecretStr(token.strip())
        for team, token in found.items()
        if isinstance(token, str) and is_token(token.strip())
    }


def ssh_private_key(config: Mapping[str, str], stack: str) -> SecretStr:
    """Root's key alone, for who signs in to droplets, also when another secret has to be mended (see `from_config`).

    Raises:
        ProblemsError: it is missing or cannot be read, with the command that mends it.
    """
    from meltanodata.config import certificates  # noqa: PLC0415 - cryptography, which only some commands need

    name = "ssh_private_key"
    pem = _pem(config.get(f"{NAMESPACE}:{name}"))
    report = _Report(stack, file_of(stack), None)
    for wrong, problem in [(name, "is missing")] if pem is None else certificates.ssh_key_problems(pem):
        report.add((wrong,), problem, report.set_secret(wrong))
    if pem is None or report.problems:
        raise ProblemsError(report.problems)
    return SecretStr(pem)


TOKENS = "MELTANODATA_TOKENS"
"""The environment variable that previews have read-only tokens in: JSON, by the team's name."""


def with_other_tokens(values: Mapping[str, str]) -> dict[str, str]:
    """The settings' values, with the tokens of the environment in place of the stack's where it has some.

    The environment may have those of other stacks' teams as well.
    """
    tokens = _from_json(os.environ.get(TOKENS))
    if not tokens:
        return dict(values)
    if isinstance(tokens, dict):
        teams = _team_names(values)
        tokens = {team: token for team, token in tokens.items() if team in teams}
    return {**values, "tokens": json.dumps(tokens)}


def of(values: Mapping[str, str], stack: str, now: datetime) -> tuple[Settings, Secrets]:
    """The same from values as pulumi.Config gives them: text, JSON where they have a structure, decrypted.

    Raises:
        ProblemsError: every missing or wrong setting, each with the command that mends it.
    """
    report = _Report(stack, file_of(stack), None)
    settings = _public(values, report)
    secrets = _secrets(values, report, now)
    if settings is None or secrets is None or report.problems:
        raise ProblemsError(report.problems)
    return settings, secrets


def read(path: Path) -> Settings:
    """What a stack's file, Pulumi.<stack>.yaml, says in the open; needs neither the engine nor the passphrase.

    Raises:
        ProblemsError: every missing or wrong setting with its place, each with the command that mends it; also a
            secret that stands there in plain text.
    """
    return parse(document.read(path), stack_of(path))


def token_path(team: str) -> str:
    """A team's token in Pulumi's notation."""
    return f"{NAMESPACE}:{_dotted(('tokens', team))}"


def file_of(stack: str) -> str:
    """The name of a stack's file."""
    return f"Pulumi.{stack}.yaml"


def stack_of(path: Path) -> str:
    """The stack whose file it is."""
    return path.name.removeprefix("Pulumi.").removesuffix(".yaml")


def parse(source: Document, stack: str) -> Settings:
    """The same for a file that is read already."""
    root = source.root.data if source.root is not None else None
    config = root.get("config") if isinstance(root, dict) else None
    prefix = f"{NAMESPACE}:"
    given: dict[str, Value] = {}
    if config is not None and isinstance(config.data, dict):
        given = {key.removeprefix(prefix): value for key, value in config.data.items() if key.startswith(prefix)}
    report = _Report(stack, source.file, given)
    if source.problems:
        raise ProblemsError(source.problems)
    for name, value in given.items():
        if name in _SECRET and not all(_leaves_encrypted(value)):
            message = "stands here in plain text; it is known to everybody who can read the file, so make a new one"
            report.add((name,), message, _secret_remedy(name, report))
        if name in _PUBLIC and any(_leaves_encrypted(value)):
            message = "is encrypted, and the commands read this file without its passphrase"
            report.add((name,), message, _public_remedy((name,), Settings.model_fields[name], report))
    for name, value in given.items():
        for text in value.misread():
            message = f"holds {text.text}, which is {text.read_as} to other readers of YAML"
            report.add((name,), message, f"In {source.file}, {document.quoted(text.text)}")
    # A plain value reaches the program as text whatever its type here; a structured one keeps its types.
    values = {
        name: value.text if isinstance(value.data, str | int | Decimal) else value.plain()
        for name, value in given.items()
    }
    settings = None if report.problems else _public(values, report)
    if settings is None or report.problems:
        raise ProblemsError(report.problems)
    return settings


Steps: TypeAlias = tuple[str | int, ...]


class _Report:
    """Collects problems of one stack's settings, each with the command that mends it."""

    def __init__(self, stack: str, file: str, given: Mapping[str, Value] | None) -> None:
        self.problems: list[Problem] = []
        self.settings: set[str] = set()
        """Those with a problem."""
        self.stack = stack
        self._file, self._given = file, given or {}

    def add(self, path: Steps, message: str, remedy: str) -> None:
        sentence = message if message.endswith((".", "?")) else f"{message}."
        self.problems.append(Problem(self._file, *self._place(path), f"{_dotted(path)} {sentence} {remedy}"))
        self.settings.add(str(path[0]))

    def _place(self, path: Steps) -> Place:
        """Where the setting stands, as deep as it does; the whole file where it does not."""
        if path[0] not in self._given:
            return Place(0, 0)
        value = self._given[str(path[0])]
        for part in path[1:]:
            inner = value.data
            if isinstance(inner, dict) and str(part) in inner:
                value = inner[str(part)]
            elif isinstance(inner, list) and isinstance(part, int):
                value = inner[part]
        return value.place

    def set(self, path: Steps, value: object) -> str:
        """The command for a setting in the open."""
        flag = "" if len(path) == 1 else "--path "
        name = shlex.quote(f"{NAMESPACE}:{_dotted(path)}")
        return f"Set it: pulumi config set --stack {self.stack} {flag}{name} {shlex.quote(str(value))}"

    def set_secret(self, name: str) -> str:
        """The command for a secret, which comes from a file and never stands in a command line."""
        return f"Set it: pulumi config set --stack {self.stack} --secret {NAMESPACE}:{name} < {_FILES[name]}"

    def set_token(self, team: str) -> str:
        """The command for a team's token."""
        path = shlex.quote(token_path(team))
        return f"Set it: pulumi config set --stack {self.stack} --secret --path {path} < token.txt"

    def remove(self, path: Steps) -> str:
        """The command that removes a setting."""
        return f"Remove it: pulumi config rm --stack {self.stack} --path {shlex.quote(f'{NAMESPACE}:{_dotted(path)}')}"


def _dotted(path: Steps) -> str:
    """Pulumi's notation: https://www.pulumi.com/docs/iac/concepts/config/#structured-configuration."""
    return str(path[0]) + "".join(_step(part) for part in path[1:])


def _step(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    return f".{part}" if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", part) else f"[{json.dumps(part, ensure_ascii=False)}]"


_FILES = {
    "ssh_private_key": "id_ed25519",
    "certificate": "com.meltanodata.crt",
    "certificate_key": "com.meltanodata.key",
}
"""What the files are called in the commands that we propose."""

SECRET_FILES = tuple(_FILES)
"""The secrets that are one value each."""


def _leaves_encrypted(value: Value) -> Iterator[bool]:
    """For each leaf of a setting, whether it is as `pulumi config set --secret` writes it."""
    if not isinstance(value.data, dict):
        yield False
    elif value.data.keys() == {"secure"}:
        yield True
    else:
        for inner in value.data.values():
            yield from _leaves_encrypted(inner)


def _secret_remedy(name: str, report: _Report) -> str:
    return report.set_token("TEAM") if name == "tokens" else report.set_secret(name)


def _public(values: Mapping[str, object], report: _Report) -> Settings | None:
    for name in values:
        if name not in {*_PUBLIC, *_SECRET}:
            known = [*_PUBLIC, *_SECRET]
            message = f"is no setting.{did_you_mean(name, known)} There are: {listing(known, 'and')}"
            report.add((name,), message, report.remove((name,)))
    given = {"stack": report.stack, **{name: values[name] for name in _PUBLIC if name in values}}
    given |= {name: _from_json(given[name]) for name in _STRUCTURED if name in given}
    found = findings(Settings, given, "setting")
    for finding in found:
        remedy = _public_remedy(finding.path, finding.field, report) if finding.field else report.remove(finding.path)
        report.add(finding.path, finding.message, remedy)
    return None if found else Settings.model_validate(given)


def _public_remedy(path: Steps, field: FieldInfo, report: _Report) -> str:
    """The command that sets what is wrong; for a structured setting the part that cannot be left out."""
    example = example_of(field)
    if path == ("droplet_team",):
        path, example = ("droplet_team", "name"), "Meltano"
    elif path[0] == "database_teams" and path[-1] not in DatabaseTeam.model_fields:
        path, example = ("database_teams", *(path[1:] or (0,)), "name"), "MeltanoData DBs 1"
    elif path[0] == "unchecked":
        path, example = ("unchecked", *(path[1:] or (0,))), str(Check.PING)
    return report.set(path, example)


def _secrets(values: Mapping[str, str], report: _Report, now: datetime) -> Secrets | None:
    from meltanodata.config import certificates  # noqa: PLC0415 - cryptography, which only the program needs

    tokens = _tokens(values, report)
    pem = {name: text for name in _FILES if (text := _pem(values.get(name))) is not None}
    wrong = [(name, "is missing") for name in _FILES if name not in pem]
    wrong += certificates.ssh_key_problems(pem.get("ssh_private_key"))
    domain = None if "domain" in report.settings else values.get("domain")
    wrong += certificates.problems(pem.get("certificate"), pem.get("certificate_key"), domain, now)
    for name, problem in wrong:
        report.add((name,), problem, report.set_secret(name))
    if wrong or tokens is None:
        return None
    pem |= {
        "certificate": certificates.normal(pem["certificate"]),
        "certificate_key": certificates.normal_key(pem["certificate_key"]),
    }
    return Secrets(tokens=tokens, **{name: SecretStr(text) for name, text in pem.items()})


def _pem(text: str | None) -> str | None:
    """A text as its file has it, whoever set it on whatever machine."""
    return text.strip().replace("\r\n", "\n") + "\n" if text else None


def _tokens(values: Mapping[str, object], report: _Report) -> dict[str, SecretStr] | None:
    tokens = _from_json(values.get("tokens", "{}"))
    if not isinstance(tokens, dict):
        report.add(("tokens",), "is no mapping of a team's name to its token", report.remove(("tokens",)))
        return None
    teams = _team_names(values)
    wrong = {team: "is missing" for team in teams if team not in tokens}
    wrong |= {
        team: "is no token: one word is wanted"
        for team, token in tokens.items()
        if team in teams and not (isinstance(token, str) and is_token(token.strip()))
    }
    for team, problem in wrong.items():
        report.add(("tokens", team), problem, report.set_token(team))
    strangers = [team for team in tokens if team not in teams]
    for team in strangers:
        message = f"is for a team that the stack does not list.{did_you_mean(team, teams)}"
        report.add(("tokens", team), message, report.remove(("tokens", team)))
    return None if wrong or strangers else {team: SecretStr(token.strip()) for team, token in tokens.items()}


def _team_names(values: Mapping[str, object]) -> list[str]:
    """The teams that the settings name, also where something else about them is wrong."""
    droplet_team, database_teams = (_from_json(values.get(name)) for name in ("droplet_team", "database_teams"))
    teams = [droplet_team, *(database_teams if isinstance(database_teams, list) else [])]
    names = [team.get("name") for team in teams if isinstance(team, dict)]
    return list(dict.fromkeys(name for name in names if isinstance(name, str)))
