"""The scripts for droplets on a real one, against somebody who runs there as the user meltano.

A customer's pipeline does. The attacker swaps names in that user's folders at full speed, with the kernel's own
exchange, while root writes files and keeps copies again and again. That the attacker is quick enough is shown by an
imitation of root that acts by path.
"""

from __future__ import annotations

import asyncio
import json
import random
import shlex
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest

from meltanodata.droplet import files
from sandbox.choice import obstacle
from sandbox.home import Home
from sandbox.keys import Keys
from sandbox.server import Modes
from tests.sandbox.api import Background, Client, new_droplet
from tests.unit.droplet.scripts.samples import PIECES
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from meltanodata.config.options import Tls

REASON = obstacle("droplets")
pytestmark = [
    pytest.mark.skipif(REASON is not None, reason=f"real droplets: {REASON}"),
    pytest.mark.timeout(1500),  # the first time on a machine the snapshot is made
]

SECONDS = 300
HOST = "acme.meltanodata.com"
CRT, KEY = "/etc/caddy/com.meltanodata.crt", "/etc/caddy/com.meltanodata.key"
PYTHON = "/var/meltano/.venv/bin/python"


@dataclass
class Droplet:
    """A real one, and root on it."""

    address: str
    keys: Keys

    def run(self, command: str, stdin: str = "", *, code: int | None = 0) -> str:
        """What a command prints."""

        async def ask() -> asyncssh.SSHCompletedProcess:
            async with asyncssh.connect(
                self.address,
                username="root",
                client_keys=[str(self.keys.ssh_private_key)],
                known_hosts=None,
                agent_path=None,
                config=None,
                connect_timeout=20,
            ) as connection:
                return await connection.run(command, input=stdin, timeout=SECONDS)

        done = asyncio.run(ask())
        said = str(done.stdout) + str(done.stderr)
        assert code is None or done.exit_status == code, said
        return said

    def answers(self) -> bool:
        try:
            self.run("true")
        except (OSError, asyncssh.Error):
            return False
        return True

    def python(self, program: str, *, user: str = "root") -> str:
        """What a Python program prints there."""
        return self.run(f"runuser -u {user} -- python3 -", program)

    def document(self, certificate: str | None = None, tls: Tls = "wildcard") -> files.File:
        """What all droplets have alike, with another certificate if need be."""
        return files.common_document(
            files.droplet_files(
                domain="meltanodata.com",
                caddy_version=1,
                tls=tls,
                certificate=files.Certificate(
                    certificate or self.keys.wildcard_certificate.read_text(), self.keys.wildcard_key.read_text()
                ),
            )
        )

    def told(self, common: files.File) -> dict[str, Any]:
        """What the files' Command is told."""
        values = files.tenant_values(
            host_name=HOST,
            login=files.Login("s3cret", "s4lt"),
            database=files.Database("db.example.com", 25060, "defaultdb", "doadmin", "AVNS_x"),
        )
        return files.tenant_document(common, values, keep_secrets=False)

    def written(self, common: files.File, *, code: int = 0) -> str:
        """Bring the document and run the files' Command, as the program does."""
        self.run("mkdir -p /run/meltanodata && python3 -", files.bringing([common]))
        script = files.placed("write_files").path
        return self.run(f"python3 {script}", json.dumps(self.told(common)), code=code)

    def caddy(self) -> str:
        """The process that serves, and its state."""
        return self.run("systemctl show --property=MainPID,ActiveState caddy")

    def served(self) -> str:
        """The certificate that visitors are shown, PEM."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection((self.address, 443), timeout=20) as plain,
            context.wrap_socket(plain, server_hostname=HOST) as connection,
        ):
            return ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True) or b"")


@pytest.fixture(scope="module")
def droplet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Droplet]:
    """One with the files of the tenant acme."""
    home = Home(tmp_path_factory.mktemp("links"))
    with Background(home, Modes(droplets="real", databases="light", plugins="official")) as running:
        client = Client(running.api_url, running.teams["Meltano"].token)
        keys = [key["id"] for key in client.get("/v2/account/keys")["ssh_keys"]]
        number = client.post("/v2/droplets", new_droplet(client, ssh_keys=keys), 202)["droplet"]["id"]
        shown = eventually(
            lambda: (it := client.get(f"/v2/droplets/{number}")["droplet"])["status"] == "active" and it, SECONDS
        )
        (address,) = [it["ip_address"] for it in shown["networks"]["v4"] if it["type"] == "public"]
        there = Droplet(address, Keys.ensure(home, running.domain))
        eventually(there.answers, SECONDS)
        there.written(there.document())
        yield there


# Somebody at work as the user meltano

ATTACK = """
import ctypes, os
libc, AT, EXCHANGE = ctypes.CDLL(None, use_errno=True), -100, 2
pairs = {pairs!r}
while True:
    for name, link, target in pairs:
        # Root may have put something over the link, or be in the middle of removing the name.
        if not os.path.islink(name) and not os.path.islink(link):
            try:
                os.symlink(target, link)
            except FileExistsError:
                try:
                    os.unlink(link)
                except OSError:
                    pass
    for _ in range(20):
        for name, link, _ in pairs:
            libc.renameat2(AT, name.encode(), AT, link.encode(), EXCHANGE)
