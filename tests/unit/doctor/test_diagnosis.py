"""What was seen of an instance, and what doctor says of it and proposes."""

from __future__ import annotations

import shlex
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, get_args

import pytest

from meltanodata.config.checks import Check
from meltanodata.doctor import diagnosis
from meltanodata.doctor.diagnosis import Certificate, Finding, Level, Names, Seen, Visit
from meltanodata.doctor.droplet_facts import Facts
from meltanodata.droplet.scripts import words
from meltanodata.droplet.scripts.codes import DatabaseCode, PageCode, Problem
from meltanodata.droplet.ssh import Contact
from meltanodata.inventory.accounts import NOBODY, Source
from tests.unit.doctor.samples import ACME, FACTS, NOW, OTHER, OWN, SERVED, WELL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meltanodata.engine.instances import Instance


def findings(instance: Instance = ACME, **seen: Any) -> list[Finding]:
    return diagnosis.findings(instance, replace(WELL, **seen), NOW)


def facts(**changes: Any) -> Facts:
    return Facts.model_validate({**FACTS, **changes})


def only(found: list[Finding]) -> Finding:
    """The one finding that is not OK."""
    (one,) = (it for it in found if it.level is not Level.OK)
    assert one.hint
    return one


def test_all_is_well() -> None:
    found = findings()
    assert [(it.check, it.level, it.hint) for it in found] == [(check, Level.OK, "") for check in Check]


def test_nothing_is_said_of_what_was_not_looked_at() -> None:
    assert diagnosis.findings(ACME, Seen(), NOW) == []


def test_a_droplet_that_was_never_finished() -> None:
    found = only(diagnosis.findings(replace(ACME, host_key=None), Seen(), NOW))
    assert found.hint == "meltanodata up --stack prod"


def test_a_droplet_that_is_switched_off() -> None:
    ping, ssh = (
        it
        for it in findings(ping=False, contact=Contact(unreachable="cannot be reached by SSH: no route"), facts=None)
        if it.level is Level.WRONG
    )
    assert (ping.check, ssh.check) == (Check.PING, Check.SSH)
    assert "https://cloud.digitalocean.com/droplets/4711" in ping.hint
    assert ssh.found == "203.0.113.7 cannot be reached by SSH: no route"


def test_a_ping_that_is_dropped_on_the_way_is_no_fault_of_the_droplets() -> None:
    found = only(findings(ping=False))
    assert found.level is Level.WARNING
    assert "'meltanodata:unchecked[0]' ping" in found.hint


@pytest.mark.parametrize(
    ("names", "level", "said", "hint"),
    [
        (Names((), 0, ()), Level.WRONG, "has no A record", "meltanodata deploy --stack prod --refresh"),
        (Names(("192.0.2.1",), 5, ("192.0.2.1",)), Level.WRONG, "points to 192.0.2.1, not to 203.0.113.7", "--refresh"),
        (Names(("192.0.2.1",), 5, None), Level.WRONG, "points to 192.0.2.1, not to 203.0.113.7", "--refresh"),
        (
            Names(("192.0.2.1",), 5, ("203.0.113.7",)),
            Level.WARNING,
            "some name servers still answer 192.0.2.1",
            "wait 5 seconds",
        ),
        (Names((), 5, ("203.0.113.7",)), Level.WARNING, "some name servers still answer no address", "wait 5 seconds"),
        (Names(problem="timed out"), Level.WRONG, "DNS lookup for acme.meltanodata.com failed: timed out", "network"),
        (
            Names(("203.0.113.7",), 5, ipv6=("2001:db8::7", "2001:db8::1")),
            Level.WRONG,
            "has AAAA records for 2001:db8::1, so visitors with IPv6 do not reach the droplet",
            "If nobody needs them, delete them: https://cloud.digitalocean.com/networking/domains/meltanodata.com",
        ),
        (Names(("203.0.113.7",), 5, ipv6="timed out"), Level.WARNING, "AAAA records of acme", "network"),
        (
            Names(("192.0.2.1",), 5, (), alias="shop.example.com"),
            Level.WRONG,
            "is an alias of shop.example.com (CNAME), which points to 192.0.2.1, not to 203.0.113.7",
            "If nobody needs it, delete it (https://cloud.digitalocean.com/networking/domains/meltanodata.com), then",
        ),
        (Names((), 5, (), ipv6=("2001:db8::1",), alias="x.example"), Level.WRONG, "points to no address", "CNAME"),
        (
            Names(("203.0.113.7",), 5, alias="acme2.meltanodata.com"),
            Level.WARNING,
            "is an alias of acme2.meltanodata.com (CNAME), which points to the droplet today, and has no A record",
            "CNAME",
        ),
    ],
)
def test_names(names: Names, level: Level, said: str, hint: str) -> None:
    found = only(findings(names=names))
    assert (found.check, found.level) == (Check.DNS, level)
    assert said in found.found
    assert hint in found.hint


