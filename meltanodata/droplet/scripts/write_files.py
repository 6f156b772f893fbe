"""Make a droplet's files as they should be, and restart what read their old content. Runs on the droplet, as root.

Idempotent: a second run finds nothing to do. A run killed at any moment is finished by the next one, since a service
is noted on the disk as one to restart before its file changes, and until it has been restarted.

Some of the files are in folders of the user meltano, as whom customers' pipelines run. Root never acts by path there:
every folder and file is opened step by step, without following links, and what is read, chowned or replaced is what was
opened.
"""

from __future__ import annotations

import contextlib
import grp
import json
import os
import pwd
import re
import secrets
import shlex
import socket
import stat
import subprocess
import time
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

TO_RESTART = "var/lib/meltanodata/restart"
"""A folder with an empty file for each service whose files changed since it started."""
BEFORE = "var/lib/meltanodata/before"
"""A folder with the files a service last started with, until it has started with new ones; root's alone."""
LARGEST = 1 << 20
"""Bytes of a file that others write to as well."""
PATIENCE = 40
"""Seconds until a service has to listen after a restart."""
CHECK_SECONDS = 30
"""For a service's program to say whether it takes its files."""
KEPT_CHARACTERS = 300
"""Of what a program says."""


class Refused(Exception):  # noqa: N818 - caught here
    """Why a file is not touched, and what to do."""


def main(document: dict[str, Any], root: Path = Path("/"), systemctl: str = "systemctl", port: int = 443) -> None:
    """Write what differs, then restart what has to be.

    Args:
        document: `files`, each with path, owner, group, mode, service and check if there are any, and content or lines;
            or `common`, the path of such a document on the disk, with the `values` for its templates, by name, and the
            names `kept`, whose lines stay as they are where there are any.
        root: the machine's root folder; another one in tests.
        systemctl: the program; another one in tests.
        port: where a service listens whose files are checked; another one in tests.
    """
    if "common" in document:
        common = json.loads((root / document["common"].lstrip("/")).read_text(encoding="utf-8"))
        files = [filled(file, document["values"]) for file in common["files"]]
    else:
        files = document["files"]
    failures: list[str] = []
    for name in dict.fromkeys(file.get("service") for file in files):
        group = [file for file in files if file.get("service") == name]
        service = Service(name, group, root, systemctl, port) if name else None
        for file in group:
            try:
                write(file, root, document.get("kept", []), service.begin if service else None)
            except Refused as refused:
                failures.append(str(refused))
            except OSError as error:
                failures.append(f"{file['path']} is not written: {os.strerror(error.errno or 0)}")
        failures += filter(None, [service.settle() if service else None])
    if failures:
        raise SystemExit("\n".join(failures))


def filled(file: dict[str, Any], values: dict[str, str]) -> dict[str, Any]:
    """The file with the values in the place of their names, if it is a template."""
    if not file.get("template"):
        return file
    if "lines" in file:
        return {**file, "lines": {name: Template(line).substitute(values) for name, line in file["lines"].items()}}
    return {**file, "content": Template(file["content"]).substitute(values)}


def write(file: dict[str, Any], root: Path, kept: list[str], begin: Callable[[], None] | None = None) -> None:
    """Replace the file in one step if its content differs; else mend no more than its owner and mode.

    Args:
        file: see `main`.
        root: see there.
        kept: see there.
        begin: is called before the content changes.

    Raises:
        Refused: something else than a file of this owner's is in its place, or a link on the way to it.
    """
    path = Path(file["path"])
    owner, group = pwd.getpwnam(file["owner"]).pw_uid, grp.getgrnam(file["group"]).gr_gid
    with folder(path.parent, root) as at, look(path, at) as old:
        if isinstance(old, Plain) and old.uid != owner:
            check_origin(old, path, at)
        content = old.content if isinstance(old, Plain) else None
        new = with_lines(content or b"", file["lines"], kept, path) if "lines" in file else file["content"].encode()
        if not isinstance(old, Plain) or new != content:
            if begin is not None:
                begin()
            put(path.name, at, Plain(None, new, owner, group, file["mode"], 1))
            print("wrote", file["path"])
        elif (old.uid, old.gid, old.mode) != (owner, group, file["mode"]):
            assert old.handle is not None  # noqa: S101 - it was opened
            os.fchown(old.handle, owner, group)
            os.fchmod(old.handle, file["mode"])
            print("mended owner and mode of", file["path"])


# Files and folders, by descriptor


class Plain(NamedTuple):
    """A regular file."""

    handle: int | None
    """Open for reading; None for one that is not there yet."""
    content: bytes
    uid: int
    gid: int
    mode: int
    links: int


