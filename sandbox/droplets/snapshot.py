"""The snapshot that droplets are made from: a Debian with the services and files of the guide's own.

It is built once on a machine and kept in the cache as read-only trees, which droplets lay their disks over:
packing it would save a third of a gigabyte and cost every first droplet seven seconds. The recipe is in `recipe/`;
its digest names the folder, so that another recipe is another snapshot.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import platform
import re
import shlex
import shutil
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from sandbox import packages
from sandbox.home import cache
from sandbox.process import run
from sandbox.progress import Steps

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

RECIPE: Final = Path(__file__).parent / "recipe"
SUITE: Final = "bookworm"
"""Debian 12, for its Python 3.11: Meltano 2 runs on nothing newer."""
CONTENTS: Final = (
    "ca-certificates",
    "curl",
    "dbus",
    "iproute2",
    "iputils-ping",
    "libpam-systemd",
    "libpq5",
    "openssh-server",
    "procps",
    "python3",
    "python3-venv",
    "systemd",
    "systemd-sysv",
    "vsftpd",
)
"""Debian's packages of a droplet, besides the essential ones."""
OTHER_MELTANO: Final = {"meltano": "2.19.1", "snowplow-tracker": "0.10.0"}
"""A version to go back to from that of `constraints.txt`, and what differs for it: the droplets' package index
has both in full."""
TEMPTING_MELTANO: Final = "3.7.9"
"""Without a UI; in the index as in the real one, where whoever asks for the newest gets such a version."""
KEYRING: Final = "/usr/share/keyrings/debian-archive-keyring.gpg"
NEEDED: Final = {"mmdebstrap": "mmdebstrap", "systemd-nspawn": "systemd-container", "ip": "iproute2"}
"""Program → Debian's package that brings it, on the machine that builds the snapshot and runs droplets."""

_APT_OPTION: Final = re.compile(r"Acquire::(https?|ftp|Retries|ForceIPv[46]|Check-Date|Check-Valid-Until)\b")
_NETWORK_SETTINGS: Final = frozenset(
    ("http_proxy", "https_proxy", "no_proxy", "all_proxy", "ssl_cert_file", "ssl_cert_dir", "requests_ca_bundle",
     "curl_ca_bundle", "netrc"),
)  # fmt: skip
_SETTINGS_FILES: Final = ("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/etc/ssl/certs")
_SETTINGS_OF_THE_USER: Final = (".config/pip/pip.conf", ".pip/pip.conf", ".netrc")
_ALONE: Final = (
    "setpriv",
    "--pdeathsig",
    "KILL",
    "unshare",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
)
"""In mount and process namespaces of its own, which end, with every process, when this process does."""

CaddyVersion = Literal[1, 2]


@dataclass(frozen=True)
class Snapshot:
    """A file system for droplets, in layers."""

    layers: tuple[Path, ...]
    """Read-only trees, the upper one first, as overlayfs takes them."""
    wheels: Path
    """A folder of Python packages: what a droplet can install from."""


def missing_packages() -> tuple[str, ...]:
    """Debian's packages that this machine lacks for building the snapshot and running droplets."""
    missing = {package for program, package in NEEDED.items() if shutil.which(program) is None}
    if not Path(KEYRING).exists():
        missing.add("debian-archive-keyring")
    return tuple(sorted(missing))


async def build(say: Callable[[str], None], caddy: CaddyVersion = 1) -> Snapshot:
    """The snapshot, built first if this machine has none of this recipe (some three minutes on two cores).

    Args:
        say: Is told what is going on, a line at a time.
        caddy: Caddy's major version: 1 as in the guide, or 2.

    Raises:
        ProgramError: A step failed; what it left is removed by the next attempt.
        PackageError: A package that this machine needs for it cannot be installed.
    """
    if missing := missing_packages():
        await packages.install(missing, say)
    folder = cache() / "snapshot" / _digest()
    folder.mkdir(parents=True, exist_ok=True)
    snapshot = Snapshot((folder / f"caddy{caddy}", folder / "base"), folder / "wheels")
    if not all(part.exists() for part in (*snapshot.layers, snapshot.wheels)):
        async with _only_builder(folder, say):
            await _build_missing(folder, snapshot, caddy, say)
    return snapshot