@pytest.mark.parametrize("address", ["2001:db8::7", "2001:DB8:0::0007"])
def test_the_droplets_own_ipv6_address_is_no_fault(address: str) -> None:
    found = diagnosis.findings(ACME, Seen(names=Names(("203.0.113.7",), 5, ipv6=(address,))), NOW)
    assert found == [Finding(Check.DNS, Level.OK, "acme.meltanodata.com points to 203.0.113.7")]


def test_a_wrong_a_record_and_a_leftover_aaaa_record_are_both_said() -> None:
    names = Names(("192.0.2.1",), 5, ipv6=("2001:db8::1",))
    assert [it.level for it in diagnosis.findings(ACME, Seen(names=names), NOW)] == [Level.WRONG, Level.WRONG]


def test_a_host_key_that_has_changed() -> None:
    found = only(findings(contact=Contact(offered="SHA256:other"), facts=None))
    assert found.check is Check.SSH
    assert found.found == f"the host key is SHA256:other, but the stack has pinned {ACME.fingerprint}"
    assert ACME.fingerprint.startswith("SHA256:")
    assert "do not sign in" in found.hint
    assert found.hint.endswith("meltanodata up --stack prod --replace '**::acme-host-key'")


def test_a_key_that_is_not_let_in() -> None:
    found = only(findings(contact=Contact(refused="the stack's key is not accepted"), facts=None))
    assert "pulumi config set --stack prod --secret meltanodata:ssh_private_key < id_ed25519" in found.hint


def test_a_droplet_that_does_not_answer_the_script() -> None:
    found = only(findings(facts="the examination of the droplet did not end within 75 seconds"))
    assert (found.check, found.level) == (Check.SYSTEM, Level.WRONG)


def test_a_service_that_failed_is_told_once_with_its_last_words() -> None:
    wrong = facts(
        system="degraded",
        services={**FACTS["services"], "caddy": "failed"},
        journal={"caddy.service": ["Caddyfile:1 - Error during parsing"]},
    )
    found = only(findings(facts=wrong))
    assert found.found == "caddy.service is failed, not active"
    assert found.log == ("Caddyfile:1 - Error during parsing",)
    assert "meltanodata ssh acme -- systemctl restart caddy" in found.hint
    assert "--replace '**::acme-files'" in found.hint


def test_lets_encrypts_limit() -> None:
    wrong = facts(
        services={**FACTS["services"], "caddy": "failed"},
        journal={"caddy.service": ["acme: error: 429 :: urn:ietf:params:acme:error:rateLimited :: too many"]},
    )
    hint = only(findings(facts=wrong)).hint
    assert hint.startswith("Caddy hit Let's Encrypt's rate limit. ")
    assert "tls: self_signed in the entry of acme" in hint


def test_another_unit_that_failed() -> None:
    found = only(findings(facts=facts(system="degraded", journal={"cron.service": ["oops"]})))
    assert (found.found, found.log) == ("cron.service failed", ("oops",))


