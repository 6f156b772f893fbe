"""Examine an instance from inside: the guide's chapters on debugging. Runs on the droplet, as root.

It changes nothing and prints facts, as JSON, that the doctor judges; `doctor.droplet_facts` has their shape. Text that
others write (logs, errors) goes through `redact`, so that no secret in it leaves the droplet.
"""

from __future__ import annotations

import datetime as dt
import grp
import itertools
import json
import os
import pwd
import re
import stat
import subprocess
import tempfile
import time
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meltanodata.droplet.layout import (
    DATABASE_VARIABLES,
    ENV_FILE,
    HOST_NAME_SETTING,
    MELTANO_PYTHON,
    MELTANO_USER,
    PROJECT,
    SERVICES,
    UI_FILE,
    UI_LOG,
)
from meltanodata.droplet.scripts.codes import Problem
from meltanodata.droplet.scripts.descriptors import Refused, folder, regular
from meltanodata.droplet.scripts.env_lines import READERS, env_values
from meltanodata.droplet.scripts.foreign import KEPT_CHARACTERS, printable
from meltanodata.droplet.scripts.health import failed_units, page_problem, service_state, system_state

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

KEPT_LINES = 12
"""Of each log."""
KEPT_PARTS = 10
"""Units, and files, of which lines are kept."""
MOST_LOGS = 50
"""Of Meltano's log files; pipelines can create any number of them."""
LOG_BYTES = 1 << 18
"""Read from the end of each log."""
OUTPUT_BYTES = 1 << 18
"""Read of a command's output."""
SECONDS = 30
"""That a command may take."""
FILE_BYTES = 1 << 22
"""Read of each file that may hold secrets."""
RECENT = 24 * 3600
"""Seconds: older errors are left out."""
HIDDEN = "[hidden]"


def main(
    document: dict[str, Any],
    root: Path = Path("/"),
    programs: Path | None = None,
    caddy: tuple[str, int] = ("127.0.0.1", 443),
) -> None:
    """Print the facts.

    The document has `host_name`, `database_host` and `reach`, the program that reaches the database. Tests set the
    other arguments; `programs` has systemctl, journalctl and Meltano's Python.
    """
    systemctl, journalctl = (str(programs / name) if programs else name for name in ("systemctl", "journalctl"))
    services = {service: service_state(systemctl, service) for service in SERVICES}
    # Our own services first, since only the first few are printed.
    units = [f"{service}.service" for service, state in services.items() if state != "active"]
    units = [*dict.fromkeys([*units, *failed_units(systemctl)])][:KEPT_PARTS]
    page = page_problem(document["host_name"], None, caddy)
    page_unit = "meltano" if page and page.code in ("public", "another_status") else "caddy"
    secrets = hidden_values(root)
    public = [document["host_name"], document["database_host"] or ""]

    def shown_lines(lines: list[str]) -> list[str]:
        return [redact(line, secrets, public) for line in lines[-KEPT_LINES:]]

    address, problem = database_answer(document["reach"], programs)
    if problem is not None:
        problem = Problem(problem.code, *shown_lines([" ".join(problem.detail.split())]))
    facts = {
        "system": system_state(systemctl),
        "services": services,
        "journal": {unit: shown_lines(journal(journalctl, unit)) for unit in units},
        "page": page and page._asdict(),
        "page_log": shown_lines(journal(journalctl, page_unit)) if page else [],
        "errors": {
            redact(name, secrets): shown_lines(lines)
            for name, lines in itertools.islice(recent_errors(Path(UI_LOG).parent, root), KEPT_PARTS)
        },
        "env": entry(Path(ENV_FILE.path), root),
        "project": entry(Path(PROJECT), root),
        "database": {"address": address and printable(address), "problem": problem and problem._asdict()},
    }
    print(json.dumps(facts))


def journal(journalctl: str, unit: str) -> list[str]:
    """The last lines of a unit's log."""
    return output_of(
        journalctl, "--unit", unit, "--lines", str(KEPT_LINES), "--no-pager", "--output", "cat"
    ).splitlines()


