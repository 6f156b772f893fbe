"""Writes secrets into the config of several stacks: all of them, or none."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from meltanodata.config.config_commands import key
from meltanodata.config.settings import file_of
from meltanodata.engine import pulumi_cli
from meltanodata.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


_DRAFTS = ".certificate-"


def write(root: Path, secrets: Mapping[str, Mapping[str, str]]) -> None:
    """Encrypt values into the stacks' files in a folder; the files change one after another in the end.

    Args:
        root: the folder with Pulumi.yaml.
        secrets: by the stack, then by the setting's name.

    Raises:
        UserError: a value cannot be encrypted or a file not written; then every file is as it was.
    """
    with _locked(root), _folder_for_drafts(root) as folder:
        drafts = {root / file_of(stack): _draft(root, folder, stack, values) for stack, values in secrets.items()}
        _replace(drafts)


@contextlib.contextmanager
def _folder_for_drafts(root: Path) -> Iterator[Path]:
    """A folder beside the files, which are replaced by a rename; the folders of killed runs are removed."""
    for left in root.glob(f"{_DRAFTS}*"):
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=_DRAFTS, dir=root) as folder:
        yield Path(folder)


def _draft(root: Path, folder: Path, stack: str, values: Mapping[str, str]) -> Path:
    """A copy of the stack's file with the values in it."""
    draft = folder / file_of(stack)
    shutil.copy2(root / file_of(stack), draft)
    pulumi_cli.set_secrets(stack, root, draft, {key((name,)): value for name, value in values.items()})
    return draft


def _replace(drafts: Mapping[Path, Path]) -> None:
    before = {file: file.read_bytes() for file in drafts}
    done: list[Path] = []
    try:
        for file, draft in drafts.items():
            draft.replace(file)
            done.append(file)
    except OSError as error:
        for file in done:
            file.write_bytes(before[file])
        raise UserError(f"{error.filename}: {error.strerror}. No stack's file was changed") from None


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Two renewals at once write one after the other, so that all stacks get the same certificate."""
    descriptor = os.open(root / "Pulumi.yaml", os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
