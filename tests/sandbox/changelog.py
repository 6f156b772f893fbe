"""What `CHANGELOG.md` says that the first plan of an existing stack shows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sandbox.home import PROJECT

if TYPE_CHECKING:
    from collections.abc import Mapping

VERBS = {
    "runs again": "replace",
    "is replaced": "replace",
    "is updated": "update",
    "is created": "create",
    "is deleted": "delete",
    "is imported": "import",
}
"""How a line of the changelog says an operation; that of a Command, and that of an object."""
_SECTION = re.compile(r"^## Since ([0-9a-f]{7})\b.*$", re.MULTILINE)
_LINE = re.compile(rf"^- `([\w-]+)` ({'|'.join(VERBS)}): \S", re.MULTILINE)

Change = tuple[str, str]
"""A resource's role, such as `files`, and the operation on it, such as `replace`."""


def sections(text: str | None = None) -> dict[str, set[Change]]:
    """The changes that each section states, newest first, by the version that it begins from."""
    parts = _SECTION.split((PROJECT / "CHANGELOG.md").read_text() if text is None else text)
    return {
        since: {(role, VERBS[verb]) for role, verb in _LINE.findall(body)}
        for since, body in zip(parts[1::2], parts[2::2], strict=True)
    }


def stated(since: str, text: str | None = None) -> set[Change]:
    """The changes for a stack of a version: those of its section, and of all newer ones."""
    newest_first = sections(text)
    upto = list(newest_first)[: list(newest_first).index(since) + 1]
    return {change for version in upto for change in newest_first[version]}


def changes(steps: Mapping[str, str], tenants: Mapping[str, object]) -> set[Change]:
    """What a plan shows, by role; what belongs to no tenant has its own name as its role."""

    def role(name: str) -> str:
        return next((name.removeprefix(f"{key}-") for key in tenants if name.startswith(f"{key}-")), name)

    return {(role(name), operation) for name, operation in steps.items()}
