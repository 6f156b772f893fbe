"""Light droplets that answer Ansible like a real one, at once: the benchmark does not measure a droplet's own work.

A droplet remembers its files, so that a second run finds them unchanged.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from sandbox.droplets.light import Manner

if TYPE_CHECKING:
    from pathlib import Path

_FOLDER = re.compile(r"ansible-tmp-[\d.]+-\d+-\d+")
_COPY = re.compile(r"dd of=(\S+)")
_MODULE = re.compile(r"^ansible_module='([^']+)',$[\s\S]*?^params=(.+),$", re.MULTILINE)
"""What Ansible's wrapper (2.19) passes to its function `_ansiballz_main`, an argument a line."""


class AnswersAnsible(Manner):
    """With pipelining, a module comes by the standard input of Python, and a file by that of `dd`."""

    def __init__(self) -> None:
        self._files: dict[tuple[Path, str], str] = {}
        """SHA-1 by the droplet's folder and the file's path."""

    def reads(self, command: str) -> bool:
        """Ansible's other commands have a terminal as standard input, which never ends."""
        return "/bin/sh -c" not in command or "python3" in command

    def prints(self, command: str, stdin: str, disk: Path) -> str:
        """The result of a module, a folder's name, or nothing."""
        if copied := _COPY.match(command):
            self._files[disk, copied[1]] = hashlib.sha1(stdin.encode(), usedforsecurity=False).hexdigest()
        elif "/bin/sh -c" not in command:
            return super().prints(command, stdin, disk)
        elif module := _MODULE.search(stdin):
            arguments = json.loads(ast.literal_eval(module[2]))["ANSIBLE_MODULE_ARGS"]
            return json.dumps(self._result(module[1].rpartition(".")[2], arguments, disk))
        elif "mkdir" in command and (folder := _FOLDER.search(command)):
            return f"{folder[0]}=/root/.ansible/tmp/{folder[0]}\n"
        return ""

    def _result(self, module: str, arguments: dict[str, Any], disk: Path) -> dict[str, Any]:
        match module:
            case "stat":
                checksum = self._files.get((disk, arguments["path"]))
                details = {"isdir": False, "islnk": False, "isreg": True, "checksum": checksum}
                return {"changed": False, "stat": {"exists": bool(checksum), **(details if checksum else {})}}
            case "copy":
                if not arguments.get("_ansible_check_mode"):
                    self._files[disk, arguments["dest"]] = self._files[disk, arguments["src"]]
                return {"changed": True, "dest": arguments["dest"], "src": arguments["src"]}
            case _:
                return _RESULTS.get(module, {"changed": False})


_RESULTS: dict[str, dict[str, Any]] = {
    "systemd": {"changed": True, "state": "started", "status": {}},
    "command": {"changed": True, "rc": 0, "stdout": "", "stderr": "", "cmd": "", "delta": "", "msg": ""},
    "uri": {"changed": False, "status": 200},
    "ping": {"changed": False, "ping": "pong"},
}
"""By the module, for modules whose result does not depend on their arguments."""
