"""The commands about instances on real droplets: each finding is provoked, and mended by doing what its hint says."""

from __future__ import annotations

import ftplib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.demo import Sandbox
from sandbox.home import PROJECT, Home
from tests.sandbox.api import Client
from tests.sandbox.processes import process_list
from tests.sandbox.real import REASON, World, real_tenants
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


pytestmark = [
    pytest.mark.skipif(REASON is not None, reason=f"real droplets and databases: {REASON}"),
    pytest.mark.timeout(1800),
]
MELTANODATA = [sys.executable, "-c", "from meltanodata.cli.main import main; main()"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with real_tenants(Home(tmp_path_factory.mktemp("home"))) as world:
        yield world


@dataclass
class Operator:
    """Somebody at the sandbox's machine, in the project's folder, with the sandbox's variables."""

    folder: Path
    environment: dict[str, str]

    def run(self, *arguments: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*MELTANODATA, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=600,
        )
        assert code is None or done.returncode == code, done.stdout + done.stderr
        return done

    def doctor(self, tenant: str) -> dict[str, dict[str, Any]]:
        """What is not well, by check."""
        done = self.run("doctor", tenant, "--json", code=None)
        found = json.loads(done.stdout)[tenant]
        assert done.returncode == (0 if found["well"] else 1)
        assert found["well"] == all(it["level"] != "wrong" for it in found["findings"])
        return {it["check"]: it for it in found["findings"] if it["level"] != "ok"}

    def ssh(self, tenant: str, command: str) -> str:
        return self.run("ssh", tenant, "--", command).stdout

    def follow(self, hint: str) -> None:
        """Do what a hint says: the first command in it."""
        command = shlex.split(re.findall(r"meltanodata (?:up|deploy|ssh) .*?(?=\. |$)", hint)[0])
        more = ["--yes", "--skip-preview"] if command[1] == "up" else []
        self.run(*command[1:], *more)

    def soon_well(self, tenant: str, but: set[str] = frozenset()) -> None:  # type: ignore[assignment]  # empty
        eventually(lambda: self.doctor(tenant).keys() <= but, seconds=180)


@pytest.fixture(scope="module")
def operator(world: World) -> Operator:
    said = Sandbox(world.sandbox.home, world.sandbox.console).run("env", show=False)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "DIGITALOCEAN_"))}
    variables = dict(shlex.split(line)[1].split("=", 1) for line in said.splitlines() if line.startswith("export "))
    environment = {**kept, **variables, "PYTHONPATH": str(PROJECT), "HOME": str(world.sandbox.home.folder("nobody"))}
    return Operator(world.sandbox.home.path / "project", environment)


TENANT = "acme"
PROJECT_THERE = "/var/meltano/project"


def test_all_is_well_and_nothing_is_changed_by_looking(operator: Operator) -> None:
    done = operator.run("doctor")
    assert "2 of 2 tenants are well" in done.stdout
    assert "left out" not in done.stdout
    operator.run("plan", "--stack", "sandbox")


def test_status_has_a_row_for_each_tenant_and_says_who_is_well(operator: Operator, world: World) -> None:
    rows = json.loads(operator.run("status", "--json").stdout)
    assert set(rows) == {instance.key for instance in world.instances}
    for row in rows.values():
        assert (row["stack"], row["in_file"], row["in_state"]) == ("sandbox", True, "yes")
        assert (row["health"], row["problems"]) == ("ok", [])
        assert row["deployed"]["at"].startswith("20")
    operator.ssh(TENANT, "systemctl stop caddy")
    sick = operator.run("status", TENANT).stdout
    assert f"page: https://{TENANT}." in sick
    assert f"{TENANT}: meltanodata doctor {TENANT} --stack sandbox" in sick
    assert "1 tenant, 1 deployed, 0 well, 1 not well" in sick
    assert "page" not in operator.run("status", TENANT, "--no-health").stdout


def test_restart_brings_a_stopped_instance_back(operator: Operator) -> None:
    operator.ssh(TENANT, "systemctl stop caddy meltano")
    done = operator.run("restart", TENANT)
    assert f"{TENANT}: meltano was restarted" in done.stdout
    assert f"{TENANT}: caddy was restarted" in done.stdout
    assert "asks for the login" in done.stdout
    operator.soon_well(TENANT)


