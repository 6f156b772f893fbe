"""GitHub's API as the workflows need it: comments, issues, pull requests, and the plans reviewed before a merge.

https://docs.github.com/en/rest, version 2022-11-28. Another CI does without it: every command also prints what it
posts.
"""

from __future__ import annotations

import io
import os
import sys
import time
import zipfile
import zlib
from datetime import UTC, datetime
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import AliasPath, AwareDatetime, BeforeValidator, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from meltanodata.errors import UserError
from meltanodata.text import is_token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import requests

_T = TypeVar("_T")

TIMEOUT = (10, 30)
"""Seconds for a connection, and for silence on it."""
PER_PAGE = 100
"""The most that GitHub allows."""
_PAGES = 100
"""The most pages of a list."""
PREVIEW = ".github/workflows/preview.yml"
"""The workflow whose plans count as reviewed."""

_PAUSES = (0.5, 1, 2, 4)
"""Seconds before each further attempt while GitHub fails."""
_PATIENCE = 300
"""Seconds to wait altogether for GitHub's rate limits."""
_UNSAID = 60
"""Seconds to wait for a rate limit without a stated time, as GitHub's documentation asks."""
_SERVER_ERROR = 500
"""From this status on GitHub itself has failed, including statuses that HTTP does not define (520)."""
_HINTS: dict[int, str] = {
    401: ": the token is refused",
    403: ": the workflow's `permissions` do not allow it",
    404: ": it does not exist, or the workflow's `permissions` do not allow it",
}
_LARGEST = 32 * 1024 * 1024
"""The most bytes of an answer."""
LARGEST_ARTIFACT = 16 * 1024 * 1024
"""The most bytes of a plan, packed or not; a plan that creates 500 tenants has 4 million."""


def _member(name: str) -> BeforeValidator:
    """Takes one member of an object in an answer for the whole."""
    return BeforeValidator(lambda value: value.get(name) if isinstance(value, dict) else value)


@dataclass(frozen=True)
class PullRequest:
    """What reviews and deployments need of a pull request."""

    number: int
    labels: tuple[Annotated[str, _member("name")], ...]
    head: str = Field(validation_alias=AliasPath("head", "sha"))
    """Its last commit."""
    branch: str = Field(validation_alias=AliasPath("head", "ref"))
    """The branch of that commit."""
    base: str = Field(validation_alias=AliasPath("base", "ref"))
    """The base branch."""
    merged_at: AwareDatetime | None = None
    merge: str | None = Field(default=None, validation_alias="merge_commit_sha")
    """The last commit of its merge on the base branch."""


@dataclass(frozen=True)
class _User:
    login: str
    type: str = "User"


@dataclass(frozen=True)
class _Text:
    """A comment or an issue."""

    id: int
    body: str | None
    user: _User | None
    number: int = 0


@dataclass(frozen=True)
class _Run:
    id: int
    path: str
    event: str
    conclusion: str | None
    head_sha: str
    head_branch: str | None
    created_at: AwareDatetime
    repository: str | None = Field(default=None, validation_alias=AliasPath("head_repository", "full_name"))
    pull_requests: tuple[Annotated[int, _member("number")], ...] | None = None


@dataclass(frozen=True)
class _Artifact:
    id: int
    name: str
    expired: bool
    size_in_bytes: int
    created_at: AwareDatetime


@dataclass(frozen=True)
class _Event:
    event: str
    created_at: AwareDatetime


@dataclass(frozen=True)
class _Refusal:
    message: str


@dataclass(frozen=True)
class _Object:
    sha: str


@dataclass(frozen=True)
class _Commit:
    tree: _Object


