"""The commit that was deployed to a stack last, so that no older one is deployed over it.

It is a tag of the stack (`pulumi stack tag`), which every backend has. A tag can be written before the first operation
and read without the passphrase, shows in no plan, and stays when a state is replaced. Why not an output:
docs/decisions/reviewed-plans.md.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from meltanodata.config.revisions import Revision
from meltanodata.engine import pulumi_cli
from meltanodata.errors import UserError
from meltanodata.text import show

if TYPE_CHECKING:
    from pathlib import Path

TAG = "meltanodata:deployed"
"""The tag's name; its value is a commit's full id."""

_SHORTEST = 7
"""Characters of a commit's id that are enough to name it."""


def refuse_older(stack: str, root: Path, back_from: str | None = None) -> None:
    """Stop where the commit that is checked out does not contain the last one deployed.

    Without a git repository, or before the first deployment, there is nothing to compare. `back_from` is the last one
    deployed, where somebody goes back from it on purpose.

    Raises:
        UserError: the commit is older, of another branch, or git cannot tell; with what to do.
    """
    _compared(stack, root, back_from)


def note(stack: str, root: Path, back_from: str | None = None) -> None:
    """Record that the deployment of the commit that is checked out begins, unless `refuse_older` refuses it.

    This comes before the first operation: an older commit may not follow even a deployment that fails. The comparison
    is made again, since another deployment may have begun meanwhile.
    """
    here, last = _compared(stack, root, back_from)
    if here is not None and last != here.commit:
        pulumi_cli.set_tag(stack, root, TAG, here.commit)


def has_begun(stack: str, root: Path) -> bool:
    """Whether the last deployment was of the commit that is checked out, so that this one continues it."""
    here, last = _checked_out_and_last(stack, root)
    return here is not None and last == here.commit


def _checked_out_and_last(stack: str, root: Path) -> tuple[Revision | None, str | None]:
    here = Revision.checked_out_with(root / "Pulumi.yaml")
    return here, None if here is None else pulumi_cli.tags(stack, root).get(TAG)


def _compared(stack: str, root: Path, back_from: str | None) -> tuple[Revision | None, str | None]:
    """The commit that is checked out and the last one deployed, unless `refuse_older` refuses it."""
    here, last = _checked_out_and_last(stack, root)
    if here is None or last is None:
        return here, last
    contained = here.contains(last) if re.fullmatch(r"[0-9a-f]{40,64}", last) else None
    if contained or (back_from is not None and len(back_from) >= _SHORTEST and last.startswith(back_from)):
        return here, last
    commit, deployed = here.commit[:12], show(last) if contained is None else last[:12]
    on_purpose = f"To deploy it anyway: meltanodata deploy --stack {stack} --go-back-from {last}"
    if contained is None:
        raise UserError(
            f"{stack}: {commit} is not deployed. The last deployed commit is {deployed}. Git does not have that"
            " one here, so it may be newer. Fetch it (git fetch --all; in a workflow: fetch-depth:"
            " 0), then run this again. If its branch was deleted or rewritten, look at the plan:"
            f" meltanodata plan --stack {stack}. {on_purpose}"
        )
    if Revision(here.folder, last, last).contains(here.commit):
        raise UserError(
            f"{stack}: {commit} is not deployed. It is older than {deployed}, the last deployed commit, and would undo"
            " the commits after it. To deploy the main branch as it is now, start the deploy workflow by hand, or here:"
            " git pull. To go back, revert the commits after it (git revert) and merge that."
            f" {on_purpose}"
        )
    shallow = " This clone is shallow: git fetch --unshallow." if here.is_shallow() else ""
    raise UserError(
        f"{stack}: {commit} is not deployed. It does not contain {deployed}, the last deployed commit, and would undo"
        f" that one.{shallow} Merge that one into it first. {on_purpose}"
    )
