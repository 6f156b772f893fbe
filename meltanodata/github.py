"""GitHub as the workflows need it: one comment on a pull request, one issue, and what was reviewed before a merge.

https://docs.github.com/en/rest, version 2022-11-28. Another CI does without: every command also prints what it posts.
"""

from __future__ import annotations

import io
import os
import zipfile
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from meltanodata.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT = (10, 30)
"""Seconds for a connection, and for silence on it."""
PER_PAGE = 100
"""GitHub's most."""


@dataclass(frozen=True)
class PullRequest:
    """A pull request as far as a deployment asks."""

    number: int
    labels: tuple[str, ...]
    head: str
    """The commit that was reviewed last."""


class _Bearer(requests.auth.AuthBase):
    """The token, and only this one: without an `auth` of its own requests sends what ~/.netrc says instead."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class GitHub:
    """One repository."""

    def __init__(self, repository: str, token: str, api_url: str = "https://api.github.com") -> None:
        """Name the repository as `owner/name`."""
        self._root = f"{api_url}/repos/{repository}"
        self._session = requests.Session()
        self._session.auth = _Bearer(token)
        self._session.headers.update(
            {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"},
        )
        retry = Retry(4, status_forcelist=[429, 502, 503, 504], backoff_factor=0.5, raise_on_status=False)
        self._session.mount(api_url, HTTPAdapter(max_retries=retry))

    @classmethod
    def from_environment(cls) -> GitHub:
        """The repository of the workflow that runs.

        Raises:
            UserError: GITHUB_REPOSITORY or GITHUB_TOKEN is missing.
        """
        missing = [name for name in ("GITHUB_REPOSITORY", "GITHUB_TOKEN") if not os.environ.get(name)]
        if missing:
            raise UserError(f"{' and '.join(missing)} must be set to talk to GitHub, as in a workflow")
        url = os.environ.get("GITHUB_API_URL", "https://api.github.com")
        return cls(os.environ["GITHUB_REPOSITORY"], os.environ["GITHUB_TOKEN"], url)

    def comment(self, number: int, marker: str, body: str, *, new: bool = True) -> None:
        """Write the one comment of a pull request that begins with the marker, over the old one or, if told so, new."""
        for comment in self._all(f"/issues/{number}/comments"):
            if (comment["body"] or "").startswith(marker):
                self._ask("PATCH", f"/issues/comments/{comment['id']}", json={"body": body})
                return
        if new:
            self._ask("POST", f"/issues/{number}/comments", json={"body": body})

    def issue(self, marker: str, title: str, body: str | None) -> None:
        """Open, rewrite or close the one open issue whose text begins with the marker.

        Args:
            marker: the first characters of its text.
            title: of the issue.
            body: its text, which begins with the marker; None closes it.
        """
        found = next((it for it in self._all("/issues", state="open") if (it["body"] or "").startswith(marker)), None)
        if found is None:
            if body is not None:
                self._ask("POST", "/issues", json={"title": title, "body": body})
        elif body is None:
            self._ask("PATCH", f"/issues/{found['number']}", json={"state": "closed", "state_reason": "completed"})
        else:
            self._ask("PATCH", f"/issues/{found['number']}", json={"title": title, "body": body})

    def pull_request_of(self, commit: str) -> PullRequest | None:
        """The merged pull request that a commit of the main branch came from; None for one that was pushed."""
        for found in self._ask("GET", f"/commits/{commit}/pulls").json():
            if found["merged_at"] is not None:
                labels = tuple(label["name"] for label in found["labels"])
                return PullRequest(found["number"], labels, found["head"]["sha"])
        return None

    def artifact(self, name: str, commit: str) -> bytes | None:
        """The only file in the newest artifact of a name that a workflow made for a commit; None where it is gone."""
        found = [
            it
            for it in self._all("/actions/artifacts", "artifacts", name=name)
            if not it["expired"] and (it["workflow_run"] or {}).get("head_sha") == commit
        ]
        if not found:
            return None
        newest = max(found, key=lambda it: (str(it["created_at"]), int(it["id"])))
        packed = self._ask("GET", f"/actions/artifacts/{newest['id']}/zip").content
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            (file,) = archive.namelist()
            return archive.read(file)

    def _all(self, path: str, key: str | None = None, **query: str) -> Iterator[Any]:
        """Every item of a list, over all its pages."""
        page = 1
        while True:
            answer = self._ask("GET", path, params={**query, "per_page": PER_PAGE, "page": page})
            yield from answer.json() if key is None else answer.json()[key]
            if "next" not in answer.links:
                return
            page += 1

    def _ask(self, method: str, path: str, **options: Any) -> requests.Response:
        try:
            answer = self._session.request(method, f"{self._root}{path}", timeout=TIMEOUT, **options)
        except requests.RequestException as error:
            raise UserError(f"GitHub cannot be reached ({method} {path}): {type(error).__name__}") from None
        if answer.status_code >= HTTPStatus.BAD_REQUEST:
            hint = {
                HTTPStatus.UNAUTHORIZED: ": the token is refused",
                HTTPStatus.FORBIDDEN: ": the workflow's `permissions` do not allow it",
                HTTPStatus.NOT_FOUND: ": there is none, or the workflow's `permissions` do not allow it",
            }.get(HTTPStatus(answer.status_code), "")
            raise UserError(f"GitHub answers {method} {path} with {answer.status_code}{hint}")
        return answer
