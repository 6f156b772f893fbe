"""Reads a stack's settings and secrets, and reports every mistake in them with the command that corrects it.

`from_values` is for the program, with what Pulumi hands over; `read` is for the commands, which look at
Pulumi.<stack>.yaml itself and so need neither the engine nor the passphrase.
"""

from __future__ import annotations

import json
import os
from decimal import Decimal
from typing import TYPE_CHECKING

from pydantic import SecretStr

from meltanodata.config import config_commands, document
from meltanodata.config.checks import Check
from meltanodata.config.config_commands import SECRET_FILES, dotted
from meltanodata.config.document import Document, Place, Value
from meltanodata.config.settings import (
    NAMESPACE,
    DatabaseTeam,
    Secrets,
    Settings,
    file_of,
    stack_of,
    without_namespace,
)
from meltanodata.errors import Problem, ProblemsError
from meltanodata.text import did_you_mean, example_of, findings, is_token, listing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from pydantic.fields import FieldInfo

    from meltanodata.config.config_commands import Steps

TOKENS_VARIABLE = "MELTANODATA_TOKENS"
"""The environment variable that previews have read-only tokens in: JSON, by the team's name."""

ACCOUNT_KEY = "acme_account_key"
"""The secret that `meltanodata certificate renew` makes."""

_PLAIN = tuple(name for name in Settings.model_fields if name != "stack")
_STRUCTURED = ("droplet_team", "database_teams", "unchecked", "guard", "rollout", "certificate_renewal", "no_tenants")
_SECRET = tuple(Secrets.model_fields)


def from_config(config: Mapping[str, str], stack: str, now: datetime) -> tuple[Settings, Secrets]:
    """Both from what `pulumi config` prints, see `engine.pulumi_cli.config`.

    Raises:
        ProblemsError: see `from_values`.
    """
    return from_values(without_namespace(config), stack, now)


def from_values(values: Mapping[str, str], stack: str, now: datetime) -> tuple[Settings, Secrets]:
    """Both from values as pulumi.Config gives them: decrypted text, JSON where they have a structure.

    Names are without the namespace. The tokens are those of the environment where it has some, see `TOKENS_VARIABLE`.
    The certificate has to be valid `now`, a time with its zone.

    Raises:
        ProblemsError: every missing or wrong setting, each with the command that corrects it.
    """
    values = _with_environment_tokens(values)
    report = _Report(stack, file_of(stack))
    settings = _settings(values, report)
    secrets = _secrets(values, report, now)
    if settings is None or secrets is None or report.problems:
        raise ProblemsError(report.problems)
    return settings, secrets


def tokens(config: Mapping[str, str]) -> dict[str, SecretStr]:
    """The teams' tokens alone, as far as there are any, whatever else is wrong with the config."""
    by_team = _from_json(_with_environment_tokens(without_namespace(config)).get("tokens"))
    if not isinstance(by_team, dict):
        return {}
    return {
        str(team): SecretStr(token.strip())
        for team, token in by_team.items()
        if isinstance(token, str) and is_token(token.strip())
    }


def certificate(config: Mapping[str, str]) -> tuple[str | None, str | None]:
    """The certificate and its key, PEM, whatever is wrong with them; None for what is missing."""
    values = without_namespace(config)
    return _pem(values.get("certificate")), _pem(values.get("certificate_key"))


def acme_account_key(config: Mapping[str, str]) -> SecretStr | None:
    """The private key of the account at the ACME server; None before the first renewal."""
    pem = _pem(without_namespace(config).get(ACCOUNT_KEY))
    return None if pem is None else SecretStr(pem)


def ssh_private_key(config: Mapping[str, str], stack: str) -> SecretStr:
    """Root's key alone, for signing in to droplets, also while another secret is wrong.

    Raises:
        ProblemsError: it is missing or cannot be read, with the command that corrects it.
    """
    from meltanodata.config import certificates  # noqa: PLC0415 - cryptography, which only some commands need

    name = "ssh_private_key"
    pem = _pem(without_namespace(config).get(name))
    report = _Report(stack, file_of(stack))
    for _, problem in [(name, "is missing")] if pem is None else certificates.ssh_key_problems(pem):
        report.add_secret(name, problem)
    if pem is None or report.problems:
        raise ProblemsError(report.problems)
    return SecretStr(pem)