def output_of(*command: str, text: str = "") -> str:
    """A command's output, errors included; ends the command when it prints too much or takes too long."""
    limited = ["timeout", "--kill-after=5", str(SECONDS), *command]
    with tempfile.TemporaryFile() as stdin:
        stdin.write(text.encode())
        stdin.seek(0)
        process = subprocess.Popen(limited, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    with process:
        output = process.stdout.read(OUTPUT_BYTES) if process.stdout else b""
        process.terminate()  # `timeout` hands it on
    return output.decode(errors="replace")


def entry(path: Path, root: Path) -> dict[str, str] | None:
    """Owner, mode and kind of a file or folder; None where there is none. Follows no link."""
    try:
        with folder(path.parent, root) as at:
            status = os.stat(path.name, dir_fd=at, follow_symlinks=False)
    except (Refused, OSError):
        return None
    try:
        owner = f"{pwd.getpwuid(status.st_uid).pw_name}:{grp.getgrgid(status.st_gid).gr_name}"
    except KeyError:  # an owner without a name
        owner = f"{status.st_uid}:{status.st_gid}"
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}
    kind = kinds.get(stat.S_IFMT(status.st_mode), "other")
    return {"owner": owner, "mode": f"{stat.S_IMODE(status.st_mode):o}", "kind": kind}


