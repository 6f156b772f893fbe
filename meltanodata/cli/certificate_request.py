"""`certificate renew --pull-request`: the renewal as one pull request on GitHub, for a workflow that runs every day.

Each run looks at what there is: an open pull request with a usable certificate is left as it is, since a server limits
how many certificates it issues for the same name.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer
import yaml

from meltanodata.cli.certificate_fleet import droplets, needing, none_due, renewed
from meltanodata.cli.exit_codes import WRONG
from meltanodata.config import config_commands, settings_loading
from meltanodata.config.revisions import Revision
from meltanodata.config.settings import file_of
from meltanodata.engine import pulumi_cli
from meltanodata.errors import UserError
from meltanodata.render import renewal_text
from meltanodata.rollout import guard
from meltanodata.text import first_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from meltanodata.certificate.renewal import StackCertificate
    from meltanodata.cli.certificate_fleet import Account, Fleet
    from meltanodata.github import GitHub, PullRequest

BRANCH = "certificate-renewal"
"""The branch of the pull request, which is this command's own."""
LABELS = (guard.PROGRAM_CHANGED, guard.UNNAMED)
"""What the guard wants for settings that touch every tenant."""
_KEYS = {config_commands.key((name,)) for name in ("certificate", "certificate_key", settings_loading.ACCOUNT_KEY)}
_PAUSE = 30
"""Seconds between two attempts to merge."""
_PATIENCE = 40 * 60
"""Seconds for the preview and what else the branch protection requires; the token of an app is valid for an hour."""
_TENANTS_SHOWN = 20


def renew(fleet: Fleet, account: Account, hub: GitHub) -> None:
    """Renew what is due by a pull request, and keep the issue about what went wrong.

    Raises:
        UserError: GitHub cannot be asked for the issue.
        typer.Exit: 1, something went wrong; the issue has it.
    """
    try:
        problems = [*_renew(fleet, account, hub)]
    except UserError as error:
        problems = [str(error)]
    for problem in problems:
        print(problem, file=sys.stderr)
    hub.issue(renewal_text.MARKER, renewal_text.ISSUE_TITLE, renewal_text.issue(problems) if problems else None)
    if problems:
        raise typer.Exit(WRONG)


def _renew(fleet: Fleet, account: Account, hub: GitHub) -> Iterator[str]:
    """Do it; yields what went wrong although the renewal itself did not."""
    stacks = needing(fleet, account)
    if not stacks:
        print(none_due(fleet))
        yield from _not_rolled_out(fleet)
        return
    open_request = hub.open_request(BRANCH)
    if open_request is not None and not _is_ours(fleet, open_request):
        print(
            f"The pull request {open_request.number} has other changes than a certificate, so its branch is replaced."
        )
        open_request = None
    pending = [] if open_request is None else _pending(fleet, open_request, stacks)
    if open_request is not None and len(pending) == len(stacks) and _is_current(fleet, open_request):
        number, commit = open_request.number, open_request.head
        print(f"The pull request {number} has a certificate that is not due.")
    else:
        number, commit = _propose(fleet, account, hub, stacks, pending)
    if fleet.stacks[0].certificate_renewal.auto:
        reason = merged(hub, number, commit, time.sleep, time.monotonic)
        if reason is not None:
            yield f"The pull request {number} has the new certificate, but was not merged: {reason}"


def _pending(fleet: Fleet, request: PullRequest, stacks: Sequence[StackCertificate]) -> list[StackCertificate]:
    """The certificates that a pull request has for these stacks, those that are of use."""
    from meltanodata.certificate.renewal import StackCertificate

    revision = Revision.of(request.head, fleet.root)
    certificates = []
    for stack in [each.stack for each in stacks]:
        content = revision.read(fleet.root / file_of(stack))
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, file_of(stack))
            file.write_bytes(content or b"")
            try:
                config = pulumi_cli.config(stack, fleet.root, file)
            except UserError as error:
                print(f"The pull request {request.number} cannot be read, so it is replaced: {error}", file=sys.stderr)
                return []
        pem = settings_loading.certificate(config)
        certificates.append(StackCertificate.of(stack, pem, fleet.domain, fleet.now))
    return [each for each in certificates if not each.due(fleet.now)]


