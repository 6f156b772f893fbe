"""A stack's settings: every missing or wrong one, with the command that corrects it, and no secret in any of it."""

from __future__ import annotations

import json
import shlex
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from meltanodata.config import certificates, document, settings, settings_loading, stacks
from meltanodata.config.settings import Secrets, Settings
from meltanodata.config.settings_loading import from_values
from meltanodata.errors import ProblemsError
from sandbox.home import TEMPLATE
from tests.certificates import KEY, NOW, certificate, pem

PROJECT = Path(__file__).resolve().parents[3]
SSH_KEY = ed25519.Ed25519PrivateKey.generate()


WILDCARD = "*.meltanodata.com"
CERTIFICATE = certificate(WILDCARD)


def config(**changes: str | None) -> dict[str, str]:
    """A stack's config as pulumi.Config gives it, decrypted; with some values changed, or left out where None."""
    values = {
        "domain": "meltanodata.com",
        "project": "Meltano",
        "database_version": "16",
        "droplet_team": json.dumps({"name": "Meltano", "limit": 500}),
        "database_teams": json.dumps([{"name": "DBs 1", "limit": 60, "full": True}, {"name": "DBs 2"}]),
        "tokens": json.dumps({"Meltano": "dop_v1_meltano", "DBs 1": "dop_v1_one", "DBs 2": "dop_v1_two"}),
        "ssh_private_key": pem(SSH_KEY, ssh=True),
        "certificate": CERTIFICATE,
        "certificate_key": pem(),
        **changes,
    }
    return {name: value for name, value in values.items() if value is not None}


def problems(**changes: str | None) -> list[str]:
    """What is wrong with a config with these changes; the secrets of none of it are in the messages."""
    values = config(**changes)
    with pytest.raises(ProblemsError) as caught:
        from_values(values, "prod", NOW)
    message = f"{caught.value}{caught.value!r}{caught.value.__cause__!r}"
    for line in secrets_in(values):
        assert line not in message
    return [str(problem).removeprefix("Pulumi.prod.yaml: ") for problem in caught.value.problems]


def secrets_in(values: dict[str, str]) -> list[str]:
    """Every part of a secret that a message might quote."""
    texts = [values.get(name, "") for name in ("ssh_private_key", "certificate", "certificate_key")]
    lines = [line for text in texts for line in text.splitlines() if line and not line.startswith("-----")]
    tokens = values.get("tokens", "")
    return [*lines, *(word for word in tokens.split('"') if word.startswith("dop_"))]


def test_a_valid_config_is_read() -> None:
    made, secrets = from_values(config(requests_per_second="2.5", ssh_port="2222", caddy_version="2"), "prod", NOW)
    assert made.model_dump(include={"stack", "domain", "requests_per_second", "ssh_port", "caddy_version"}) == {
        "stack": "prod",
        "domain": "meltanodata.com",
        "requests_per_second": 2.5,
        "ssh_port": 2222,
        "caddy_version": 2,
    }
    teams = [(team.name, team.limit, team.full) for team in made.database_teams]
    assert teams == [("DBs 1", 60, True), ("DBs 2", 60, False)]
    assert made.teams == ("Meltano", "DBs 1", "DBs 2")
    assert {team: token.get_secret_value() for team, token in secrets.tokens.items()} == {
        "Meltano": "dop_v1_meltano",
        "DBs 1": "dop_v1_one",
        "DBs 2": "dop_v1_two",
    }
    assert secrets.certificate_key.get_secret_value() == pem()


def test_defaults_are_digitaloceans_and_the_guides() -> None:
    made, _ = from_values(config(), "prod", NOW)
    assert (made.tenants_file, made.region, made.snapshot) == ("tenants.yaml", "nyc3", r"^Ubuntu meltano-\d+$")
    assert (made.caddy_version, made.ssh_port, made.api_url) == (1, 22, "https://api.digitalocean.com")


def test_one_team_may_hold_droplets_and_databases() -> None:
    one = json.dumps([{"name": "Meltano"}])
    made, _ = from_values(config(database_teams=one, tokens='{"Meltano": "t"}'), "prod", NOW)
    assert made.teams == ("Meltano",)


