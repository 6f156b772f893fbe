"""What git knows of an older version of the project's files."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meltanodata.errors import UserError
from meltanodata.wording import show

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Revision:
    """A commit of the repository that a folder is in."""

    folder: Path
    name: str
    """As the user gave it."""
    commit: str

    @classmethod
    def of(cls, name: str, folder: Path) -> Revision:
        """The commit that a name stands for.

        Raises:
            UserError: git is missing, or knows no such revision.
        """
        found = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        if found is None:
            raise UserError(f"{show(name)} is no revision that git has; fetch it first if it is one")
        return cls(folder, name, found.decode().strip())

    def fork(self) -> Revision:
        """Where the branch that is checked out left this one, so that what happened here since is not its doing."""
        found = _git(self.folder, "merge-base", self.commit, "HEAD")
        return self if found is None else Revision(self.folder, self.name, found.decode().strip())

    def read(self, path: Path) -> bytes | None:
        """A file as it was; None where it did not exist."""
        return _git(path.absolute().parent, "show", f"{self.commit}:./{path.name}")

    def changed(self) -> frozenset[str]:
        """The files below the folder that are different now, relative to it."""
        found = _git(self.folder, "diff", "--name-only", "--relative", "--no-renames", "-z", self.commit, "--", ".")
        if found is None:
            raise UserError(f"git cannot compare {self.name} with the files in {self.folder}")
        return frozenset(found.decode().split("\0")) - {""}


def _git(folder: Path, *arguments: str) -> bytes | None:
    """What git says in a folder, None if it fails."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, check=False)
    except FileNotFoundError:
        raise UserError("a revision can be looked up by git only, which is not installed") from None
    return done.stdout if done.returncode == 0 else None
