"""The script that looks at a droplet from inside, on a file system and with programs of a test's own."""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from meltanodata.doctor import droplet_facts
from meltanodata.droplet import files, layout
from meltanodata.droplet.scripts import examine, foreign
from meltanodata.droplet.scripts.codes import Problem
from tests.fakes.caddy import HOST
from tests.unit.droplet.scripts.samples import DATABASE, DOCUMENT, PASSWORD, SALT, facts

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime.now(UTC)
PROJECT = layout.PROJECT.lstrip("/")


def test_all_is_well(root: Path, programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = facts(root, programs, capsys)
    owner = (root / PROJECT).owner() + ":" + (root / PROJECT).group()
    assert found == {
        "system": "running",
        "services": {"caddy": "active", "meltano": "active", "vsftpd": "active"},
        "journal": {},
        "page": None,
        "page_log": [],
        "errors": {},
        "env": {"owner": owner, "mode": "620", "kind": "file"},
        "project": {"owner": owner, "mode": f"{(root / PROJECT).stat().st_mode & 0o7777:o}", "kind": "folder"},
        "database": {"address": DATABASE, "problem": None},
    }


def test_failed_units_tell_their_last_words(root: Path, programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (programs / "failed").write_text("caddy.service loaded failed failed x\ncron.service loaded failed failed x\n")
    (programs / "caddy.service").write_text("".join(f"line {number}\n" for number in range(40)))
    found = facts(root, programs, capsys)
    assert found["system"] == "degraded"
    assert found["services"] == {"caddy": "failed", "meltano": "active", "vsftpd": "active"}
    assert found["journal"]["caddy.service"] == [f"line {number}" for number in range(28, 40)]
    assert found["journal"]["cron.service"] == []


def test_a_page_that_does_not_work_tells_meltanos(
    root: Path, programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (programs / "meltano").write_text(f"no access with {PASSWORD}\n")
    found = facts(root, programs, capsys, 502)
    assert found["page"] == {"code": "another_status", "detail": "502"}
    assert found["page_log"] == ["no access with [hidden]"]


def test_errors_of_the_last_day_with_what_follows(
    root: Path, programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = (f"{NOW - timedelta(hours=hours):%Y-%m-%d %H:%M:%S}" for hours in (30, 1))
    (root / PROJECT / ".meltano/run/meltano-ui.log").write_text(
        f"[{old},713] [ERROR] an old one\nTraceback (most recent call last):\n  old\n"
        f"[{new},713] [INFO] fine\n"
        f"[{new},713] [99|root] [ERROR] in tap-x with tulips\n"
        "Traceback (most recent call last):\n  File x\nKeyError\n\n"
        f"[{new},713] [INFO] fine again\n"
    )
    fine = root / PROJECT / ".meltano/run/fine.log"
    fine.write_text(f"{new}Z [info     ] errors: none\n")
    stale = root / PROJECT / ".meltano/run/stale.log"
    stale.write_text("[ERROR] long ago\n")
    os.utime(stale, (time.time() - 90_000,) * 2)
    assert facts(root, programs, capsys)["errors"] == {
        "meltano-ui.log": [
            f"[{new},713] [99|root] [ERROR] in tap-x with [hidden]",
            "Traceback (most recent call last):",
            "  File x",
            "KeyError",
        ]
    }


def test_what_is_missing(root: Path, programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / PROJECT / ".env").unlink()
    assert facts(root, programs, capsys)["env"] is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "cat >/dev/null; echo 'a\nKeyError: secret=lilies' >&2; exit 1",
            Problem("not_asked", "KeyError: secret=[hidden]"),
        ),
        ("cat >/dev/null", Problem("not_asked")),
        (
            f"""cat >/dev/null; printf %s '{{"address": null, "problem": {{"code": "not_let_in", "detail": "no\\nentry for {PASSWORD}"}}}}'""",  # noqa: E501 - a line of shell
            Problem("not_let_in", "no entry for [hidden]"),
        ),
    ],
)
def test_a_database_that_cannot_be_asked(
    root: Path, programs: Path, capsys: pytest.CaptureFixture[str], text: str, problem: Problem
) -> None:
    (programs / "python").write_text(f"#!/bin/sh\n{text}\n")
    assert facts(root, programs, capsys)["database"] == {"address": None, "problem": problem._asdict()}


@pytest.mark.parametrize(
    "answer",
    [
        *("[]", "{}", "null", '"x"', "[" * 99_999),
        '{"address": 5, "problem": null}',
        '{"address": null, "problem": null}',
        '{"address": null, "problem": []}',
        '{"address": null, "problem": {"code": "not_let_in", "detail": []}}',
        '{"address": null, "problem": {"code": "public", "detail": ""}}',
        '{"address": null, "problem": {"code": [], "detail": ""}}',
        '{"address": null, "problem": {"code": "not_let_in", "detail": "", "more": ""}}',
    ],
)
def test_whoever_writes_meltanos_python_decides_only_about_his_own_row(
    root: Path, programs: Path, capsys: pytest.CaptureFixture[str], answer: str
) -> None:
    (programs / "answer").write_text(answer)
    (programs / "python").write_text(f"#!/bin/sh\ncat >/dev/null; cat {programs}/answer\n")
    found = facts(root, programs, capsys)
    assert found["database"]["address"] is None
    assert found["database"]["problem"]["code"] == "not_asked"
    assert len(found["database"]["problem"]["detail"]) <= foreign.KEPT_CHARACTERS
    droplet_facts.read(json.dumps(found).encode())


@pytest.mark.parametrize("program", ["python", "journalctl"])
def test_a_program_that_prints_without_end_is_ended(
    root: Path, programs: Path, capsys: pytest.CaptureFixture[str], program: str
) -> None:
    (programs / "failed").write_text("caddy.service loaded failed failed x\n")
    (programs / program).write_text("#!/bin/sh\nexec yes 'words of no end'\n")
    found = facts(root, programs, capsys)
    assert len(json.dumps(found)) < 20_000
    assert found["services"]["caddy"] == "failed"


def test_of_many_units_and_files_ours_and_the_first_are_told(
    root: Path, programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [*(f"unit-{number}.service" for number in range(40)), "vsftpd.service"]
    (programs / "failed").write_text("".join(f"{name} loaded failed failed x\n" for name in names))
    for number in range(40):
        (root / PROJECT / f".meltano/run/{number:02}.log").write_text("[ERROR] boom\n")
    found = facts(root, programs, capsys)
    assert list(found["journal"]) == ["vsftpd.service", *names[: examine.KEPT_PARTS - 1]]
    assert len(found["errors"]) == examine.KEPT_PARTS


def test_a_stamp_that_is_no_time_is_taken_for_now(
    root: Path, programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / PROJECT / ".meltano/run/x.log").write_text("2026-99-99 99:99:99 [ERROR] boom\n")
    assert list(facts(root, programs, capsys)["errors"]) == ["x.log"]


def test_of_a_caddy_that_is_down_its_own_lines_are_told(
    root: Path, programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (programs / "caddy").write_text("Caddyfile:1 - Error during parsing\n")
    (programs / "meltano").write_text("all is fine\n")
    examine.main(DOCUMENT, root, programs, ("127.0.0.1", 1))
    found = json.loads(capsys.readouterr().out)
    assert found["page"]["code"] == "no_answer"
    assert found["page_log"] == ["Caddyfile:1 - Error during parsing"]


@pytest.mark.parametrize("address", [f"\x1b]0;{'x' * 100_000}", ["a list"], {"an": "object"}])
def test_whatever_the_users_interpreter_says_of_the_database_is_a_short_plain_text(
    root: Path, programs: Path, capsys: pytest.CaptureFixture[str], address: object
) -> None:
    answer = json.dumps({"address": address, "problem": None})
    (programs / "answer").write_text(answer)
    (programs / "python").write_text(f"#!/bin/sh\ncat {programs}/answer\n")
    found = facts(root, programs, capsys)["database"]
    said = found["address"] or found["problem"]["detail"]
    assert said.isprintable()
    assert len(said) <= foreign.LONGEST_LINE


def test_of_any_number_of_logs_only_some_are_told(
    root: Path, programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(500):
        (root / PROJECT / f".meltano/run/{number}.log").write_text("ERROR\n")
    assert len(facts(root, programs, capsys)["errors"]) == examine.KEPT_PARTS


def test_secrets_are_what_the_instances_files_hide(root: Path) -> None:
    found = examine.hidden_values(root)
    assert {PASSWORD, SALT, "tulips", "roses # x"} <= set(found)
    assert not {"4711", DATABASE, HOST, "2026-01-01"} & set(found)


SECRET = "hunter2"
LINES = [
    f'could not connect to "postgresql://doadmin:{SECRET}@db:25060/defaultdb"',
    f"could not connect to postgresql://doadmin:a@b/{SECRET}@db:25060/defaultdb",
    f"could not connect to doadmin:{SECRET}@db:25060",
    f"TAP_GITLAB_PRIVATE_TOKEN={SECRET} meltano run",
    f"{{'api_key': '{SECRET}', 'user': 'x'}}",
    f'{{"client_secret": "a \\"{SECRET}\\" b", "user": "x"}}',
    f'"{{\\"password\\": \\"{SECRET}\\"}}"',
    f"Authorization: Custom x {SECRET}",
    f"cookie: a=b; session={SECRET}; c={SECRET}",
    f"x-api-key: {SECRET}",
    f"GET /callback?access_token={SECRET}&x=1",
    f"meltano user add meltano --password {SECRET}",
    f"ALTER USER doadmin WITH PASSWORD '{SECRET}'",
    f"connection: host=db user=doadmin password={SECRET} dbname=defaultdb",
    f"sent bearer {SECRET}",
    f"PASSWORD => {SECRET}",
]


@pytest.mark.parametrize("line", LINES)
def test_what_is_called_a_secret_is_hidden(line: str) -> None:
    assert SECRET not in examine.redact(line, [])


@pytest.mark.parametrize(
    "word",
    [
        "AKIAIOSFODNN7EXAMPLE42",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "9f86d081884c7d659a2feaa0c55ad015",
        "dop_v1_9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9",
        "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKB",
        "tGbXqLpWzRkMnVcYhJsDfG",
        "0b0f5f0e-7a3c-4c7e-9a6e-0d5a3f2b1c4d",
    ],
)
def test_what_looks_random_is_hidden(word: str) -> None:
    assert examine.redact(f"used {word}.", []) == "used [hidden]."


@pytest.mark.parametrize(
    "line",
    [
        'connection to server at "db" (203.0.113.7), port 25060 failed: timeout expired',
        'FATAL:  password authentication failed for user "doadmin"',
        '  File "/var/meltano/.venv/lib/python3.11/site-packages/sqlalchemy/engine/base.py", line 1799, in _execute',
        "/var/meltano/project/.meltano/extractors/tap-GitHub/venv/lib/python3",
        "[ERROR 502 /api/v1/identity] dial tcp 127.0.0.1:5000: connect: connection refused",
        "Error: [Errno 13] Permission denied: '/var/meltano/project/ui.cfg'",
        "acme: error: 429 :: POST :: https://acme-v02.api.letsencrypt.org/ :: urn:ietf:params:acme:error:rateLimited",
        "sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) no such table: user",
        "2026-11-25T19:39:17.167093Z [info     ] All workers started.",
    ],
)
def test_what_explains_an_error_stays(line: str) -> None:
    assert examine.redact(line, []) == line


def test_host_names_of_the_instance_are_no_secrets() -> None:
    line = f"could not translate host name {DATABASE}"
    assert examine.redact(line, [], [DATABASE]) == line
    assert examine.redact(line, []) != line


def test_nothing_in_a_line_moves_the_readers_terminal() -> None:
    assert examine.redact("a\x1b]0;title\x07b\u202ec", []) == "a ]0;title b c"


def test_a_long_line_is_cut_and_takes_no_time() -> None:
    started = time.monotonic()
    assert len(examine.redact("a." * 500_000 + "password=x", ["hunter2"])) == foreign.KEPT_CHARACTERS
    assert time.monotonic() - started < 10


PRINTABLE = st.text(st.characters(codec="ascii", exclude_characters="[]\n\r"), max_size=30)
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="[]"), min_size=6, max_size=40)


@given(before=PRINTABLE, secret=VALUES, after=PRINTABLE, others=st.lists(VALUES, max_size=3))
def test_what_is_known_is_never_shown(before: str, secret: str, after: str, others: list[str]) -> None:
    assume(secret not in examine.HIDDEN)
    for shown in (secret, json.dumps(secret)[1:-1]):
        assert secret not in examine.redact(f"{before}{shown}{after}", [*others, secret])


@given(st.text())
def test_any_line_can_be_redacted(line: str) -> None:
    assert examine.redact(line, []).isprintable()


def test_it_runs_on_the_droplets_python() -> None:
    """As text, by stdin; no module of ours is there."""
    call = files.call("examine", {})
    compile(call, "stdin", "exec", dont_inherit=True)
    assert "meltanodata" not in [line.split()[1] for line in call.splitlines() if line.startswith(("import ", "from "))]
    assert sys.version_info >= (3, 11)
