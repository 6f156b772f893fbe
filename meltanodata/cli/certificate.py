"""`certificate`: what the wildcard certificate is and who serves it, and its renewal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from meltanodata import terminal
from meltanodata.cli import certificate_request
from meltanodata.cli.certificate_fleet import Account, Fleet, droplets, needing, none_due, renewed
from meltanodata.cli.exit_codes import WRONG
from meltanodata.cli.options import FleetStack  # noqa: TC001 - typer reads it from the annotation
from meltanodata.github import GitHub
from meltanodata.text import count, first_of, listing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from meltanodata.certificate.renewal import StackCertificate

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
    fleet = Fleet.read(stack)
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
    pull_request: Annotated[
        bool,
        typer.Option(
            "--pull-request",
            help="Open or update a pull request on GitHub, for a workflow. With the setting certificate_renewal.auto,"
            " also merge it once its preview has passed. An issue on GitHub says what could not be done.",
        ),
    ] = False,
) -> None:
    """Renew the wildcard certificate if it is due, or get the first one.

    Proves to the ACME server by a TXT record at DigitalOcean that the domain is yours, and removes the record
    afterwards. Writes the certificate and its key, encrypted, into the files of all stacks of the fleet that need one.
    A deployment brings them to the droplets. To use the server is to accept its terms of service. --pull-request needs
    GITHUB_REPOSITORY, GITHUB_REF_NAME and GITHUB_TOKEN.

    \b
    meltanodata certificate renew
    meltanodata certificate renew --dry-run
    """
    fleet = Fleet.read(stack)
    account = Account.of(fleet, directory, dry_run=dry_run)
    if pull_request:
        if force or dry_run:
            raise typer.BadParameter("--pull-request goes neither with --force nor with --dry-run")
        certificate_request.renew(fleet, account, GitHub.from_environment())
        return
    stacks = fleet.certificates if force or dry_run else needing(fleet, account)
    if not stacks:
        print(f"{none_due(fleet)} To renew now, add --force.")
        return
    new = renewed(fleet, account, stacks)
    if dry_run:
        print(f"The server issued a certificate for *.{fleet.domain}, valid until {new.ends:%Y-%m-%d}.", end=" ")
        print("Nothing was written.")
        return
    new.write(fleet.root)
    names = listing(new.stacks, "and")
    print(f"The config of {names} has the certificate for *.{fleet.domain} that is valid until {new.ends:%Y-%m-%d}.")
    print("Commit it, and deploy. The web server of every tenant restarts (seconds):")
    for name in new.stacks:
        print(f"  meltanodata up --stack {name}")


def _shown(each: StackCertificate, fleet: Fleet) -> dict[str, Any]:
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
        "droplets": droplets(settings, fleet.root, described.fingerprint),
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
