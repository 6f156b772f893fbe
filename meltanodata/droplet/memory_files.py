"""Files for a program that we start, with what nobody else may read."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path


class MemoryFiles(contextlib.ExitStack):
    """Files for the program that are in memory alone, and gone with this process, however that ends.

    OpenSSH's client closes whatever it inherits. So a program opens them by way of this process. Where there is no
    memory file they are in a folder that only we can read, which a kill that cannot be caught (SIGKILL) leaves behind.
    """

    def file(self, name: str, text: str = "") -> str:
        """The path of a file with this text."""
        own = Path(f"/proc/{os.getpid()}/fd")
        if sys.platform == "linux" and own.is_dir():
            number = os.memfd_create(name)
            self.callback(os.close, number)
            os.fchmod(number, 0o600)  # ssh and psql refuse what others could read
            os.write(number, text.encode())
            return str(own / str(number))
        folder = self.enter_context(tempfile.TemporaryDirectory(prefix="meltanodata-"))
        path = Path(folder) / name
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        return str(path)
