"""The checks of the demo must be able to fail: each meets a droplet and a site that are not as they should be."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import socket
import ssl
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import asyncssh
import pytest

from sandbox import browser, checks
from sandbox.checks import CheckError, Instance, Person
from sandbox.dns import DnsServer
from sandbox.home import Home
from sandbox.keys import Keys
from sandbox.running import Running

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

ADDRESS = "127.99.7.1"
"""Of the droplet; port 443 on it is nobody's."""
HOST = "acme.meltanodata.com"
PASSWORD = "right"
FORM = '<form><input id="csrf_token" name="csrf_token" type="hidden" value="t0ken"><input type="password"></form>'


@dataclass
class Droplet:
    """A droplet and a site that do as they are told."""

    person: Person
    instance: Instance
    names: dict[str, str]
    said: dict[str, tuple[int, str]] = field(default_factory=dict)
    """What a command that contains the key ends with and prints."""
    everybody_is_signed_in: bool = False


@dataclass
class Record:
    data: str
    name: str
    type: str = "A"
    ttl: int = 60
    priority: int | None = None


def site(droplet: Droplet) -> type[http.server.BaseHTTPRequestHandler]:
    """Meltano's login, as far as a browser sees it."""

    class Site(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers["Host"] != HOST:
                self.answer(404, "")
            elif self.path == "/api/v1/identity":
                known = droplet.everybody_is_signed_in or "session=good" in self.headers.get("Cookie", "")
                self.answer(200 if known else 401, '{"username": "meltano", "anonymous": false}' if known else "{}")
            else:
                self.answer(200, FORM)

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            right = (form["password"], form["csrf_token"]) == ([PASSWORD], ["t0ken"])
            self.answer(302 if right else 200, "", "session=good" if right else "session=none")

        def answer(self, status: int, body: str, cookie: str | None = None) -> None:
            self.send_response(status)
            if cookie:
                self.send_header("Set-Cookie", f"{cookie}; Path=/; Secure")
            if status == 302:
                self.send_header("Location", "/bootstrap")
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: Any) -> None:
            pass

    return Site