def test_every_missing_setting_at_once_with_the_command_that_sets_it() -> None:
    with pytest.raises(ProblemsError) as caught:
        from_values({}, "prod", NOW)
    commands = [str(problem).rsplit("Set it: ", 1)[1] for problem in caught.value.problems]
    assert commands == [
        "pulumi config set --stack prod --secret meltanodata:certificate < com.meltanodata.crt",
        "pulumi config set --stack prod --secret meltanodata:certificate_key < com.meltanodata.key",
        "pulumi config set --stack prod --path 'meltanodata:database_teams[0].name' 'MeltanoData DBs 1'",
        "pulumi config set --stack prod meltanodata:database_version 16",
        "pulumi config set --stack prod meltanodata:domain meltanodata.com",
        "pulumi config set --stack prod --path meltanodata:droplet_team.name Meltano",
        "pulumi config set --stack prod meltanodata:project Meltano",
        "pulumi config set --stack prod --secret meltanodata:ssh_private_key < id_ed25519",
    ]


def test_a_missing_token_for_each_team_also_beside_other_mistakes() -> None:
    assert problems(tokens=None, domain=None) == [
        (
            "domain is missing; it has to be a domain, such as meltanodata.com."
            " Set it: pulumi config set --stack prod meltanodata:domain meltanodata.com"
        ),
        *(
            f"{shown} is missing. Set it: pulumi config set --stack prod --secret --path {path} < token.txt"
            for shown, path in [
                ("tokens.Meltano", "meltanodata:tokens.Meltano"),
                ('tokens["DBs 1"]', """'meltanodata:tokens["DBs 1"]'"""),
                ('tokens["DBs 2"]', """'meltanodata:tokens["DBs 2"]'"""),
            ]
        ),
    ]


def test_a_teams_name_is_quoted_for_the_shell() -> None:
    name = 'it\'s $HOME "x"'
    (problem,) = problems(database_teams=json.dumps([{"name": name}]), tokens='{"Meltano": "t"}')
    command = shlex.split(problem.rsplit("Set it: ", 1)[1].removesuffix(" < token.txt"))
    assert command[-1] == f"meltanodata:tokens[{json.dumps(name)}]"


def test_a_token_of_a_team_that_is_not_listed() -> None:
    tokens = {"Meltano": "t", "DBs 1": "t", "DBs 2": "t", "DBs  2": "dop_v1_secret"}
    assert problems(tokens=json.dumps(tokens)) == [
        (
            "tokens[\"DBs  2\"] is for a team that the stack does not list. Did you mean 'DBs 2'?"
            " Remove it: pulumi config rm --stack prod --path 'meltanodata:tokens[\"DBs  2\"]'"
        )
    ]


@pytest.mark.parametrize("token", ["", "dop_ v1", "dop_v1_ü", 5, None])
def test_an_invalid_token_is_refused(token: object) -> None:
    (problem,) = problems(tokens=json.dumps({"Meltano": token, "DBs 1": "t", "DBs 2": "t"}))
    assert problem.startswith(
        "tokens.Meltano is not a token: a token is one word. Set it: pulumi config set --stack prod"
    )


def test_a_certificate_and_its_key_reach_the_droplets_in_the_form_that_caddy_reads() -> None:
    indented = {name: text.replace("\n", "\n  ") for name, text in (("crt", CERTIFICATE), ("key", pem()))}
    values = config(certificate=f"\ufeff{indented['crt']}", certificate_key=indented["key"])
    _, secrets = from_values(values, "prod", NOW)
    assert (secrets.certificate.get_secret_value(), secrets.certificate_key.get_secret_value()) == (CERTIFICATE, pem())


def test_a_line_break_after_a_secret_does_not_matter() -> None:
    tokens = json.dumps({"Meltano": "dop_v1_meltano\n", "DBs 1": "t", "DBs 2": "t"})
    windows = pem().replace("\n", "\r\n").rstrip()
    _, secrets = from_values(config(tokens=tokens, certificate_key=windows), "prod", NOW)
    assert secrets.tokens["Meltano"].get_secret_value() == "dop_v1_meltano"
    assert secrets.certificate_key.get_secret_value() == pem()


