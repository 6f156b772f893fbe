"""The changelog says in a form that the kept stacks are compared with what their first plan shows."""

from __future__ import annotations

import re

from tests.pages import PROJECT
from tests.sandbox import changelog, kept

TEXT = """\
# Changelog

- `files` runs again: outside of any section.

## Since 2222222 (2026-12-01)

- `meltano` runs again: a reason.
- `droplet` runs a program of ours.

## Since 1111111 (2026-11-30)

- `host-key` is updated: a reason.
- `files` runs again:
"""


def test_a_stack_is_told_what_changed_since_its_version() -> None:
    assert changelog.stated("2222222", TEXT) == {("meltano", "replace")}
    assert changelog.stated("1111111", TEXT) == {("meltano", "replace"), ("host-key", "update")}


def test_a_plans_changes_are_told_by_role() -> None:
    steps = {"acme-files": "replace", "acme-host-key": "update", "MeltanoData DBs 1": "create"}
    assert changelog.changes(steps, {"acme": {}}) == {
        *(("files", "replace"), ("host-key", "update"), ("MeltanoData DBs 1", "create")),
    }


def test_every_kept_stack_has_its_section_and_every_section_its_stack() -> None:
    kept_commits = {archive.name.removeprefix("stack-of-").partition(".")[0] for archive in kept.archives()}
    assert set(changelog.sections()) == kept_commits


def test_every_line_that_says_what_runs_again_is_read() -> None:
    """A line in another form would be passed over."""
    text = (PROJECT / "CHANGELOG.md").read_text()
    lines = re.findall(rf"^- `.*(?:{'|'.join(changelog.VERBS)}).*$", text, re.MULTILINE)
    assert len(lines) == sum(map(len, changelog.sections().values()))