"""

RACE = """
import contextlib, io, os, pathlib, signal, subprocess, time
MARK = "tell-tale"
OWN = pathlib.Path("/srv/own")
os.makedirs(OWN, exist_ok=True)

def lay():
    for name, text in {secrets!r}.items():
        path = OWN / name
        path.write_bytes(text.encode("latin-1"))
        path.chmod(0o600)

def state():
    return sorted(
        (path.name, path.read_bytes(), path.lstat().st_uid, path.lstat().st_mode, path.lstat().st_ino)
        for path in OWN.iterdir()
    )

def leaked():
    own = {{(path.stat().st_dev, path.stat().st_ino) for path in OWN.iterdir()}}
    for home in {homes!r}:
        for folder, _, names in os.walk(home):
            for name in names:
                with contextlib.suppress(OSError):
                    handle = os.open(os.path.join(folder, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
                    with os.fdopen(handle, "rb") as file:
                        status = os.fstat(handle)
                        if (status.st_dev, status.st_ino) not in own and MARK.encode() in file.read():
                            return os.path.join(folder, name)
    return None

lay()
before = state()
command = ["runuser", "-u", "meltano", "--", "python3", "-c", {attack!r}]
attacker = subprocess.Popen(command, cwd="/", start_new_session=True)
try:
    end, runs, won, refused, crashes = time.monotonic() + {seconds}, 0, None, 0, set()
    while time.monotonic() < end and runs < {most} and won is None:
        runs += 1
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                {step}
        except SystemExit as error:
            refused += "symbolic link" in str(error)
        except Exception as error:
            crashes.add(repr(error))
        if state() != before:
            won = "root's own files are changed"
        elif place := leaked():
            won = f"they are in {{place}}"
finally:
    os.killpg(attacker.pid, signal.SIGKILL)
    attacker.wait()
print(json.dumps({{"runs": runs, "won": won, "refused": refused, "crashes": sorted(crashes)[:5]}}))
"""


def raced(
    droplet: Droplet, script: str, step: str, pairs: list[tuple[str, str, str]], **options: Any
) -> dict[str, Any]:
    """Run a step of a script again and again under attack: how often, and what the attacker won.

    Args:
        droplet: where.
        script: Python, before the step.
        step: one line, run as root.
        pairs: what is exchanged: a name, the name of a link, and where that leads.
        options: of `RACE`.
    """
    known = {
        "seconds": 20,
        "most": 100_000,
        "homes": ["/var/meltano/project", "/var/meltano/swap"],
        "secrets": dict.fromkeys((".env", "ui.cfg"), "A=tell-tale\nPG_PORT=1\n"),
        "attack": ATTACK.format(pairs=pairs),
    }
    program = f"{script}\n\nimport json\n" + RACE.format(step=step, **{**known, **options})
    links = " ".join(shlex.quote(link) for _, link, _ in pairs)
    # What is exchanged is of this disk: a folder of the snapshot's cannot be renamed.
    saved = " && ".join(
        f"cp -a {name} {name}.new && mv {name} {name}.saved && mv {name}.new {name}" for name, _, _ in pairs
    )
    droplet.run(saved)
    try:
        found: dict[str, Any] = json.loads(droplet.python(program).splitlines()[-1])
        return found
    finally:
        back = "; ".join(f"rm -rf {name} && mv {name}.saved {name}" for name, _, _ in pairs)
        droplet.run(f"rm -rf {links}; {back}; rm -rf /srv/own")


ENV = "/var/meltano/project/.env"
FILE = [(ENV, "/var/meltano/project/.swap", "/srv/own/.env")]
FOLDER = [("/var/meltano/project", "/var/meltano/swap", "/srv/own")]

BY_PATH = """
from pathlib import Path

def naive(path=Path("/var/meltano/project/.env")):
    if path.is_symlink():
        return
    text = path.read_text()
    draft = path.with_name(".draft")
    draft.write_text(text.replace("PG_PORT=1", "PG_PORT=2"))
    os.chown(draft, path.stat().st_uid, -1)
    draft.chmod(0o644)
    draft.replace(path)
    path.parent.stat()
"""


@pytest.mark.parametrize("pairs", [FILE, FOLDER], ids=["file", "folder"])
def test_an_attacker_wins_against_root_that_acts_by_path(droplet: Droplet, pairs: list[tuple[str, str, str]]) -> None:
    found = raced(droplet, BY_PATH, "naive()", pairs, seconds=120)
    assert found["won"], found


@pytest.mark.parametrize("pairs", [FILE, FOLDER], ids=["file", "folder"])
def test_nothing_of_roots_is_won_while_the_files_are_written(
    droplet: Droplet, pairs: list[tuple[str, str, str]]
) -> None:
    document = droplet.told(droplet.document())
    # Each run changes .env, whose mode is wrong each time, too, and no service is started for it.
    step = "document['values']['PG_PORT'] = str(runs); main(document, systemctl='/bin/true')"
    script = f"{files.script('write_files')}\n\ndocument = {document!r}\n"
    found = raced(droplet, script, step, pairs)
    assert found["won"] is None
    assert found["crashes"] == []
    assert found["runs"] > 20
    assert 0 < found["refused"] < found["runs"]  # both sides of the race were seen
    droplet.written(droplet.document())


HOME = "/var/race"
"""A home of the user meltano's whose virtual environment is quickly copied."""
MAKE = """
import sqlite3
connection = sqlite3.connect({path!r})
connection.executescript("DROP TABLE IF EXISTS t; CREATE TABLE t AS SELECT {text!r} AS a")
connection.close()
"""


def raced_copies(droplet: Droplet, script: str, step: str) -> dict[str, Any]:
    """The same for the copies that an upgrade keeps and puts back."""
    project, own = f"{HOME}/project/.meltano", "/run/own.db"
    droplet.run(
        f"mkdir -p {HOME}/.venv/bin {project} {HOME}/.venv.before.part && echo x > {HOME}/.venv/bin/python"
        f" && chown -R meltano:meltano {HOME}"
    )
    droplet.python(MAKE.format(path=f"{project}/meltano.db", text="of the tenant"), user="meltano")
    droplet.python(MAKE.format(path=own, text="tell-tale"))
    database = bytes.fromhex(droplet.python(f"print(open({own!r}, 'rb').read().hex())")).decode("latin-1")
    pairs = [
        (project, f"{HOME}/project/.swap", "/srv/own"),
        (f"{HOME}/.venv", f"{HOME}/.swap", "/srv/own"),
        (f"{HOME}/.venv.before.part", f"{HOME}/.swap.part", "/srv/own"),
    ]
    script = script.replace('"/var/meltano"', repr(HOME)) + (
        "\n\nreal_run = run\n"
        "def run(*command, told=''):\n"
        "    return '' if command[0] == 'systemctl' else real_run(*command, told=told)\n"
    )
    secrets = {"meltano.db": database, "meltano.db.before": "tell-tale", "notes": "tell-tale"}
    try:
        return raced(droplet, script, step, pairs, homes=[HOME], secrets=secrets)
    finally:
        droplet.run(f"rm -rf {HOME} {own}")


def test_nothing_of_roots_is_won_while_copies_are_kept_for_an_upgrade(droplet: Droplet) -> None:
    found = raced_copies(droplet, files.script("meltano"), "undo(); as_user(keep_copies)")
    assert found["won"] is None
    assert found["crashes"] != []  # the kernel refused
    assert all(crash.startswith("Failed(") for crash in found["crashes"])
    assert found["runs"] > 20


def test_a_link_is_refused_and_the_advice_leads_on(droplet: Droplet) -> None:
    env = droplet.run(f"cat {ENV}")
    droplet.run(f"runuser -u meltano -- sh -c 'mv {ENV} {ENV}.mine && ln -s {KEY} {ENV}'")
    said = droplet.written(droplet.document(), code=1)
    assert f"{ENV} is a symbolic link to {KEY}" in said
    assert droplet.run(f"stat -c '%U:%G %a' {KEY}").strip() == "root:caddy 640"
    (advice,) = [part for part in said.replace(";", ": ").split(": ") if part.startswith("runuser -u meltano -- mv")]
    droplet.run(advice)
    droplet.written(droplet.document())
    assert droplet.run(f"stat -c '%U:%G %a' {ENV}").strip() == "meltano:meltano 620"
    droplet.run(f"rm {ENV}.odd; mv {ENV}.mine {ENV}")
    droplet.written(droplet.document())
    assert droplet.run(f"cat {ENV}") == env


def test_a_file_that_root_wrote_is_given_back(droplet: Droplet) -> None:
    """As `meltano config` run as root leaves it."""
    droplet.run(f"echo TAP=1 >> {ENV}; chown root:root {ENV}; chmod 600 {ENV}")
    droplet.written(droplet.document())
    assert droplet.run(f"stat -c '%U:%G %a' {ENV}").strip() == "meltano:meltano 620"
    assert "TAP=1" in droplet.run(f"runuser -u meltano -- cat {ENV}")


# Lines of .env


def test_the_droplets_own_python_dotenv_reads_as_we_do(droplet: Droplet) -> None:
    chosen = random.Random(17)
    texts = ["".join(chosen.choices(PIECES, k=chosen.randrange(25))) for _ in range(5000)]
    program = f"""{files.script("write_files")}

import io, logging, dotenv
logging.disable(logging.CRITICAL)
for text in json.loads({json.dumps(texts)!r}):
    theirs = dict(dotenv.dotenv_values(stream=io.StringIO(text, newline=""), interpolate=False))
    if env_values(text, READERS[0]) != theirs:
        print(repr(text), env_values(text, READERS[0]), theirs)
"""
    assert droplet.run(f"runuser -u meltano -- {PYTHON} -", program) == ""


# New files of Caddy's


BAD: dict[str, Callable[[str], str]] = {
    "no line break between certificates": lambda pem: pem.replace("-----\n-----", "----------"),
    "no certificate at all": lambda _: "nonsense\n",
    "cut off": lambda pem: pem[:300] + "\n",
}


@pytest.mark.parametrize("why", BAD)
def test_a_certificate_that_caddy_refuses_takes_no_instance_down(droplet: Droplet, why: str) -> None:
    good = droplet.keys.wildcard_certificate.read_text()
    before, serving = droplet.caddy(), droplet.served()
    listing = "ls -ln --time-style=+ /etc/caddy; cat /etc/caddy/*"
    files_before = droplet.run(listing)
    said = droplet.written(droplet.document(BAD[why](good)), code=1)
    assert "caddy rejects its new files: " in said
    assert "The old files are restored, and caddy runs with them" in said
    assert "PRIVATE KEY" not in said
    assert droplet.caddy() == before  # not even restarted
    assert droplet.served() == serving
    assert droplet.run(listing) == files_before
    assert droplet.run("ls -A /var/lib/meltanodata/restart /var/lib/meltanodata/before").split() == [
        "/var/lib/meltanodata/before:",
        "/var/lib/meltanodata/restart:",
    ]


def test_caddy_that_does_not_start_with_new_files_is_back_with_the_old_ones(droplet: Droplet) -> None:
    """Whatever the reason; here its unit refuses a certificate that Caddy itself takes."""
    serving = droplet.served()
    unit = "/etc/systemd/system/caddy.service.d"
    refusing = "[Service]\nExecStartPre=/bin/sh -c '! grep --quiet marked /etc/caddy/com.meltanodata.crt'\n"
    droplet.run(f"mkdir -p {unit} && cat > {unit}/refusing.conf && systemctl daemon-reload", refusing)
    try:
        marked = f"{droplet.keys.wildcard_certificate.read_text()}# marked\n"
        said = droplet.written(droplet.document(marked), code=1)
        assert "caddy does not start with its new files: " in said
        assert "caddy runs with them" in said
        assert "ActiveState=active" in droplet.caddy()
        assert droplet.served() == serving
        assert "marked" not in droplet.run(f"cat {CRT}")
    finally:
        droplet.run(f"rm {unit}/refusing.conf && systemctl daemon-reload")


def test_good_files_are_served(droplet: Droplet) -> None:
    serving = droplet.served()
    droplet.written(droplet.document(tls="self_signed"))
    assert droplet.served() != serving
    droplet.written(droplet.document())
    assert droplet.served() == serving
