"""`adopt`: entries for the instances that were made by hand."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from meltanodata import terminal
from meltanodata.cli.context import account, located, read
from meltanodata.config import document, edit, fleet, rules
from meltanodata.config.stacks import Project
from meltanodata.engine import pulumi_cli
from meltanodata.errors import ProblemsError
from meltanodata.inventory import accounts, adoption

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from meltanodata.cli.context import Account
    from meltanodata.inventory.accounts import Inventory, Source
    from meltanodata.inventory.adoption import NewEntry, Unmatched


def adopt(file: Path | None, stack: str | None, *, write: bool, new_logins: bool) -> None:
    """See `instances.adopt`.

    Raises:
        UserError: an account or a stack's config cannot be read.
        ProblemsError: the file is not well formed, or would not be right with the entries.
    """
    stacks, path = located(stack, file)
    source, loaded = read(path)
    project = Project.around(Path.cwd())
    with terminal.console(err=True).status("asking DigitalOcean"):  # shown on a terminal only
        asked = [account(settings.stack, project) for settings in stacks]
        there = adoption.free(loaded, stacks, _together([it.held for it in asked]))
        trusted = {id_: sources for it in asked for id_, sources in _trusted(it, there).items()}
    known = {id_ for own in stacks for _, id_ in pulumi_cli.state(own.stack, project.root).objects}
    found, left = adoption.Match(there, stacks, trusted, known, keep_login=not new_logins).all()
    if found:
        text = edit.add(source, {it.key: it.options for it in found})
        grown, _ = fleet.parse(document.parse(text.encode(), source.file))
        if problems := set(rules.problems(grown, stacks)) - set(rules.problems(loaded, stacks)):
            raise ProblemsError(list(problems))
        if write:
            edit.write(path, text)
    if write:
        for instance in found:
            print(f"{source.file}: {instance.key} added, in {instance.options['database_team']}")
        for line in [line for instance in found for line in _warnings(instance)] + _not_taken(left):
            print(line, file=sys.stderr)
    else:
        for instance in found:
            print("".join(f"# {terminal.line(line)}\n" for line in _warnings(instance)), end="")
            print(edit.entry(instance.key, instance.options))
        for line in _not_taken(left):
            print(f"# {terminal.line(line)}")
    if not found and not left:
        print(f"{'' if write else '# '}{source.file}: everything in the accounts has its entry already")


def _together(held: Sequence[Inventory]) -> Inventory:
    """What the stacks' accounts have, whose droplet team is the same."""
    clusters = {cluster.id: cluster for accounts in held for cluster in accounts.clusters}
    return replace(held[0], clusters=tuple(clusters.values()))


def _trusted(own: Account, there: Inventory) -> dict[str, frozenset[Source]]:
    mine = [cluster for cluster in there.clusters if cluster.team in own.settings.team_names]
    return accounts.trusted_sources(own.settings, own.secrets.tokens, mine)


def _warnings(instance: NewEntry) -> Iterator[str]:
    if instance.also_trusted:
        others = ", ".join(instance.also_trusted)
        yield f"{instance.key}: its database also lets in {others}; after up it lets in the droplet alone"


def _not_taken(left: Sequence[Unmatched]) -> list[str]:
    if not left:
        return []
    head = "Not matched; mend it, or list the name in the setting no_tenants:"
    return [head, *(f"  {it.what}: {it.why}" for it in left)]
