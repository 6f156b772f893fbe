"""What is wrong with an instance, and what to do about it: the guide's chapters on verification and debugging.

Pure: from what was seen (`Seen`, gathered by `probes`) to findings, each with a hint.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from meltanodata.config import config_commands
from meltanodata.config.checks import Check
from meltanodata.config.lifetime import Lifetime
from meltanodata.droplet.layout import ENV_FILE, HOST_KEY_FILE, MELTANO_HOME, MELTANO_USER, PROJECT
from meltanodata.droplet.scripts import words

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from meltanodata.doctor.droplet_facts import Database, Entry, Facts
    from meltanodata.droplet.scripts.codes import Problem
    from meltanodata.droplet.ssh import Contact
    from meltanodata.engine.instances import Instance
    from meltanodata.inventory.accounts import Source


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    """Worth a look; the instance does what it should."""
    WRONG = "wrong"


@dataclass(frozen=True)
class Finding:
    """The result of a check; nothing in it is a secret."""

    check: Check
    level: Level
    found: str
    hint: str = ""
    """What to do, with the command."""
    log: tuple[str, ...] = ()
    """Lines of a log that explain it."""


@dataclass(frozen=True)
class Names:
    """The answers of DNS for the host name."""

    answer: tuple[str, ...] = ()
    """Addresses, from the stack's or this machine's resolver."""
    seconds: int = 0
    """The answer's TTL."""
    zone: tuple[str, ...] | None = None
    """Addresses, from the domain's own name servers; None when they do not answer."""
    problem: str | None = None
    """Why the lookup failed."""
    ipv6: tuple[str, ...] | str = ()
    """Addresses from AAAA records; a text is why they are unknown."""
    alias: str | None = None
    """The host name that it is an alias of (CNAME); None where it has a record of its own."""


@dataclass(frozen=True)
class Certificate:
    """The certificate that is served for the host name."""

    fingerprint: str
    """SHA-256, hexadecimal."""
    issuer: str
    begins: datetime
    ends: datetime


@dataclass(frozen=True)
class Visit:
    """What a visitor from outside sees."""

    problem: Problem | None
    login: str | None
    """What is wrong with the login page."""
    certificate: Certificate | None
    """None when there was no TLS connection."""


@dataclass(frozen=True)
class Seen:
    """What the probes saw of an instance; None is what they did not examine."""

    ping: bool | None = None
    names: Names | None = None
    contact: Contact | None = None
    facts: Facts | str | None = None
    """From the droplet itself; a text says why there are none."""
    visit: Visit | None = None
    database: Literal["open", "closed", "unknown"] | None = None
    """Whether it accepts connections from here; unknown when DNS does not have its host name."""
    trusted: frozenset[Source] | str | None = None
    """Empty for an open database; a text says why they are unknown."""


def findings(instance: Instance, seen: Seen, now: datetime) -> list[Finding]:
    """The findings, in the order of `Check`."""
    if instance.address is None or instance.host_key is None:
        hint = f"meltanodata up --stack {instance.stack}"
        return [Finding(Check.SSH, Level.WRONG, "the stack has not finished creating the droplet", hint)]
    about = _About(instance, seen, now)
    parts = about.ping, about.names, about.contact, about.droplet, about.database, about.trusted, about.visit
    return [finding for part in parts for finding in part()]


def failed_examination(instance: Instance, error: Exception) -> Finding:
    """The finding for an instance at which the doctor itself failed."""
    text = f"doctor failed on this instance with an unexpected {type(error).__name__}"
    hint = f"Examine it by hand: meltanodata ssh {instance.tenant} -- systemctl status. Report this as a bug in doctor"
    return Finding(Check.SYSTEM, Level.WRONG, text, hint)


