"""A GitHub runner on this machine: `act` runs the workflows as they are, on a real repository and a light sandbox.

What `act` cannot know or do, and what stands for it here:

- The pinned actions come from folders that are written here: a checkout is a clone of the repository, an artifact goes
  to the GitHub of the tests, and a page into a folder.
- `make setup` finds this checkout's virtual environment, and `make pulumi` the engine on the PATH.
- The API of GitHub is `tests.fakes.github`, by a variable that each step's shell sets.
- The workflows are those of this checkout, without `queue: max`, which `act` does not know yet.
- Environments, `concurrency` and the rights of a job's token do not exist here: every job gets all variables and
  secrets that it names, and runs at once. `tests/unit/test_workflows.py` holds what the files say about those.
- A pull request's commit is its branch's last, not a merge of it with the base branch.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import yaml

from sandbox.home import PROJECT
from tests import tools
from tests.fakes.github import REPOSITORY, TOKEN
from tests.sandbox.repository import STACK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.sandbox.repository import Repository

PERSON, DEPENDABOT = "operator", "dependabot[bot]"
SECONDS = 600
"""Within which every workflow ends."""
_NAMESPACE = "meltanodata"
_CHECKOUT = """\
git clone --quiet --no-checkout "{origin}" .
git checkout --quiet --detach "$(git rev-parse --verify --quiet "origin/${{REF#refs/heads/}}" || echo "$REF")"
mkdir .venv
cp "{prefix}/pyvenv.cfg" .venv/
ln -s "{prefix}/bin" "{prefix}/lib" .venv/
touch .venv/.ready
echo "PYTHONPATH=$PWD" >> "$GITHUB_ENV"
"""
_UPLOAD = """\
"{python}" - <<'END'
import base64, json, os, pathlib, urllib.request
content = base64.b64encode(pathlib.Path(os.environ["FILE"]).read_bytes()).decode()
body = json.dumps({{"run": int(os.environ["GITHUB_RUN_ID"]), "name": os.environ["NAME"], "content": content}})
headers = {{"Authorization": "Bearer {token}"}}
urllib.request.urlopen(urllib.request.Request("{hub}/repos/{repository}/uploads", body.encode(), headers))
END
"""
_PAGE = """\
rm -rf "{folder}/page"
cp -r "$FILE" "{folder}/page"
"""


class Act:
    """The runner of a repository."""

    def __init__(self, repository: Repository, folder: Path) -> None:
        self.repository, self.folder = repository, folder
        runner = repository.runner
        self.page = folder / "page"
        """What was uploaded for GitHub Pages."""
        for name in ("Makefile", "pyproject.toml", "requirements.lock"):
            shutil.copy(PROJECT / name, repository.folder)
        shutil.copytree(PROJECT / ".github", repository.folder / ".github")
        deploy = repository.folder / ".github" / "workflows" / "deploy.yml"
        deploy.write_text(deploy.read_text().replace("      queue: max\n", ""))
        repository.commit()
        repository.git("remote", "add", "origin", f"https://github.com/{REPOSITORY}")
        self.vars = {"PULUMI_BACKEND_URL": runner.values["vars.PULUMI_BACKEND_URL"]}
        names = ("PULUMI_CONFIG_PASSPHRASE", "READ_ONLY_TOKENS")
        self.secrets = {name: runner.values[f"secrets.{name}"] for name in names} | {"GITHUB_TOKEN": TOKEN}
        given = {"origin": repository.folder, "prefix": sys.prefix, "python": sys.executable, "folder": folder}
        given |= {"token": TOKEN, "hub": repository.hub.url, "repository": REPOSITORY}
        scripts = {
            "actions/checkout": _CHECKOUT,
            "actions/upload-artifact": _UPLOAD,
            "actions/upload-pages-artifact": _PAGE,
        }
        self._actions = [
            f"--local-repository={action}={self._stub(action, scripts[action.split('@')[0]].format(**given))}"
            for action in sorted(set(_used()))
            if action.split("@")[0] in scripts
        ]
        # Each step is a shell of its own, which reads this; `act` sets the variable to the real GitHub's.
        shell = folder / "shell"
        shell.write_text(f'export GITHUB_API_URL="{repository.hub.url}"\n')
        environment = runner.environment | {"BASH_ENV": str(shell), "HOME": str(folder / "home")}
        (folder / "home").mkdir()
        lines = (f"{name}={value}" for name, value in environment.items() if not name.startswith("GITHUB_"))
        (folder / "env").write_text("\n".join(line for line in lines if "\n" not in line))

    def _stub(self, action: str, script: str) -> Path:
        """A folder with an action that runs a script."""
        folder = self.folder / "actions" / action.split("@", maxsplit=1)[0]
        folder.mkdir(parents=True)
        names = ("ref", "fetch-depth", "persist-credentials", "name", "path", "retention-days")
        variables = {
            "REF": "${{ inputs.ref || github.sha }}",
            "NAME": "${{ inputs.name }}",
            "FILE": "${{ inputs.path }}",
        }
        steps = [{"shell": "bash", "env": variables, "run": script}]
        content = {"name": action, "description": action, "inputs": {name: {"description": name} for name in names}}
        (folder / "action.yml").write_text(
            yaml.safe_dump(content | {"runs": {"using": "composite", "steps": steps}}, sort_keys=False)
        )
        return folder

    def run(
        self,
        workflow: str,
        event: str,
        payload: Mapping[str, Any],
        *,
        run: int = 1,
        code: int = 0,
        actor: str = PERSON,
    ) -> str:
        """Let a workflow run for an event, and return its log.

        Args:
            workflow: the file's stem.
            event: such as `push`.
            payload: what GitHub says of the event.
            run: the run's id.
            code: 0 if every job ends well, else 1.
            actor: who started it; GitHub gives Dependabot's runs no secrets.
        """
        repository = {"full_name": REPOSITORY, "default_branch": "main"}
        path = self.folder / "event.json"
        path.write_text(json.dumps({"repository": repository, **payload}))
        given = {"GITHUB_TOKEN": TOKEN} if actor == DEPENDABOT else self.secrets
        file = self.folder / "secrets"
        file.write_text("".join(f"{name}={json.dumps(value)}\n" for name, value in given.items()))
        arguments = [
            *(event, "--workflows", f".github/workflows/{workflow}.yml", "--eventpath", str(path)),
            *("--platform", "ubuntu-24.04=-self-hosted", "--no-skip-checkout", "--defaultbranch", "main"),
            *("--env-file", str(self.folder / "env"), "--env", f"GITHUB_RUN_ID={run}", "--no-cache-server"),
            *("--action-offline-mode", "--action-cache-path", str(self.folder / "cache"), *self._actions),
            *("--actor", actor, "--secret-file", str(file)),
            *(f"--var={name}={value}" for name, value in self.vars.items()),
        ]
        done = subprocess.run(
            [tools.program("act"), *arguments],
            cwd=self.repository.folder,
            env={**self.repository.runner.environment, "HOME": str(self.folder / "home")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    def pull_request(self, *labels: str, repository: str = REPOSITORY, code: int = 0, actor: str = PERSON) -> str:
        """Open a pull request with what was edited, or go on with it, and let preview.yml run.

        Args:
            labels: the request's.
            repository: where its branch is; another one is a fork.
            code: see `run`.
            actor: see `run`.
        """
        made = self.repository
        if made.git("rev-parse", "--abbrev-ref", "HEAD") == "main":
            made.number += 1
            made.git("switch", "--quiet", "--create", f"change-{made.number}")
            made.commit()
        base, head = made.git("rev-parse", "main"), made.git("rev-parse", "HEAD")
        made.hub.pull(made.number, head, list(labels))
        number = made.hub.run(head, f"change-{made.number}", conclusion=None)
        request = {
            "number": made.number,
            "state": "open",
            "base": {"sha": base, "ref": "main"},
            "head": {"sha": head, "ref": f"change-{made.number}", "repo": {"full_name": repository}},
            "labels": [{"name": label} for label in labels],
        }
        payload = {"action": "synchronize", "number": made.number, "pull_request": request}
        log = self.run("preview", "pull_request", payload, run=number, code=code, actor=actor)
        made.hub.runs[-1]["conclusion"] = "failure" if code else "success"
        return log

    def merge(self, *labels: str) -> dict[str, str]:
        """Merge the last pull request; returns what GitHub says of the push."""
        before = self.repository.git("rev-parse", "main")
        self.repository.merge(*labels)
        return self.push(before)

    def add_stack(self, name: str, team: str) -> None:
        """Move a database team to a new stack of the same fleet, with the same passphrase."""
        folder = self.repository.folder
        own = folder / f"Pulumi.{STACK}.yaml"
        content: dict[str, Any] = yaml.safe_load(own.read_text())
        other: dict[str, Any] = yaml.safe_load(own.read_text())
        teams, tokens = f"{_NAMESPACE}:database_teams", f"{_NAMESPACE}:tokens"
        other["config"].pop(f"{_NAMESPACE}:rollout")
        for stack, has in ((content, False), (other, True)):
            config = stack["config"]
            config[teams] = [each for each in config[teams] if (each["name"] == team) is has]
            names = {each["name"] for each in (*config[teams], config[f"{_NAMESPACE}:droplet_team"])}
            config[tokens] = {each: token for each, token in config[tokens].items() if each in names}
        own.write_text(yaml.safe_dump(content, sort_keys=False))
        (folder / f"Pulumi.{name}.yaml").write_text(yaml.safe_dump(other, sort_keys=False))
        environment = self.repository.runner.environment | {
            "PULUMI_BACKEND_URL": self.vars["PULUMI_BACKEND_URL"],
            "PULUMI_CONFIG_PASSPHRASE": self.secrets["PULUMI_CONFIG_PASSPHRASE"],
        }
        subprocess.run(["pulumi", "stack", "init", "--no-select", name], cwd=folder, env=environment, check=True)

    def push(self, before: str) -> dict[str, str]:
        """What GitHub says of a push to main."""
        return {"ref": "refs/heads/main", "before": before, "after": self.repository.git("rev-parse", "main")}


def _used() -> Iterator[str]:
    """The actions of all workflows, with their commits."""
    for path in (PROJECT / ".github" / "workflows").glob("*.yml"):
        for job in yaml.safe_load(path.read_text())["jobs"].values():
            yield from (step["uses"] for step in job["steps"] if "uses" in step)