class Link(NamedTuple):
    """A symbolic link that root has made, since nobody else may write in its folder."""

    target: str


_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_FILE = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_MOST_LINKS = 40
"""On one way, as the kernel has it."""


@contextlib.contextmanager
def folder(path: Path, root: Path) -> Iterator[int]:
    """A descriptor of a folder. On the way there, only links in folders that root alone may write are followed.

    Raises:
        Refused: there is another link, or no folder.
    """
    at = os.open(root, _FOLDER)
    try:
        names, links = list(reversed(path.parts[1:])), 0
        while names:
            name = names.pop()
            try:
                below = os.open(name, _FOLDER, dir_fd=at)
            except OSError:
                target = link_target(name, at)
                if target is None:
                    raise Refused(f"{path} is no folder") from None
                links += 1
                if links > _MOST_LINKS or not roots_alone(at):
                    raise Refused(
                        f"{path} is not reached: {name!r} on the way there is a symbolic link to"
                        f" {shown(target)}, and root follows none where others may write. Move the"
                        " folder itself there, or mount it there: mount --bind"
                    ) from None
                names += reversed(Path(target).parts)
                if target.startswith("/"):
                    names.pop()
                    below = os.open(root, _FOLDER)
                else:
                    continue
            os.close(at)
            at = below
        yield at
    finally:
        os.close(at)


@contextlib.contextmanager
def regular(path: Path, at: int) -> Iterator[int | Link | None]:
    """A descriptor of the file at a path, for reading, in the folder that is open; None where there is nothing.

    Raises:
        Refused: it is neither a file nor a link that root has made.
    """
    away = f"On the droplet, move it away: {as_owner(at)} mv --no-clobber {path} {path}.odd"
    try:
        handle = os.open(path.name, _FILE, dir_fd=at)
    except FileNotFoundError:
        yield None
        return
    except OSError as error:
        target = link_target(path.name, at)
        if target is None:
            raise Refused(f"{path} is no file ({os.strerror(error.errno or 0)}). {away}") from None
        if not roots_alone(at):
            raise Refused(
                f"{path} is a symbolic link to {shown(target)}, and root follows none where others may write."
                f" {away}; a new file is written then"
            ) from None
        yield Link(target)
        return
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise Refused(f"{path} is no file. {away}")
        yield handle
    finally:
        os.close(handle)


@contextlib.contextmanager
def look(path: Path, at: int) -> Iterator[Plain | Link | None]:
    """What is at a path, in the folder that is open; None for nothing.

    Raises:
        Refused: it is neither a file nor a link that root has made, or it is too large.
    """
    with regular(path, at) as handle:
        if not isinstance(handle, int):
            yield handle
            return
        status = os.fstat(handle)
        with os.fdopen(os.dup(handle), "rb") as stream:
            content = stream.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise Refused(f"{path} has more than {LARGEST} bytes, and is read by nobody then. Look at what wrote it")
        mode = stat.S_IMODE(status.st_mode)
        yield Plain(handle, content, status.st_uid, status.st_gid, mode, status.st_nlink)


def check_origin(file: Plain, path: Path, at: int) -> None:
    """Make sure that a file of another owner's was made where it is, before its content becomes somebody's.

    Root may have made it, and then it is mended. But one with a second name may be from anywhere.

    Raises:
        Refused: nobody can know.
    """
    if roots_alone(at) or (file.links == 1 and hard_links_are_protected()):
        return
    raise Refused(
        f"{path} belongs to user {file.uid} and may be a hard link to a file from elsewhere (names: {file.links}). On"
        f" the droplet, move it away: {as_owner(at)} mv --no-clobber {path} {path}.odd; a new file is written then"
    )


def hard_links_are_protected() -> bool:
    """Whether nobody can make one of a file that he may not write: a default of systemd's."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/fs/protected_hardlinks").read_text(encoding="ascii").strip() == "1"
    return False


def roots_alone(at: int) -> bool:
    """Whether nobody but root, or who runs this, may change what is in a folder."""
    status = os.fstat(at)
    return status.st_uid in {0, os.geteuid()} and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def link_target(name: str, at: int) -> str | None:
    """Where a symbolic link leads; None for what is none."""
    with contextlib.suppress(OSError):
        return os.readlink(name, dir_fd=at)
    return None


def as_owner(at: int) -> str:
    """The beginning of a command that the folder's owner runs: as root it could be led elsewhere."""
    uid = os.fstat(at).st_uid
    with contextlib.suppress(KeyError):
        return f"runuser -u {pwd.getpwuid(uid).pw_name} --"
    return f"setpriv --reuid={uid} --clear-groups"


