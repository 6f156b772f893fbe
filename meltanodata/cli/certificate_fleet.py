"""The fleet of the wildcard certificate, its account at an ACME server, and a renewal without a word about where to."""

from __future__ import annotations

import contextlib
import signal
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn

import typer

from meltanodata.cli.context import project
from meltanodata.config import settings_loading
from meltanodata.config.checks import Check
from meltanodata.config.settings import LETS_ENCRYPT
from meltanodata.config.settings_loading import ACCOUNT_KEY
from meltanodata.engine import pulumi_cli
from meltanodata.engine.instances import instances
from meltanodata.errors import UserError
from meltanodata.text import listing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from meltanodata.certificate.acme_server import AcmeServer
    from meltanodata.certificate.renewal import StackCertificate
    from meltanodata.config.settings import Settings


@dataclass(frozen=True)
class Fleet:
    """The stacks of one domain, with their decrypted config."""

    root: Path
    stacks: tuple[Settings, ...]
    configs: Mapping[str, Mapping[str, str]]
    """By stack; never to be shown."""
    certificates: Sequence[StackCertificate]
    now: datetime

    @classmethod
    def read(cls, stack: str | None) -> Fleet:
        """The fleet that a stack belongs to; without a name, the one at DigitalOcean."""
        from meltanodata.certificate.renewal import StackCertificate

        root, now = project(), datetime.now(UTC)
        fleet = root.fleet(stack)
        named = next((each for each in fleet if each.stack == stack), fleet[0])
        if stack is None and len({each.domain for each in fleet}) > 1:
            raise UserError(f"the stacks have several domains. Name one: --stack {listing([s.stack for s in fleet])}")
        stacks = tuple(each for each in fleet if each.domain == named.domain)
        configs = {each.stack: pulumi_cli.config(each.stack, root.root) for each in stacks}
        certificates = [
            StackCertificate.of(name, settings_loading.certificate(config), named.domain, now)
            for name, config in configs.items()
        ]
        return cls(root.root, stacks, configs, certificates, now)

    @property
    def domain(self) -> str:
        """The one that the certificate is for, and all below it."""
        return self.stacks[0].domain


@dataclass(frozen=True)
class Account:
    """An ACME server, and the fleet's account there."""

    fleet: Fleet
    url: str
    key: str
    keeps: Sequence[str]
    """The stacks whose config gets the key first."""

    @classmethod
    def of(cls, fleet: Fleet, directory: str | None, *, dry_run: bool) -> Account:
        """The account at the named server, or at the setting's; a dry run asks the staging server of Let's Encrypt."""
        from meltanodata.certificate import acme_server

        configured = fleet.stacks[0].certificate_renewal.directory
        staging = dry_run and configured == LETS_ENCRYPT
        url = directory or (acme_server.LETS_ENCRYPT_STAGING if staging else configured)
        if not url.startswith("https://"):
            raise typer.BadParameter("the directory's URL has to begin with https://")
        keys = {stack: settings_loading.acme_account_key(config) for stack, config in fleet.configs.items()}
        key = next((key.get_secret_value() for key in keys.values() if key), None)
        without = [] if dry_run else [stack for stack, key in keys.items() if key is None]
        return cls(fleet, url, key or acme_server.new_key(), without)

    @property
    def server(self) -> AcmeServer:
        """The server, which is asked for its directory."""
        from meltanodata.certificate.acme_server import AcmeServer

        return AcmeServer(self.url, self.key)

    def suggested(self) -> Sequence[StackCertificate]:
        """The stacks whose certificate the server wants to be renewed by now, although it is not due."""
        try:
            server = self.server
        except UserError as error:
            print(f"{error}. So whether it suggests an earlier renewal is unknown.", file=sys.stderr)
            return []
        return [
            each
            for each in self.fleet.certificates
            if each.certificate and server.suggests_renewal(each.certificate, self.fleet.now)
        ]

    def obtain(self) -> tuple[str, str]:
        """A new certificate and its key."""
        from meltanodata.certificate import stack_files
        from meltanodata.certificate.challenge import Zone

        server, settings = self.server, self.fleet.stacks[0]
        server.sign_in()
        if self.keeps:
            # Before the order: an account without its key would count against the server's limit of new accounts.
            stack_files.write(self.fleet.root, {stack: {ACCOUNT_KEY: self.key} for stack in self.keeps})
            print(f"The config of {listing(self.keeps, 'and')} has the key of a new account at {self.url}.", flush=True)
        tokens = settings_loading.tokens(self.fleet.configs[settings.stack])
        zone = Zone(settings, tokens, lambda line: print(line, file=sys.stderr, flush=True))
        # Here, since a server that validated the domain lately asks for no record.
        zone.remove_leftovers()
        return server.obtain(f"*.{settings.domain}", zone.published)


