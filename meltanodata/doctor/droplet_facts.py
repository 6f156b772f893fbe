"""What a droplet says of itself (`scripts/examine.py`), taken as what it is: the text of others.

Whoever has the droplet decides what it says. So it has the shape that the script gives it, with texts that are not
endless, or it counts for nothing. Pure.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from meltanodata.droplet.scripts import examine as script
from meltanodata.droplet.scripts import verify

BYTES = 1 << 20
"""The longest answer that is read; the script's own is far shorter."""
_LONGEST = 1000
"""Characters of a text that are kept."""


class NotFacts(ValueError):  # noqa: N818 - says what it is not
    """An answer that the script does not give; the message says which part of it, and quotes nothing."""


_Text = Annotated[str, AfterValidator(lambda text: text[:_LONGEST])]
_Line = Annotated[str, AfterValidator(lambda text: text[: script.KEPT_CHARACTERS])]
_Lines = Annotated[list[_Line], AfterValidator(lambda lines: lines[-script.KEPT_LINES :])]
_Unit = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9:_.@\\-]{1,255}$")]
"""A unit's name, as systemd.unit(5) has it: it goes into a command that we propose."""
_Mode = Annotated[str, StringConstraints(pattern=r"^[0-7]{1,4}$")]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class _Entry(_Part):
    owner: _Text
    mode: _Mode
    kind: Literal["file", "folder", "link", "other"] = "file"
    """Not every version of the script says it."""


class _Database(_Part):
    address: _Text | None
    error: _Text | None

    @model_validator(mode="after")
    def _says_something(self) -> _Database:
        if self.address is None and self.error is None:
            raise ValueError("neither reached nor not reached")
        return self


class _Facts(_Part):
    system: _Text | None
    services: dict[str, _Text | None]
    journal: dict[_Unit, _Lines] = Field(max_length=script.KEPT_PARTS)
    page: _Text | None
    page_log: _Lines
    errors: dict[_Line, _Lines] = Field(max_length=script.KEPT_PARTS)
    env: _Entry | None
    project: _Entry | None
    database: _Database

    @model_validator(mode="after")
    def _tells_of_all_services(self) -> _Facts:
        if set(self.services) != set(verify.SERVICES):
            raise ValueError("other services")
        return self


def read(answer: bytes) -> dict[str, Any]:
    """An answer as plain values.

    Args:
        answer: JSON, as `scripts/examine.py` prints it.

    Raises:
        NotFacts: it is something else.
    """
    try:
        return _Facts.model_validate_json(answer).model_dump(exclude_unset=True)
    except ValidationError as failure:
        first = failure.errors(include_url=False, include_context=False, include_input=False)[0]
        part = str(first["loc"][0]) if first["loc"] else ""
        # A name of ours, or none: what else stands in the answer is not quoted.
        where = f", in {part}" if part in _Facts.model_fields else ""
        raise NotFacts(f"its answer is not what the script for it prints{where}") from None