def put(name: str, at: int, file: Plain | Link) -> None:
    """Make it so in one step; owner and mode are those of the file that was made here, whatever is done to its name."""
    temporary = f".meltanodata-{secrets.token_hex(8)}"
    try:
        if isinstance(file, Link):
            os.symlink(file.target, temporary, dir_fd=at)
        else:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(temporary, flags, 0o600, dir_fd=at), "wb") as stream:
                stream.write(file.content)
                os.fchown(stream.fileno(), file.uid, file.gid)
                os.fchmod(stream.fileno(), file.mode)
                stream.flush()
                os.fsync(stream.fileno())
        os.replace(temporary, name, src_dir_fd=at, dst_dir_fd=at)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=at)
        raise


def shown(text: str) -> str:
    """What others have written, on one line and not too long."""
    printable = "".join(character if character.isprintable() else " " for character in text[: 10 * KEPT_CHARACTERS])
    return printable.strip()[:KEPT_CHARACTERS]


# Lines of a .env file


class Binding(NamedTuple):
    """A statement of a .env file."""

    begin: int
    """Of its line, or of the first of its lines."""
    end: int
    """Before the end of its line."""
    after: int
    """Behind that."""
    name: str | None
    """None for a comment, and for what cannot be read."""
    value: str | None
    """Without quotes and escapes, with `${…}` as it stands; None where there is no `=`."""


_EXPORT = re.compile(r"(?:export[^\S\r\n]+)?")
_NAME = re.compile(r"'([^']+)'|(?!')([^=#\s]+)")
_BLANK = re.compile(r"[^\S\r\n]*")
_LINE = re.compile(r"[^\r\n]*")
_COMMENT = re.compile(r"(?:[^\S\r\n]*#[^\r\n]*)?[^\S\r\n]*")
_LINE_END = re.compile(r"\r\n|\n|\r|\Z")
_ESCAPES = {"'": re.compile(r"\\([\\'])"), '"': re.compile(r"\\([\\'\"abfnrtv])")}
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class Reader(NamedTuple):
    """How a version of python-dotenv reads what its versions read differently."""

    quoted: dict[str, re.Pattern[str]]
    """What is between quotes, the quotes included, by quote."""
    empty_before_comment: bool
    """Whether `A= # b` is an empty value."""
    byte_order_mark: bool
    """Whether one at the beginning is no part of the first name."""


READERS = (
    # 0.21, which Meltano 2 brings: a backslash before a quote always hides it, unless no other quote follows.
    Reader({quote: re.compile(rf"{quote}((?:\\{quote}|[^{quote}])*){quote}") for quote in "'\""}, False, False),
    # 1.2, in case something else reads the file.
    Reader({quote: re.compile(rf"{quote}((?:\\.|[^{quote}\\])*){quote}", re.DOTALL) for quote in "'\""}, True, True),
)


def bindings(text: str, reader: Reader) -> Iterator[Binding]:
    """The statements of a .env file, in their order. Only CR and LF end a line, and quotes may hold several."""
    at = 1 if reader.byte_order_mark and text.startswith("\ufeff") else 0
    while at < len(text):
        start = at
        while at < len(text) and text[at].isspace():
            at += 1
        if at == len(text):
            return
        begin = max(start, text.rfind("\n", start, at) + 1, text.rfind("\r", start, at) + 1)
        found, at = statement(text, at, reader)
        line_end = _LINE_END.match(text, _COMMENT.match(text, at).end()) if found else None  # type: ignore[union-attr]  # matches always
        if found is None or line_end is None:
            # The rest of the line goes with it.
            line_end = _LINE_END.match(text, _LINE.match(text, at).end())  # type: ignore[union-attr]  # matches always
            found = (None, None)
        assert line_end is not None  # noqa: S101 - behind the rest of a line
        at = line_end.end()
        yield Binding(begin, line_end.start(), at, *found)


