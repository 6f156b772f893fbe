"""The project's files in the working tree and at revisions of git."""

from __future__ import annotations

import os
import posixpath
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from meltanodata.config import document
from meltanodata.config.document import Document
from meltanodata.errors import Problem, UserError
from meltanodata.text import show

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NONE = "0" * 40
"""The revision that GitHub and git's hooks give before a branch's first push."""
_LINK = (
    "it is a symbolic link, and a review shows where a link leads, not what the file contains. Keep the file itself"
    " here; a fleet file may be elsewhere: set tenants_file"
)


@dataclass(frozen=True)
class Worktree:
    """The files as they are on the disk, committed or not; links are followed."""

    def has(self, path: Path) -> bool:
        """Whether there is such a file."""
        return path.is_file()

    def document(self, path: Path) -> Document:
        """A YAML file; one that does not exist, or cannot be read, has that as its problem."""
        return document.read(path)

    def stack_files(self, folder: Path) -> list[str]:
        """The names of the stacks' files, Pulumi.<stack>.yaml, in the project's folder."""
        return sorted(path.name for path in folder.glob("Pulumi.*.yaml"))


_VERSIONS = 100
"""Versions of a file that are searched."""
_EVERY_FILE = ("--name-only", "--no-renames", "--no-ext-diff", "--ignore-submodules=none", "-z")
"""For `git diff`: a `.gitmodules` can ask it to leave submodules out."""
_SAID = 500
"""Characters of git's answer in a message."""


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
        output = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        if output is None:
            raise UserError(f"{show(name)} is not a revision that git has; fetch it first if it exists")
        return cls(folder, name, output.decode().strip())

    @classmethod
    def history(cls, path: Path) -> Iterator[Revision]:
        """The commits on this branch that changed a file, the newest first; none where git has none."""
        folder = path.absolute().parent
        try:
            output = _git(folder, "log", f"--max-count={_VERSIONS}", "--format=%H", "--", path.name)
        except UserError:
            return
        for commit in (output or b"").decode().split():
            yield cls(folder, commit, commit)

    @classmethod
    def checked_out_with(cls, file: Path) -> Revision | None:
        """The commit that is checked out; None where git does not keep this file.

        Files that were edited since do not matter: what the commit has is there as well.

        Raises:
            UserError: the file is in a repository that git refuses to read.
        """
        folder = file.absolute().parent
        if not any((above / ".git").exists() for above in (folder, *folder.parents)):
            return None
        kept = _run(folder, "ls-files", "--error-unmatch", "--", file.name)
        if kept.returncode > 1:  # it knows neither that the file is kept nor that it is not
            raise UserError(f"git cannot read the repository of {folder}: {kept.stderr.decode().strip()}")
        return cls.of("HEAD", folder) if kept.returncode == 0 else None

    def contains(self, commit: str) -> bool | None:
        """Whether a commit is this one or one before it; None if git has no such commit."""
        if _git(self.folder, "cat-file", "-e", f"{commit}^{{commit}}") is None:
            return None
        return _run(self.folder, "merge-base", "--is-ancestor", commit, self.commit).returncode == 0

    def is_shallow(self) -> bool:
        """Whether git has only the newest commits."""
        return _git(self.folder, "rev-parse", "--is-shallow-repository") == b"true\n"

    def fork(self) -> Revision:
        """The commit where the branch that is checked out left this one: later changes here are not the branch's."""
        output = _git(self.folder, "merge-base", self.commit, "HEAD")
        return self if output is None else Revision(self.folder, self.name, output.decode().strip())

    def with_merged(self, head: Revision) -> Revision:
        """What this one becomes when a branch is merged into it: files without a commit of their own.

        The branch's own changes do not tell that. It may have left this one at several points, and take back what came
        in by one of them; and a file that was moved here since gets what the branch changes at the old place.

        Raises:
            UserError: they conflict, or git cannot tell.
        """
        options = ("--write-tree", "--allow-unrelated-histories")
        merged = _run(self.folder, "merge-tree", *options, self.commit, head.commit)
        if merged.returncode == 0:
            return Revision(head.folder, head.name, merged.stdout.decode().split("\n", 1)[0])
        if merged.returncode == 1:
            raise UserError(
                f"{head.name} conflicts with {self.name}, so what its merge changes is unknown. Merge {self.name}"
                " into it, resolve the conflicts, and push"
            )
        raise UserError(
            f"git cannot merge {head.name} into {self.name} to see what changes (it has to be 2.38 or newer):"
            f" {merged.stderr.decode(errors='replace').strip()[:_SAID]}"
        )

    def read(self, path: Path) -> bytes | None:
        """A file as it was; None where it did not exist. No symbolic link is followed: its content is its target.

        Its folder may exist at this revision only.
        """
        return _git(self.folder, "cat-file", "blob", f"{self.commit}:./{os.path.relpath(path, self.folder)}")

    def has(self, path: Path) -> bool:
        """See `Worktree`."""
        return self.read(path) is not None

    def document(self, path: Path) -> Document:
        """See `Worktree`; a symbolic link is a problem."""
        name, raw = f"{self.name}:{path.name}", self.read(path)
        listed = _git(self.folder, "ls-tree", self.commit, "--", os.path.relpath(path, self.folder)) or b""
        if raw is not None and not listed.startswith(b"120000 "):
            return document.parse(raw, name)
        message = "there is no such file" if raw is None else _LINK
        return Document(name, "", None, [Problem(name, 0, 0, message)])

    def links(self) -> dict[str, str]:
        """Where each symbolic link of the repository leads, as it is written, by its path relative to the folder."""
        listed = _git(self.folder, "ls-tree", "-r", "-z", "--full-tree", self.commit)
        if listed is None:
            raise UserError(f"git cannot list the files of {self.name} in {self.folder}")
        entries = [entry.partition("\t") for entry in os.fsdecode(listed).split("\0")]
        blobs = {path: about.split()[2] for about, _, path in entries if about.startswith("120000 ")}
        prefix = self._prefix()
        targets = ((path, _git(self.folder, "cat-file", "blob", blob)) for path, blob in blobs.items())
        return {os.path.relpath(path, prefix): os.fsdecode(target or b"/") for path, target in targets}

    def stack_files(self, folder: Path) -> list[str]:
        """See `Worktree`."""
        listed = _git(folder, "ls-tree", "-z", "--name-only", self.commit, "--", "./")
        if listed is None:
            raise UserError(f"git cannot list the files of {self.name} in {folder}")
        names = listed.decode(errors="replace").split("\0")
        return sorted(name for name in names if name.startswith("Pulumi.") and name.endswith(".yaml"))

    def changed(self, to: Revision | None = None) -> frozenset[str]:
        """The repository's files that differ now, or at another revision, relative to the folder."""
        commits = [self.commit] if to is None else [self.commit, to.commit]
        output = _git(self.folder, "diff", *_EVERY_FILE, *commits, "--")
        if output is None:
            raise UserError(f"git cannot compare {self.name} with the files in {self.folder}")
        prefix = self._prefix()
        names = output.decode(errors="replace").split("\0")
        return frozenset(os.path.relpath(name, prefix) for name in names if name)

    def path_of(self, file: Path) -> str:
        """A file's path in the repository, with `/`."""
        return posixpath.normpath(posixpath.join(self._prefix(), os.path.relpath(file, self.folder)))

    def _prefix(self) -> str:
        """The folder in the repository."""
        output = _git(self.folder, "rev-parse", "--show-prefix")
        if output is None:
            raise UserError(f"git cannot tell where {self.folder} is in its repository")
        return output.decode(errors="replace").strip() or "."

    def until(self, to: str) -> list[str]:
        """A branch's own commits after this one, in their order; without those that came with a merge.

        Raises:
            UserError: the other one does not come after this one.
        """
        known = _git(self.folder, "merge-base", "--is-ancestor", self.commit, to)
        output = _git(self.folder, "rev-list", "--first-parent", "--reverse", f"{self.commit}..{to}")
        if known is None or output is None:
            raise UserError(f"{to} does not come after {self.name}: the branch was rewritten")
        return output.decode().split()


Tree: TypeAlias = Worktree | Revision
"""The project's files, in the working tree or at a revision."""


def _git(folder: Path, *arguments: str) -> bytes | None:
    """The output of git in a folder, None if it fails."""
    done = _run(folder, *arguments)
    return done.stdout if done.returncode == 0 else None


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, check=False)
    except FileNotFoundError:
        raise UserError("a revision can be looked up by git only, which is not installed") from None