def read(path: Path) -> Settings:
    """The settings in a stack's file, Pulumi.<stack>.yaml; needs neither the engine nor the passphrase.

    Raises:
        ProblemsError: every missing or wrong setting with its place, each with the command that corrects it; also a
            secret that stands there in plain text.
    """
    return parse(document.read(path), stack_of(path))


def parse(source: Document, stack: str) -> Settings:
    """The same for a file that is read already."""
    given = without_namespace(config_of(source))
    report = _Report(stack, source.file, given)
    if source.problems:
        raise ProblemsError(source.problems)
    for name, value in given.items():
        if name in _SECRET and not all(_leaves_encrypted(value)):
            message = "is in plain text here; everybody who can read the file knows it, so create a new one"
            report.add_secret(name, message)
        if name in _PLAIN and any(_leaves_encrypted(value)):
            message = "is encrypted, and the commands read this file without its passphrase"
            report.add((name,), message, _remedy((name,), Settings.model_fields[name], stack))
    for name, value in given.items():
        for text in value.misread():
            message = f"holds {text.text}, which other YAML parsers read as {text.read_as}"
            report.add((name,), message, f"In {source.file}, {document.quoted(text.text)}")
    # A plain value reaches the program as text whatever its type here; a structured one keeps its types.
    values = {
        name: value.text if isinstance(value.data, str | int | Decimal) else value.plain()
        for name, value in given.items()
    }
    settings = None if report.problems else _settings(values, report)
    if settings is None or report.problems:
        raise ProblemsError(report.problems)
    return settings


def has_settings(source: Document) -> bool:
    """Whether a stack's file has any of our settings, or may have some but cannot be read."""
    return bool(source.problems) or f"{NAMESPACE}:" in source.text


def config_of(source: Document) -> Mapping[str, Value]:
    """The config in a stack's file, by the names with their namespace; empty where the file is of another form."""
    config = source.entries.get("config")
    return config.entries if config is not None else {}


class _Report:
    """Collects problems of one stack's settings, each with the command that corrects it."""

    def __init__(self, stack: str, file: str, given: Mapping[str, Value] | None = None) -> None:
        self.problems: list[Problem] = []
        self.settings: set[str] = set()
        """Those with a problem."""
        self.stack = stack
        self._file, self._given = file, given or {}

    def add(self, path: Steps, message: str, remedy: str) -> None:
        sentence = message if message.endswith((".", "?")) else f"{message}."
        self.problems.append(Problem(self._file, *self._place(path), f"{dotted(path)} {sentence} {remedy}"))
        self.settings.add(str(path[0]))

    def add_secret(self, name: str, message: str) -> None:
        """A problem of a whole secret."""
        if name == ACCOUNT_KEY:
            self.add_superfluous((name,), f"{message}. `meltanodata certificate renew` makes one where there is none")
            return
        if name == "tokens":
            command = config_commands.set_token(self.stack, "TEAM")
        else:
            command = config_commands.set_secret(self.stack, name)
        self.add((name,), message, f"Set it: {command}")

    def add_superfluous(self, path: Steps, message: str) -> None:
        """A value that has to go."""
        self.add(path, message, f"Remove it: {config_commands.remove(self.stack, path)}")

    def _place(self, path: Steps) -> Place:
        """Where the setting stands, as deep as it does; the whole file where it does not."""
        if path[0] not in self._given:
            return Place(0, 0)
        value = self._given[str(path[0])]
        for part in path[1:]:
            if isinstance(value.data, list) and isinstance(part, int):
                value = value.data[part]
            else:
                value = value.entries.get(str(part), value)
        return value.place


def _leaves_encrypted(value: Value) -> Iterator[bool]:
    """For each leaf of a setting, whether it is as `pulumi config set --secret` writes it."""
    if not isinstance(value.data, dict) or value.entries.keys() == {"secure"}:
        yield isinstance(value.data, dict)
    else:
        for inner in value.items:
            yield from _leaves_encrypted(inner)


def _settings(values: Mapping[str, object], report: _Report) -> Settings | None:
    for name in values:
        if name not in {*_PLAIN, *_SECRET}:
            names = [*_PLAIN, *_SECRET]
            message = f"is not a setting.{did_you_mean(name, names)} The settings are: {listing(names, 'and')}"
            report.add_superfluous((name,), message)
    given = {"stack": report.stack, **{name: values[name] for name in _PLAIN if name in values}}
    given |= {name: _from_json(given[name]) for name in _STRUCTURED if name in given}
    wrong = findings(Settings, given, "setting")
    for finding in wrong:
        if finding.field is None:
            report.add_superfluous(finding.path, finding.message)
        else:
            report.add(finding.path, finding.message, _remedy(finding.path, finding.field, report.stack))
    return None if wrong else Settings.model_validate(given)