async def _build_missing(folder: Path, snapshot: Snapshot, caddy: CaddyVersion, say: Callable[[str], None]) -> None:
    """Each part is made under another name and gets its own when it is whole."""
    layer, base = snapshot.layers
    for left in folder.glob("*.new"):
        shutil.rmtree(left)
    steps = Steps("snapshot", 3 * (not base.exists()) + (not layer.exists()), say)
    if not base.exists():
        draft = _draft(base)
        steps.begin("Debian 12 with systemd, SSH and FTP servers")
        await _debian(draft)
        steps.begin("Meltano and what it needs, as Python packages")
        if not snapshot.wheels.exists():
            wheels = _draft(snapshot.wheels)
            wheels.mkdir()
            await _download(draft, wheels)
            wheels.rename(snapshot.wheels)
        steps.begin("Meltano's project, services and users")
        await _inside(draft, ("/mnt/recipe/configure.sh",), {"recipe": RECIPE, "wheels": snapshot.wheels})
        draft.rename(base)
    if not layer.exists():
        steps.begin(f"Caddy {caddy}")
        draft = _draft(layer)
        with tempfile.TemporaryDirectory(dir=folder, suffix=".new") as scratch:
            program = await (_caddy1 if caddy == 1 else _caddy2)(base, Path(scratch))
            mounts = {"recipe": RECIPE, "caddy": program}
            await _inside(base, (f"/mnt/recipe/caddy{caddy}.sh",), mounts, upper=draft)
        draft.rename(layer)
    steps.end(f"ready in {folder}")


def _draft(part: Path) -> Path:
    return part.with_suffix(".new")