def test_tokens_that_are_no_mapping() -> None:
    assert problems(tokens="dop_v1_secret")[0].startswith(
        "tokens is not a mapping of a team's name to its token. Remove it"
    )


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "domain",
            "meltanodata",
            "domain 'meltanodata' is not a domain, such as meltanodata.com. Set it: pulumi config",
        ),
        ("database_version", "16.1", "database_version '16.1' is not a major version of PostgreSQL, such as 16."),
        ("caddy_version", "3", "caddy_version '3' is not possible; allowed: 1 or 2. Set it: pulumi config set --stack"),
        ("ssh_port", "0", "ssh_port '0' is too small; the minimum is 1."),
        ("ssh_port", "70000", "ssh_port '70000' is too large; the maximum is 65535."),
        ("ssh_port", "ssh", "ssh_port 'ssh' is not a port, such as 22."),
        ("requests_per_second", "0", "requests_per_second '0' is not a number of requests a second, such as 4."),
        ("snapshot", "(", "snapshot '(' is not possible: it is not a regular expression: missing ), unterminated"),
        ("api_url", "api.digitalocean.com", "api_url 'api.digitalocean.com' is not possible: it has to be a root URL"),
        ("api_url", "https://x/v2", "api_url 'https://x/v2' is not possible: it has to be a root URL without path"),
        ("region", "New York", "region 'New York' is not a region of DigitalOcean's, such as nyc3."),
        (
            "droplet_team",
            "Meltano",
            "droplet_team 'Meltano' is not a mapping of name, limit and account. Set it: pulumi config",
        ),
        ("droplet_team", '{"limit": 5}', "droplet_team.name is missing; it has to be a team's name, such as Meltano."),
        ("droplet_team", '{"name": "A (full)"}', "droplet_team.name 'A (full)' is not possible: leave (full) out"),
        ("database_teams", "[]", "database_teams a list is not possible: it lists no team."),
        (
            "database_teams",
            '[{"name": "A"}, {"name": "A"}]',
            "database_teams a list is not possible: 'A' is listed twice.",
        ),
        ("database_teams", '[{"name": "A", "limit": 0}]', "database_teams[0].limit 0 is too small; the minimum is 1."),
        (
            "database_teams",
            '[{"name": "A", "limt": 9}]',
            "database_teams[0].limt is not a setting. Did you mean",
        ),
        (
            "database_teams",
            '["A"]',
            "database_teams[0] 'A' is not a mapping of name, limit, full and account. Set it: pulumi config",
        ),
        ("domian", "x", "domian is not a setting. Did you mean 'domain'? The settings are: domain, project, "),
    ],
)
def test_an_invalid_setting_is_refused(name: str, value: str, message: str) -> None:
    found = problems(**{name: value})
    (about,) = [problem for problem in found if not problem.startswith("tokens")]
    assert about.startswith(message)


@pytest.mark.parametrize(
    ("path", "value", "command"),
    [
        ("droplet_team", "x", "--path meltanodata:droplet_team.name Meltano"),
        ("database_teams", '["A"]', "--path 'meltanodata:database_teams[0].name' 'MeltanoData DBs 1'"),
        ("database_teams", '[{"name": "A", "limit": "x"}]', "--path 'meltanodata:database_teams[0].limit' 60"),
        ("snapshot", "(", r"meltanodata:snapshot '^Ubuntu meltano-\d+$'"),
        ("guard", '{"destroyed": -1}', "--path meltanodata:guard.destroyed 2"),
    ],
)
def test_the_command_for_a_wrong_setting(path: str, value: str, command: str) -> None:
    commands = [problem.rsplit("Set it: ", 1)[-1] for problem in problems(**{path: value})]
    assert f"pulumi config set --stack prod {command}" in commands


def test_an_unknown_setting_is_removed_by_its_path() -> None:
    teams = json.dumps([{"name": "DBs 1", "foo bar": 1}, {"name": "DBs 2"}])
    (problem,) = problems(database_teams=teams)
    assert problem.endswith(
        """Remove it: pulumi config rm --stack prod --path 'meltanodata:database_teams[0]["foo bar"]'"""
    )