def test_a_caddy_that_rejects_its_files_is_not_stopped(operator: Operator) -> None:
    since = "systemctl show --property=MainPID caddy meltano"
    before = operator.ssh(TENANT, since)
    caddyfile = "/etc/caddy/Caddyfile"
    operator.ssh(TENANT, f"cp {caddyfile} /root/kept; sed -i s/com.meltanodata.crt/gone.crt/ {caddyfile}")
    done = operator.run("restart", TENANT, "--only", "caddy", code=1)
    assert "caddy was not restarted and still runs, because it rejects its files" in done.stdout
    assert f"meltanodata up --stack sandbox --replace '**::{TENANT}-files'" in done.stdout
    assert "asks for the login" in done.stdout
    assert operator.ssh(TENANT, since) == before
    operator.ssh(TENANT, f"cat /root/kept > {caddyfile}; rm /root/kept")


def test_nothing_is_restarted_while_a_run_is_at_work_on_the_droplet(operator: Operator) -> None:
    since = "systemctl show --property=MainPID caddy meltano"
    before = operator.ssh(TENANT, since)
    operator.ssh(TENANT, "setsid flock /run/meltanodata.lock sleep 600 >/dev/null 2>&1 & sleep 1")
    done = operator.run("restart", TENANT, code=1)
    assert "nothing was restarted: a run, or what an interrupted run began there, is still working" in done.stdout
    operator.ssh(TENANT, "pkill -f '^sleep 600'")
    assert operator.ssh(TENANT, since) == before


def test_psql_reaches_the_database_and_shows_no_password(operator: Operator, world: World) -> None:
    (instance,) = (it for it in world.instances if it.key == TENANT)
    password = re.findall(r"PG_PASSWORD='?([^'\n]+)", operator.ssh(TENANT, f"cat {PROJECT_THERE}/.env"))[0]
    plainly = ("--no-psqlrc", "--tuples-only", "--no-align")
    sees = "SELECT host(inet_client_addr()) = '{}', ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    with process_list(pause=0.05) as processes:
        done = operator.run(
            *("psql", TENANT, "--", *plainly, "--command", sees.format(instance.address)),
            *("--command", "SELECT pg_sleep(1)", "--command", r"\! tr '\0' '\n' < /proc/$PPID/environ"),
        )
    first, *environment = done.stdout.splitlines()
    assert first == "t|t"
    assert any(line.startswith("PGPASSFILE=/proc/") for line in environment)
    shown = {"output": done.stdout + done.stderr, "processes": "".join(processes)}
    assert [place for place, text in shown.items() if password in text] == []
    assert "psql" in shown["processes"]
    harmless = ("options='-c default_transaction_read_only=on'", "--command", "CREATE TABLE x ()")
    refused = operator.run("psql", TENANT, "--", *plainly, *harmless, code=1)
    assert "cannot execute CREATE TABLE in a read-only transaction" in refused.stderr
    failed = operator.run("psql", TENANT, "--", *plainly, "--command", "SELEC 1", code=1)
    assert "syntax error" in failed.stderr


