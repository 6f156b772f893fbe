"""The project's folder, and which of its stacks form one fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from meltanodata.config import stacks
from meltanodata.config.stacks import Project
from meltanodata.errors import ProblemsError, UserError
from tests.fleets import settings, team, write_stack

if TYPE_CHECKING:
    from pathlib import Path

SANDBOX = "http://127.0.0.1:8000"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with three stacks on DigitalOcean and a sandbox."""
    (tmp_path / "Pulumi.yaml").write_text("name: meltanodata\n")
    for number in (1, 2, 10):
        write_stack(tmp_path, "prod" if number == 1 else f"prod-{number}", database_teams=[team(f"DBs {number}")])
    write_stack(tmp_path, "sandbox", api_url=SANDBOX)
    return Project(tmp_path)


def names(found: tuple[Any, ...]) -> list[str]:
    return [it.stack for it in found]


def test_a_project_is_found_from_within(project: Project) -> None:
    inner = project.root / "a" / "b"
    inner.mkdir(parents=True)
    assert Project.around(inner) == Project.around(project.root) == project


def test_no_project(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no Pulumi\.yaml in .* or above it; change into"):
        Project.around(tmp_path)


def test_stacks_in_the_order_of_their_numbers(project: Project) -> None:
    assert names(project.stacks()) == ["prod", "prod-2", "prod-10", "sandbox"]


def test_a_stack_without_settings_yet_is_left_out(project: Project) -> None:
    (project.root / "Pulumi.new.yaml").write_text("encryptionsalt: v1:x\n")
    assert "new" not in names(project.stacks())


def test_a_stacks_file_that_leads_nowhere_is_a_mistake(project: Project) -> None:
    (project.root / "Pulumi.gone.yaml").symlink_to("elsewhere.yaml")
    with pytest.raises(ProblemsError, match=r"Pulumi\.gone\.yaml: there is no such file"):
        project.stacks()


def test_all_mistakes_of_all_stacks_come_at_once(project: Project) -> None:
    write_stack(project.root, "prod-2", domain="x")
    write_stack(project.root, "sandbox", project="")
    (project.root / "Pulumi.new.yaml").write_text("{")
    with pytest.raises(ProblemsError) as caught:
        project.stacks()
    assert [problem.file.rsplit("/", 1)[1] for problem in caught.value.problems] == [
        "Pulumi.new.yaml",
        "Pulumi.new.yaml",
        "Pulumi.prod-2.yaml",
        "Pulumi.sandbox.yaml",
    ]


def test_a_fleet_is_the_stacks_of_one_address(project: Project) -> None:
    assert names(project.fleet(None)) == ["prod", "prod-2", "prod-10"]
    assert names(project.fleet("prod-10")) == ["prod", "prod-2", "prod-10"]
    assert names(project.fleet("sandbox")) == ["sandbox"]


def test_the_only_fleet_there_is_needs_no_name(tmp_path: Path) -> None:
    write_stack(tmp_path, "sandbox", api_url=SANDBOX)
    assert names(Project(tmp_path).fleet(None)) == ["sandbox"]


def test_the_fleet_has_to_be_named_where_none_is_digitaloceans(tmp_path: Path) -> None:
    write_stack(tmp_path, "a", api_url=SANDBOX)
    write_stack(tmp_path, "b", api_url="http://127.0.0.1:9000")
    with pytest.raises(UserError, match="name the stack: --stack a or b"):
        Project(tmp_path).fleet(None)


def test_an_unknown_stack(project: Project) -> None:
    with pytest.raises(
        UserError, match=r"no stack 'prod-3'\. Did you mean 'prod-[12]0?'\? The stacks are: prod, prod-2, prod-10 or"
    ):
        project.fleet("prod-3")


def test_no_stack_at_all(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no stack has settings yet: there is no Pulumi\.<stack>\.yaml"):
        Project(tmp_path).fleet(None)


def test_the_fleet_file_is_in_the_programs_folder(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: x\nmain: ../program\n")
    assert Project(tmp_path).tenants_file(settings()) == tmp_path / "../program/tenants.yaml"
    assert Project(tmp_path).tenants_file(settings(tenants_file="/x/t.yaml")).as_posix() == "/x/t.yaml"


def test_the_fleet_file_without_a_folder_of_the_program(project: Project) -> None:
    assert project.tenants_file(settings()) == project.root / "tenants.yaml"


def test_a_running_program_knows_its_fleet(project: Project) -> None:
    own = settings(stack="prod-2", domain="own.example.com", database_teams=[team("DBs 2")])
    fleet = stacks.fleet_of(own, project.root)
    assert names(fleet) == ["prod", "prod-2", "prod-10"]
    assert fleet[1] is own


def test_the_sandboxs_stack_in_the_checkout_says_where_it_is(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    (project.root / "Pulumi.sandbox.yaml").unlink()
    (project.root / "sandbox").mkdir()
    (project.root / "sandbox" / "Pulumi.sandbox.yaml").write_text("config: {}\n")
    monkeypatch.delenv("SANDBOX_HOME", raising=False)
    where = rf"you are in the checkout\..* cd {project.root}/\.sandbox/project"
    for salt in (None, "encryptionsalt: v1:x\n"):  # the CLI writes that by itself
        if salt:
            (project.root / "Pulumi.sandbox.yaml").write_text(salt)
        with pytest.raises(UserError, match=where):
            project.fleet("sandbox")
    monkeypatch.setenv("SANDBOX_HOME", "/elsewhere")
    with pytest.raises(UserError, match=r"cd /elsewhere/project"):
        project.fleet("sandbox")
    assert names(project.fleet("prod"))[0] == "prod"


def test_a_stack_named_sandbox_elsewhere_is_like_any_other(project: Project) -> None:
    (project.root / "Pulumi.sandbox.yaml").unlink()
    with pytest.raises(UserError, match=r"there is no stack 'sandbox'"):
        project.fleet("sandbox")