def _remedy(path: Steps, field: FieldInfo, stack: str) -> str:
    """The command that sets what is wrong; for a structured setting the part that cannot be left out."""
    example = example_of(field)
    if path == ("droplet_team",):
        path, example = ("droplet_team", "name"), "Meltano"
    elif path[0] == "database_teams" and path[-1] not in DatabaseTeam.model_fields:
        path, example = ("database_teams", *(path[1:] or (0,)), "name"), "MeltanoData DBs 1"
    elif path[0] == "unchecked":
        path, example = ("unchecked", *(path[1:] or (0,))), str(Check.PING)
    return f"Set it: {config_commands.set_plain(stack, path, example)}"


def _secrets(values: Mapping[str, str], report: _Report, now: datetime) -> Secrets | None:
    from meltanodata.config import certificates  # noqa: PLC0415 - cryptography, which only the program needs

    tokens = _tokens(values, report)
    pem = {name: text for name in SECRET_FILES if (text := _pem(values.get(name))) is not None}
    wrong = [(name, "is missing") for name in SECRET_FILES if name not in pem]
    wrong += certificates.ssh_key_problems(pem.get("ssh_private_key"))
    domain = None if "domain" in report.settings else values.get("domain")
    wrong += certificates.problems(pem.get("certificate"), pem.get("certificate_key"), domain, now)
    for name, problem in wrong:
        report.add_secret(name, problem)
    if wrong or tokens is None:
        return None
    pem |= {
        "certificate": certificates.normal(pem["certificate"]),
        "certificate_key": certificates.normal_key(pem["certificate_key"]),
    }
    account_key = _pem(values.get(ACCOUNT_KEY))
    if account_key is not None:
        pem[ACCOUNT_KEY] = account_key
    return Secrets(tokens=tokens, **{name: SecretStr(text) for name, text in pem.items()})


def _pem(text: str | None) -> str | None:
    """A text as its file has it, whatever machine it was set on."""
    return text.strip().replace("\r\n", "\n") + "\n" if text else None


def _with_environment_tokens(values: Mapping[str, str]) -> Mapping[str, str]:
    """The values with the tokens of the environment in place of the stack's, where the environment has some.

    The environment may have those of other stacks' teams as well.
    """
    tokens = _from_json(os.environ.get(TOKENS_VARIABLE))
    if not tokens:
        return values
    if isinstance(tokens, dict):
        teams = _team_names(values)
        tokens = {team: token for team, token in tokens.items() if team in teams}
    return {**values, "tokens": json.dumps(tokens)}


def _tokens(values: Mapping[str, object], report: _Report) -> dict[str, SecretStr] | None:
    tokens = _from_json(values.get("tokens", "{}"))
    if not isinstance(tokens, dict):
        report.add_superfluous(("tokens",), "is not a mapping of a team's name to its token")
        return None
    teams = _team_names(values)
    wrong = {team: "is missing" for team in teams if team not in tokens}
    wrong |= {
        team: "is not a token: a token is one word"
        for team, token in tokens.items()
        if team in teams and not (isinstance(token, str) and is_token(token.strip()))
    }
    for team, problem in wrong.items():
        report.add(("tokens", team), problem, f"Set it: {config_commands.set_token(report.stack, team)}")
    unlisted = [team for team in tokens if team not in teams]
    for team in unlisted:
        message = f"is for a team that the stack does not list.{did_you_mean(team, teams)}"
        report.add_superfluous(("tokens", team), message)
    return None if wrong or unlisted else {team: SecretStr(token.strip()) for team, token in tokens.items()}


def _team_names(values: Mapping[str, object]) -> list[str]:
    """The teams that the settings name, also where something else about them is wrong."""
    droplet_team, database_teams = (_from_json(values.get(name)) for name in ("droplet_team", "database_teams"))
    teams = [droplet_team, *(database_teams if isinstance(database_teams, list) else [])]
    names = [team.get("name") for team in teams if isinstance(team, dict)]
    return list(dict.fromkeys(name for name in names if isinstance(name, str)))


def _from_json(value: object) -> object:
    """A structured setting, which Pulumi hands over as JSON."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value