def _digest() -> str:
    """Another one whenever something that decides on the snapshot's contents changes."""
    digest = hashlib.sha256(repr((SUITE, CONTENTS, OTHER_MELTANO, TEMPTING_MELTANO, platform.machine())).encode())
    for path in sorted(path for path in RECIPE.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(RECIPE)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@asynccontextmanager
async def _only_builder(folder: Path, say: Callable[[str], None]) -> AsyncIterator[None]:
    """Whoever comes second waits for the first and then finds the parts built."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("snapshot: waiting for another process that builds it")
            await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        yield


async def _debian(tree: Path) -> None:
    """Debian's packages, from the mirrors that this machine uses."""
    options = [f"--aptopt={option}" for option in await _apt_options()]
    await run(
        *_ALONE, "mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--format=directory",
        f"--include={','.join(CONTENTS)}", f"--keyring={KEYRING}", *options,
        SUITE, str(tree), *await _mirrors(),
    )  # fmt: skip


async def _mirrors() -> list[str]:
    """Lines of the tree's sources.list: this machine's mirrors of the suite.

    None where it has none, and mmdebstrap then takes Debian's own.
    """
    listing = await run("apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages")
    used = dict.fromkeys(line for line in listing.splitlines() if line.split()[1].partition("-")[0] == SUITE)
    return [f"deb {line} main" for line in used]


async def _apt_options() -> list[str]:
    """How this machine reaches its mirrors: proxies, certificates, time limits."""
    configuration = (await run("apt-config", "dump")).splitlines()
    return [line for line in configuration if _APT_OPTION.match(line)]


async def _download(tree: Path, wheels: Path) -> None:
    """Wheels of Meltano's versions with all that they need, by the tree's own Python and this machine's index."""
    pins = dict(line.split("==") for line in (RECIPE / "constraints.txt").read_text().split())
    with tempfile.TemporaryDirectory(dir=tree.parent, suffix=".new") as scratch:
        pip = "/opt/venv/bin/pip wheel --quiet --find-links /mnt/wheels --wheel-dir /mnt/wheels"
        Path(scratch, "other.txt").write_text("".join(f"{k}=={v}\n" for k, v in (pins | OTHER_MELTANO).items()))
        Path(scratch, "download.sh").write_text(
            "set -eu\n"
            "python3 -m venv /opt/venv\n"
            # The last one that the venv's setuptools builds with.
            "/opt/venv/bin/pip install --quiet wheel==0.45.1\n"
            f"{pip} --constraint /mnt/recipe/constraints.txt meltano\n"
            f"{pip} --constraint /mnt/download/other.txt meltano\n"
            f"{pip} --no-deps meltano=={TEMPTING_MELTANO}\n",
        )
        mounts = {"recipe": RECIPE, "wheels": wheels, "download": Path(scratch)}
        await _inside(tree, ("sh", "/mnt/download/download.sh"), mounts, upper=Path(scratch, "upper"), online=True)


async def _caddy1(_base: Path, scratch: Path) -> Path:
    """Caddy 1.0.5 from its Go module, the way to have it since its binaries are no longer offered."""
    program = scratch / "caddy"
    await run(
        "go", "build", "-trimpath", "-ldflags=-s -w", "-o", str(program), ".",
        folder=RECIPE / "caddy1", environment={**os.environ, "CGO_ENABLED": "0"},
    )  # fmt: skip
    return program


async def _caddy2(base: Path, scratch: Path) -> Path:
    """Debian's package of Caddy 2."""
    (scratch / "apt.conf").write_text("".join(f"{line}\n" for line in await _apt_options()))
    (scratch / "download.sh").write_text(
        "set -eu\n"
        "cp /mnt/download/apt.conf /etc/apt/apt.conf\n"
        "apt-get --quiet --quiet update\n"
        "cd /mnt/download && apt-get --quiet --quiet download caddy -o APT::Sandbox::User=root\n",
    )
    mounts = {"download": scratch}
    await _inside(base, ("sh", "/mnt/download/download.sh"), mounts, upper=scratch / "upper", online=True)
    (package,) = scratch.glob("caddy_*.deb")
    return package


def overlay(layers: Sequence[Path], upper: Path, work: Path) -> str:
    """The options of an overlay mount, as in `mount -t overlay -o …`."""

    def escaped(path: Path) -> str:
        return re.sub(r"([\\:,])", r"\\\1", str(path))

    return f"lowerdir={':'.join(map(escaped, layers))},upperdir={escaped(upper)},workdir={escaped(work)}"


async def _inside(
    tree: Path,
    argv: Sequence[str],
    mounts: Mapping[str, Path],
    *,
    upper: Path | None = None,
    online: bool = False,
) -> None:
    """Run a program inside a tree, in namespaces of its own.

    Args:
        tree: A root file system.
        argv: The program.
        mounts: Name under /mnt → file or folder of this machine that is seen there.
        upper: A folder, made here, where what it changes goes; into the tree itself when None.
        online: Whether it reaches the network, the way this machine does; `upper` then holds this machine's settings.
    """
    with tempfile.TemporaryDirectory(dir=tree.parent, suffix=".new") as scratch:
        root = Path(scratch, "root") if upper else tree
        lines = ["set -eu"]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
        if upper:
            work = Path(scratch, "work")
            for path in (root, work, upper):
                path.mkdir(mode=0o755)
            lines.append(f"mount -t overlay -o {shlex.quote(overlay((tree,), upper, work))} overlay {_quoted(root)}")
        if upper and online:
            _copy_settings(upper)
            environment |= {name: value for name, value in os.environ.items() if _is_network_setting(name)}
        lines.append(f"mount -t proc proc {_quoted(root / 'proc')}")
        # Every mount point is new, in a file system of its own: nothing here is written through another mount.
        lines.append(f"mount -t tmpfs tmpfs {_quoted(root / 'mnt')}")
        for name, path in mounts.items():
            target = _quoted(root / "mnt" / name)
            lines += [f"{'mkdir' if path.is_dir() else 'touch'} {target}", f"mount --bind {_quoted(path)} {target}"]
        lines.append(f"exec chroot {_quoted(root)} {shlex.join(argv)}")
        offline = () if online else ("--net",)
        script = Path(scratch, "inside.sh")
        script.write_text("\n".join(lines))
        await run(*_ALONE, *offline, "sh", str(script), environment=environment)


def _copy_settings(upper: Path) -> None:
    """Copy how this machine reaches the network and its package index to where it applies in a tree.

    Copies, not mounts: what runs in the tree may write to them.
    """
    named = [value for name, value in os.environ.items() if _is_network_setting(name) and value.startswith("/")]
    copies = {Path(path): upper / path.lstrip("/") for path in (*_SETTINGS_FILES, *named)}
    copies |= {Path.home() / path: upper / "root" / path for path in _SETTINGS_OF_THE_USER}
    for path, copy in copies.items():
        if path.is_dir():
            shutil.copytree(path, copy, ignore_dangling_symlinks=True, dirs_exist_ok=True)
        elif path.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)


def _is_network_setting(name: str) -> bool:
    return (name.startswith("PIP_") and name != "PIP_CACHE_DIR") or name.lower() in _NETWORK_SETTINGS


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
