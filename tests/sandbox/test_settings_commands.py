"""The commands in the settings' messages are true: run as they stand, they mend a stack, from nothing."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from meltanodata.config import settings_loading
from meltanodata.errors import ProblemsError
from sandbox.engine.obtain import obtain
from tests.certificates import NOW, certificate, pem

if TYPE_CHECKING:
    from pathlib import Path

SSH_KEY_FILE, CERTIFICATE_FILE, KEY_FILE = "id_ed25519", "com.meltanodata.crt", "com.meltanodata.key"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an empty stack and, beside it, the files that the commands name."""
    engine = obtain(print)
    (tmp_path / "state").mkdir()
    variables = {
        "PATH": f"{engine.folder}{os.pathsep}{os.environ['PATH']}",
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_BACKEND_URL": f"file://{tmp_path / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "x",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    files = {"Pulumi.yaml": "name: meltanodata\nruntime: python\n", "token.txt": "dop_v1_secret\n"}
    files |= {SSH_KEY_FILE: pem(), CERTIFICATE_FILE: certificate("*.meltanodata.com"), KEY_FILE: pem()}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    shell("pulumi stack init prod", tmp_path)
    return tmp_path


def shell(command: str, folder: Path) -> str:
    """What a command prints."""
    return subprocess.run(command, shell=True, cwd=folder, check=True, capture_output=True, text=True).stdout


def config(folder: Path) -> dict[str, str]:
    """The stack's config as the program gets it."""
    found: dict[str, Any] = json.loads(shell("pulumi config --stack prod --show-secrets --json", folder))
    return {name.removeprefix("meltanodata:"): entry["value"] for name, entry in found.items()}


def mend(folder: Path) -> None:
    """Run what the messages propose, once."""
    with pytest.raises(ProblemsError) as caught:
        settings_loading.from_values(config(folder), "prod", NOW)
    for problem in caught.value.problems:
        shell(str(problem).rsplit(" it: ", 1)[1], folder)


def test_from_next_to_nothing_to_a_stack_that_works(project: Path) -> None:
    for wrong in (
        "meltanodata:domian x",
        "meltanodata:caddy_version 3",
        "meltanodata:snapshot '('",
        "--path meltanodata:guard.destroyd 5",
        "--path 'meltanodata:database_teams[0].limit' none",
        '--secret --path \'meltanodata:tokens["DBs \\"x\\""]\' dop_v1_stale',
    ):
        shell(f"pulumi config set {wrong}", project)
    mend(project)
    mend(project)  # the tokens of the teams, which are known now
    made, secrets = settings_loading.from_values(config(project), "prod", NOW)
    assert made.teams == ("Meltano", "MeltanoData DBs 1")
    assert (made.caddy_version, made.database_teams[0].limit) == (1, 60)
    assert {token.get_secret_value() for token in secrets.tokens.values()} == {"dop_v1_secret"}
    assert secrets.certificate_key.get_secret_value() == pem()
    # What the CLI has written is what the commands read, and no secret in it is in plain text.
    assert settings_loading.read(project / "Pulumi.prod.yaml") == made
