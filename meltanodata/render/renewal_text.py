"""What GitHub shows of a renewal of the certificate: the pull request's text, and the issue about what went wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meltanodata.text import listing, printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

MARKER = "<!-- meltanodata certificate -->"
"""The first line of the issue, by which the next run finds it."""
ISSUE_TITLE = "The wildcard certificate needs you"
_LONGEST, _LINES = 600, 30
"""The most characters of a line, and the most lines of a problem; GitHub's limit is 65,536 characters for all."""


def title(domain: str) -> str:
    """The pull request's title, and the subject of its commit."""
    return f"Renew the certificate for *.{domain}"


def request(domain: str, ends: datetime, stacks: Sequence[str], labels: Sequence[str], *, auto: bool) -> str:
    """The pull request's text."""
    wanted = listing([f"`{label}`" for label in labels], "and")
    if auto:
        todo = (
            f"The guard wants labels for a change of all tenants, which this pull request has: {wanted}. The workflow"
        )
        todo += " `certificate` merges it once its preview has passed."
    else:
        todo = f"The guard wants labels for a change of all tenants: {wanted}. Put them on this pull request, and merge"
        todo += " it."
    return f"""\
The wildcard certificate `*.{domain}` is due for renewal. This is a new one, valid until {ends:%Y-%m-%d}, for the
config of {listing(stacks, "and")}. It and its key are encrypted.

The preview shows for each tenant that the web server restarts (seconds). The merge rolls the certificate out: canaries
first, then the others in batches.

{todo}

This branch is the workflow's own, and its next run may replace what others push here.
"""


def issue(problems: Sequence[str]) -> str:
    """The sticky issue's text. A problem may have words of others, so it is code here."""
    blocks = "\n\n".join(map(_block, problems))
    return f"""\
{MARKER}
The workflow `certificate` could not do its work today. It tries again every day, and closes this issue once nothing is
wrong.

{blocks}

[What to do](../blob/HEAD/docs/how-to/certificates.md#renew-the-wildcard-certificate)
"""


def _block(text: str) -> str:
    """Text as a block of code that nothing in it can end."""
    lines = [printable(line, _LONGEST) for line in text.replace("`", "'").splitlines()[:_LINES]]
    return "\n".join(["```text", *lines, "```"])