class _Bearer:
    """The token. Without an `auth` of its own requests would send the login from ~/.netrc instead."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class _UnclearError(UserError):
    """A request of which it is unknown whether it took effect."""


class GitHub:
    """One repository."""

    def __init__(
        self,
        repository: str,
        token: str,
        api_url: str = "https://api.github.com",
        *,
        wait: Callable[[float], None] = time.sleep,
        largest: int = _LARGEST,
        pauses: Sequence[float] = _PAUSES,
    ) -> None:
        """Name the repository as `owner/name`.

        `wait` sleeps for so many seconds; an answer of more than `largest` bytes is refused; `pauses` are those between
        attempts, in seconds.
        """
        import requests

        self._repository = repository
        self._api_url = api_url
        self._root = f"{api_url}/repos/{repository}"
        self._wait, self._largest, self._pauses = wait, largest, pauses
        self._patience: float = _PATIENCE
        self._session = requests.Session()
        self._session.auth = _Bearer(token)
        self._session.headers.update({"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"})

    @classmethod
    def from_environment(cls) -> GitHub:
        """The repository of the running workflow.

        Raises:
            UserError: GITHUB_REPOSITORY or GITHUB_TOKEN is missing, or is not a token.
        """
        missing = [name for name in ("GITHUB_REPOSITORY", "GITHUB_TOKEN") if not os.environ.get(name)]
        if missing:
            raise UserError(f"{' and '.join(missing)} must be set to talk to GitHub, as in a workflow")
        token = os.environ["GITHUB_TOKEN"].strip()
        if not is_token(token):
            raise UserError("GITHUB_TOKEN is not a token: a token is one word of ASCII letters, digits and signs")
        url = os.environ.get("GITHUB_API_URL", "https://api.github.com")
        return cls(os.environ["GITHUB_REPOSITORY"], token, url)

    def comment(self, number: int, marker: str, body: str, *, new: bool = True) -> None:
        """Write our comment of a pull request, in place of the old one or, if there is none and `new`, as a new one.

        Other users' comments that begin with the marker are left alone.
        """
        path = f"/issues/{number}/comments"
        self._write(path, {}, marker, new={"body": body} if new else None, over=({"body": body}, "/issues/comments"))

    def issue(self, marker: str, title: str, body: str | None) -> None:
        """Open, rewrite or close our one open issue, whose body begins with the marker. A body of None closes it."""
        text = {"title": title, "body": body}
        over = {"state": "closed", "state_reason": "completed"} if body is None else text
        self._write("/issues", {"state": "open"}, marker, new=None if body is None else text, over=(over, "/issues"))

    def pull_request(self, number: int) -> PullRequest:
        """A pull request as it is now."""
        path = f"/pulls/{number}"
        return _read(self._ask("GET", path), path, PullRequest)

    def requests_with(self, commit: str) -> list[PullRequest]:
        """The pull requests that GitHub associates with a commit, merged or not."""
        return list(self._all(f"/commits/{commit}/pulls", PullRequest))

    def open_request(self, branch: str) -> PullRequest | None:
        """The open pull request of a branch of this repository; the newest if there are several."""
        query = {"state": "open", "head": f"{self._owner}:{branch}"}
        return max(self._all("/pulls", PullRequest, **query), key=lambda request: request.number, default=None)

    def commit(self, branch: str, parent: str, files: Mapping[str, str], message: str) -> str:
        """Set a branch to a new commit of whole files on top of `parent`, and drop what the branch had; its id.

        `files` has the contents by path in the repository.
        """
        base = self._asked_for("GET", f"/git/commits/{parent}", _Commit).tree.sha
        entries = [{"path": path, "mode": "100644", "type": "blob", "content": text} for path, text in files.items()]
        tree = self._asked_for("POST", "/git/trees", _Object, {"base_tree": base, "tree": entries}).sha
        new = {"message": message, "tree": tree, "parents": [parent]}
        commit = self._asked_for("POST", "/git/commits", _Object, new).sha
        path = f"/git/ref/heads/{branch}"
        if self._answer("GET", f"{self._root}{path}", path).status_code == HTTPStatus.NOT_FOUND:
            self._ask("POST", "/git/refs", json={"ref": f"refs/heads/{branch}", "sha": commit})
        else:
            self._ask("PATCH", f"/git/refs/heads/{branch}", json={"sha": commit, "force": True})
        return commit

    def propose(self, branch: str, base: str, title: str, body: str) -> int:
        """Open the branch's pull request, or rewrite the text of the open one; its number."""
        old = self.open_request(branch)
        if old is not None:
            self._ask("PATCH", f"/pulls/{old.number}", json={"title": title, "body": body, "base": base})
            return old.number
        new = {"title": title, "head": branch, "base": base, "body": body}
        return self._asked_for("POST", "/pulls", PullRequest, new).number

    def add_labels(self, number: int, labels: Sequence[str]) -> None:
        """Give a pull request labels beside those that it has."""
        self._ask("POST", f"/issues/{number}/labels", json={"labels": [*labels]})

    def preview_conclusion(self, branch: str, commit: str) -> str | None:
        """How the newest preview of a commit ended, such as `success`; None while it runs, or before."""
        query = {"head_sha": commit, "event": "pull_request"}
        runs = [
            run
            for run in self._all("/actions/runs", _Run, "workflow_runs", **query)
            if (run.path.partition("@")[0], run.head_branch) == (PREVIEW, branch)
        ]
        newest = max(runs, key=lambda run: (run.created_at, run.id), default=None)
        return None if newest is None else newest.conclusion

    def merge(self, number: int, commit: str) -> str | None:
        """Merge a pull request whose last commit is this one; why GitHub refuses, or None once it is merged.

        Tries each way of merging, since a repository may allow some of them only.
        """
        path, reasons = f"/pulls/{number}/merge", []
        for way in ("merge", "squash", "rebase"):
            answer = self._answer("PUT", f"{self._root}{path}", path, json={"sha": commit, "merge_method": way})
            if answer.ok:
                return None
            reasons.append(_read(answer, path, _Refusal).message)
        return None if self.pull_request(number).merged_at is not None else reasons[0]

    def artifact_of_run(self, run: int, name: str) -> bytes | None:
        """The artifact NAME, with the one file NAME.json, of a workflow run; the newest if there are several.

        Raises:
            UserError: it holds anything else, or is too large.
        """
        return self._newest(self._artifacts(run, name))

    def reviewed_artifact(self, request: PullRequest, name: str) -> bytes | None:
        """The artifact that a merged pull request showed last, see `artifact_of_run`; None if there is none.

        It must be from a successful run of this repository's own preview workflow, for the pull request's last commit
        and branch, and older than the merge, since nobody reviewed later ones.

        Once a pull request is closed, GitHub does not say for which one a run was (`pull_requests` is empty then). So
        no run counts that may have been for another pull request of the same commit, or for another base branch.

        Raises:
            UserError: it holds anything else, or is too large.
        """
        since = self._base_changed(request)
        query = {"head_sha": request.head, "event": "pull_request", "status": "success"}
        listed_runs = self._all("/actions/runs", _Run, "workflow_runs", **query)
        runs = [run for run in listed_runs if self._is_preview_of(run, request)]
        merged_at = request.merged_at
        if not runs or since is None or merged_at is None:
            return None
        artifacts = (it for run in runs if run.created_at >= since for it in self._artifacts(run.id, name))
        return self._newest(it for it in artifacts if it.created_at <= merged_at)

    def _is_preview_of(self, run: _Run, request: PullRequest) -> bool:
        """Whether a run is a successful preview of a pull request; this repeats the query's conditions."""
        return (
            run.path.partition("@")[0] == PREVIEW
            and run.event == "pull_request"
            and run.conclusion == "success"
            and (run.repository or "").lower() == self._repository.lower()
            and (run.head_sha, run.head_branch) == (request.head, request.branch)
            and (not run.pull_requests or request.number in run.pull_requests)
        )

    def _base_changed(self, request: PullRequest) -> datetime | None:
        """Since when runs of the pull request's commit are about its base; None if they may be about another."""
        query = {"state": "all", "head": f"{self._owner}:{request.branch}"}
        pulls = self._all("/pulls", PullRequest, **query)
        if any(pull.base != request.base for pull in pulls if pull.head == request.head):
            return None
        events = self._all(f"/issues/{request.number}/events", _Event)
        changes = [it.created_at for it in events if it.event == "base_ref_changed"]
        return max(changes, default=datetime.min.replace(tzinfo=UTC))

    def _artifacts(self, run: int, name: str) -> Iterator[_Artifact]:
        artifacts = self._all(f"/actions/runs/{run}/artifacts", _Artifact, "artifacts", name=name)
        return (artifact for artifact in artifacts if artifact.name == name and not artifact.expired)

    def _newest(self, artifacts: Iterable[_Artifact]) -> bytes | None:
        """The content of the newest one; None without any."""
        newest = max(artifacts, key=lambda artifact: (artifact.created_at, artifact.id), default=None)
        if newest is None:
            return None
        if newest.size_in_bytes > LARGEST_ARTIFACT:
            raise UserError(f"the artifact {newest.name} has more than {LARGEST_ARTIFACT} bytes")
        packed = self._ask("GET", f"/actions/artifacts/{newest.id}/zip").content
        return unpacked(packed, f"{newest.name}.json")

    def _write(
        self,
        path: str,
        query: dict[str, str],
        marker: str,
        *,
        new: Mapping[str, str | None] | None,
        over: tuple[Mapping[str, str | None], str],
    ) -> None:
        """Write over our own text that begins with the marker, or a new one.

        A new text whose answer is lost may exist nevertheless, so this looks for it before it writes another one.
        """
        change, root = over
        for pause in (*self._pauses, None):
            old = next((it for it in self._all(path, _Text, **query) if self._is_ours(it, marker)), None)
            if old is not None:
                self._ask("PATCH", f"{root}/{old.number or old.id}", json=change)
                return
            if new is None:
                return
            try:
                self._ask("POST", path, json=new)
            except _UnclearError:
                if pause is None:
                    raise
                self._wait(pause)
            else:
                return

    def _is_ours(self, text: _Text, marker: str) -> bool:
        if text.user is None or not (text.body or "").startswith(marker):
            return False
        return text.user.login == self._viewer.login if self._viewer else text.user.type == "Bot"

    @cached_property
    def _viewer(self) -> _User | None:
        """The token's user; None for a workflow's own token, which may not ask and writes as a bot."""
        answer = self._answer("GET", f"{self._api_url}/user", "/user")
        return _read(answer, "/user", _User) if answer.status_code == HTTPStatus.OK else None

    def _all(self, path: str, kind: type[_T], key: str | None = None, **query: str) -> Iterator[_T]:
        """Every item of a list, over all its pages; `key` names the list in an answer that has more."""
        for page in range(1, _PAGES + 1):
            answer = self._ask("GET", path, params={**query, "per_page": PER_PAGE, "page": page})
            yield from _read(answer, path, list[kind], key)  # type: ignore[valid-type]
            if "next" not in answer.links:
                return
        raise UserError(f"GitHub's list {path} has more than {_PAGES} pages")

    @property
    def _owner(self) -> str:
        return self._repository.partition("/")[0]

    def _asked_for(self, method: str, path: str, kind: type[_T], body: object = None) -> _T:
        """The one item of a successful answer."""
        return _read(self._ask(method, path, **({} if body is None else {"json": body})), path, kind)

    def _ask(self, method: str, path: str, **options: Any) -> requests.Response:
        """A successful answer; an error for any other."""
        answer = self._answer(method, f"{self._root}{path}", path, **options)
        status = answer.status_code
        if status >= HTTPStatus.BAD_REQUEST:
            at_github = ": an error at GitHub. Try again later" if status >= _SERVER_ERROR else ""
            unclear = method == "POST" and status >= _SERVER_ERROR
            message = f"GitHub answers {method} {path} with {status}{_HINTS.get(status, at_github)}"
            raise (_UnclearError if unclear else UserError)(message)
        return answer

    def _answer(self, method: str, url: str, path: str, **options: Any) -> requests.Response:
        """Any answer. If GitHub fails, an idempotent request is repeated."""
        import requests

        pauses = iter(self._pauses if method != "POST" else ())
        while True:
            try:
                answer = self._within(method, url, **options)
            except requests.RequestException as error:
                message = f"GitHub cannot be reached ({method} {path}): {type(error).__name__}"
                pause = next(pauses, None)
                if pause is None:
                    raise (_UnclearError if method == "POST" else UserError)(message) from None
                self._wait(pause)
                continue
            if (limit := _limit(answer, time.time())) is not None:
                # Such a request had no effect, so any may be repeated.
                self._sit_out(limit, method, path)
            elif answer.status_code >= _SERVER_ERROR and (pause := next(pauses, None)) is not None:
                self._wait(pause)
            else:
                return answer

    def _within(self, method: str, url: str, **options: Any) -> requests.Response:
        """An answer of bounded size."""
        with self._session.request(method, url, timeout=TIMEOUT, stream=True, **options) as answer:
            content = bytearray()
            for part in answer.iter_content(64 * 1024):
                content += part
                if len(content) > self._largest:
                    raise UserError(f"GitHub's answer to {method} {url} has more than {self._largest} bytes")
            # `iter_content` has consumed what `content` and `json` would read.
            answer._content = bytes(content)  # noqa: SLF001
            return answer

    def _sit_out(self, seconds: float, method: str, path: str) -> None:
        """Wait for the end of a rate limit. Stop if it would take too long."""
        if seconds > self._patience:
            until = datetime.fromtimestamp(time.time() + seconds, UTC)
            raise UserError(
                f"GitHub's rate limit is used up until {until:%H:%M:%S} UTC ({method} {path}). The token"
                " and its permissions are fine. Run this again after that time"
            )
        print(f"GitHub's rate limit is used up: waiting {seconds:.0f} s", file=sys.stderr, flush=True)
        self._patience -= seconds
        self._wait(seconds)


