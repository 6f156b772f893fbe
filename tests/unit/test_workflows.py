"""The workflows: few external actions, pinned; no right too many; all that is decided is decided by `meltanodata`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from meltanodata.engine.cli_version import SDK

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).resolve().parents[2]
FOLDER = PROJECT / ".github" / "workflows"
WORKFLOWS: dict[str, Any] = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yml"))}

MAY_WRITE = {
    ("preview", "guard"): {"pull-requests"},
    ("deploy", "publish"): {"pages", "id-token"},
    ("drift", "drift"): {"issues"},
}

ACTIONS = {
    *("actions/checkout", "actions/upload-artifact", "actions/create-github-app-token"),
    *("actions/upload-pages-artifact", "actions/deploy-pages"),
}


def jobs() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for workflow, content in WORKFLOWS.items():
        for name, job in content["jobs"].items():
            yield workflow, name, job


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for workflow, name, job in jobs():
        for step in job["steps"]:
            yield f"{workflow}.{name}", step


def test_these_are_all() -> None:
    assert set(WORKFLOWS) == {"certificate", "check", "preview", "deploy", "drift"}


def test_external_actions_are_few_and_pinned_by_commit() -> None:
    used = {step["uses"] for _, step in steps() if "uses" in step}
    assert {action.split("@")[0] for action in used} == ACTIONS
    assert all(re.fullmatch(r"[0-9a-f]{40}", action.split("@")[1]) for action in used)
    assert len(used) == len(ACTIONS)


def test_a_job_may_do_no_more_than_it_does() -> None:
    for workflow in WORKFLOWS.values():
        assert workflow["permissions"] == {}
    for workflow, name, job in jobs():
        rights = job.get("permissions", {})
        writes = {right for right, level in rights.items() if level == "write"}
        assert writes == MAY_WRITE.get((workflow, name), set()), name
        assert set(rights.values()) <= {"read", "write"}


def test_no_job_has_both_secrets_of_the_state_and_the_right_to_answer_a_pull_request() -> None:
    job = WORKFLOWS["preview"]["jobs"]["guard"]
    assert "secrets" not in str(job)


def test_the_verdict_is_the_base_branchs_in_a_job_of_its_own() -> None:
    jobs = WORKFLOWS["preview"]["jobs"]
    checkout, _, verdict = jobs["guard"]["steps"]
    assert checkout["with"]["ref"] == "refs/heads/${{ github.event.pull_request.base.ref }}"
    assert "--base HEAD" in verdict["run"]
    # Also where the jobs that run the request's code failed: then it says so.
    assert "!cancelled()" in jobs["guard"]["if"]
    assert "needs." not in jobs["guard"]["if"]
    assert "--no-guard" in str(jobs["plan"])
    # Nothing of the request's is unpacked by anybody but our own code.
    assert "download-artifact" not in str(jobs)


def test_a_request_is_previewed_again_when_it_goes_to_another_branch_or_gets_a_label() -> None:
    assert {"edited", "labeled", "unlabeled"} <= set(WORKFLOWS["preview"][True]["pull_request"]["types"])


def test_labels_are_handed_over_as_json() -> None:
    given = [step["env"]["MELTANODATA_LABELS"] for _, step in steps() if "MELTANODATA_LABELS" in step.get("env", {})]
    assert given == ["${{ toJSON(inputs.labels) }}"]


def test_what_the_renewal_may_write_on_github_it_may_by_an_app_alone() -> None:
    (app,) = [step for where, step in steps() if step.get("uses", "").startswith("actions/create-github-app-token@")]
    rights = {name: level for name, level in app["with"].items() if name.startswith("permission-")}
    writes = {name.removeprefix("permission-") for name, level in rights.items() if level == "write"}
    assert writes == {"contents", "issues", "pull-requests"}
    # A request that the workflow's own token opens starts no preview.
    assert "github.token" not in str(WORKFLOWS["certificate"])
    assert "vars.CERTIFICATE_APP_CLIENT_ID" in WORKFLOWS["certificate"]["jobs"]["certificate"]["if"]


def test_a_forks_request_gets_no_secret() -> None:
    assert "pull_request_target" not in str(WORKFLOWS)
    for name, job in WORKFLOWS["preview"]["jobs"].items():
        if "${{ secrets." in str(job) or "write" in job.get("permissions", {}).values():
            assert "head.repo.full_name == github.repository" in job["if"], name


def test_a_request_without_secrets_is_told_so_by_one_job_and_starts_no_other() -> None:
    """Dependabot's: every job that needs a secret, or judges what such a job made, leaves it out."""
    jobs = WORKFLOWS["preview"]["jobs"]
    assert jobs["bot"]["if"] == "github.actor == 'dependabot[bot]'"
    for name in ("plan", "guard"):
        assert "github.actor != 'dependabot[bot]'" in jobs[name]["if"]


