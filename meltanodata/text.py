"""Values, lists and counts as they stand in messages, and what is wrong with a value: what is allowed, what to do."""

from __future__ import annotations

import re
from decimal import Decimal
from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple, get_args

from pydantic import BaseModel, ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

_LONGEST = 80


def show(value: object) -> str:
    """A value in quotes for a message: on one line, printable and of limited length."""
    return bounded(repr(value), _LONGEST)


def bounded(text: str, longest: int) -> str:
    """A text without the characters beyond a number of them."""
    return text if len(text) <= longest else f"{text[:longest]}…"


def printable(text: str, longest: int) -> str:
    """The same, with a sign in place of each character that cannot be printed, such as a line's direction."""
    return bounded("".join(letter if letter.isprintable() else "�" for letter in text[: longest + 1]), longest)


def is_token(text: str) -> bool:
    """Whether a text can go into a request as a token. HTTP libraries quote what cannot, secret or not."""
    return re.fullmatch(r"[!-~]+", text) is not None


def listing(words: Iterable[str], last: str = "or") -> str:
    """`a, b or c`; `none` without words."""
    *most, end = [*words] or ["none"]
    return f"{', '.join(most)} {last} {end}" if most else end


def first_of(words: Iterable[str], shown: int) -> str:
    """`a, b and 3 more`, where more than a number of words would be shown."""
    texts = list(words)
    rest = len(texts) - shown
    return ", ".join(texts[:shown]) + (f" and {rest} more" if rest > 0 else "")


def count(number: int, noun: str) -> str:
    """`1 tenant` or `2 tenants`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """` Did you mean X?`, to follow a sentence; an empty text where no candidate is similar."""
    by_lower_case = {name.lower(): name for name in candidates}
    similar = get_close_matches(word.lower(), by_lower_case, n=1, cutoff=0.7)
    return f" Did you mean {show(by_lower_case[similar[0]])}?" if similar else ""


class Finding(NamedTuple):
    """One thing that is wrong with the values for a model."""

    path: tuple[str | int, ...]
    """Where, from the model's field down."""
    message: str
    """Without the path; has the value."""
    field: FieldInfo | None
    """The field of the wrong value; None where the name is unknown."""


def findings(model: type[BaseModel], values: Mapping[str, object], noun: str) -> list[Finding]:
    """Everything that is wrong with the values for a model, in words.

    Every field has a title (what it is, as in `is not …`) and an example. No value is a secret, or it is typed as one
    (SecretStr shows nothing). The noun is what a field is to the reader: `option`, `setting`.
    """
    try:
        model.model_validate(values)
    except ValidationError as failure:
        return [_finding(model, values, noun, error) for error in failure.errors(include_url=False)]
    return []


def _finding(model: type[BaseModel], values: object, noun: str, error: ErrorDetails) -> Finding:
    path = error["loc"]
    parent, field, value = model, None, values
    for part in path:
        if isinstance(part, str):
            parent, field = (_model_of(field) if field else model), None
            field = parent.model_fields.get(part)
        value = _inside(value, part)
    if field is None:
        name, names = str(path[-1]), list(parent.model_fields)
        kind = f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
        message = f"is not {kind}.{did_you_mean(name, names)} The {noun}s are: {listing(names, 'and')}"
        return Finding(path, message, None)
    return Finding(path, _explain(error, field, value), field)


def _inside(value: object, part: str | int) -> object:
    if isinstance(value, dict):
        return value.get(part)
    return value[part] if isinstance(value, list | tuple) and isinstance(part, int) else None


def _model_of(field: FieldInfo) -> type[BaseModel]:
    """The model in a field's type, such as X in `X | None` and `tuple[X, ...]`."""
    todo = [field.annotation]
    while todo:
        candidate = todo.pop()
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
        todo += get_args(candidate)
    raise TypeError(f"no model in {field.annotation}")


def _explain(error: ErrorDetails, field: FieldInfo, value: object) -> str:
    context = error.get("ctx", {})
    wanted = f"{field.title}, such as {example_of(field)}"
    kind = error["type"]
    if kind == "missing":
        return f"is missing; it has to be {wanted}"
    if value is None:
        return f"has no value; give it {wanted}, or remove it"
    reason = {
        "bool_type": "is neither true nor false",
        "bool_parsing": "is neither true nor false",
        "literal_error": f"is not possible; allowed: {context.get('expected')}",
        "enum": f"is not possible; allowed: {context.get('expected')}",
        "greater_than_equal": f"is too small; the minimum is {context.get('ge')}",
        "less_than_equal": f"is too large; the maximum is {context.get('le')}",
        "value_error": f"is not possible: {context.get('error')}",
    }.get(kind, f"is not {wanted}")
    if kind == "string_type" and isinstance(value, int | Decimal):
        reason = f'is not text; write "{_written(value)}", in quotes, if it is {field.title}'
    if kind == "model_type":
        reason = f"is not a mapping of {listing(_model_of(field).model_fields, 'and')}"
    return f"{_written(value)} {reason}"


def example_of(field: FieldInfo) -> str:
    """A field's first example as it would be written."""
    example = (field.examples or [""])[0]
    return str(example).lower() if isinstance(example, bool) else str(example)


def _written(value: object) -> str:
    """A value as YAML writes it."""
    match value:
        case bool():
            return str(value).lower()
        case Decimal():
            return str(value)
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case _:
            return show(value)
