"""The facts that `scripts/examine.py` prints on a droplet, validated, since whoever has the droplet can print anything.

An answer has the script's shape, with texts of bounded length, or it is rejected. Pure.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from meltanodata.droplet import layout
from meltanodata.droplet.scripts import codes, examine, foreign

BYTES = 1 << 20
"""The longest answer that is read; the script's own is far shorter."""
_LONGEST = 1000
"""Characters of a text that are kept."""


class NotFacts(ValueError):  # noqa: N818 - says what it is not
    """Not an answer of the script; the message names the wrong part, and quotes nothing."""


_Text = Annotated[str, AfterValidator(lambda text: text[:_LONGEST])]
_Line = Annotated[str, AfterValidator(lambda text: text[: foreign.KEPT_CHARACTERS])]
_Lines = Annotated[list[_Line], AfterValidator(lambda lines: lines[-examine.KEPT_LINES :])]
_Unit = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9:_.@\\-]{1,255}$")]
"""A unit's name, as systemd.unit(5) has it: it becomes a part of a hint's command."""
_Code = TypeVar("_Code")
_Mode = Annotated[str, StringConstraints(pattern=r"^[0-7]{1,4}$")]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class Entry(_Part):
    """A file or folder."""

    owner: _Text
    """With its group: `meltano:meltano`."""
    mode: _Mode
    kind: Literal["file", "folder", "link", "other"]


class Problem(_Part, Generic[_Code]):
    """Why the page does not work, or the database cannot be reached."""

    code: _Code
    detail: _Text


class Database(_Part):
    """The database as a pipeline reaches it."""

    address: _Text | None
    """The host that `.env` names."""
    problem: Problem[codes.DatabaseCode] | None

    @model_validator(mode="after")
    def _says_something(self) -> Database:
        if self.address is None and self.problem is None:
            raise ValueError("neither reached nor not reached")
        return self


class Facts(_Part):
    """All that the script prints."""

    system: _Text
    """systemd's state."""
    services: dict[str, _Text]
    """Their states, by name."""
    journal: dict[_Unit, _Lines] = Field(max_length=examine.KEPT_PARTS)
    """The last lines of the units that failed or are not active."""
    page: Problem[codes.PageCode] | None
    page_log: _Lines
    errors: dict[_Line, _Lines] = Field(max_length=examine.KEPT_PARTS)
    """Of the last day, by the log's name."""
    env: Entry | None
    project: Entry | None
    database: Database

    @model_validator(mode="after")
    def _tells_of_all_services(self) -> Facts:
        if set(self.services) != set(layout.SERVICES):
            raise ValueError("other services")
        return self


def read(answer: bytes) -> Facts:
    """The facts in an answer, or NotFacts."""
    try:
        return Facts.model_validate_json(answer)
    except ValidationError as failure:
        first = failure.errors(include_url=False, include_context=False, include_input=False)[0]
        part = str(first["loc"][0]) if first["loc"] else ""
        # Only the names of our fields: nothing else of the answer is quoted.
        where = f", in {part}" if part in Facts.model_fields else ""
        raise NotFacts(f"the droplet's answer is not what the script prints{where}") from None


def without(secrets: frozenset[str], value: Any) -> Any:
    """Facts, or a part of them, without the stack's secrets."""
    match value:
        case str():
            for secret in secrets:
                value = value.replace(secret, examine.HIDDEN)
            return value
        case list():
            return [without(secrets, inner) for inner in value]
        case dict():
            return {without(secrets, key): without(secrets, inner) for key, inner in value.items()}
        case BaseModel():
            return value.model_copy(update={name: without(secrets, inner) for name, inner in value})
        case _:
            return value
