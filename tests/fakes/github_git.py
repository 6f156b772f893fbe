"""GitHub's API for git objects (https://docs.github.com/en/rest/git), answered by a repository on this machine."""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class GitObjects:
    """The objects and branches of a repository."""

    folder: Path

    def commit(self, name: str) -> str | None:
        """The commit of a branch; None if there is none."""
        done = self._run("rev-parse", "--verify", "--quiet", f"refs/heads/{name}^{{commit}}")
        return done.stdout.strip() if done.returncode == 0 else None

    def merge(self, base: str, head: str) -> str:
        """Merge a commit into a branch that has all before it; returns the merge."""
        merge = self._git("commit-tree", f"{head}^{{tree}}", "-p", f"refs/heads/{base}", "-p", head, "-m", "Merge")
        self._git("update-ref", f"refs/heads/{base}", merge)
        return merge

    def answer(  # noqa: PLR0911 - a case for each route
        self, method: str, path: list[str], body: dict[str, Any]
    ) -> tuple[int, Any]:
        """Status and JSON of a request below `/git/`."""
        match method, path:
            case "GET", ["commits", commit]:
                return 200, {"sha": commit, "tree": {"sha": self._git("rev-parse", f"{commit}^{{tree}}")}}
            case "POST", ["trees"]:
                return 201, {"sha": self._tree(body["base_tree"], body["tree"])}
            case "POST", ["commits"]:
                parents = [argument for parent in body["parents"] for argument in ("-p", parent)]
                return 201, {"sha": self._git("commit-tree", body["tree"], *parents, "-m", body["message"])}
            case "GET", ["ref", "heads", name]:
                if self.commit(name) is not None:
                    return 200, {"object": {"sha": self.commit(name)}}
            case "POST", ["refs"]:
                self._git("update-ref", body["ref"], body["sha"], "0" * 40)
                return 201, {}
            case "PATCH", ["refs", "heads", name]:
                assert body["force"]
                self._git("update-ref", f"refs/heads/{name}", body["sha"])
                return 200, {}
        return 404, {"message": "Not Found"}

    def _tree(self, base: str, entries: list[dict[str, str]]) -> str:
        with tempfile.TemporaryDirectory() as folder:
            index = {"GIT_INDEX_FILE": str(Path(folder, "index"))}
            self._git("read-tree", base, **index)
            for entry in entries:
                blob = self._git("hash-object", "-w", "--stdin", stdin=entry["content"])
                self._git("update-index", "--add", "--cacheinfo", f"{entry['mode']},{blob},{entry['path']}", **index)
            return self._git("write-tree", **index)

    def _git(self, *arguments: str, stdin: str = "", **variables: str) -> str:
        done = self._run(*arguments, stdin=stdin, **variables)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def _run(self, *arguments: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        who = ["-c", "user.name=App", "-c", "user.email=app@meltanodata.com", "-c", "commit.gpgsign=false"]
        command = ["git", "-C", str(self.folder), *who, *arguments]
        environment = {**os.environ, **variables}
        return subprocess.run(command, input=stdin, env=environment, capture_output=True, text=True, check=False)