def database_answer(reach: str, programs: Path | None) -> tuple[str | None, Problem | None]:
    """The answer of reach.py: the address, and what is wrong."""
    interpreter = [str(programs / "python")] if programs else ["runuser", "--user", MELTANO_USER, "--", MELTANO_PYTHON]
    *_, last = ["", *output_of(*interpreter, "-", text=reach).splitlines()]
    try:
        answer = json.loads(last)
        address, problem = answer["address"], answer["problem"] and Problem(**answer["problem"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return None, Problem("not_asked", last)
    # Whoever may write Meltano's environment can print anything here.
    reached = problem is None and isinstance(address, str)
    failed = isinstance(problem, Problem) and problem.code in ("variable_missing", "not_let_in")
    if reached or (failed and isinstance(problem.detail, str) and isinstance(address, (str, type(None)))):
        return address, problem
    return None, Problem("not_asked", last)


ENTRY = re.compile(r"[\[ ]*(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)")
ERROR = re.compile(r"\b(?:ERROR|CRITICAL|FATAL)\b|^\S*Traceback \(most recent call last\)|\[error\s*\]")


def recent_errors(logs: Path, root: Path) -> Iterator[tuple[str, list[str]]]:
    """Meltano's logs with errors of the last day: each file's name, and those errors with the lines that follow."""
    try:
        with folder(logs, root) as at:
            listed = os.listdir(at)  # noqa: PTH208 - of a descriptor
            names = sorted(name for name in listed if name.endswith(".log") and not name.startswith("."))
            texts = {name: end_of_log(logs / name, at) for name in names[:MOST_LOGS]}
    except (Refused, OSError):
        return
    now = time.time()
    for name, text in texts.items():
        is_error, recent, lines = False, True, []
        for line in text.splitlines():
            entry_begins = ENTRY.match(line)
            if entry_begins:
                recent = now - seconds_of(entry_begins[1], now) < RECENT
            is_error = bool(ERROR.search(line)) or (is_error and not entry_begins)
            if is_error and recent and line.strip():
                lines.append(line)
        if lines:
            yield name, lines


def end_of_log(path: Path, at: int) -> str:
    """The end of a log; empty if the log is old, or a link."""
    try:
        with regular(path, at) as handle:
            if not isinstance(handle, int):
                return ""
            status = os.fstat(handle)
            if time.time() - status.st_mtime > RECENT:
                return ""
            return os.pread(handle, LOG_BYTES, max(0, status.st_size - LOG_BYTES)).decode(errors="replace")
    except (Refused, OSError):
        return ""


def seconds_of(stamp: str, otherwise: float) -> float:
    """A log's time stamp as seconds since 1970; `otherwise` where it is no time."""
    try:
        return dt.datetime.fromisoformat(stamp.replace("T", " ")).replace(tzinfo=dt.timezone.utc).timestamp()  # noqa: UP017 - Python 3.8
    except ValueError:
        return otherwise


PUBLIC_NAMES = {HOST_NAME_SETTING, *DATABASE_VARIABLES.values()} - {DATABASE_VARIABLES["password"]}
SHORTEST = 6
"""Characters: shorter values are common words."""
HIDES = (  # what people call a secret
    r"[\w.-]{0,40}(?:passw(?:or)?d|passphrase|pwd|secret|token|api[-_]?key|access[-_]?key|private[-_]?key|credential|salt"
    r"|signature|session|dsn|auth[-_]?(?:code|key))[\w.-]{0,40}"
)


def hidden_values(root: Path) -> list[str]:
    """The secrets in the instance's own files: every value of .env and ui.cfg, and what meltano.yml calls a secret."""
    secrets = set()
    assignment = re.compile(r"\s*(?:export\s+)?([\w.-]+)\s*[=:]\s*(.*)")
    for path in (ENV_FILE.path, UI_FILE.path, f"{PROJECT}/meltano.yml"):
        text, is_yaml = content(Path(path), root), path.endswith(".yml")
        if not is_yaml:
            # As Meltano reads them, too: a value may have several lines.
            for reader in READERS:
                values = env_values(text, reader)
                for value in (value for key, value in values.items() if value and key not in PUBLIC_NAMES):
                    secrets |= {value, *value.splitlines()}
        for line in text.splitlines():
            match = assignment.match(line.replace("- ", "", 1) if is_yaml else line)
            if match is None or match[1] in PUBLIC_NAMES:
                continue
            if is_yaml and not re.fullmatch(HIDES, match[1], re.IGNORECASE):
                continue
            value = match[2].strip()
            secrets |= {value, value.strip("'\""), value.split(" #")[0].strip().strip("'\"")}
    return [value for value in secrets if len(value) >= SHORTEST]


def content(path: Path, root: Path) -> str:
    """A file's text; empty where there is no file, or a link of the user's."""
    try:
        with folder(path.parent, root) as at, regular(path, at) as handle:
            return os.pread(handle, FILE_BYTES, 0).decode(errors="replace") if isinstance(handle, int) else ""
    except (Refused, OSError):
        return ""


VALUE = r"\"(?:\\.|[^\"\\])*\"?|'(?:\\.|[^'\\])*'?|[^\s,;&)}\]]+"
PATTERNS = (
    # A header's value goes to the end of the line.
    r"(?i)(\b(?:authorization|(?:set-)?cookie|x-[\w-]{0,40}(?:key|token|auth)[\w-]{0,40})[\\\"']*\s*[:=]).*",
    rf"(?i)(\b{HIDES}[\\\"']*\s*(?:=>|=|:)\s*)(?:{VALUE})",
    rf"(?i)(\bpassword\s+)(?={chr(39)}|\")(?:{VALUE})",
    rf"(?i)(\s--?(?:p|password|token|secret)[ =])(?:{VALUE})",
    r"(?i)(\b(?:basic|bearer|digest|negotiate)\s+)\S{6,}",
    r"(\w://)\S*@",
    r"(\b[\w.+-]{1,64}:)[^\s/@:]+@",
)
"""Each hides what a name, or its place, shows to be a secret, and keeps its first group."""
WORD = re.compile(r"[A-Za-z0-9+/_=~-]{16,}")
MANY_DIGITS = 6
MANY_SWITCHES, SWITCHES_A_CHARACTER = 4, 0.15


def redact(text: str, secrets: Collection[str], public: Collection[str] = ()) -> str:
    """A line without secrets and control characters, shortened.

    Hides the `secrets`, also as an address or a quoted string has them; what the line calls a secret; and each word
    that looks random, unless a text of `public` has it, since a customer's key may be in none of our files.
    """
    variants = {
        variant for value in secrets for variant in (value, urllib.parse.quote(value, safe=""), json.dumps(value)[1:-1])
    }
    for value in sorted(variants, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    # Not before, or half of a secret could be left; not later, since the patterns are slow on long lines.
    text = printable(text)
    for pattern in PATTERNS:
        text = re.sub(pattern, rf"\1{HIDDEN}", text)

    def hidden(word: re.Match[str]) -> str:
        return word[0] if any(word[0] in name for name in public) or not looks_random(word[0]) else HIDDEN

    return WORD.sub(hidden, text)[:KEPT_CHARACTERS]


def looks_random(word: str) -> bool:
    """Whether a long word has many digits, or changes often from one kind of character to another."""
    digits = sum(character.isdigit() for character in word)
    if (digits >= MANY_DIGITS and re.search("[A-Za-z]", word)) or (digits and word.isupper()):
        return True
    switches = len(re.findall("(?=[a-z][A-Z]|[A-Za-z][0-9]|[0-9][A-Za-z])", word))
    return switches >= max(MANY_SWITCHES, len(word) * SWITCHES_A_CHARACTER)
