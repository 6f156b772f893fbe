"""`certificate`: what the wildcard certificate is and who serves it, and its renewal."""

from __future__ import annotations

import contextlib
import signal
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from meltanodata import terminal
from meltanodata.cli.context import project
from meltanodata.cli.exit_codes import WRONG
from meltanodata.cli.options import FleetStack  # noqa: TC001 - typer reads it from the annotation
from meltanodata.config import settings_loading
from meltanodata.config.checks import Check
from meltanodata.config.settings_loading import ACCOUNT_KEY
from meltanodata.engine import pulumi_cli
from meltanodata.engine.instances import instances
from meltanodata.errors import UserError
from meltanodata.text import count, first_of, listing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from meltanodata.certificate.acme_server import AcmeServer
    from meltanodata.certificate.renewal import StackCertificate
    from meltanodata.config.settings import Settings

app = typer.Typer()
_group = typer.Typer(help="Show and renew the wildcard certificate.", no_args_is_help=True)
app.add_typer(_group, name="certificate")

_TENANTS_SHOWN = 20


@_group.command()
def status(
    stack: FleetStack = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show the certificate of each stack, and which droplets serve it.

    Renewal is due when less than a third of the lifetime is left. Needs the stacks' passphrase. Exit code 1: renewal is
    due, or a stack has no usable certificate.

    \b
    meltanodata certificate status
    meltanodata certificate status --json | jq '.[].days_left'
    """
    fleet = _Fleet.read(stack)
    shown = [_shown(each, fleet) for each in fleet.certificates]
    if as_json:
        print(terminal.as_json(shown, indent=2))
    else:
        print("\n\n".join(map(_as_text, shown)))
    if any(each["due"] for each in shown):
        raise typer.Exit(WRONG)


@_group.command()
def renew(
    stack: FleetStack = None,
    directory: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="The directory of the ACME server. Default: the setting certificate_renewal, else Let's Encrypt; with"
            " --dry-run the staging server of Let's Encrypt.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Renew a certificate that is not due.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Get a certificate from the server, check it, and write nothing.")
    ] = False,
) -> None:
    """Renew the wildcard certificate if it is due, or get the first one.

    Proves to the ACME server by a TXT record at DigitalOcean that the domain is yours, and removes the record
    afterwards. Writes the certificate and its key, encrypted, into the files of all stacks of the fleet that need one.
    A deployment brings them to the droplets. To use the server is to accept its terms of service.

    \b
    meltanodata certificate renew
    meltanodata certificate renew --dry-run
    """
    from meltanodata.certificate import renewal, stack_files

    fleet = _Fleet.read(stack)
    account = _Account.of(fleet, directory, dry_run=dry_run)
    needing = fleet.certificates if force or dry_run else renewal.due(fleet.certificates, fleet.now)
    if not needing:
        needing = account.suggested()
    if not needing:
        day = min(each.described.lifetime.renewal for each in fleet.certificates if each.described)
        print(f"No renewal is due before {day:%Y-%m-%d}. To renew now, add --force.")
        return
    others = [each for each in fleet.certificates if each not in needing]
    if (current := renewal.usable(others, fleet.now)) is not None:
        print(f"{current.stack} has a certificate that is not due, so {_names(needing)} gets the same one.")
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
    ends = f"{new.described.lifetime.ends:%Y-%m-%d}"
    if dry_run:
        print(f"The server issued a certificate for *.{fleet.domain}, valid until {ends}. Nothing was written.")
        return
    values = {"certificate": certificate, "certificate_key": key}
    stack_files.write(fleet.root, {each.stack: values for each in needing})
    print(f"The config of {_names(needing)} has the certificate for *.{fleet.domain} that is valid until {ends}.")
    print("Commit it, and deploy. The web server of every tenant restarts (seconds):")
    for each in needing:
        print(f"  meltanodata up --stack {each.stack}")


@dataclass(frozen=True)
class _Fleet:
    """The stacks of one domain, with their decrypted config."""

    root: Path
    stacks: tuple[Settings, ...]
    configs: Mapping[str, Mapping[str, str]]
    """By stack; never to be shown."""
    certificates: Sequence[StackCertificate]
    now: datetime

    @classmethod
    def read(cls, stack: str | None) -> _Fleet:
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
        return self.stacks[0].domain


@dataclass(frozen=True)
class _Account:
    """An ACME server, and the fleet's account there."""

    fleet: _Fleet
    url: str
    key: str
    keeps: Sequence[str]
    """The stacks whose config gets the key first."""

    @classmethod
    def of(cls, fleet: _Fleet, directory: str | None, *, dry_run: bool) -> _Account:
        from meltanodata.certificate import acme_server

        configured = fleet.stacks[0].certificate_renewal.directory
        staging = dry_run and configured == acme_server.LETS_ENCRYPT
        url = directory or (acme_server.LETS_ENCRYPT_STAGING if staging else configured)
        if not url.startswith("https://"):
            raise typer.BadParameter("the directory's URL has to begin with https://")
        keys = {stack: settings_loading.acme_account_key(config) for stack, config in fleet.configs.items()}
        key = next((key.get_secret_value() for key in keys.values() if key), None)
        without = [] if dry_run else [stack for stack, key in keys.items() if key is None]
        return cls(fleet, url, key or acme_server.new_key(), without)

    @property
    def server(self) -> AcmeServer:
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


def _names(stacks: Sequence[StackCertificate]) -> str:
    return listing([each.stack for each in stacks], "and")


def _shown(each: StackCertificate, fleet: _Fleet) -> dict[str, Any]:
    """A stack's certificate, as JSON shows it."""
    settings = next(settings for settings in fleet.stacks if settings.stack == each.stack)
    described, shown = each.described, {"stack": each.stack, "due": each.due(fleet.now), "problems": [*each.problems]}
    if described is None:
        return shown
    lifetime = described.lifetime
    return {
        **shown,
        "subject": [*described.hosts],
        "issuer": described.issuer,
        "serial": described.serial,
        "fingerprint": described.fingerprint,
        "begins": lifetime.begins.isoformat(),
        "ends": lifetime.ends.isoformat(),
        "lifetime_days": (lifetime.ends - lifetime.begins).days,
        "days_left": (lifetime.ends - fleet.now).days,
        "renewal": lifetime.renewal.isoformat(),
        "droplets": _droplets(settings, fleet.root, described.fingerprint),
    }


def _droplets(settings: Settings, root: Path, fingerprint: str) -> dict[str, list[str]] | None:
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


def _as_text(shown: Mapping[str, Any]) -> str:
    lines = [f"{shown['stack']}:"]
    if "issuer" in shown:
        left = f"{shown['days_left']} of {count(shown['lifetime_days'], 'day')} left"
        lines += [
            f"for {listing(shown['subject'], 'and')}, issued by {shown['issuer']}, serial {shown['serial']}",
            f"valid from {shown['begins'][:10]} to {shown['ends'][:10]}, {left}",
            *_droplet_lines(shown["droplets"]),
        ]
    lines.append(
        "renewal is due: meltanodata certificate renew"
        if shown["due"]
        else f"renewal is due from {shown['renewal'][:10]} on"
    )
    return "\n  ".join([*lines, *shown["problems"]])


def _droplet_lines(droplets: Mapping[str, Sequence[str]] | None) -> Iterator[str]:
    if droplets is None:
        yield "droplets not asked: the setting unchecked lists certificate"
        return
    yield f"served by {count(len(droplets['this']), 'droplet')}"
    for key, words in (("another", "another one is served by"), ("no_answer", "no answer from")):
        if droplets[key]:
            yield f"{words} {first_of(droplets[key], _TENANTS_SHOWN)}"
