"""What is wrong with an instance, and what to do about it: the guide's chapters on verification and debugging.

Pure: from what was seen (`Seen`, gathered by `examination`) to findings, each with a hint.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from meltanodata.config import config_commands
from meltanodata.config.checks import EXPIRES_SOON, Check

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import datetime

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
    """What a check came to; nothing in it is a secret."""

    check: Check
    level: Level
    found: str
    hint: str = ""
    """What to do, with the command."""
    log: tuple[str, ...] = ()
    """Lines of a log that say more."""


@dataclass(frozen=True)
class Names:
    """What name servers say of the host name."""

    answer: tuple[str, ...] = ()
    """Addresses, from whom the stack's settings or this machine's name."""
    seconds: int = 0
    """For how long that answer may still be given."""
    zone: tuple[str, ...] | None = None
    """What the domain's own name servers say; None when they cannot be asked."""
    problem: str | None = None
    """Why there is no answer at all."""


@dataclass(frozen=True)
class Certificate:
    """What is served for the host name."""

    fingerprint: str
    """SHA-256, hexadecimal."""
    issuer: str
    begins: datetime
    ends: datetime


@dataclass(frozen=True)
class Visit:
    """What a visitor from outside gets."""

    problem: str | None
    """The finding of `files.verify.page`; None when all is well."""
    login: str | None
    """What is wrong with the login page."""
    certificate: Certificate | None
    """None when there was no TLS connection."""


@dataclass(frozen=True)
class Seen:
    """All that was to be seen of an instance; what is None was not looked at."""

    ping: bool | None = None
    names: Names | None = None
    contact: Contact | None = None
    facts: Mapping[str, Any] | str | None = None
    """What `files/doctor.py` printed; a text is why it did not."""
    visit: Visit | None = None
    database: Literal["open", "closed", "unknown"] | None = None
    """From here; unknown when its host name is."""
    trusted: frozenset[Source] | str | None = None
    """Whom the database lets in, nobody listed for everybody; a text is why that is not known."""


ENV_MODE = "620"
_CONSOLE = "https://cloud.digitalocean.com/droplets/{}"


def findings(instance: Instance, seen: Seen, now: datetime) -> list[Finding]:
    """What all of it comes to, in the order of `Check`."""
    if instance.address is None or instance.host_key is None:
        hint = f"meltanodata up --stack {instance.stack}"
        return [Finding(Check.SSH, Level.WRONG, "the stack has not finished making the droplet", hint)]
    about = _About(instance, seen, now)
    outside = [*about.ping(), *about.names(), *about.contact()]
    return [*outside, *about.droplet(), *about.database(), *about.trusted(), *about.visit()]


def not_looked_at(instance: Instance, error: Exception) -> Finding:
    """About an instance that we fail to look at: a fault of ours, which is nobody else's trouble."""
    found = f"looking at it failed ({type(error).__name__}): what it says was not foreseen"
    hint = f"Look yourself: meltanodata ssh {instance.tenant} -- systemctl status. And report it, as a fault of doctor"
    return Finding(Check.SYSTEM, Level.WRONG, found, hint)