RSA_SSH = "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    "key",
    ["x", RSA_SSH, pem(SSH_KEY, ssh=True, passphrase=b"secret"), pem(passphrase=b"secret"), certificate("a.b")],
    ids=["text", "broken", "OpenSSH with passphrase", "PEM with passphrase", "certificate"],
)
def test_an_ssh_key_that_cannot_be_used(key: str) -> None:
    assert problems(ssh_private_key=key) == [
        (
            "ssh_private_key is not a readable private key (OpenSSH or PEM, without passphrase)."
            " Set it: pulumi config set --stack prod --secret meltanodata:ssh_private_key < id_ed25519"
        )
    ]


def test_an_ssh_key_in_pem() -> None:
    _, secrets = from_values(config(ssh_private_key=pem(KEY)), "prod", NOW)
    assert secrets.ssh_private_key.get_secret_value() == pem(KEY)


OTHER = ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"certificate": "x"}, "certificate is not a readable certificate (PEM)."),
        ({"certificate_key": "x"}, "certificate_key is not a readable private key (PEM, without passphrase)."),
        ({"certificate_key": pem(passphrase=b"s")}, "certificate_key is not a readable private key (PEM, without"),
        (
            {"certificate_key": pem(OTHER)},
            "certificate_key does not match the certificate; set both from the same issue.",
        ),
        (
            {"certificate": certificate("meltanodata.com", "www.meltanodata.com")},
            "certificate is for 'meltanodata.com' and",
        ),
        (
            {"certificate": certificate("*.example.com")},
            "certificate is for '*.example.com'; it has to be for '*.meltanodata.com'.",
        ),
        (
            {"certificate": certificate()},
            "certificate is for no host name; it has to be for '*.meltanodata.com'.",
        ),
        (
            {"certificate": certificate(WILDCARD, ends=NOW - timedelta(days=1))},
            "certificate has expired, on 2026-11-19 00:00 UTC; renew it.",
        ),
        ({"certificate": certificate(WILDCARD, ends=NOW)}, "certificate has expired, on 2026-11-20 00:00 UTC"),
        (
            {"certificate": certificate(WILDCARD, begins=NOW + timedelta(seconds=1))},
            "certificate is not valid before 2026-11-20 00:00 UTC.",
        ),
    ],
)
def test_a_certificate_that_browsers_or_caddy_would_refuse(changes: dict[str, str], message: str) -> None:
    (problem,) = problems(**changes)
    assert problem.startswith(message)
    assert "Set it: pulumi config set --stack prod --secret meltanodata:certificate" in problem


def test_the_chain_may_follow_the_certificate() -> None:
    chain = certificate(WILDCARD) + certificate("ca.example.com", key=OTHER)
    assert from_values(config(certificate=chain), "prod", NOW)[1].certificate.get_secret_value() == chain


def test_secrets_show_nothing() -> None:
    _, secrets = from_values(config(), "prod", NOW)
    shown = f"{secrets!r}{secrets}{secrets.model_dump()}{secrets.model_dump_json()}"
    assert [line for line in secrets_in(config()) if line in shown] == []


def test_a_model_shows_no_secret_in_its_own_errors() -> None:
    with pytest.raises(ValueError, match="validation error") as caught:
        Secrets.model_validate({"tokens": {"Meltano": ["dop_v1_meltano"]}, "certificate": ["dop_v1_x"]})
    assert "dop_v1" not in str(caught.value)


def test_a_command_reads_what_the_cli_prints() -> None:
    values = config()
    printed = {f"meltanodata:{name}": value for name, value in values.items()} | {"other:domain": "x"}
    assert settings_loading.from_config(printed, "prod", NOW) == from_values(values, "prod", NOW)


