"""How a wrong value is described: what stands there, what is allowed, what to do."""

from __future__ import annotations

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
    """A value as it may stand in a message: on one line, printable, not endless."""
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def listing(words: Iterable[str], last: str = "or") -> str:
    """`a, b or c`; `none` where there is nothing."""
    *most, end = [*words] or ["none"]
    return f"{', '.join(most)} {last} {end}" if most else end


def count(number: int, noun: str) -> str:
    """`1 tenant`, `2 tenants`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def shortened(words: Iterable[str], most: int) -> str:
    """`a, b and 3 more`: at most so many words, and how many more there are."""
    every = list(words)
    rest = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + rest


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean X?`, to be put behind a sentence; nothing where no known word is near."""
    near = {name.lower(): name for name in known}
    found = get_close_matches(word.lower(), near, n=1, cutoff=0.7)
    return f" Did you mean {show(near[found[0]])}?" if found else ""


class Finding(NamedTuple):
    """One thing that is wrong with the values for a model."""

    path: tuple[str | int, ...]
    """Where, from the model's field down."""
    unknown: bool
    """Whether it is the name that is wrong, not the value."""
    message: str
    """Begins with what is wrong, without the path; holds the value."""
    field: FieldInfo | None
    """The field, None for an unknown name."""


def findings(model: type[BaseModel], values: Mapping[str, object], noun: str) -> list[Finding]:
    """Everything that a model finds wrong with values, in words.

    Args:
        model: every field has a title (what it is, as in `is not …`) and an example.
        values: none of them a secret, or typed as one (SecretStr shows nothing).
        noun: what a field is to the reader: `option`, `setting`.
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
        name, known = str(path[-1]), list(parent.model_fields)
        message = f"there is no {noun} {show(name)}.{did_you_mean(name, known)} There are: {listing(known, 'and')}"
        return Finding(path, unknown=True, message=message, field=None)
    return Finding(path, unknown=False, message=_explain(error, field, value), field=field)


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
        return f"is missing; wanted is {wanted}"
    if value is None:
        return f"has no value; give it {wanted}, or remove it"
    said = {
        "bool_type": "is neither true nor false",
        "bool_parsing": "is neither true nor false",
        "literal_error": f"is not possible; allowed: {context.get('expected')}",
        "enum": f"is not possible; allowed: {context.get('expected')}",
        "greater_than_equal": f"is too small; the least is {context.get('ge')}",
        "less_than_equal": f"is too big; the most is {context.get('le')}",
        "value_error": f"is not possible: {context.get('error')}",
    }.get(kind, f"is not {wanted}")
    if kind == "string_type" and isinstance(value, int | Decimal):
        said = f'is not text; write "{_written(value)}", in quotes, if it is {field.title}'
    if kind == "model_type":
        said = f"is not a mapping of {listing(_model_of(field).model_fields, 'and')}"
    return f"{_written(value)} {said}"


def example_of(field: FieldInfo) -> str:
    """A field's first example as it would be written."""
    example = (field.examples or [""])[0]
    return str(example).lower() if isinstance(example, bool) else str(example)


def _written(value: object) -> str:
    """A value as the reader knows it from YAML."""
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
