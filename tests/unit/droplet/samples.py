"""The files of acme's droplet, and the script that writes them run in a folder that stands for the droplet's root."""

from __future__ import annotations

import grp
import json
import os
import pwd
from typing import TYPE_CHECKING, Any

from meltanodata.droplet import files
from meltanodata.droplet.scripts import write_files

if TYPE_CHECKING:
    from pathlib import Path

ME, MY_GROUP = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
COMMON: dict[str, Any] = {
    "domain": "meltanodata.com",
    "caddy_version": 1,
    "tls": "wildcard",
    "certificate": files.Certificate("CERTIFICATE\n", "KEY\n"),
}
DATABASE = files.Database("db.example.com", 25060, "defaultdb", "doadmin", "AVNS_x")


def values(**overrides: Any) -> dict[str, str]:
    """Those of the tenant acme."""
    own: dict[str, Any] = {
        "host_name": "acme.meltanodata.com",
        "login": files.Login("s3cret", "s4lt"),
        "database": DATABASE,
    }
    return files.tenant_values(**{**own, **overrides})


def droplet_files(**overrides: Any) -> dict[str, dict[str, Any]]:
    """Those of acme's droplet, by path, as the script there writes them."""
    common = {name: overrides.pop(name, value) for name, value in COMMON.items()}
    told = json.loads(json.dumps(files.files_document(files.droplet_files(**common))))["files"]
    return {file["path"]: write_files.filled(file, values(**overrides)) for file in told}


def document(*given_: dict[str, Any]) -> dict[str, Any]:
    """The document for these files, all of whoever runs the tests."""
    return {"files": [{**file, "owner": ME, "group": MY_GROUP} for file in given_]}


def run(droplet: Path, told: dict[str, Any]) -> list[str]:
    """Run the script; what systemctl was told to restart."""
    (droplet / "calls").unlink(missing_ok=True)
    write_files.main(told, droplet, str(droplet / "systemctl"))
    calls = (droplet / "calls").read_text().splitlines() if (droplet / "calls").exists() else []
    return [call.split()[1] for call in calls if call.startswith("restart")]


def everything(**overrides: Any) -> dict[str, Any]:
    return document(*droplet_files(**overrides).values())