@pytest.mark.parametrize("unit", ["cron.service", "-rf.service", r"systemd-fsck@dev-disk-by\x2duuid.service"])
def test_the_command_for_a_unit_names_it_and_nothing_else_whatever_its_name(unit: str) -> None:
    hint = only(findings(facts=facts(system="degraded", journal={unit: []}))).hint
    typed = shlex.split(hint.partition("; then ")[2])
    assert typed[:4] == ["meltanodata", "ssh", "acme", "--"]
    # OpenSSH gives the droplet's shell one line.
    name, *options, last = shlex.split(" ".join(typed[4:]))
    assert (name, options[0], last) == ("systemctl", "restart", unit)
    assert options[1:] == (["--"] if unit.startswith("-") else [])


def test_a_system_that_is_not_running_for_another_reason() -> None:
    found = only(findings(facts=facts(system="starting")))
    assert found.found == "the system is starting, not running"


def test_errors_in_a_log_are_worth_a_look() -> None:
    found = only(findings(facts=facts(errors={"meltano-ui.log": ["[ERROR] boom"]})))
    assert (found.check, found.level, found.log) == (Check.LOGS, Level.WARNING, ("[ERROR] boom",))
    assert found.hint == "meltanodata logs acme"


def test_a_link_in_the_place_of_the_env_file() -> None:
    """No hint lets root act on the path: where the link leads is the tenant's choice."""
    link = {"owner": "meltano:meltano", "mode": "777", "kind": "link"}
    found = only(findings(facts=facts(env=link)))
    assert found.level == Level.WRONG
    assert "is a symbolic link" in found.found
    assert "-- runuser -u meltano -- mv --no-clobber" in found.hint
    assert "chown" not in found.hint


def test_a_link_in_the_place_of_the_projects_folder() -> None:
    """To move it away would take the instance down."""
    link = {"owner": "meltano:meltano", "mode": "777", "kind": "link"}
    found = only(findings(facts=facts(project=link)))
    assert found.found == "/var/meltano/project is not a folder (link)"
    assert "mount --bind" in found.hint
    assert " mv " not in found.hint


@pytest.mark.parametrize(
    ("env", "level", "hint"),
    [
        (None, Level.WRONG, "Write it again: meltanodata up --stack prod --replace '**::acme-files'"),
        ({"owner": "root:root", "mode": "620"}, Level.WRONG, "Give it back: meltanodata up --stack"),
        (
            {"owner": "meltano:meltano", "mode": "644"},
            Level.WRONG,
            "meltanodata ssh acme -- runuser -u meltano -- chmod 620 ",
        ),
        (
            {"owner": "meltano:meltano", "mode": "660"},
            Level.WRONG,
            "meltanodata ssh acme -- runuser -u meltano -- chmod 620 ",
        ),
        (
            {"owner": "meltano:meltano", "mode": "622"},
            Level.WRONG,
            "meltanodata ssh acme -- runuser -u meltano -- chmod 620 ",
        ),
        (
            {"owner": "meltano:meltano", "mode": "600"},
            Level.WARNING,
            "meltanodata ssh acme -- runuser -u meltano -- chmod 620 ",
        ),
    ],
)
def test_the_env_file(env: Mapping[str, str] | None, level: Level, hint: str) -> None:
    found = only(findings(facts=facts(env=env and {**env, "kind": "file"})))
    assert (found.check, found.level) == (Check.ENV, level)
    assert found.hint.startswith(hint)


@pytest.mark.parametrize(("mode", "who"), [("775", "g"), ("757", "o"), ("2777", "go")])
def test_a_root_that_ftp_refuses(mode: str, who: str) -> None:
    found = only(findings(facts=facts(project={"owner": "meltano:meltano", "mode": mode, "kind": "folder"})))
    assert "500 OOPS: vsftpd: refusing to run with writable root inside chroot()" in found.found
    assert found.hint == f"meltanodata ssh acme -- runuser -u meltano -- chmod {who}-w /var/meltano/project"


def test_a_droplet_without_a_project() -> None:
    assert only(findings(facts=facts(project=None))).check is Check.FTP