@contextlib.contextmanager
def served(droplet: Droplet) -> Iterator[None]:
    """The site over HTTPS, at the droplet's address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    keys = droplet.person.keys
    context.load_cert_chain(keys.wildcard_certificate, keys.wildcard_key)
    with http.server.ThreadingHTTPServer((ADDRESS, 443), site(droplet)) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def loop() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield lambda work: asyncio.run_coroutine_threadsafe(work, loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def droplet(tmp_path: Any, loop: Callable[[Coroutine[Any, Any, Any]], Any]) -> Iterator[Droplet]:
    home = Home(tmp_path)
    keys = Keys.ensure(home, "meltanodata.com")
    names = {HOST: ADDRESS}
    dns = DnsServer(
        lambda: {"meltanodata.com": [Record(address, name.partition(".")[0]) for name, address in names.items()]},
        dict,
    )
    resolver = loop(dns.start("127.0.0.1", 0))
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    known: list[Droplet] = []

    async def process(process: asyncssh.SSHServerProcess[str]) -> None:
        command = process.command or ""
        if " - " in command:  # as Python does, which reads its program to the end before it says anything
            await process.stdin.read()
        status, text = next((said for part, said in known[0].said.items() if part in command), (127, "no such command"))
        (process.stdout if status == 0 else process.stderr).write(text)
        process.exit(status)

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[host_key],
            authorized_client_keys=str(keys.ssh_public_key),
            process_factory=process,
        )

    acceptor = loop(listen())
    running = Running(
        pid=1,
        api_url="http://127.0.0.1:9",
        control_token="",
        teams={},
        domain="meltanodata.com",
        resolver=resolver,
        ssh_port=acceptor.get_port(),
        droplets="real",
        databases="real",
        plugins="stand-in",
        database_versions=("15",),
    )
    instance = Instance(
        key="acme",
        host=HOST,
        address="127.0.0.1",
        droplet="1",
        cluster="c",
        database_host="db.b.db.ondigitalocean.com",
        admin="meltano",
        password=PASSWORD,
        host_key=host_key.export_public_key().decode(),
    )
    known.append(Droplet(Person(home, running, keys), instance, names))
    yield known[0]
    acceptor.close()
    loop(acceptor.wait_closed())
    loop(dns.close())


def test_signing_in_is_judged_by_what_meltano_says_of_who_one_is(droplet: Droplet) -> None:
    with served(droplet):
        assert "as meltano" in checks.login(droplet.person, droplet.instance)
        assert checks.wrong_password(droplet.person, droplet.instance) == "refused"
        with pytest.raises(CheckError, match="refuses meltano"):
            checks.login(droplet.person, replace(droplet.instance, password="wrong"))
        droplet.everybody_is_signed_in = True
        with pytest.raises(CheckError, match="accepts a wrong password"):
            checks.wrong_password(droplet.person, droplet.instance)


def test_a_certificate_of_somebody_else_is_no_login(droplet: Droplet, tmp_path: Any) -> None:
    other = Keys.ensure(Home(tmp_path / "other"), "meltanodata.com")
    with served(droplet), pytest.raises(CheckError, match="certificate verify failed"):
        checks.login(replace(droplet.person, keys=other), droplet.instance)
    names = replace(droplet.instance, host="acme.other.com")
    droplet.names["x"] = ADDRESS
    with served(droplet), pytest.raises(CheckError, match=r"acme\.other\.com"):
        checks.login(droplet.person, names)


def test_a_name_that_is_missing_or_wrong_is_found(droplet: Droplet) -> None:
    here = replace(droplet.instance, address=ADDRESS)
    assert checks.ping_by_name(droplet.person, here).startswith(f"{HOST} is {ADDRESS} answers")
    with pytest.raises(CheckError, match="but the stack's outputs have"):
        checks.ping_by_name(droplet.person, droplet.instance)
    with pytest.raises(CheckError, match="still resolves"):
        checks.gone_from_dns(droplet.person, droplet.instance)
    droplet.names.clear()
    with pytest.raises(CheckError, match="does not resolve"):
        checks.ping_by_name(droplet.person, here)
    assert "no longer resolve" in checks.gone_from_dns(droplet.person, droplet.instance)


def test_services_that_do_not_run_are_found(droplet: Droplet) -> None:
    droplet.said = {"is-system-running": (0, "running\n"), "is-active": (0, "active\nactive\nactive\n")}
    assert checks.services(droplet.person, droplet.instance).startswith("running: caddy active")
    droplet.said["is-active"] = (0, "active\nactivating\nactive\n")
    with pytest.raises(CheckError, match="meltano activating"):
        checks.services(droplet.person, droplet.instance)
    droplet.said |= {"is-system-running": (0, "degraded\n"), "is-active": (0, "failed\nactive\nactive\n")}
    with pytest.raises(CheckError, match="degraded, caddy failed"):
        checks.services(droplet.person, droplet.instance)


def test_a_file_with_another_mode_is_found(droplet: Droplet) -> None:
    right = {path: f"{path} {mode}" for path, mode in checks.FILES.items()}
    droplet.said = {"stat": (0, "\n".join(right.values()))}
    assert ".env 620 meltano:meltano" in checks.files(droplet.person, droplet.instance)
    env = "/var/meltano/project/.env"
    droplet.said = {"stat": (0, "\n".join({**right, env: f"{env} 644 root:root"}.values()))}
    with pytest.raises(CheckError, match=r"\.env is 644 root:root, not 620"):
        checks.files(droplet.person, droplet.instance)


def test_a_database_that_answers_whom_it_should_not_is_found(droplet: Droplet) -> None:
    seen = "doadmin defaultdb 127.0.0.1 15.1"
    droplet.said = {checks.PYTHON: (0, seen), "cat ": (0, "PG_PORT=1")}
    assert "PostgreSQL 15.1" in checks.database_from_droplet(droplet.person, droplet.instance)
    for answer in (seen, "password authentication failed"):
        droplet.said[checks.PYTHON] = (0, answer)
        with pytest.raises(CheckError, match=r" answers \S+; look at the cluster's firewall"):
            checks.database_from_other(droplet.person, droplet.instance, droplet.instance)
    droplet.said[checks.PYTHON] = (0, "timed out")
    assert checks.database_from_other(droplet.person, droplet.instance, droplet.instance) == "no answer"
    with pytest.raises(CheckError, match="timed out"):
        checks.database_from_droplet(droplet.person, droplet.instance)


def test_a_visit_to_a_droplet_is_noticed(droplet: Droplet) -> None:
    droplet.said = {"journalctl": (0, "8\n")}
    assert "none ran again" in checks.left_alone(droplet.person, droplet.instance, 7)
    with pytest.raises(CheckError, match="2 logins"):
        checks.left_alone(droplet.person, droplet.instance, 5)


def test_a_server_with_another_host_key_is_nobody(droplet: Droplet) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    with pytest.raises(CheckError, match=r"SSH to root@127\.0\.0\.1 failed"):
        checks.services(droplet.person, replace(droplet.instance, host_key=other))


def test_what_is_left_on_the_disk_is_found(droplet: Droplet) -> None:
    disk = droplet.person.home.path / "droplets" / "1"
    disk.mkdir(parents=True)
    with pytest.raises(CheckError, match="not deleted"):
        checks.gone_from_machine(droplet.person, droplet.instance, seconds=0.2)
    disk.rmdir()
    with pytest.raises(CheckError, match="SSH still answers"):
        checks.gone_from_machine(droplet.person, droplet.instance)


def test_whether_somebody_answers_at_all() -> None:
    with socket.create_server((ADDRESS, 0)) as server:
        port = server.getsockname()[1]
        assert checks._answer(ADDRESS, port) == "accepts"
    assert checks._answer(ADDRESS, port) == "refuses"


@pytest.mark.skipif(browser.program() is None, reason="Chromium is not installed")
def test_a_picture_is_taken_of_a_login_page_with_a_trusted_certificate_only(droplet: Droplet, tmp_path: Any) -> None:
    program = browser.program() or ""
    picture = tmp_path / "login.png"
    with served(droplet):
        checks.screenshot(droplet.person, droplet.instance, program, picture)
        assert picture.read_bytes().startswith(b"\x89PNG")
        stranger = replace(droplet.person, keys=Keys.ensure(Home(tmp_path / "other"), "meltanodata.com"))
        with pytest.raises(CheckError, match="no login form"):
            checks.screenshot(stranger, droplet.instance, program, picture)
