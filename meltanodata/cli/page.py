"""`page`: the fleet on one page."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path  # noqa: TC003 - typer looks at it
from typing import Annotated

import typer

from meltanodata.cli.context import located, project, read
from meltanodata.cli.options import FleetStack  # noqa: TC001 - typer looks at it
from meltanodata.config import edit, placement
from meltanodata.engine import pulumi_cli
from meltanodata.text import count

app = typer.Typer()


@app.command()
def page(
    output: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write the page.")],
    stack: FleetStack = None,
    revision: Annotated[
        str | None, typer.Option(metavar="REV", help="The repository's revision, which the page's footer shows.")
    ] = None,
) -> None:
    """Write one HTML page about the whole fleet.

    The file is self-contained. The command reads the stacks' states, which needs access to their backend, but neither
    tokens nor passphrase.

    \b
    meltanodata page index.html
    """
    from meltanodata.render import page as pages

    stacks, file = located(stack)
    _, fleet = read(file)
    states = [pulumi_cli.state(settings.stack, project().root) for settings in stacks]
    entries = pages.in_order(entry for state in states for entry in pages.entries(state))
    content = pages.Page(
        domain=stacks[0].domain,
        made=datetime.now(UTC),
        revision=revision,
        entries=entries,
        teams=[
            pages.Team(placement.droplet_use(fleet, stacks), "droplets"),
            *(pages.Team(use, "databases") for use in placement.database_uses(fleet, stacks)),
        ],
    )
    edit.write(output, pages.render(content))
    print(f"{output}: {count(len(entries), 'tenant')}")