def test_tokens_of_the_environment_take_the_place_of_the_stacks(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = {"Meltano": "read_meltano", "DBs 1": "read_one", "DBs 2": "read_two", "another stack's": "read_other"}
    monkeypatch.setenv("MELTANODATA_TOKENS", json.dumps(tokens))
    _, secrets = settings_loading.from_config(
        {f"meltanodata:{name}": value for name, value in config().items()}, "prod", NOW
    )
    assert {team: token.get_secret_value() for team, token in secrets.tokens.items()} == {
        "Meltano": "read_meltano",
        "DBs 1": "read_one",
        "DBs 2": "read_two",
    }


@pytest.mark.parametrize(
    ("tokens", "message"), [("dop_v1_x", "is not a mapping"), ('{"Meltano": "dop_v1_x"}', 'tokens["DBs 1"] is missing')]
)
def test_invalid_tokens_of_the_environment_are_reported(
    monkeypatch: pytest.MonkeyPatch, tokens: str, message: str
) -> None:
    monkeypatch.setenv("MELTANODATA_TOKENS", tokens)
    with pytest.raises(ProblemsError) as caught:
        settings_loading.from_config({f"meltanodata:{name}": value for name, value in config().items()}, "prod", NOW)
    assert message in str(caught.value)
    assert "dop_v1_x" not in str(caught.value)


def test_guard_and_rollout_are_json_in_the_config() -> None:
    made, _ = from_values(
        config(guard='{"destroyed": 5}', rollout='{"canaries": ["demo"], "batch": 3}', no_tenants='["www"]'),
        "prod",
        NOW,
    )
    assert (made.guard.destroyed, made.guard.destroyed_percent) == (5, 10)
    assert (made.rollout.canaries, made.rollout.batch, made.rollout.pause) == (("demo",), 3, 30)
    assert made.no_tenants == ("www",)


@pytest.mark.parametrize("resolver", ["9.9.9.9", "127.0.0.1:5300"])
def test_the_doctors_resolver_and_unchecked_checks_are_read(resolver: str) -> None:
    made, _ = from_values(config(resolver=resolver, unchecked='["ping", "dns"]'), "prod", NOW)
    assert made.resolver == resolver
    assert list(made.unchecked) == ["ping", "dns"]


@pytest.mark.parametrize("resolver", ["", "dns.example.com", "9.9.9.9:0", "9.9.9.9:65536", "9.9.9", "::1"])
def test_an_invalid_resolver_is_refused(resolver: str) -> None:
    (found,) = problems(resolver=resolver)
    assert "it has to be an IPv4 address, such as 9.9.9.9 or 127.0.0.1:5300" in found
    assert "pulumi config set --stack prod meltanodata:resolver 9.9.9.9" in found


def test_an_unknown_check_is_refused() -> None:
    (found,) = problems(unchecked='["pong"]')
    assert "unchecked[0] 'pong' is not possible; allowed: 'ping', 'dns', 'ssh'" in found
    assert "pulumi config set --stack prod --path 'meltanodata:unchecked[0]' ping" in found


def test_the_ssh_key_can_be_read_whatever_else_is_wrong() -> None:
    key = pem(SSH_KEY, ssh=True)  # another text each time
    values = {"meltanodata:ssh_private_key": key.strip()}
    assert settings_loading.ssh_private_key(values, "prod").get_secret_value() == key


@pytest.mark.parametrize("key", [None, "", pem(SSH_KEY, ssh=True, passphrase=b"x")])
def test_a_missing_or_unreadable_ssh_key_is_reported(key: str | None) -> None:
    with pytest.raises(ProblemsError, match=r"pulumi config set --stack prod --secret meltanodata:ssh_private_key < "):
        settings_loading.ssh_private_key({} if key is None else {"meltanodata:ssh_private_key": key}, "prod")


FILE = """\
config:
  other:thing: 1
  meltanodata:domain: meltanodata.com
  meltanodata:project: Meltano
  meltanodata:database_version: 16
  meltanodata:droplet_team:
    name: Meltano
  meltanodata:database_teams:
    - name: DBs 1
      limit: 60
    - name: DBs 2
  meltanodata:tokens:
    Meltano:
      secure: v1:abc
    DBs 1: {secure: v1:def}
  meltanodata:ssh_private_key:
    secure: v1:ghi
encryptionsalt: v1:x
"""


def read(tmp_path: Path, text: str) -> Settings:
    """The settings in a stack's file of this text."""
    path = tmp_path / "Pulumi.prod.yaml"
    path.write_text(text)
    return settings_loading.read(path)


def file_problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> list[str]:
    """What is wrong in a stack's file of this text."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ProblemsError) as caught:
        read(tmp_path, text)
    return [str(problem) for problem in caught.value.problems]


def test_a_file_and_the_engine_give_the_same_settings(tmp_path: Path) -> None:
    teams = json.dumps([{"name": "DBs 1", "limit": 60}, {"name": "DBs 2"}])
    made, _ = from_values(config(database_teams=teams, droplet_team='{"name": "Meltano"}'), "prod", NOW)
    assert read(tmp_path, FILE) == made


def test_a_secret_in_plain_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = FILE.replace("{secure: v1:def}", "dop_v1_secret").replace("\n    secure: v1:ghi", " hunter2")
    found = file_problems(tmp_path, monkeypatch, text)
    assert [problem[: problem.index(" (it is")] if " (it is" in problem else problem for problem in found] == found
    assert [problem.split(";")[0] for problem in found] == [
        "Pulumi.prod.yaml:13:5: tokens is in plain text here",
        "Pulumi.prod.yaml:16:32: ssh_private_key is in plain text here",
    ]
    assert "hunter2" not in str(found)
    assert "dop_v1" not in str(found)


def test_a_public_setting_that_is_encrypted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = FILE.replace("domain: meltanodata.com", "domain: {secure: v1:abc}")
    assert file_problems(tmp_path, monkeypatch, text) == [
        (
            "Pulumi.prod.yaml:3:23: domain is encrypted, and the commands read this file without its passphrase."
            " Set it: pulumi config set --stack prod meltanodata:domain meltanodata.com"
        )
    ]


def test_an_empty_setting_is_not_encrypted(tmp_path: Path) -> None:
    # What `pulumi config rm --path` leaves of a structured setting.
    assert read(tmp_path, FILE.replace("config:\n", "config:\n  meltanodata:guard: {}\n")).guard == settings.Guard()


def test_a_wrong_setting_has_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = FILE.replace("limit: 60", "limit: none").replace("project: Meltano", "projcet: Meltano")
    assert [
        problem.split(" ")[0] + " " + problem.split(" ")[1] for problem in file_problems(tmp_path, monkeypatch, text)
    ] == [
        "Pulumi.prod.yaml: project",
        "Pulumi.prod.yaml:4:24: projcet",
        "Pulumi.prod.yaml:10:14: database_teams[0].limit",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("config: {", "Pulumi.prod.yaml:1: the file ends in the middle of a line and looks truncated"),
        ("", "Pulumi.prod.yaml: database_teams is missing"),
        ("config:\n  - a\n", "Pulumi.prod.yaml: database_teams is missing"),
        ("- a\n", "Pulumi.prod.yaml: database_teams is missing"),
    ],
)
def test_a_file_without_settings_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    assert file_problems(tmp_path, monkeypatch, text)[0].startswith(message)


def test_the_repositorys_own_stacks_are_valid_and_have_no_secret() -> None:
    (prod,) = stacks.Project(PROJECT).stacks()
    sandbox = settings_loading.read(TEMPLATE)
    assert [team.name for team in prod.database_teams] == [f"MeltanoData DBs {number}" for number in range(1, 11)]
    assert {team.limit for team in prod.database_teams} == {60}
    assert (prod.droplet_team.name, prod.droplet_team.limit) == ("Meltano", 500)
    assert prod.api_url == settings.DIGITALOCEAN
    assert sandbox.api_url != settings.DIGITALOCEAN
    for path in (PROJECT / settings.file_of("prod"), TEMPLATE):
        text = path.read_text()
        assert [name for name in Secrets.model_fields if f"meltanodata:{name}:" in text] == []


@pytest.mark.parametrize("key", [SSH_KEY, KEY, rsa.generate_private_key(65537, 2048)])
@pytest.mark.parametrize("ssh", [True, False])
def test_an_ssh_key_is_passed_on_in_its_shortest_form(key: Any, ssh: bool) -> None:
    given = pem(key, ssh=ssh)
    compact = certificates.compact(given)
    read = serialization.load_pem_private_key(compact.encode(), password=None)
    assert read.public_key() == key.public_key()
    assert len(compact) <= len(given)
    assert certificates.ssh_key_problems(compact) == []


def test_an_account_key_in_plain_text_is_removed_and_made_again() -> None:
    source = document.parse(b"config:\n  meltanodata:acme_account_key: in plain text\n", "Pulumi.prod.yaml")
    with pytest.raises(ProblemsError) as refused:
        settings_loading.parse(source, "prod")
    said = str(refused.value)
    assert "acme_account_key is in plain text here" in said
    assert "pulumi config rm --stack prod --path meltanodata:acme_account_key" in said
    assert "meltanodata certificate renew" in said
