"""Files for a program that we start, with what nobody else may read."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path


class MemoryFiles(contextlib.ExitStack):
    """Files for a program that are in memory only, and gone with this process, however that ends.

    An agent would outlive a run that is killed. OpenSSH's client closes what it inherits, and so a program opens the
    files through this process. Without memory files they are in a folder that only we can read, which SIGKILL leaves
    behind.
    """

    def file(self, name: str, text: str = "") -> str:
        """The path of a file with this text."""
        descriptors = Path(f"/proc/{os.getpid()}/fd")
        if sys.platform == "linux" and descriptors.is_dir():
            number = os.memfd_create(name)
            self.callback(os.close, number)
            os.fchmod(number, 0o600)  # ssh and psql refuse what others could read
            os.write(number, text.encode())
            return str(descriptors / str(number))
        folder = self.enter_context(tempfile.TemporaryDirectory(prefix="meltanodata-"))
        path = Path(folder) / name
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        return str(path)
