"""The files of a droplet and the script that writes them, run in a folder that stands for the droplet's root."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import dotenv
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from meltanodata.droplet import files
from meltanodata.droplet.scripts import write_files
from tests.guide import CADDYFILE
from tests.unit.droplet.samples import COMMON, document, droplet_files, everything, run, values

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


# What goes to the droplet


@pytest.mark.parametrize(
    ("path", "owner", "group", "mode", "service"),
    [
        ("/etc/caddy/com.meltanodata.crt", "root", "root", 0o644, "caddy"),
        ("/etc/caddy/com.meltanodata.key", "root", "caddy", 0o640, "caddy"),
        ("/etc/caddy/Caddyfile", "root", "root", 0o644, "caddy"),
        ("/etc/caddy/environment", "root", "root", 0o644, "caddy"),
        ("/var/meltano/project/ui.cfg", "meltano", "meltano", 0o640, "meltano"),
        ("/var/meltano/project/.env", "meltano", "meltano", 0o620, "meltano"),
        ("/var/meltano/constraints.txt", "root", "root", 0o644, None),
        ("/var/meltano/.venv/pip.conf", "meltano", "meltano", 0o644, None),
    ],
)
def test_owners_modes_and_services(path: str, owner: str, group: str, mode: int, service: str | None) -> None:
    file = droplet_files()[path]
    assert (file["owner"], file["group"], file["mode"], file.get("service")) == (owner, group, mode, service)
    assert len(droplet_files()) == 8


def test_the_guides_caddyfile() -> None:
    assert droplet_files()["/etc/caddy/Caddyfile"]["content"] == CADDYFILE


def test_the_guides_self_signed_fallback() -> None:
    fallback = droplet_files(tls="self_signed")
    lines = "\ntls /etc/caddy/com.meltanodata.crt /etc/caddy/com.meltanodata.key\n"
    expected = CADDYFILE.replace("# tls self_signed", "tls self_signed").replace(lines, f"\n# {lines.strip()}\n")
    assert fallback["/etc/caddy/Caddyfile"]["content"] == expected
    unlike = [path for path, file in droplet_files().items() if fallback[path] != file]
    assert unlike == ["/etc/caddy/Caddyfile"]


def test_caddy_2_is_told_the_same() -> None:
    wildcard, fallback = (
        droplet_files(caddy_version=2, tls=tls)["/etc/caddy/Caddyfile"]["content"].splitlines()
        for tls in ("wildcard", "self_signed")
    )
    assert "\ttls /etc/caddy/com.meltanodata.crt /etc/caddy/com.meltanodata.key" in wildcard
    assert "\t# tls internal" in wildcard
    assert "\t# tls /etc/caddy/com.meltanodata.crt /etc/caddy/com.meltanodata.key" in fallback
    assert "\ttls internal" in fallback
    assert "\treverse_proxy localhost:5000 {" in wildcard


def test_the_other_files() -> None:
    made = droplet_files()
    assert made["/etc/caddy/com.meltanodata.crt"]["content"] == "CERTIFICATE\n"
    assert made["/etc/caddy/com.meltanodata.key"]["content"] == "KEY\n"
    assert made["/etc/caddy/environment"]["content"] == "HOSTNAME=acme.meltanodata.com\n"
    assert made["/var/meltano/project/ui.cfg"]["lines"] == {
        "SERVER_NAME": 'SERVER_NAME = "acme.meltanodata.com"',
        "SECRET_KEY": 'SECRET_KEY = "s3cret"',
        "SECURITY_PASSWORD_SALT": 'SECURITY_PASSWORD_SALT = "s4lt"',
    }
    assert made["/var/meltano/constraints.txt"]["content"] == "meltano<3\n"
    assert made["/var/meltano/.venv/pip.conf"]["content"] == "[install]\nconstraint = /var/meltano/constraints.txt\n"
    assert made["/var/meltano/project/.env"]["lines"] == {
        "PG_USERNAME": "PG_USERNAME=doadmin",
        "PG_PASSWORD": "PG_PASSWORD=AVNS_x",
        "PG_ADDRESS": "PG_ADDRESS=db.example.com",
        "PG_PORT": "PG_PORT=25060",
        "PG_DATABASE": "PG_DATABASE=defaultdb",
    }


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), min_size=1))
@hypothesis(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_password_is_read_back_from_env(tmp_path: Path, password: str) -> None:
    database = files.Database("h", 1, "d", "u", password)
    lines = droplet_files(database=database)["/var/meltano/project/.env"]["lines"]
    (tmp_path / ".env").write_text("\n".join([*lines.values(), "AFTER=it", ""]), encoding="utf-8")
    values = dotenv.dotenv_values(tmp_path / ".env")
    assert values["PG_PASSWORD"] == password
    assert values["AFTER"] == "it"


@pytest.mark.parametrize("password", ["two\nlines", "end\n", "\r"])
def test_a_password_with_a_line_break_is_refused(password: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        values(database=files.Database("h", 1, "d", "u", password))


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none()))
def test_a_script_is_told_any_document_whole(told: dict[str, Any]) -> None:
    program = files.call("verify", told)
    assert program.startswith(files.script("verify"))
    heard: list[dict[str, Any]] = []
    exec(program.removeprefix(files.script("verify")), {"main": heard.append, "json": json})
    assert heard == [told]


@pytest.mark.parametrize("name", ["write_files", "meltano", "admin", "verify", "wipe"])
def test_a_placed_script_reads_what_it_is_told(name: str, tmp_path: Path) -> None:
    """As far as its first look at the document, which lacks everything."""
    placed = files.placed(name)
    (tmp_path / "it.py").write_text(placed.content or "")
    done = subprocess.run(
        [sys.executable, "-I", tmp_path / "it.py"], input='{"extra": 1}', capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "NameError" not in done.stderr
    assert "JSON" not in done.stderr
    assert (placed.owner, placed.group, placed.mode, placed.service) == ("root", "root", 0o644, None)


def test_a_script_of_another_text_is_another_file(monkeypatch: pytest.MonkeyPatch) -> None:
    path = files.placed("wipe").path
    assert re.fullmatch(r"/run/meltanodata/wipe-[0-9a-f]{12}\.py", path)
    files.placed.cache_clear()
    monkeypatch.setattr(files, "script", lambda name: f"# another {name}")
    assert files.placed("wipe").path != path
    files.placed.cache_clear()


def common_document(**overrides: Any) -> files.File:
    return files.common_document(files.droplet_files(**{**COMMON, **overrides}))


def test_what_all_droplets_have_alike_is_one_document_there_for_root_alone() -> None:
    common = common_document()
    assert re.fullmatch(r"/run/meltanodata/common-[0-9a-f]{12}\.json", common.path)
    assert (common.owner, common.group, common.mode, common.service) == ("root", "root", 0o600, None)
    assert [file["path"] for file in json.loads(common.content or "")["files"]] == [
        "/etc/caddy/com.meltanodata.crt",
        "/etc/caddy/com.meltanodata.key",
        "/etc/caddy/Caddyfile",
        "/var/meltano/constraints.txt",
        "/var/meltano/.venv/pip.conf",
        "/etc/caddy/environment",
        "/var/meltano/project/ui.cfg",
        "/var/meltano/project/.env",
    ]
    assert common_document() == common
    assert common_document(certificate=files.Certificate("RENEWED\n", "KEY\n")).path != common.path


def test_the_state_of_a_tenant_has_the_documents_path_and_nothing_of_it() -> None:
    common = common_document()
    assert files.tenant_document(common, values(), keep_secrets=False) == {
        "common": common.path,
        "values": {
            "HOSTNAME": "acme.meltanodata.com",
            "SECRET_KEY": "s3cret",
            "SECURITY_PASSWORD_SALT": "s4lt",
            "PG_USERNAME": "doadmin",
            "PG_PASSWORD": "AVNS_x",
            "PG_ADDRESS": "db.example.com",
            "PG_PORT": "25060",
            "PG_DATABASE": "defaultdb",
        },
        "kept": [],
    }


# What the script does there


def test_files_come_from_the_document_on_the_disk_and_values_from_the_tenants(droplet: Path) -> None:
    common = common_document()
    alike = document(*json.loads(common.content or "")["files"])
    (droplet / "run/meltanodata").mkdir(parents=True)
    (droplet / common.path.lstrip("/")).write_text(json.dumps(alike))
    told = files.tenant_document(common, values(), keep_secrets=False)
    assert run(droplet, told) == ["caddy", "meltano"]
    assert (droplet / "etc/caddy/com.meltanodata.crt").read_text() == "CERTIFICATE\n"
    assert (droplet / "etc/caddy/environment").read_text() == "HOSTNAME=acme.meltanodata.com\n"
    assert run(droplet, everything()) == []


def test_a_new_droplet_gets_all_files_and_both_services_are_restarted(droplet: Path) -> None:
    assert run(droplet, everything()) == ["caddy", "meltano"]
    assert (droplet / "etc/caddy/Caddyfile").read_text() == CADDYFILE
    env = droplet / "var/meltano/project/.env"
    assert env.stat().st_mode & 0o7777 == 0o620
    assert dotenv.dotenv_values(env)["PG_ADDRESS"] == "db.example.com"
    assert (droplet / "etc/caddy/com.meltanodata.key").stat().st_mode & 0o7777 == 0o640


def test_the_second_run_does_nothing(droplet: Path) -> None:
    run(droplet, everything())

    def status(path: Path) -> tuple[int, ...]:
        it = path.stat()  # without the time of the last access: to read is to do nothing
        return it.st_ino, it.st_mode, it.st_uid, it.st_gid, it.st_size, it.st_mtime_ns, it.st_ctime_ns

    before = {path: status(path) for path in droplet.rglob("*") if path.is_file() and path.name != "calls"}
    assert run(droplet, everything()) == []
    assert {path: status(path) for path in before} == before


@pytest.mark.parametrize(
    ("change", "restarted"),
    [
        ({"tls": "self_signed"}, ["caddy"]),
        ({"certificate": files.Certificate("RENEWED\n", "KEY\n")}, ["caddy"]),
        ({"login": files.Login("other", "s4lt")}, ["meltano"]),
        ({"database": files.Database("other", 25060, "defaultdb", "doadmin", "AVNS_x")}, ["meltano"]),
    ],
)
def test_only_what_read_a_changed_file_is_restarted(
    droplet: Path, change: dict[str, Any], restarted: list[str]
) -> None:
    run(droplet, everything())
    assert run(droplet, everything(**change)) == restarted


def test_a_service_that_is_not_active_is_started(droplet: Path) -> None:
    run(droplet, everything())
    (droplet / "active/caddy").unlink()
    assert run(droplet, everything()) == ["caddy"]


def test_owner_and_mode_are_corrected_without_a_restart(droplet: Path) -> None:
    run(droplet, everything())
    env = droplet / "var/meltano/project/.env"
    env.chmod(0o600)
    assert run(droplet, everything()) == []
    assert env.stat().st_mode & 0o7777 == 0o620


def test_a_run_killed_before_the_restart_is_finished_by_the_next(
    droplet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(droplet, everything())

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(write_files.Service, "settle", killed)
        with pytest.raises(KeyboardInterrupt):
            run(droplet, everything(tls="self_signed"))
    assert run(droplet, everything(tls="self_signed")) == ["caddy"]
    assert run(droplet, everything(tls="self_signed")) == []


def test_a_run_killed_before_the_file_is_in_place_is_finished_by_the_next(
    droplet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(droplet, everything())

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            run(droplet, everything(tls="self_signed"))
    assert (droplet / "etc/caddy/Caddyfile").read_text() == CADDYFILE
    assert not list((droplet / "etc/caddy").glob(".meltanodata-*"))
    assert run(droplet, everything(tls="self_signed")) == ["caddy"]


def test_a_service_that_does_not_start_is_said_and_tried_again(droplet: Path) -> None:
    (droplet / "broken-caddy").touch()
    with pytest.raises(
        SystemExit, match="it does not start with them either: no way\nLook at: journalctl --unit caddy"
    ):
        run(droplet, everything())
    assert (droplet / "active/meltano").exists()  # one that does not start keeps no other down
    (droplet / "broken-caddy").unlink()
    assert run(droplet, everything()) == ["caddy"]


ENV = "var/meltano/project/.env"


def env_after(droplet: Path, before: str) -> str:
    (droplet / ENV).write_text(before)
    run(droplet, document(droplet_files()["/var/meltano/project/.env"]))
    return (droplet / ENV).read_text()


def test_what_others_wrote_in_env_stays(droplet: Path) -> None:
    after = env_after(droplet, "# ours\nTAP_TOKEN='x y'\nPG_PASSWORD=old\nexport PG_PORT = 1\nMORE=1")
    assert after == (
        "# ours\nTAP_TOKEN='x y'\nPG_PASSWORD=AVNS_x\nPG_PORT=25060\nMORE=1\n"
        "PG_USERNAME=doadmin\nPG_ADDRESS=db.example.com\nPG_DATABASE=defaultdb\n"
    )


UI = "var/meltano/project/ui.cfg"


def ui_after(droplet: Path, before: str | None, *, keep: bool) -> dict[str, str | None]:
    if before is not None:
        (droplet / UI).write_text(before)
    kept = files.tenant_document(common_document(), values(), keep_secrets=keep)["kept"]
    run(droplet, {**document(droplet_files()["/var/meltano/project/ui.cfg"]), "kept": kept})
    return dotenv.dotenv_values(droplet / UI)


OURS = {"SERVER_NAME": "acme.meltanodata.com", "SECRET_KEY": "s3cret", "SECURITY_PASSWORD_SALT": "s4lt"}
HAND_MADE_UI = 'SERVER_NAME = "old"\nSECRET_KEY = "n33d"\nSECURITY_PASSWORD_SALT = "f33d"\n'


def test_the_login_of_an_instance_made_by_hand_is_kept_if_it_shall(droplet: Path) -> None:
    assert ui_after(droplet, HAND_MADE_UI, keep=True) == {
        **OURS,
        "SECRET_KEY": "n33d",
        "SECURITY_PASSWORD_SALT": "f33d",
    }
    assert ui_after(droplet, HAND_MADE_UI, keep=False) == OURS


def test_a_login_that_is_not_there_cannot_be_kept(droplet: Path) -> None:
    assert ui_after(droplet, None, keep=True) == OURS


def test_meltano_reads_ui_cfg_as_it_was_meant(droplet: Path) -> None:
    assert ui_after(droplet, None, keep=False) == OURS


def test_a_name_that_stands_twice_stands_once_afterwards(droplet: Path) -> None:
    assert env_after(droplet, "PG_PORT=1\nPG_PORT=2\n").count("PG_PORT") == 1


HAND_MADE = """\
PG_USERNAME=doadmin # default DO credential
PG_PASSWORD="AVNS_x"
PG_ADDRESS='db.example.com'   # the cluster
PG_PORT=25060
export PG_DATABASE=defaultdb
"""


def test_a_file_written_by_hand_that_says_the_same_is_left_alone(droplet: Path) -> None:
    (droplet / "active/meltano").touch()
    assert env_after(droplet, HAND_MADE) == HAND_MADE
    assert "restart meltano" not in (droplet / "calls").read_text()


@pytest.mark.parametrize("line", ["PG_PASSWORD=AVNS_x#y", 'PG_PASSWORD="AVNS_x', "PG_PASSWORD='$AVNS_x'"])
def test_a_line_that_says_something_else_is_replaced(droplet: Path, line: str) -> None:
    assert "PG_PASSWORD=AVNS_x\n" in env_after(droplet, f"{line}\n")


def test_what_is_no_text_survives(droplet: Path) -> None:
    (droplet / ENV).write_bytes(b"LATIN=\xe9\n")
    run(droplet, document(droplet_files()["/var/meltano/project/.env"]))
    assert (droplet / ENV).read_bytes().startswith(b"LATIN=\xe9\nPG_USERNAME=doadmin\n")


def test_root_follows_no_link_of_the_tenants(droplet: Path) -> None:
    secret = droplet / "shadow"
    secret.write_text("root:x")
    (droplet / ENV).symlink_to(secret)
    run(droplet, document(droplet_files()["/var/meltano/project/.env"]))
    assert secret.read_text() == "root:x"
    assert "root:x" not in (droplet / ENV).read_text()
    assert not (droplet / ENV).is_symlink()


def test_nothing_of_a_files_content_is_said(droplet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(droplet, everything())
    said = capsys.readouterr()
    assert "wrote /etc/caddy/com.meltanodata.key" in said.out
    for secret in ("KEY\n", "s3cret", "s4lt", "AVNS_x"):
        assert secret not in said.out + said.err


SCRIPTS = ["write_files", "meltano", "admin", "verify", "wipe", "examine", "reach", "restart"]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_written_for_python_3_8_too(name: str) -> None:
    ast.parse(files.script(name), feature_version=(3, 8))


def defined(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """The names that a module defines or imports, each with what makes it."""
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name, ast.dump(node)) for alias in node.names)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, f"line {node.lineno}"
        elif isinstance(node, ast.Assign):
            names = [it.id for it in ast.walk(node) if isinstance(it, ast.Name) and isinstance(it.ctx, ast.Store)]
            yield from ((name, f"line {node.lineno}") for name in names)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_one_text_in_which_every_name_is_defined_once(name: str) -> None:
    """Its parts share one namespace: what one of them defined again would change the others."""
    source = files.script(name)
    compile(source, name, "exec", dont_inherit=True)
    tree = ast.parse(source)
    imported = [node.module for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert not [module for module in imported if str(module).startswith("meltanodata")]
    makers: dict[str, set[str]] = {}
    for defined_name, maker in defined(tree):
        makers.setdefault(defined_name, set()).add(maker.replace("Import(", ""))
    ambiguous = {it: by for it, by in makers.items() if len(by) > 1 and any(one.startswith("line") for one in by)}
    assert ambiguous == {}