@pytest.mark.parametrize(
    ("address", "problem", "text", "hint"),
    [
        (
            ACME.database_host,
            Problem("not_let_in", "connection to server failed: timeout expired"),
            "connection to server failed: timeout expired",
            "The droplet is no longer a trusted source",
        ),
        (
            ACME.database_host,
            Problem("not_let_in", 'password authentication failed for user "doadmin"'),
            'password authentication failed for user "doadmin"',
            "If the password was changed",
        ),
        ("db-other.db.ondigitalocean.com", None, "db-other.db.ondigitalocean.com", "Write it again"),
        (
            None,
            Problem("variable_missing", "PG_ADDRESS"),
            "PG_ADDRESS is not in .env",
            "If the password was changed",
        ),
        (None, Problem("not_asked", "oops"), "cannot ask it: oops", "If the password was changed"),
        (None, Problem("not_asked"), "cannot ask it: no answer", "If the password was changed"),
    ],
)
def test_a_database_that_is_not_reached(address: str | None, problem: Problem | None, text: str, hint: str) -> None:
    found = only(findings(facts=facts(database={"address": address, "problem": problem and problem._asdict()})))
    assert (found.check, found.level) == (Check.DATABASE, Level.WRONG)
    assert text in found.found
    assert found.hint.startswith(hint)


def test_a_database_that_is_open_to_us() -> None:
    found = only(findings(database="open"))
    assert (found.check, found.level) == (Check.FIREWALL, Level.WRONG)
    assert "meltanodata deploy --stack prod --refresh" in found.hint


def test_a_database_without_a_name() -> None:
    assert only(findings(database="unknown")).check is Check.FIREWALL


@pytest.mark.parametrize(
    ("served", "level", "said", "hint"),
    [
        (
            replace(SERVED, fingerprint="f" * 64),
            Level.WRONG,
            "not the stack's certificate",
            "--replace '**::acme-files'",
        ),
        (replace(SERVED, ends=NOW), Level.WRONG, "not valid now", "Renew it: "),
        (replace(SERVED, ends=NOW + timedelta(days=14)), Level.WARNING, "renewal is due", "Renew it: "),
    ],
)
def test_the_certificate(served: Certificate, level: Level, said: str, hint: str) -> None:
    found = only(findings(visit=Visit(None, None, served)))
    assert (found.check, found.level) == (Check.CERTIFICATE, level)
    assert found.found.startswith("issued by Sectigo, valid until 20")
    assert said in found.found
    assert hint in found.hint


def test_a_self_signed_certificate_may_be_any_and_ends_soon_by_its_nature() -> None:
    own = replace(SERVED, fingerprint="f" * 64, ends=NOW + timedelta(days=5))
    assert all(it.level is Level.OK for it in findings(replace(ACME, tls="self_signed"), visit=Visit(None, None, own)))
    late = Visit(None, None, replace(own, ends=NOW))
    assert only(findings(replace(ACME, tls="self_signed"), visit=late)).hint.endswith("systemctl restart caddy")


PAGE = Problem("another_status", "502")


def test_a_page_that_does_not_work() -> None:
    found = only(
        findings(visit=Visit(PAGE, None, SERVED), facts=facts(page=PAGE._asdict(), page_log=["Permission denied"]))
    )
    assert (found.check, found.found) == (Check.PAGE, "https://acme.meltanodata.com answers 502")
    assert "journalctl --unit meltano --lines 50" in found.hint
    assert found.log == ("Permission denied",)


@pytest.mark.parametrize(
    "line", ["[Errno 13] Permission denied: '/var/meltano/project/ui.cfg'", "worker failed to boot"]
)
def test_a_page_that_a_file_may_stop_names_what_writes_the_files_again(line: str) -> None:
    found = only(findings(visit=Visit(PAGE, None, SERVED), facts=facts(page=PAGE._asdict(), page_log=[line])))
    assert "meltanodata up --stack prod --replace '**::acme-files'" in found.hint
    assert found.hint.startswith("A file cannot be read") == ("Errno 13" in line)