def statement(text: str, at: int, reader: Reader) -> tuple[tuple[str | None, str | None] | None, int]:
    """Name and value of what begins here, and where it ends; None for what cannot be read, and how far that was so."""
    at = _EXPORT.match(text, at).end()  # type: ignore[union-attr]  # matches always
    name = None
    if not text.startswith("#", at):
        key = _NAME.match(text, at)
        if key is None:
            return None, at
        name, at = key[1] or key[2], key.end()
    at = _BLANK.match(text, at).end()  # type: ignore[union-attr]  # matches always
    if not text.startswith("=", at):
        return (name, None), at
    begin = _BLANK.match(text, at + 1).end()  # type: ignore[union-attr]  # matches always
    if reader.empty_before_comment and begin > at + 1 and text.startswith("#", begin):
        return (name, ""), begin
    quote = text[begin : begin + 1]
    if quote in reader.quoted:
        inner = reader.quoted[quote].match(text, begin)
        if inner is None:
            return None, begin
        value = _ESCAPES[quote].sub(lambda escape: _ESCAPED.get(escape[1], escape[1]), inner[1])
        return (name, value), inner.end()
    line = _LINE.match(text, begin)
    assert line is not None  # noqa: S101 - matches always
    return (name, re.sub(r"\s+#.*", "", line[0]).rstrip()), line.end()


def env_values(text: str, reader: Reader) -> dict[str, str | None]:
    """What a .env file sets: of several statements with one name the last."""
    return {binding.name: binding.value for binding in bindings(text, reader) if binding.name is not None}


def with_lines(old: bytes, lines: dict[str, str], kept: Iterable[str], path: Path) -> bytes:
    """The text with these names set, each where it was first set, else at the end; every other byte stays.

    A name that is set to the same in another way (quotes, a comment) stays too, so that nothing is restarted for it;
    and one that is among the kept ones, whatever it is set to. Whatever stands there, the result is read again: it has
    to say what is wanted, and of all else what it said before.

    Raises:
        Refused: nothing that could be written would.
    """
    text = old.decode("utf-8", "surrogateescape")
    before = [env_values(text, reader) for reader in READERS]
    there = [name for name in kept if name in before[0]]
    lines = {name: line for name, line in lines.items() if name not in there}
    ours = [{name: env_values(line, reader).get(name) for name, line in lines.items()} for reader in READERS]
    wrong = {
        name: line
        for name, line in lines.items()
        if any(name not in had or had[name] != wanted[name] for had, wanted in zip(before, ours))  # noqa: B905 - 3.8
    }
    if not wrong:
        return old
    for new in (replaced(text, wrong, in_front=False), replaced(text, wrong, in_front=True)):
        after = [env_values(new, reader) for reader in READERS]
        if after == [{**had, **wanted} for had, wanted in zip(before, ours)]:  # noqa: B905 - 3.8
            return new.encode("utf-8", "surrogateescape")
    raise Refused(f"{path} has a quote that is not closed, so that {' '.join(wrong)} cannot be set in it. Close it")


def replaced(text: str, lines: dict[str, str], *, in_front: bool) -> str:
    """The text with a line for each name: where it was first set or at the end, or all in front."""
    missing, parts, at = dict(lines), [], 0
    for binding in bindings(text, READERS[0]):
        if binding.name not in lines:
            continue
        parts.append(text[at : binding.begin])
        at = binding.after
        if binding.name in missing and not in_front:
            parts += [missing.pop(binding.name), text[binding.end : binding.after]]
    rest = "".join([*parts, text[at:]])
    more = "".join(f"{line}\n" for line in missing.values())
    if in_front:
        return more + rest
    return rest + ("\n" if more and rest and not rest.endswith(("\n", "\r")) else "") + more


# Services