@dataclass(frozen=True)
class _About:
    """The findings about one instance."""

    instance: Instance
    seen: Seen
    now: datetime

    @property
    def _console(self) -> str:
        return f"https://cloud.digitalocean.com/droplets/{self.instance.droplet}"

    def _replace(self, part: str) -> str:
        return f"meltanodata up --stack {self.instance.stack} --replace '**::{self.instance.tenant}-{part}'"

    @property
    def _domain_page(self) -> str:
        """Where a person sees the domain's records."""
        return f"https://cloud.digitalocean.com/networking/domains/{self.instance.host.partition('.')[2]}"

    @property
    def _again(self) -> str:
        """The command that writes the droplet's files again."""
        return self._replace("files")

    @property
    def _refresh(self) -> str:
        """The command that restores records and firewalls."""
        return f"meltanodata deploy --stack {self.instance.stack} --refresh"

    def _ssh(self, command: str) -> str:
        """The operator's command for a command on the droplet."""
        return f"meltanodata ssh {self.instance.tenant} -- {command}"

    def _restart_unit(self, unit: str) -> str:
        """Likewise, to restart a unit that the droplet names: quoted for its shell, and again for the operator's."""
        command = shlex.join(["systemctl", "restart", *(["--"] if unit.startswith("-") else []), unit])
        return self._ssh(command if shlex.split(command) == command.split(" ") else shlex.quote(command))

    def ping(self) -> Iterator[Finding]:
        """The guide's step 1."""
        if self.seen.ping is None:
            return
        where = self.instance.address
        if self.seen.ping:
            yield Finding(Check.PING, Level.OK, f"{where} answers ping")
        elif self.seen.contact is not None and not self.seen.contact.unreachable:
            hint = (
                "The network drops ping. If that is intended, skip the check:"
                f" {config_commands.set_plain(self.instance.stack, ('unchecked', 0), Check.PING)}"
            )
            yield Finding(Check.PING, Level.WARNING, f"{where} does not answer ping, but its SSH server answers", hint)
        else:
            hint = f"Check whether the droplet is switched on: {self._console}"
            yield Finding(Check.PING, Level.WRONG, f"{where} does not answer ping", hint)

    def names(self) -> Iterator[Finding]:
        """The guide's step 2."""
        names = self.seen.names
        if names is None:
            return
        host, expected = self.instance.host, (self.instance.address,)
        addresses = names.answer if names.zone is None else names.zone
        elsewhere = list(self._elsewhere(names))
        yield from elsewhere
        if names.problem is not None:
            hint = "Check this machine's network, and the setting resolver if the stack has one"
            yield Finding(Check.DNS, Level.WRONG, f"DNS lookup for {host} failed: {names.problem}", hint)
        elif names.alias is not None:
            yield self._aliased(names, names.alias)
        elif not addresses:
            yield Finding(Check.DNS, Level.WRONG, f"{host} has no A record", f"Create it again: {self._refresh}")
        elif addresses != expected:
            text = f"{host} points to {', '.join(addresses)}, not to {self.instance.address}"
            hint = f"Somebody changed the record by hand. Restore it: {self._refresh}"
            yield Finding(Check.DNS, Level.WRONG, text, hint)
        elif names.answer != expected:
            other = ", ".join(names.answer) or "no address"
            text = f"{host} points to {self.instance.address}, but some name servers still answer {other}"
            hint = f"The record has changed, and they cache the old one: wait {names.seconds} seconds"
            yield Finding(Check.DNS, Level.WARNING, text, hint)
        elif not elsewhere:
            yield Finding(Check.DNS, Level.OK, f"{host} points to {self.instance.address}")

    def _elsewhere(self, names: Names) -> Iterator[Finding]:
        """AAAA records beside the A record: who has IPv6 goes where they point."""
        host = self.instance.host
        if names.alias is not None:
            return  # the addresses are its target's
        if isinstance(names.ipv6, str):
            hint = "Check this machine's network, and the setting resolver if the stack has one"
            yield Finding(Check.DNS, Level.WARNING, f"DNS lookup for AAAA records of {host} failed: {names.ipv6}", hint)
            return
        foreign = [address for address in names.ipv6 if not self._is_own(address)]
        if foreign:
            text = f"{host} has AAAA records for {', '.join(foreign)}, so visitors with IPv6 do not reach the droplet"
            hint = f"Find out who made them. If nobody needs them, delete them: {self._domain_page}"
            yield Finding(Check.DNS, Level.WRONG, text, hint)

    def _is_own(self, address: str) -> bool:
        """Whether an IPv6 address from DNS is the droplet's."""
        own = self.instance.ipv6
        try:
            return own is not None and ipaddress.ip_address(own) == ipaddress.ip_address(address)
        except ValueError:
            return False

    def _aliased(self, names: Names, alias: str) -> Finding:
        """A CNAME in place of the A record; DigitalOcean refuses the A record as long as it is there."""
        host = self.instance.host
        hint = (
            f"Find out who made the CNAME record. If nobody needs it, delete it ({self._domain_page}), then create the"
            f" A record again: {self._refresh}"
        )
        if names.answer == (self.instance.address,):
            text = f"{host} is an alias of {alias} (CNAME), which points to the droplet today, and has no A record"
            return Finding(Check.DNS, Level.WARNING, text, hint)
        there = ", ".join(names.answer) or "no address"
        text = f"{host} is an alias of {alias} (CNAME), which points to {there}, not to {self.instance.address}"
        return Finding(Check.DNS, Level.WRONG, text, hint)

    def contact(self) -> Iterator[Finding]:
        """The guide's "SSH into the droplet", and its DNS spoofing error."""
        contact = self.seen.contact
        if contact is None:
            return
        pin = f"pin it and set the droplet up: {self._replace('host-key')}"
        if contact.unreachable:
            text = f"{self.instance.address} {contact.unreachable}"
            yield Finding(Check.SSH, Level.WRONG, text, f"Check the droplet in DigitalOcean's console: {self._console}")
        elif contact.offered:
            text = f"the host key is {contact.offered}, but the stack has pinned {self.instance.fingerprint}"
            hint = (
                "The connection may be intercepted: do not sign in. If somebody rebuilt the droplet at DigitalOcean,"
                f" compare the key in the droplet's console ({self._console}): ssh-keygen -lf {HOST_KEY_FILE}. If it"
                f" is the same, {pin}"
            )
            yield Finding(Check.SSH, Level.WRONG, text, hint)
        elif contact.unpinned:
            text = f"the stack has pinned {contact.unpinned}, which is not an SSH host key"
            hint = (
                f"In the droplet's console ({self._console}), find out who wrote it: cat {HOST_KEY_FILE}. Once that"
                f" file holds a host key again, {pin}"
            )
            yield Finding(Check.SSH, Level.WRONG, text, hint)
        elif contact.refused:
            hint = (
                f"Add the stack's public key to root's authorized_keys in the droplet's console ({self._console}), or"
                f" set the right key: {config_commands.set_secret(self.instance.stack, 'ssh_private_key')}"
            )
            yield Finding(Check.SSH, Level.WRONG, f"SSH login as root failed: {contact.refused}", hint)
        else:
            yield Finding(Check.SSH, Level.OK, f"signed in, host key {self.instance.fingerprint}")

    def droplet(self) -> Iterator[Finding]:
        """The facts from the droplet."""
        facts = self.seen.facts
        if facts is None:
            return
        if isinstance(facts, str):
            yield Finding(Check.SYSTEM, Level.WRONG, facts, self._ssh("systemctl status"))
            return
        yield from self._system(facts)
        yield from self._logs(facts.errors)
        yield self._env(facts.env)
        yield self._ftp(facts.project)
        yield self._reached(facts.database)

    def _system(self, facts: Facts) -> Iterator[Finding]:
        stopped = {f"{service}.service": service for service, state in facts.services.items() if state != "active"}
        for unit, service in stopped.items():
            text = words.about_service(service, facts.services[service]).text
            log = tuple(facts.journal.get(unit, ()))
            yield Finding(Check.SYSTEM, Level.WRONG, text, self._restart(service, log), log)
        for unit in (unit for unit in facts.journal if unit not in stopped):
            hint = f"Read its last lines; then {self._restart_unit(unit)}"
            yield Finding(Check.SYSTEM, Level.WRONG, f"{unit} failed", hint, tuple(facts.journal[unit]))
        if facts.system != "running" and not facts.journal:
            text = words.about_system(facts.system).text
            yield Finding(Check.SYSTEM, Level.WRONG, text, self._ssh("systemctl status"))
        if facts.system == "running" and not facts.journal:
            yield Finding(Check.SYSTEM, Level.OK, f"running: {', '.join(facts.services)}")

    def _restart(self, service: str, log: Collection[str]) -> str:
        if any(re.search(r"rateLimited|too many certificates", line) for line in log):
            return (
                f"Caddy hit Let's Encrypt's rate limit. Give it the stack's certificate again: {self._again}. If no"
                f" certificate is available, write tls: self_signed in the entry of {self.instance.tenant}, then"
                f" meltanodata up --stack {self.instance.stack}"
            )
        restart = self._ssh(f"systemctl restart {service}")
        return f"Start it: {restart}. If it fails again and its log names one of its files: {self._again}"

    def _logs(self, errors: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
        for name, lines in errors.items():
            hint = f"meltanodata logs {self.instance.tenant}"
            yield Finding(Check.LOGS, Level.WARNING, f"errors in run/{name} in the last 24 hours", hint, tuple(lines))
        if not errors:
            yield Finding(Check.LOGS, Level.OK, "no error in run/*.log in the last 24 hours")

    def _env(self, env: Entry | None) -> Finding:
        path, owner, mode = ENV_FILE.path, f"{ENV_FILE.owner}:{ENV_FILE.group}", f"{ENV_FILE.mode:o}"
        if env is None:
            return Finding(Check.ENV, Level.WRONG, f"{path} does not exist", f"Write it again: {self._again}")
        if env.kind != "file":
            what = "a symbolic link, which is not followed" if env.kind == "link" else f"not a file ({env.kind})"
            hint = (
                f"Inspect it: {self._ssh(f'ls -ld {path}')}. Move it away, unless somebody needs it there:"
                f" {self._as_meltano(f'mv --no-clobber {path} {path}.odd')}. Then write it again: {self._again}"
            )
            return Finding(Check.ENV, Level.WRONG, f"{path} is {what}", hint)
        text = f"{path} has owner {env.owner} and mode {env.mode}"
        if env.owner != owner:
            # Not by chown: where meltano may write, a link may lead root elsewhere.
            return Finding(Check.ENV, Level.WRONG, f"{text}; the owner must be {owner}", f"Give it back: {self._again}")
        if env.mode == mode:
            return Finding(Check.ENV, Level.OK, text)
        hint = self._as_meltano(f"chmod {mode} {path}")
        if int(env.mode, 8) & 0o047:
            return Finding(Check.ENV, Level.WRONG, f"{text}: other users can read its passwords", hint)
        # Meltano itself sets such a mode whenever somebody changes a plugin's settings in its UI.
        return Finding(Check.ENV, Level.WARNING, f"{text}, not {mode}: it cannot be written over FTP", hint)

    def _as_meltano(self, command: str) -> str:
        """Likewise, as the user meltano."""
        return self._ssh(f"runuser -u {MELTANO_USER} -- {command}")

    def _ftp(self, project: Entry | None) -> Finding:
        if project is None:
            hint = f"The droplet was not created from Meltano's snapshot. Inspect it: {self._ssh(f'ls {MELTANO_HOME}')}"
            return Finding(Check.FTP, Level.WRONG, f"{PROJECT} does not exist", hint)
        if project.kind != "folder":
            # The hint does not move it away: the instance runs from wherever the link leads.
            hint = (
                f"See where it leads: {self._ssh(f'ls -ld {PROJECT}')}. Links there are not followed: put the folder"
                " itself in its place, or mount it there (mount --bind)"
            )
            return Finding(Check.FTP, Level.WRONG, f"{PROJECT} is not a folder ({project.kind})", hint)
        mode = int(project.mode, 8)
        if writers := ("g" if mode & 0o020 else "") + ("o" if mode & 0o002 else ""):
            text = (
                f"{PROJECT} has mode {project.mode}; FTP logins fail with: 500 OOPS: vsftpd: refusing to run with"
                " writable root inside chroot()"
            )
            return Finding(Check.FTP, Level.WRONG, text, self._as_meltano(f"chmod {writers}-w {PROJECT}"))
        return Finding(Check.FTP, Level.OK, f"{PROJECT} has mode {project.mode}")

    def _reached(self, database: Database) -> Finding:
        address, problem = database.address, database.problem
        if address and address != self.instance.database_host:
            text = f".env names the database {address}, but the tenant's is {self.instance.database_host}"
            return Finding(Check.DATABASE, Level.WRONG, text, f"Write it again: {self._again}")
        if problem is None:
            return Finding(Check.DATABASE, Level.OK, f"the droplet can sign in to {address}")
        hint = f"If the password was changed at DigitalOcean: {self._refresh}. If .env was edited: {self._again}"
        if problem.code == "not_let_in" and re.search(r"time(d )?out", problem.detail):
            hint = f"The droplet is no longer a trusted source of its database. Restore the firewall: {self._refresh}"
        reason = {
            "variable_missing": f"{problem.detail} is not in .env",
            "not_let_in": problem.detail,
            "not_asked": f"Meltano's Python cannot ask it: {problem.detail or 'no answer'}",
        }[problem.code]
        return Finding(Check.DATABASE, Level.WRONG, f"the droplet cannot sign in to its database: {reason}", hint)

    def database(self) -> Iterator[Finding]:
        """The guide's trusted sources."""
        host = self.instance.database_host
        if self.seen.database == "closed":
            yield Finding(Check.FIREWALL, Level.OK, "the database does not answer this machine")
        elif self.seen.database == "open":
            hint = (
                f"Restore the firewall, which trusts the droplet alone: {self._refresh}. If this machine is a trusted"
                " source on purpose, everybody who can use it can reach the database"
            )
            yield Finding(Check.FIREWALL, Level.WRONG, f"{host} accepts connections from this machine", hint)
        elif self.seen.database == "unknown":
            hint = f"Check whether the cluster still exists: {self._refresh}"
            yield Finding(Check.FIREWALL, Level.WRONG, f"DNS lookup for {host or 'the database'} failed", hint)

    def trusted(self) -> Iterator[Finding]:
        """The guide's trusted sources, as DigitalOcean has them."""
        sources = self.seen.trusted
        if sources is None:
            return
        if isinstance(sources, str):
            hint = f"Run this again once DigitalOcean answers, or see Network Access: {self._database_console}"
            yield Finding(Check.TRUSTED, Level.WARNING, f"the trusted sources are unknown: {sources}", hint)
            return
        droplet, address = self.instance.droplet or "", self.instance.address
        others = sorted(str(source) for source in sources if not source.is_droplet(droplet, address))
        if not sources:
            text = "the database is open to everybody: it has no trusted source"
        elif len(others) == len(sources):
            text = f"the database trusts {', '.join(others)}, but not its droplet {address}"
        elif others:
            text = f"the database also trusts {', '.join(others)}"
        else:
            yield Finding(Check.TRUSTED, Level.OK, "the database trusts its droplet alone")
            return
        restore = f"Trust the droplet alone: {self._refresh}"
        if not all(other.startswith("nobody ") for other in others):
            restore = f"Find out first who that is, and whether anybody needs it: {self._database_console}. {restore}"
        yield Finding(Check.TRUSTED, Level.WRONG, text, restore)

    @property
    def _database_console(self) -> str:
        return f"https://cloud.digitalocean.com/databases/{self.instance.database}"

    def visit(self) -> Iterator[Finding]:
        """The guide's step 6, and its chapters about the page and the certificate."""
        visit = self.seen.visit
        if visit is None:
            return
        if visit.certificate is not None:
            yield self._certificate(visit.certificate)
        facts = self.seen.facts
        if visit.problem is not None:
            yield self._page(visit.problem, None if isinstance(facts, str) else facts)
        elif visit.login is not None:
            yield Finding(Check.PAGE, Level.WRONG, visit.login, f"meltanodata logs {self.instance.tenant}")
        else:
            yield Finding(Check.PAGE, Level.OK, f"https://{self.instance.host} asks for the login")

    def _page(self, problem: Problem, facts: Facts | None) -> Finding:
        text, look_at = words.about_page(self.instance.host, problem)
        log: tuple[str, ...] = ()
        hint = f"On the droplet (meltanodata ssh {self.instance.tenant}), look at: {look_at}"
        if facts is None:
            return Finding(Check.PAGE, Level.WRONG, text, hint)
        if facts.services["caddy"] != "active":
            hint = f"Caddy is down, see {Check.SYSTEM} above. Start it: {self._ssh('systemctl restart caddy')}"
        elif not facts.page:
            hint = (
                "The page works on the droplet itself: check whether a cloud firewall or the network drops port 443"
                f" ({self._console}/networking)"
            )
        else:
            log = tuple(facts.page_log)
            if any(re.search(r"Permission denied|Errno 13|No such file|Errno 2\b", line) for line in log):
                hint = f"A file cannot be read. Write the stack's files again: {self._again}. {hint}"
            elif problem.code == "another_status":
                hint += f". If the lines blame a file, write the stack's files again: {self._again}"
        return Finding(Check.PAGE, Level.WRONG, text, hint, log)

    def _certificate(self, served: Certificate) -> Finding:
        self_signed = self.instance.tls == "self_signed"
        text = f"issued by {served.issuer}, valid until {served.ends:%Y-%m-%d %H:%M} UTC"
        renew = f"Renew it: meltanodata certificate renew, then meltanodata up --stack {self.instance.stack}"
        lifetime = Lifetime(served.begins, served.ends)
        expected = self.instance.certificate
        if not self_signed and expected and not served.fingerprint.startswith(expected):
            hint = f"Give it the stack's again: {self._again}"
            return Finding(Check.CERTIFICATE, Level.WRONG, f"{text}: not the stack's certificate", hint)
        if not lifetime.valid(self.now):
            hint = self._ssh("systemctl restart caddy") if self_signed else renew
            return Finding(Check.CERTIFICATE, Level.WRONG, f"{text}: not valid now", hint)
        if not self_signed and lifetime.due(self.now):
            return Finding(Check.CERTIFICATE, Level.WARNING, f"{text}: renewal is due", renew)
        return Finding(Check.CERTIFICATE, Level.OK, text)