def test_a_page_without_caddy_points_to_caddy_and_shows_nothing_of_meltanos() -> None:
    down = Problem("no_answer", "Connection refused")
    services = {**FACTS["services"], "caddy": "failed"}
    sick = facts(services=services, page=down._asdict(), page_log=["a line"], journal={"caddy.service": ["its line"]})
    system, page = (it for it in findings(visit=Visit(down, None, None), facts=sick) if it.level is Level.WRONG)
    assert system.log == ("its line",)
    assert (page.check, page.log) == (Check.PAGE, ())
    assert page.hint == "Caddy is down, see system above. Start it: meltanodata ssh acme -- systemctl restart caddy"


def test_a_page_that_works_from_inside_only() -> None:
    assert "The page works on the droplet itself" in only(findings(visit=Visit(PAGE, None, None))).hint


def test_a_page_without_its_login() -> None:
    found = only(findings(visit=Visit(None, "https://acme.meltanodata.com/auth/login answers 500", SERVED)))
    assert (found.check, found.hint) == (Check.PAGE, "meltanodata logs acme")


REFRESH = "Trust the droplet alone: meltanodata deploy --stack prod --refresh"
LOOK = "Find out first who that is, and whether anybody needs it: https://cloud.digitalocean.com/databases/c0ffee. "


@pytest.mark.parametrize(
    ("trusted", "found", "hint"),
    [
        (frozenset(), "the database is open to everybody: it has no trusted source", REFRESH),
        ({OWN, OTHER}, "the database also trusts 198.51.100.9 (ip_addr)", LOOK + REFRESH),
        ({OWN, Source("tag", "production")}, "the database also trusts production (tag)", LOOK + REFRESH),
        ({OTHER}, "the database trusts 198.51.100.9 (ip_addr), but not its droplet 203.0.113.7", LOOK + REFRESH),
        ({NOBODY}, "the database trusts nobody (192.0.2.1), but not its droplet 203.0.113.7", REFRESH),
        (
            {OWN, Source("ip_addr", "203.0.113.0/24")},
            "the database also trusts 203.0.113.0/24 (ip_addr)",
            LOOK + REFRESH,
        ),
    ],
)
def test_an_open_database_and_a_foreign_source_are_found(trusted: Any, found: str, hint: str) -> None:
    one = only(findings(trusted=frozenset(trusted)))
    assert (one.check, one.level, one.found, one.hint) == (Check.TRUSTED, Level.WRONG, found, hint)


@pytest.mark.parametrize("own", [OWN, Source("ip_addr", "203.0.113.7/32"), Source("droplet", "4711")])
def test_the_droplet_alone_is_well(own: Source) -> None:
    assert all(it.level is Level.OK for it in findings(trusted=frozenset({own})))


def test_trusted_sources_that_nobody_tells_are_no_good_news() -> None:
    one = only(findings(trusted="MeltanoData DBs 1: the token is refused (401)"))
    assert one.level is Level.WARNING
    assert one.found.endswith("are unknown: MeltanoData DBs 1: the token is refused (401)")


@pytest.mark.parametrize(
    ("problem", "text", "look_at"),
    [
        (Problem("another_certificate"), "serves another certificate", "/etc/caddy, journalctl --unit caddy"),
        (Problem("bad_certificate", "X"), "has no valid certificate (X)", "journalctl --unit caddy"),
        (Problem("no_answer", "X"), "does not answer (X)", "journalctl --unit caddy"),
        (Problem("public"), "shows itself to everybody", "MELTANO_UI_AUTHENTICATION=true in systemctl cat meltano"),
        (Problem("another_status", "500"), "answers 500", "/var/meltano/project/.meltano/run/meltano-ui.log, jour"),
    ],
)
def test_every_problem_of_a_page_has_its_words(problem: Problem, text: str, look_at: str) -> None:
    found = only(findings(visit=Visit(problem, None, SERVED), facts=None))
    assert found.found == f"https://acme.meltanodata.com {text}"
    assert found.hint.startswith(f"On the droplet (meltanodata ssh acme), look at: {look_at}")


def test_every_code_of_a_script_has_its_words() -> None:
    for code in get_args(PageCode):
        assert words.about_page("acme.meltanodata.com", Problem(code)).text
    for code in get_args(DatabaseCode):
        assert only(findings(facts=facts(database={"address": None, "problem": {"code": code, "detail": "X"}}))).found