class Service:
    """What reads its files at its start only.

    Where one of the files has a check, its program is asked whether it takes the new files before it is restarted. If
    it does not, or does not start with them, those that it last started with are put back.
    """

    def __init__(self, name: str, files: list[dict[str, Any]], root: Path, systemctl: str, port: int) -> None:
        self.name, self.root, self.systemctl, self.port = name, root, systemctl, port
        self.paths = [Path(file["path"]) for file in files]
        self.check: list[str] | None = next((file["check"] for file in files if "check" in file), None)
        self.note, self.before = root / TO_RESTART / name, root / BEFORE / f"{name}.json"
        self.unknown = self.note.exists()
        """Whether an earlier run was broken off, and the service may have started with any of the files."""

    def begin(self) -> None:
        """Note that it is to be restarted, before the first of its files changes."""
        if self.check is not None and not self.before.exists():
            self.before.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            kept = json.dumps({str(path): self._kept(path) for path in self.paths})
            with folder(Path("/", BEFORE), self.root) as at:
                put(self.before.name, at, Plain(None, kept.encode(), os.geteuid(), os.getegid(), 0o600, 1))
        self.note.parent.mkdir(parents=True, exist_ok=True)
        self.note.touch()

    def _kept(self, path: Path) -> list[Any] | str | None:
        with folder(path.parent, self.root) as at, look(path, at) as file:
            if isinstance(file, Plain):
                return [file.content.decode("latin-1"), file.uid, file.gid, file.mode]
            return file.target if file else None

    def settle(self) -> str | None:
        """Restart it if it is noted, start it if it is not active; what to say if it does not come up."""
        changed = self.note.exists()
        if not changed and self._systemctl("is-active").returncode == 0:
            self._forget()
            return None
        look_at = f"Look at: journalctl --unit {self.name} --lines 50"
        if not self.before.exists():
            wrong = self._restart()
            if wrong is None:
                self._forget()
            return wrong and f"{self.name} does not start: {wrong}\n{look_at}"
        refused = self._refused()
        wrong = refused or self._restart()
        if wrong is None:
            self._forget()
            return None
        said = f"{self.name} does not {'take' if refused else 'start with'} its new files: {wrong}"
        try:
            self._put_back()
        except (Refused, OSError) as error:
            return f"{said}\nThe old ones are not all back: {error}. The next run tries again. {look_at}"
        goes_on = refused and not self.unknown and self._systemctl("is-active").returncode == 0
        again = None if goes_on else self._restart()
        if again is not None:
            return f"{said}\nThe old ones are back, and it does not start with them either: {again}\n{look_at}"
        self._forget()
        return (
            f"{said}\nThe old ones are back, and {self.name} serves with them. Nothing else is held up by it. Mend what"
            f" it complains about, the certificate if need be, then run this again. {look_at}"
        )

    def _refused(self) -> str | None:
        """What its program has against the files; None if nothing, or if it cannot be asked."""
        unit: dict[str, list[str]] = {}
        shows = "--property=ExecStart,User,Environment,EnvironmentFiles"
        for line in self._systemctl("show", shows).stdout.splitlines():
            key, _, value = line.partition("=")
            unit.setdefault(key, []).append(value)
        program = re.search(r"\bpath=([^ ;]+)", "".join(unit.get("ExecStart", [])))
        if program is None or self.check is None:
            return None  # the restart will tell
        user = "".join(unit.get("User", []))
        environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        if user:
            environment["HOME"] = pwd.getpwnam(user).pw_dir
        assignments = shlex.split(" ".join(unit.get("Environment", [])))
        for listed in unit.get("EnvironmentFiles", []):
            with contextlib.suppress(OSError):
                assignments += (self.root / listed.rpartition(" (")[0].lstrip("/")).read_text().splitlines()
        for line in assignments:
            key, equals, value = line.partition("=")
            if equals and not key.startswith(("#", ";")):
                environment[key] = value
        as_user = ["runuser", "--user", user, "--"] if user else []
        done = subprocess.run(
            ["timeout", "--kill-after=5", str(CHECK_SECONDS), *as_user, program[1], *self.check],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd="/",
            env=environment,
        )
        if done.returncode == 0 or "flag provided but not defined" in done.stdout:  # too old to be asked
            return None
        if done.returncode in {124, 137}:  # timeout's
            return f"it does not say within {CHECK_SECONDS} seconds whether it takes them"
        *_, last = [f"exit code {done.returncode}", *filter(str.strip, done.stdout.splitlines())]
        return shown(last)

    def _restart(self) -> str | None:
        """Why it does not come up; None if it does."""
        self._systemctl("reset-failed")  # a service that failed too often is not started again otherwise
        done = self._systemctl("restart")
        if done.returncode != 0:
            return shown(done.stderr)
        deadline = time.monotonic() + PATIENCE
        # systemctl may be back before the program has read its files.
        while self.check is not None and not self._listens():
            state = self._systemctl("is-active").stdout.strip()
            if state in {"failed", "inactive"}:
                return f"it is {state} right after its start"
            if time.monotonic() > deadline:
                return f"nothing listens at port {self.port} {PATIENCE} seconds after its start"
            time.sleep(0.2)
        print("restarted", self.name)
        return None

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5):
            return True
        return False

    def _put_back(self) -> None:
        for name, kept in json.loads(self.before.read_text(encoding="utf-8")).items():
            path = Path(name)
            with folder(path.parent, self.root) as at:
                if kept is None:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(path.name, dir_fd=at)
                elif isinstance(kept, str):
                    put(path.name, at, Link(kept))
                else:
                    content, uid, gid, mode = kept
                    put(path.name, at, Plain(None, content.encode("latin-1"), uid, gid, mode, 1))

    def _forget(self) -> None:
        """It runs with its files. Their old ones go first: without the note they would count as those it runs with."""
        for path in (self.before, self.note):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    def _systemctl(self, *command: str) -> subprocess.CompletedProcess[str]:
        command = (self.systemctl, *command, self.name)
        return subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