@dataclass(frozen=True)
class _About:
    """The findings about one instance."""

    instance: Instance
    seen: Seen
    now: datetime

    @property
    def _console(self) -> str:
        return _CONSOLE.format(self.instance.droplet)

    @property
    def _again(self) -> str:
        """What makes the droplet's files as the stack has them."""
        return f"meltanodata up --stack {self.instance.stack} --replace '**::{self.instance.tenant}-files'"

    @property
    def _pin(self) -> str:
        """What asks the droplet for its host key anew, and does all that hangs on it."""
        return f"meltanodata up --stack {self.instance.stack} --replace '**::{self.instance.tenant}-host-key'"

    @property
    def _refresh(self) -> str:
        """What makes records and firewalls as the stack has them."""
        return f"meltanodata deploy --stack {self.instance.stack} --refresh"

    def _ssh(self, command: str) -> str:
        """The command that runs another one, of ours, on the droplet."""
        return f"meltanodata ssh {self.instance.tenant} -- {command}"

    def _restart_unit(self, unit: str) -> str:
        """The same for a unit that the droplet names: quoted for its shell, and all of it once more for ours."""
        command = shlex.join(["systemctl", "restart", *(["--"] if unit.startswith("-") else []), unit])
        return self._ssh(command if shlex.split(command) == command.split(" ") else shlex.quote(command))

    def ping(self) -> Iterator[Finding]:
        """The guide's step 1."""
        if self.seen.ping is None:
            return
        where = self.instance.address
        if self.seen.ping:
            yield Finding(Check.PING, Level.OK, f"{where} answers")
        elif self.seen.contact is not None and not self.seen.contact.unreachable:
            hint = (
                "Something on the way drops it. Leave the check out where it always does:"
                f" {config_commands.set_plain(self.instance.stack, ('unchecked', 0), Check.PING)}"
            )
            yield Finding(Check.PING, Level.WARNING, f"{where} does not answer, but its SSH server does", hint)
        else:
            hint = f"Look whether the droplet is switched on: {self._console}"
            yield Finding(Check.PING, Level.WRONG, f"{where} does not answer", hint)

    def names(self) -> Iterator[Finding]:
        """The guide's step 2."""
        names = self.seen.names
        if names is None:
            return
        host, right = self.instance.host, (self.instance.address,)
        truth = names.answer if names.zone is None else names.zone
        if names.problem is not None:
            hint = "Look at this machine's network, and at the setting resolver if the stack has one"
            yield Finding(Check.DNS, Level.WRONG, f"nobody says where {host} is: {names.problem}", hint)
        elif not truth:
            yield Finding(Check.DNS, Level.WRONG, f"{host} has no A record", f"Make it again: {self._refresh}")
        elif truth != right:
            found = f"{host} points to {', '.join(truth)}, not to {self.instance.address}"
            hint = f"Somebody changed the record by hand. Set it right: {self._refresh}"
            yield Finding(Check.DNS, Level.WRONG, found, hint)
        elif names.answer != right:
            other = ", ".join(names.answer) or "no address"
            found = f"{host} points to {self.instance.address}, but some still say {other}"
            hint = f"The record is new, and others remember the old one: wait {names.seconds} seconds"
            yield Finding(Check.DNS, Level.WARNING, found, hint)
        else:
            yield Finding(Check.DNS, Level.OK, f"{host} points to {self.instance.address}")

    def contact(self) -> Iterator[Finding]:
        """The guide's "SSH into the droplet", and its DNS spoofing error."""
        contact = self.seen.contact
        if contact is None:
            return
        if contact.unreachable:
            found = f"{self.instance.address} {contact.unreachable}"
            yield Finding(Check.SSH, Level.WRONG, found, f"Look at it in DigitalOcean's console: {self._console}")
        elif contact.offered:
            found = f"another host key: {contact.offered}, pinned is {self.instance.fingerprint}"
            hint = (
                "Somebody may be in between: do not sign in. If somebody rebuilt the droplet at DigitalOcean, compare"
                f" it in its console ({self._console}) by: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub. If it"
                f" is the same, pin it and set the droplet up: {self._pin}"
            )
            yield Finding(Check.SSH, Level.WRONG, found, hint)
        elif contact.unpinned:
            found = f"the stack has pinned {contact.unpinned}, which is no SSH host key"
            hint = (
                f"Look in its console ({self._console}) who wrote it: cat /etc/ssh/ssh_host_ed25519_key.pub. Once that"
                f" is a host key again, pin it and set the droplet up: {self._pin}"
            )
            yield Finding(Check.SSH, Level.WRONG, found, hint)
        elif contact.refused:
            hint = (
                f"Add the stack's public key to root's authorized_keys in the droplet's console ({self._console}), or"
                f" set the right one: {config_commands.set_secret(self.instance.stack, 'ssh_private_key')}"
            )
            yield Finding(Check.SSH, Level.WRONG, f"root is not let in: {contact.refused}", hint)
        else:
            yield Finding(Check.SSH, Level.OK, f"signed in, host key {self.instance.fingerprint}")

    def droplet(self) -> Iterator[Finding]:
        """What the script on the droplet found."""
        facts = self.seen.facts
        if facts is None:
            return
        if isinstance(facts, str):
            yield Finding(Check.SYSTEM, Level.WRONG, facts, self._ssh("systemctl status"))
            return
        yield from self._system(facts)
        yield from self._logs(facts["errors"])
        yield self._env(facts["env"])
        yield self._ftp(facts["project"])
        yield self._reached(facts["database"])

    def _system(self, facts: Mapping[str, Any]) -> Iterator[Finding]:
        journal: Mapping[str, Sequence[str]] = facts["journal"]
        told = set()
        for service, sentence in facts["services"].items():
            if sentence is None:
                continue
            unit = f"{service}.service"
            told.add(unit)
            log = tuple(journal.get(unit, ()))
            yield Finding(Check.SYSTEM, Level.WRONG, _without_look(sentence), self._restart(service, log), log)
        for unit in journal.keys() - told:
            hint = f"Read what it said last; then {self._restart_unit(unit)}"
            yield Finding(Check.SYSTEM, Level.WRONG, f"{unit} failed", hint, tuple(journal[unit]))
        if facts["system"] and not journal:
            yield Finding(Check.SYSTEM, Level.WRONG, _without_look(facts["system"]), self._ssh("systemctl status"))
        if not facts["system"] and not journal:
            yield Finding(Check.SYSTEM, Level.OK, f"running: {', '.join(facts['services'])}")

    def _restart(self, service: str, log: Collection[str]) -> str:
        if any(re.search(r"rateLimited|too many certificates", line) for line in log):
            return (
                "It asks Let's Encrypt, which has had enough. Give it the stack's certificate again:"
                f" {self._again}. Where there is none to be had: tls: self_signed in the entry of"
                f" {self.instance.tenant}, then meltanodata up --stack {self.instance.stack}"
            )
        restart = self._ssh(f"systemctl restart {service}")
        return f"Start it: {restart}. If it fails again, and what it says is about its files: {self._again}"

    def _logs(self, errors: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
        for name, lines in errors.items():
            hint = f"meltanodata logs {self.instance.tenant}"
            yield Finding(Check.LOGS, Level.WARNING, f"errors in run/{name} since yesterday", hint, tuple(lines))
        if not errors:
            yield Finding(Check.LOGS, Level.OK, "no error in run/*.log since yesterday")

    def _env(self, env: Mapping[str, str] | None) -> Finding:
        path = "/var/meltano/project/.env"
        if env is None:
            return Finding(Check.ENV, Level.WRONG, f"{path} is not there", f"Write it again: {self._again}")
        if env.get("kind", "file") != "file":
            return self._odd(path, env["kind"])
        owner, mode = env["owner"], env["mode"]
        found = f"{path} is {owner} {mode}"
        if owner != "meltano:meltano":
            # Not by chown: where meltano may write, a path may lead root elsewhere by the time that it acts.
            hint = f"Let the program mend it: {self._again}"
            return Finding(Check.ENV, Level.WRONG, f"{found}; its owner has to be meltano:meltano", hint)
        if mode == ENV_MODE:
            return Finding(Check.ENV, Level.OK, found)
        hint = self._ssh(f"runuser -u meltano -- chmod {ENV_MODE} {path}")
        if int(mode, 8) & 0o047:
            return Finding(Check.ENV, Level.WRONG, f"{found}: others than meltano can read its passwords", hint)
        # Meltano itself does so whenever somebody changes a plugin's settings in its UI.
        return Finding(Check.ENV, Level.WARNING, f"{found}, not {ENV_MODE}: it cannot be written over FTP", hint)

    def _odd(self, path: str, kind: str) -> Finding:
        """About a link, say, where `.env` has to be."""
        hint = (
            f"See what it is: {self._ssh(f'ls -ld {path}')}. Move it away, unless somebody needs it there:"
            f" {self._ssh(f'runuser -u meltano -- mv --no-clobber {path} {path}.odd')}. Then write it again:"
            f" {self._again}"
        )
        what = "a symbolic link, which the program does not follow" if kind == "link" else f"no file ({kind})"
        return Finding(Check.ENV, Level.WRONG, f"{path} is {what}", hint)

    def _ftp(self, project: Mapping[str, str] | None) -> Finding:
        path = "/var/meltano/project"
        if project is None:
            hint = f"The droplet was not made from Meltano's snapshot; look at it: {self._ssh('ls /var/meltano')}"
            return Finding(Check.FTP, Level.WRONG, f"{path} is not there", hint)
        if project.get("kind", "folder") != "folder":
            # Not to be moved away: the instance runs from wherever it leads.
            hint = (
                f"See where it leads: {self._ssh(f'ls -ld {path}')}. The program follows no link there: put the folder"
                " itself in its place, or mount it there (mount --bind)"
            )
            return Finding(Check.FTP, Level.WRONG, f"{path} is no folder ({project['kind']})", hint)
        mode = int(project["mode"], 8)
        if who := ("g" if mode & 0o020 else "") + ("o" if mode & 0o002 else ""):
            found = (
                f"{path} has mode {project['mode']}; who comes by FTP gets: 500 OOPS: vsftpd: refusing to run with"
                " writable root inside chroot()"
            )
            return Finding(Check.FTP, Level.WRONG, found, self._ssh(f"runuser -u meltano -- chmod {who}-w {path}"))
        return Finding(Check.FTP, Level.OK, f"{path} has mode {project['mode']}")

    def _reached(self, database: Mapping[str, str | None]) -> Finding:
        address, error = database["address"], database["error"]
        if address and address != self.instance.database_host:
            found = f".env leads to {address}, and the tenant's database is {self.instance.database_host}"
            return Finding(Check.DATABASE, Level.WRONG, found, f"Write it again: {self._again}")
        if error is None:
            return Finding(Check.DATABASE, Level.OK, f"the droplet gets into {address}")
        hint = f"If the password was changed at DigitalOcean: {self._refresh}. If .env was edited: {self._again}"
        if re.search(r"time(d )?out", error):
            hint = f"The droplet is no trusted source of the database any more. Make it one: {self._refresh}"
        return Finding(Check.DATABASE, Level.WRONG, f"the droplet does not get into its database: {error}", hint)

    def database(self) -> Iterator[Finding]:
        """The guide's trusted sources."""
        host = self.instance.database_host
        if self.seen.database == "closed":
            yield Finding(Check.FIREWALL, Level.OK, "the database does not answer this machine")
        elif self.seen.database == "open":
            hint = (
                f"Let in the droplet alone: {self._refresh}. If this machine has been made a trusted source on purpose,"
                " others can get at the database from it, too"
            )
            yield Finding(Check.FIREWALL, Level.WRONG, f"{host} takes connections from this machine", hint)
        elif self.seen.database == "unknown":
            hint = f"Look whether the cluster is still there: {self._refresh}"
            yield Finding(Check.FIREWALL, Level.WRONG, f"nobody says where {host} is", hint)

    def trusted(self) -> Iterator[Finding]:
        """The guide's trusted sources, as DigitalOcean has them."""
        sources = self.seen.trusted
        if sources is None:
            return
        alone = f"Let in the droplet alone: {self._refresh}"
        if isinstance(sources, str):
            hint = f"Mend that, and run it again, or look at Network Access: {self._database_console}"
            yield Finding(Check.TRUSTED, Level.WARNING, f"whom the database lets in is not known: {sources}", hint)
            return
        others = sorted(
            str(it) for it in sources if not it.is_droplet(self.instance.droplet or "", self.instance.address)
        )
        if not sources:
            found = "the database lets in everybody: it has no trusted source"
            yield Finding(Check.TRUSTED, Level.WRONG, found, alone)
        elif len(others) == len(sources):
            found = f"the database lets in {', '.join(others)}, and not its droplet {self.instance.address}"
            yield Finding(Check.TRUSTED, Level.WRONG, found, f"{self._whose(others)}{alone}")
        elif others:
            found = f"the database also lets in {', '.join(others)}"
            yield Finding(Check.TRUSTED, Level.WRONG, found, f"{self._whose(others)}{alone}")
        else:
            yield Finding(Check.TRUSTED, Level.OK, "the database lets in its droplet alone")

    @property
    def _database_console(self) -> str:
        return f"https://cloud.digitalocean.com/databases/{self.instance.database}"

    def _whose(self, others: Collection[str]) -> str:
        """What comes before somebody is shut out."""
        if all(it.startswith("nobody ") for it in others):
            return ""
        return f"Find out first who that is, and whether anybody needs it: {self._database_console}. "

    def visit(self) -> Iterator[Finding]:
        """The guide's step 6, and its chapters about the page and the certificate."""
        visit = self.seen.visit
        if visit is None:
            return
        if visit.certificate is not None:
            yield self._certificate(visit.certificate)
        facts = self.seen.facts
        if visit.problem is None and visit.login is None:
            yield Finding(Check.PAGE, Level.OK, f"https://{self.instance.host} asks for the login")
        elif visit.problem is None:
            hint = f"meltanodata logs {self.instance.tenant}"
            yield Finding(Check.PAGE, Level.WRONG, visit.login or "", hint)
        else:
            yield self._page(visit.problem, facts if isinstance(facts, dict) else None)

    def _page(self, problem: str, facts: Mapping[str, Any] | None) -> Finding:
        """About a page that does not work: `problem` is what `files.verify.page` says of it."""
        found, _, look = problem.partition(". Look at: ")
        log: tuple[str, ...] = ()
        hint = f"On the droplet (meltanodata ssh {self.instance.tenant}), look at: {look}"
        if facts is None:
            return Finding(Check.PAGE, Level.WRONG, found, hint)
        if facts["services"]["caddy"]:
            hint = f"Caddy is down, see {Check.SYSTEM} above. Start it: {self._ssh('systemctl restart caddy')}"
        elif not facts["page"]:
            hint = (
                "On the droplet itself it answers: look whether a cloud firewall or a network between drops port"
                f" 443 ({self._console}/networking)"
            )
        else:
            log = tuple(facts["page_log"])
            if any(re.search(r"Permission denied|Errno 13|No such file|Errno 2\b", line) for line in log):
                hint = f"A file cannot be read. Write the stack's files again: {self._again}. {hint}"
            elif "--unit meltano" in look:
                hint += f". If the lines blame a file, write the stack's files again: {self._again}"
        return Finding(Check.PAGE, Level.WRONG, found, hint, log)

    def _certificate(self, served: Certificate) -> Finding:
        own = self.instance.tls == "self_signed"
        found = f"of {served.issuer}, until {served.ends:%Y-%m-%d %H:%M} UTC"
        renew = (
            f"Renew it: {config_commands.set_secret(self.instance.stack, 'certificate')}, the key likewise, then"
            " meltanodata up"
        )
        if not own and self.instance.certificate and not served.fingerprint.startswith(self.instance.certificate):
            return Finding(
                Check.CERTIFICATE, Level.WRONG, f"{found}: not the stack's", f"Give it the stack's again: {self._again}"
            )
        if not served.begins <= self.now < served.ends:
            hint = self._ssh("systemctl restart caddy") if own else renew
            return Finding(Check.CERTIFICATE, Level.WRONG, f"{found}: not valid now", hint)
        if not own and served.ends - self.now < EXPIRES_SOON:
            return Finding(Check.CERTIFICATE, Level.WARNING, f"{found}: it ends soon", renew)
        return Finding(Check.CERTIFICATE, Level.OK, found)


def _without_look(sentence: str) -> str:
    """A finding of `files.verify` without what it says to look at, which has been looked at."""
    return sentence.partition(". Look at: ")[0]
