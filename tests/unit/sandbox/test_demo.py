"""What the demo decides by itself; the whole of it runs in `make demo`."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from rich.console import Console

from meltanodata.engine.stack_state import StackState
from sandbox import demo
from sandbox.checks import Check, CheckError
from sandbox.demo import DemoError, Report, Stack
from sandbox.home import Home

if TYPE_CHECKING:
    from pathlib import Path

PARENT = "urn:pulumi:sandbox::meltanodata::meltanodata:index:Tenant"


def a_resource(kind: str, tenant: str, name: str, identity: str) -> dict[str, Any]:
    return {
        "type": kind,
        "urn": f"{PARENT}${kind}::{tenant}-{name}",
        "parent": f"{PARENT}::{tenant}",
        "id": identity,
    }


def a_stack(tenants: list[str]) -> Stack:
    resources, outputs = [], {}
    for number, tenant in enumerate(tenants):
        resources += [
            a_resource("digitalocean:index/droplet:Droplet", tenant, "droplet", f"{number}1"),
            a_resource("digitalocean:index/databaseCluster:DatabaseCluster", tenant, "database", f"{number}2"),
        ]
        outputs[tenant] = {
            "url": f"https://{tenant}.meltanodata.com",
            "address": f"198.18.0.{number}",
            "host_key": "ssh-ed25519 AAAA",
            "database_host": f"db-{tenant}",
            "admin_user": "meltano",
            "admin_password": {"4dabf18193072939515e22adb298388d": "1b47061264138c4a", "plaintext": '"secret"'},
        }
    stack = {"type": "pulumi:pulumi:Stack", "urn": f"{PARENT}::stack", "outputs": {"tenants": outputs}}
    return Stack(StackState({"deployment": {"resources": [stack, *resources]}}))


def a_report() -> tuple[Report, io.StringIO]:
    shown = io.StringIO()
    return Report(Console(file=shown, width=200)), shown


def test_instances_come_in_the_order_of_the_fleet_file_with_their_ids() -> None:
    fleet = list(yaml.safe_load(demo.FLEET.read_text()))
    instances = a_stack(sorted(fleet)).instances()
    assert [instance.key for instance in instances] == fleet
    first = instances[0]
    assert (first.host, first.droplet[1:], first.cluster[1:]) == (f"{fleet[0]}.meltanodata.com", "1", "2")
    assert first.password == "secret"
    assert "secret" not in repr(first)


def test_a_tenant_has_the_ids_of_its_own_resources_alone() -> None:
    assert sorted(a_stack(["a", "a-b"]).ids("a").values()) == ["01", "02"]


def test_another_id_or_a_missing_resource_is_found() -> None:
    before, after = a_stack(["a", "b"]), a_stack(["b", "a"])
    assert demo._same_ids("a", before, before) == "all 2 have the same ids"
    with pytest.raises(CheckError, match="a-droplet"):
        demo._same_ids("a", before, after)
    with pytest.raises(CheckError, match="a-droplet"):
        demo._same_ids("a", before, a_stack(["b"]))


def test_the_copy_lacks_one_tenant_and_the_fleet_file_stays(tmp_path: Path) -> None:
    text = demo.FLEET.read_text()
    *kept, removed = yaml.safe_load(text)
    demo._without(removed, tmp_path / "tenants.yaml")
    assert list(yaml.safe_load((tmp_path / "tenants.yaml").read_text())) == kept
    assert demo.FLEET.read_text() == text


def test_every_check_is_shown_though_one_fails() -> None:
    report, shown = a_report()

    def fail() -> str:
        raise CheckError("look at [this]")

    with pytest.raises(DemoError, match=r"failed: acme: ping"), report.step("look at acme"):
        report.look("acme", [Check("ping", fail), Check("login", lambda: "signed in")])
    assert "✗ acme: ping: look at [this]" in shown.getvalue()
    assert "✓ acme: login: signed in" in shown.getvalue()
    assert [(title, mark) for title, mark, _ in report.rows] == [("look at acme", "✗")]


def test_a_process_of_the_demo_is_known_by_its_mark(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert demo._leftovers(home) == []
    environment = {**os.environ, demo._MARK: str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=environment) as process:
        assert list(demo._processes(home)) == [process.pid]
        process.communicate(b"\n")
    assert demo._leftovers(home) == []
