"""What a changed file can influence: what is planned, what is applied, or who reviews it. Pure.

A file counts as the program's unless it is known to be harmless: the program runs in the project's folder, so any
module there, and any file that a module opens, can change what it declares.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from meltanodata.text import first_of, listing, printable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

_HARMLESS = re.compile(
    r"(docs|tests|bench|sandbox)/.*|[^/]+\.md|LICENSE|\.gitignore|\.editorconfig|tenants\.schema\.json"
)
"""Files that neither the program nor a workflow with credentials reads. Folders go by name: a folder `yaml` would take
the place of a library."""
_WORKFLOW = re.compile(r"(\.\./)*\.github/.*|\.ci/.*|Makefile")
"""`../` where the project is a part of a larger repository."""
_SETTINGS = re.compile(r"Pulumi\.[^/]+\.yaml")

_FILES, _LONGEST = 10, 120
"""How many files, or settings of a file, a message names before it counts the rest, and how many characters of each."""


class Kind(StrEnum):
    """What a file is to a request for review."""

    FLEET = "fleet file"
    PROGRAM = "program"
    SETTINGS = "settings"
    WORKFLOW = "workflows"
    HARMLESS = "harmless"


def kind(
    file: str,
    fleet_files: Collection[str] = ("tenants.yaml",),
    program: str = "",
    linked: Collection[str] = (),
) -> Kind:
    """What a file is. All paths are relative to the project's folder, with `/`.

    The fleet files are those of the branch that the request goes to. The program's folder is empty where it is the
    project's. For what is read by another name, see `linked`.
    """
    if file in fleet_files:
        return Kind.FLEET
    if _WORKFLOW.fullmatch(file):
        return Kind.WORKFLOW
    if _SETTINGS.fullmatch(file):
        return Kind.SETTINGS
    if (program not in {"", "."} and _is_below(file, program)) or any(_is_below(file, path) for path in linked):
        return Kind.PROGRAM
    return Kind.HARMLESS if file.startswith("../") or _HARMLESS.fullmatch(file) else Kind.PROGRAM


def linked(links: Mapping[str, str], fleet_files: Collection[str] = (), program: str = "") -> frozenset[str]:
    """The files and folders that symbolic links give another name, one that is not harmless; see `kind`.

    An edit of `docs/x.py` edits the program if `x.py` is a link to it. `links` says where each link of the repository
    leads, by its path; both as it is written, relative to the project's folder and to the link's.
    """
    targets: set[str] = set()
    while True:
        reached = {
            # What is absolute may lead anywhere: into the checkout, too.
            posixpath.normpath(posixpath.join(posixpath.dirname(link), target)) if target[:1] != "/" else "."
            for link, target in links.items()
            if kind(link, fleet_files, program, targets) is not Kind.HARMLESS
            or any(_is_below(path, link) for path in targets)
        }
        if reached <= targets:
            return frozenset(targets)
        targets |= reached


def _is_below(file: str, path: str) -> bool:
    """Whether a path is a file, or a folder that the file is in; `.` and what is above it are folders of everything."""
    return file == path or file.startswith(f"{path}/") or re.fullmatch(r"\.|(\.\./)*\.\.", path) is not None


@dataclass(frozen=True)
class SettingsChange:
    """A stack's file that differs."""

    file: str
    settings: tuple[str, ...]
    """The settings that differ, with both values where those decide what is reviewed; never a secret."""

    def __str__(self) -> str:
        return f"{name(self.file)} ({_some(self.settings)})" if self.settings else name(self.file)


@dataclass(frozen=True)
class Influences:
    """What a request changes beside tenants, as far as that can change what is planned, applied or shown."""

    program: tuple[str, ...] = ()
    settings: tuple[SettingsChange, ...] = ()
    workflows: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [
            f"{what} ({_some(files)})"
            for what, files in (("program", self.program), ("workflows", self.workflows))
            if files
        ]
        if self.settings:
            shown = list(map(str, self.settings[:_FILES]))
            rest = len(self.settings) - _FILES
            parts.append(f"settings in {listing([*shown, *([f'{rest} more files'] if rest > 0 else [])], 'and')}")
        return "; ".join(parts)

    def __bool__(self) -> bool:
        return bool(self.program or self.settings or self.workflows)


def name(text: str) -> str:
    """A file's name, or a setting's value, for a message: printable and of limited length."""
    return printable(text, _LONGEST)


def _some(texts: Sequence[str]) -> str:
    return first_of(map(name, texts), _FILES)
