from __future__ import annotations

import os
from pathlib import Path

import pytest

from meltanodata.certificate import stack_files
from meltanodata.engine import pulumi_cli
from meltanodata.errors import UserError

SECRETS = {stack: {"certificate": "a certificate"} for stack in ("prod", "prod-2", "prod-3")}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with three stacks; a fake of the engine's encryption."""
    (tmp_path / "Pulumi.yaml").write_text("name: meltanodata\n")
    for stack in SECRETS:
        (tmp_path / f"Pulumi.{stack}.yaml").write_text("config: {}\n")

    def set_secrets(_: str, __: Path, file: Path, secrets: dict[str, str]) -> None:
        file.write_text(f"{file.read_text()}{list(secrets)}\n")

    monkeypatch.setattr(pulumi_cli, "set_secrets", set_secrets)
    return tmp_path


def contents(root: Path) -> set[str]:
    return {path.read_text() for path in root.glob("Pulumi.prod*.yaml")}


def test_every_stack_gets_the_secrets_and_nothing_else_is_left(root: Path) -> None:
    stack_files.write(root, SECRETS)
    assert contents(root) == {"config: {}\n['meltanodata:certificate']\n"}
    assert sorted(path.name for path in root.iterdir()) == [
        *("Pulumi.prod-2.yaml", "Pulumi.prod-3.yaml", "Pulumi.prod.yaml", "Pulumi.yaml")
    ]


def test_no_stack_gets_them_if_one_cannot_be_encrypted(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encrypt = pulumi_cli.set_secrets

    def refuse_the_last(stack: str, *rest: object) -> None:
        if stack == "prod-3":
            raise UserError("incorrect passphrase")
        encrypt(stack, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(pulumi_cli, "set_secrets", refuse_the_last)
    with pytest.raises(UserError, match="incorrect passphrase"):
        stack_files.write(root, SECRETS)
    assert contents(root) == {"config: {}\n"}


def test_a_run_killed_between_two_files_leaves_each_of_them_whole_and_the_next_run_tidies_up(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = Path.replace
    replaced: list[Path] = []

    def end_after_the_first(self: Path, target: Path) -> Path:
        if replaced:
            os._exit(9)
        replaced.append(target)
        return replace(self, target)

    child = os.fork()
    if child == 0:
        monkeypatch.setattr(Path, "replace", end_after_the_first)
        stack_files.write(root, SECRETS)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert contents(root) == {"config: {}\n", "config: {}\n['meltanodata:certificate']\n"}
    assert list(root.glob(".certificate-*"))
    stack_files.write(root, {"prod-3": {"certificate": "a certificate"}})
    assert list(root.glob(".certificate-*")) == []


def test_no_stack_keeps_them_if_one_file_cannot_be_written(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = Path.replace

    def refuse_the_last(self: Path, target: Path) -> Path:
        if target.name == "Pulumi.prod-3.yaml":
            raise OSError(28, "No space left on device", str(target))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse_the_last)
    with pytest.raises(UserError, match=r"No space left on device\. No stack's file was changed"):
        stack_files.write(root, SECRETS)
    assert contents(root) == {"config: {}\n"}