@dataclass(frozen=True)
class Renewal:
    """A certificate that the droplets can use, and whose config gets it."""

    certificate: str
    key: str
    """PEM; never to be shown."""
    stacks: Sequence[str]
    ends: datetime

    def write(self, root: Path) -> None:
        """Write it into the stacks' files; see `stack_files.write`."""
        from meltanodata.certificate import stack_files

        values = {"certificate": self.certificate, "certificate_key": self.key}
        stack_files.write(root, dict.fromkeys(self.stacks, values))


def none_due(fleet: Fleet) -> str:
    """A sentence for a fleet whose certificates are all usable."""
    day = min(each.described.lifetime.renewal for each in fleet.certificates if each.described)
    return f"No renewal is due before {day:%Y-%m-%d}."


def needing(fleet: Fleet, account: Account) -> Sequence[StackCertificate]:
    """The stacks whose certificate is due, else those for which the server suggests it."""
    from meltanodata.certificate import renewal

    return renewal.due(fleet.certificates, fleet.now) or account.suggested()


def renewed(
    fleet: Fleet, account: Account, stacks: Sequence[StackCertificate], pending: Sequence[StackCertificate] = ()
) -> Renewal:
    """A certificate for these stacks: one that another stack, or a pending request, has already, or a new one.

    Raises:
        UserError: the server refuses; nothing is changed, but that the account's key is in the config.
    """
    from meltanodata.certificate import renewal

    names = listing([each.stack for each in stacks], "and")
    others = [each for each in fleet.certificates if each not in stacks]
    if (current := renewal.usable([*others, *pending], fleet.now)) is not None:
        print(f"{current.stack} has a certificate that is not due, so {names} gets the same one.")
        certificate, key = current.certificate or "", current.key or ""
    else:
        with _cleaning_up_when_ended():
            certificate, key = account.obtain()
    new = renewal.StackCertificate.of("", (certificate, key), fleet.domain, datetime.now(UTC))
    if new.described is None or new.problems:
        raise UserError(
            f"{account.url} issued a certificate that the droplets could not use: {listing(new.problems, 'and')}."
            " Nothing was changed. Use another server"
        )
    return Renewal(certificate, key, [each.stack for each in stacks], new.described.lifetime.ends)


@contextlib.contextmanager
def _cleaning_up_when_ended() -> Iterator[None]:
    """Let SIGTERM raise an exception, as Ctrl-C does, so that what has to be removed is removed."""

    def end(*_: object) -> NoReturn:
        raise typer.Exit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def droplets(settings: Settings, root: Path, fingerprint: str) -> dict[str, list[str]] | None:
    """The tenants with a wildcard certificate, by what their droplets serve; None if the stack skips that check."""
    from meltanodata.certificate import serving

    if Check.CERTIFICATE in settings.unchecked:
        return None
    made = instances(settings.stack, pulumi_cli.state(settings.stack, root, show_secrets=True))
    served = serving.fingerprints([each for each in made if each.tls == "wildcard"])
    return {
        "this": sorted(tenant for tenant, other in served.items() if other == fingerprint),
        "another": sorted(tenant for tenant, other in served.items() if other not in {None, fingerprint}),
        "no_answer": sorted(tenant for tenant, other in served.items() if other is None),
    }