def test_previews_and_drift_have_read_only_tokens_and_deploy_has_the_stacks() -> None:
    for workflow, name, job in jobs():
        if "PULUMI_CONFIG_PASSPHRASE" in str(job):
            # The renewal adds a TXT record, with a token of the stack.
            assert ("READ_ONLY_TOKENS" in str(job)) is (workflow not in {"deploy", "certificate"}), name
            assert job["environment"] == {"deploy": "production", "certificate": "certificate"}.get(workflow, "preview")


def test_deployments_queue_for_each_stack_and_are_never_cancelled() -> None:
    deploy = WORKFLOWS["deploy"]["jobs"]["deploy"]
    assert "concurrency" not in WORKFLOWS["deploy"]
    assert deploy["concurrency"] == {"group": "deploy-${{ matrix.stack }}", "cancel-in-progress": False, "queue": "max"}
    assert deploy["strategy"]["fail-fast"] is False


def test_nothing_of_an_event_is_pasted_into_a_shell() -> None:
    for where, step in steps():
        assert "${{" not in step.get("run", ""), where


def test_checkouts_keep_no_credentials() -> None:
    for where, step in steps():
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False, where


def test_a_deployment_has_the_whole_history_to_know_an_older_commit_by() -> None:
    checkout, *_ = WORKFLOWS["deploy"]["jobs"]["deploy"]["steps"]
    assert checkout["with"]["fetch-depth"] == 0


def test_every_job_ends() -> None:
    assert all(job["timeout-minutes"] <= 360 for _, _, job in jobs())


def test_every_job_that_needs_pulumi_installs_it_as_the_how_to_does() -> None:
    """In the version that pyproject.toml states, with its checksum."""
    install = 'make pulumi && echo "$PWD/.venv/bin" >> "$GITHUB_PATH"'
    for workflow, name, job in jobs():
        runs = [step.get("run", "") for step in job["steps"]]
        uses_the_state = "PULUMI_BACKEND_URL" in str(job)
        assert runs.count(install) == uses_the_state, (workflow, name)
        if uses_the_state:
            assert runs.index("make setup") < runs.index(install), (workflow, name)
    assert "\n    make pulumi " in (PROJECT / "docs/how-to/production.md").read_text()


def test_pulumis_version_is_stated_once() -> None:
    """In pyproject.toml. The lock and the sandbox's Go module repeat it, which `make lock` and a test keep equal."""
    stated = re.compile(rf"(?<![\d.]){re.escape(SDK)}(?![\d.])")
    names = ("Makefile", "Pulumi.yaml", "README.md", "CONTRIBUTING.md", *(".github", "docs", "meltanodata", "sandbox"))
    roots = [PROJECT / name for name in names]
    files = [path for root in roots for path in ([root] if root.is_file() else sorted(root.rglob("*")))]
    texts = [path for path in files if path.suffix in {"", ".md", ".yml", ".yaml", ".py", ".sh", ".mod", ".html"}]
    stating = [path for path in texts if path.is_file() and stated.search(path.read_text())]
    assert [str(path.relative_to(PROJECT)) for path in stating] == ["sandbox/engine/go.mod"]
    pins = re.findall(r"\"(pulumi==[^\"]+)\"", (PROJECT / "pyproject.toml").read_text())
    assert pins == [f"pulumi=={SDK}"]
    assert f"\npulumi=={SDK} " in (PROJECT / "requirements.lock").read_text()


@pytest.mark.parametrize(
    ("workflow", "commands"),
    [
        ("check", set()),
        ("preview", {"check", "stacks", "plan", "comment"}),
        ("deploy", {"stacks", "deploy", "credentials", "page"}),
        ("drift", {"drift"}),
        ("certificate", {"certificate"}),
    ],
)
def test_what_is_decided_is_decided_by_our_commands(workflow: str, commands: set[str]) -> None:
    runs = [step["run"] for job in WORKFLOWS[workflow]["jobs"].values() for step in job["steps"] if "run" in step]
    assert {name for run in runs for name in re.findall(r"\.venv/bin/meltanodata (\w+)", run)} == commands
    assert "pulumi " not in " ".join(runs).replace("make pulumi ", "")


def test_the_workflows_are_linted_alike_on_every_machine() -> None:
    """actionlint also runs shellcheck and pyflakes, where there are any."""
    makefile = (PROJECT / "Makefile").read_text()
    assert "-m tests.tools actionlint -shellcheck= -pyflakes= " in makefile
    ignored = yaml.safe_load((PROJECT / ".github" / "actionlint.yaml").read_text())["paths"]
    assert {path: len(rules["ignore"]) for path, rules in ignored.items()} == {".github/workflows/deploy.yml": 1}