def test_what_is_wrong_on_a_droplet(operator: Operator, world: World) -> None:
    (instance,) = (it for it in world.instances if it.key == TENANT)
    password = re.findall(r"PG_PASSWORD='?([^'\n]+)", operator.ssh(TENANT, f"cat {PROJECT_THERE}/.env"))[0]
    now = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    log = f"[{now},000] [1|root] [ERROR] no way with {password} and {instance.password}"
    operator.ssh(
        TENANT,
        f"systemctl stop caddy; chmod 644 {PROJECT_THERE}/.env; chmod g+w {PROJECT_THERE};"
        f" echo tenant:sesame | chpasswd; echo '{log}' > {PROJECT_THERE}/.meltano/run/meltano-ui.log",
    )
    assert ftp(instance.address).startswith("500 OOPS: vsftpd: refusing to run with writable root inside chroot()")
    found = operator.doctor(TENANT)
    assert set(found) == {"system", "logs", "env", "ftp", "page"}
    assert found["system"]["found"] == "caddy.service is inactive, not active"
    assert any("Stopped caddy.service" in line for line in found["system"]["log"])
    assert found["logs"]["log"] == [log.replace(password, "[hidden]").replace(instance.password, "[hidden]")]
    assert "500 OOPS: vsftpd: refusing to run with writable root" in found["ftp"]["found"]
    assert found["page"]["found"].startswith(f"https://{instance.host} does not answer")
    assert found["page"]["log"] == []
    assert "Caddy is down" in found["page"]["hint"]
    shown = operator.run("doctor", TENANT, code=1)
    assert not {password, instance.password} & set(re.split(r"\W", shown.stdout + shown.stderr))
    for check in ("system", "env", "ftp"):
        operator.follow(found[check]["hint"])
    operator.soon_well(TENANT, {"logs"})
    assert ftp(instance.address) == "230 Login successful."
    operator.ssh(TENANT, f": > {PROJECT_THERE}/.meltano/run/meltano-ui.log")
    operator.soon_well(TENANT)


def ftp(address: str) -> str:
    """What the FTP server says to the tenant's user."""
    server = ftplib.FTP(address, timeout=30)
    try:
        return server.login("tenant", "sesame")
    except ftplib.Error as error:
        return str(error)
    finally:
        server.close()  # without a word: one that refuses to run has no more to say


def test_a_page_that_fails_and_a_service_that_cannot_start(operator: Operator) -> None:
    operator.ssh(TENANT, f"chmod 000 {PROJECT_THERE}/ui.cfg; systemctl restart meltano")
    found = eventually(lambda: it if "page" in (it := operator.doctor(TENANT)) else None)
    assert found["page"]["found"].endswith("answers 502")
    assert f"--replace '**::{TENANT}-files'" in found["page"]["hint"]
    eventually(
        lambda: any(
            "Permission denied: '/var/meltano/project/ui.cfg'" in line
            for it in operator.doctor(TENANT).values()
            for line in it["log"]
        )
    )
    # By hand again: on a fast machine systemd has given Meltano up by now, on a slow one it still tries.
    operator.ssh(
        TENANT,
        f"chmod 640 {PROJECT_THERE}/ui.cfg; systemctl restart meltano;"
        " echo nonsense > /etc/caddy/Caddyfile; systemctl restart caddy",
    )
    found = operator.doctor(TENANT)
    assert found["system"]["found"].startswith("caddy.service is ")
    again = re.findall(r"meltanodata up .*", found["system"]["hint"])[0]
    operator.follow(again)
    operator.soon_well(TENANT)


def test_another_certificate(operator: Operator) -> None:
    operator.ssh(
        TENANT,
        "sed -i -e 's/^tls .etc/# &/' -e 's/^# tls self_signed/tls self_signed/' /etc/caddy/Caddyfile;"
        " systemctl restart caddy",
    )
    found = eventually(lambda: it if "certificate" in (it := operator.doctor(TENANT)) else None)
    assert "Caddy Self-Signed" in found["certificate"]["found"]
    assert found["certificate"]["found"].endswith("not the stack's certificate")
    operator.follow(found["certificate"]["hint"])
    operator.soon_well(TENANT)