def _read(answer: requests.Response, path: str, kind: type[_T], key: str | None = None) -> _T:
    """What an answer holds, or what one of its members holds.

    Raises:
        UserError: it holds something else.
    """
    try:
        content = answer.json()
    except ValueError:
        status = answer.status_code
        raise UserError(f"GitHub's answer to GET {path} is not JSON, although its status is {status}") from None
    try:
        if key is not None:
            content = TypeAdapter(dict[str, Any]).validate_python(content).get(key)
        return TypeAdapter(kind).validate_python(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) or "the answer"
        raise UserError(f"GitHub's answer to GET {path} differs from its API: {where}: {first['msg']}") from None


def _limit(answer: requests.Response, now: float) -> float | None:
    """The seconds to wait for a rate limit; None for any other answer.

    https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
    """
    if answer.status_code not in {HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS}:
        return None
    told = answer.headers.get("retry-after", "")
    if told.isdecimal():
        return max(1.0, float(told))
    if answer.headers.get("x-ratelimit-remaining") == "0":
        reset = answer.headers.get("x-ratelimit-reset", "")
        return max(1.0, float(reset) - now) if reset.isdecimal() else _UNSAID
    secondary = "secondary rate limit" in answer.text.lower()
    return _UNSAID if secondary or answer.status_code == HTTPStatus.TOO_MANY_REQUESTS else None


def unpacked(archive: bytes, name: str) -> bytes:
    """The one file of an artifact, as GitHub packs it: a zip file.

    Raises:
        UserError: it is too large, not a zip file, or holds anything but a file of this name.
    """
    if len(archive) > LARGEST_ARTIFACT:
        raise UserError(f"the artifact of {name} has more than {LARGEST_ARTIFACT} bytes")
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as packed:
            if packed.namelist() != [name]:
                raise UserError(f"the artifact holds other files than {name}")
            with packed.open(name) as file:
                # The size in the archive is not trustworthy, so this counts.
                content = file.read(LARGEST_ARTIFACT + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError) as error:
        raise UserError(f"the artifact of {name} cannot be unpacked: {type(error).__name__}") from None
    if len(content) > LARGEST_ARTIFACT:
        raise UserError(f"{name} has more than {LARGEST_ARTIFACT} bytes")
    return content