def _is_ours(fleet: Fleet, request: PullRequest) -> bool:
    """Whether a pull request is one commit on this branch that changes nothing but certificates.

    Whoever may push a branch may push to this one, and with `auto` nobody looks at it before it is merged.
    """
    main, head = Revision.of("HEAD", fleet.root), Revision.of(request.head, fleet.root)
    try:
        before = Revision.of(f"{request.head}^", fleet.root)
    except UserError:
        return False
    names = {file_of(each.stack) for each in fleet.stacks}
    return (
        bool(main.contains(before.commit))
        and before.changed(head) <= names
        and all(_beside(before.read(fleet.root / name)) == _beside(head.read(fleet.root / name)) for name in names)
    )


def _beside(content: bytes | None) -> object:
    """What a stack's file has beside the certificate, its key and the account's; as it is where it cannot be read."""
    try:
        file = yaml.safe_load(content or b"")
        config = file["config"]
        others = {key: value for key, value in config.items() if key not in _KEYS}
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, RecursionError):
        return content
    return {**file, "config": others}


def _is_current(fleet: Fleet, request: PullRequest) -> bool:
    """Whether the stacks' files are still those that a pull request of ours changes."""
    before = Revision.of(f"{request.head}^", fleet.root)
    files = [fleet.root / file_of(each.stack) for each in fleet.stacks]
    return all(before.read(file) == file.read_bytes() for file in files)


def _propose(
    fleet: Fleet,
    account: Account,
    hub: GitHub,
    stacks: Sequence[StackCertificate],
    pending: Sequence[StackCertificate],
) -> tuple[int, str]:
    """Renew, and open or update the pull request; its number and its commit."""
    base = os.environ.get("GITHUB_REF_NAME")
    if not base:
        raise UserError("GITHUB_REF_NAME must be set to the branch that the pull request goes to, as in a workflow")
    main = Revision.of("HEAD", fleet.root)
    new = renewed(fleet, account, stacks, pending)
    new.write(fleet.root)
    files = [fleet.root / file_of(each.stack) for each in fleet.stacks]
    changed = {main.path_of(file): file.read_text() for file in files if main.read(file) != file.read_bytes()}
    auto = fleet.stacks[0].certificate_renewal.auto
    title = renewal_text.title(fleet.domain)
    commit = hub.commit(BRANCH, main.commit, changed, title)
    text = renewal_text.request(fleet.domain, new.ends, new.stacks, LABELS, auto=auto)
    number = hub.propose(BRANCH, base, title, text)
    print(
        f"The pull request {number} has the certificate for *.{fleet.domain} that is valid until {new.ends:%Y-%m-%d}."
    )
    if auto:
        hub.add_labels(number, LABELS)
    return number, commit


def merged(
    hub: GitHub, number: int, commit: str, wait: Callable[[float], None], clock: Callable[[], float]
) -> str | None:
    """Merge the pull request once its preview has passed, and whatever else GitHub requires; why not, or None.

    A preview that was cancelled, as by the next label, counts as one that is still to come.
    """
    ends = clock() + _PATIENCE
    print(f"Waiting for the preview of the pull request {number}, to merge it.", flush=True)
    reason = "its preview did not end"
    while True:
        conclusion = hub.preview_conclusion(BRANCH, commit)
        if conclusion not in {None, "success", "cancelled"}:
            return "its preview failed. Its comment and the run of the workflow `preview` say why"
        if conclusion == "success":
            refusal = hub.merge(number, commit)
            if refusal is None:
                print(f"Merged the pull request {number}. The workflow deploy rolls it out.")
                return None
            reason = f"GitHub refuses: {refusal}"
        if clock() > ends:
            return f"{reason}, within {_PATIENCE // 60} minutes. The next run tries again"
        wait(_PAUSE)


def _not_rolled_out(fleet: Fleet) -> Iterator[str]:
    """The stacks some of whose droplets serve another certificate than their config has."""
    for settings, each in zip(fleet.stacks, fleet.certificates, strict=True):
        if each.described is None:
            continue
        serving = droplets(settings, fleet.root, each.described.fingerprint)
        if serving is not None and serving["another"]:
            tenants = first_of(serving["another"], _TENANTS_SHOWN)
            yield (
                f"{settings.stack}: the droplets of {tenants} do not serve the certificate that the config has. If a"
                " deployment runs now, wait for its end. Otherwise see the last run of the workflow deploy, correct the"
                f" cause, and start it by hand for this stack with the labels {' '.join(LABELS)}"
            )