def test_what_somebody_changed_at_digitalocean(operator: Operator, world: World) -> None:
    """A record that leads elsewhere, and a database that lets in this machine instead of the droplet."""
    running = world.person.running
    (instance,) = (it for it in world.instances if it.key == TENANT)
    meltano = Client(running.api_url, running.teams["Meltano"].token)
    (record,) = (
        it
        for it in meltano.get(f"/v2/domains/{running.domain}/records?type=A&per_page=200")["domain_records"]
        if it["name"] == TENANT
    )
    meltano.put(f"/v2/domains/{running.domain}/records/{record['id']}", {"type": "A", "data": "203.0.113.9"})
    team = next(
        client
        for name, access in running.teams.items()
        if name != "Meltano"
        and instance.cluster in str((client := Client(running.api_url, access.token)).get("/v2/databases"))
    )
    rules = {"rules": [{"type": "ip_addr", "value": running.resolver[0]}]}
    team.put(f"/v2/databases/{instance.cluster}/firewall", rules, 204)
    found = eventually(lambda: it if len(it := operator.doctor(TENANT)) == 4 else None)
    assert found["dns"]["found"] == f"{instance.host} points to 203.0.113.9, not to {instance.address}"
    assert "time" in found["database"]["found"]
    assert found["firewall"]["found"].endswith("accepts connections from this machine")
    assert found["trusted"]["found"].startswith(
        f"the database trusts {running.resolver[0]} (ip_addr), but not its droplet"
    )
    remedy = "meltanodata deploy --stack sandbox --refresh"
    assert all(remedy in it["hint"] for it in found.values())
    operator.follow(found["dns"]["hint"])
    operator.soon_well(TENANT)


def test_a_host_key_that_has_changed(operator: Operator) -> None:
    """The guide's DNS spoofing error: nobody signs in, until somebody has looked and pinned the new key."""
    key = "/etc/ssh/ssh_host_ed25519_key"
    operator.ssh(TENANT, f"rm {key}*; ssh-keygen -q -t ed25519 -N '' -f {key}; systemctl restart ssh")
    new = operator.run("doctor", TENANT, "--json", code=1)
    (ssh,) = (it for it in json.loads(new.stdout)[TENANT]["findings"] if it["check"] == "ssh")
    assert re.match(r"the host key is SHA256:\S+, but the stack has pinned SHA256:\S+", ssh["found"])
    assert "do not sign in" in ssh["hint"]
    refused = operator.run("ssh", TENANT, "--", "true", code=255)
    assert refused.stderr.endswith(f"Diagnose it: meltanodata doctor {TENANT} --stack sandbox\n")
    operator.follow(ssh["hint"])
    operator.soon_well(TENANT)


def test_ssh_gives_back_what_the_command_does(operator: Operator) -> None:
    done = operator.run("ssh", TENANT, "--", "echo out; echo err >&2; ls -A /tmp/; exit 7", code=7)
    assert done.stdout.startswith("out\n")
    assert "err" in done.stderr
    assert list(operator.folder.glob("meltanodata-*")) == []
    assert operator.run("ssh", "nobody", code=1).stderr.startswith("there is no tenant 'nobody' in sandbox.")


def test_logs(operator: Operator) -> None:
    said = operator.run("logs", TENANT).stdout
    assert "meltano-ui.log <==" in said
    assert "Started meltano.service" in said
    assert "Serving HTTPS on port 443" in said


def test_a_log_that_is_a_pipe_or_has_control_characters_in_it_harms_no_operator(
    operator: Operator,
) -> None:
    log = f"{PROJECT_THERE}/.meltano/run/meltano-ui.log"
    operator.ssh(TENANT, f"runuser -u meltano -- sh -c 'mv {log} {log}.save && mkfifo {log}'")
    assert "Started meltano.service" in operator.run("logs", TENANT).stdout
    operator.ssh(TENANT, f"runuser -u meltano -- sh -c 'rm {log} && printf \"\\033]0;title\\007 Zürich\\n\" > {log}'")
    assert "\n\\x1b]0;title\\x07 Zürich\n" in operator.run("logs", TENANT).stdout
    operator.ssh(TENANT, f"runuser -u meltano -- mv {log}.save {log}")


def test_logs_are_followed_until_somebody_has_seen_enough(operator: Operator) -> None:
    there = "pgrep --count --full '^(journalctl|tail) .*(--follow|-F)' || true"
    command = [*MELTANODATA, "logs", TENANT, "--follow"]
    with subprocess.Popen(
        command, cwd=operator.folder, env=operator.environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "Serving HTTPS" in line:
                break
        operator.ssh(TENANT, f"echo just now >> {PROJECT_THERE}/.meltano/run/meltano-ui.log")
        assert any(line == "just now\n" for line in process.stdout)
        assert operator.ssh(TENANT, there).strip() == "2"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    eventually(lambda: operator.ssh(TENANT, there).strip() == "0")
