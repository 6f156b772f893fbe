"""What a resource's inputs are, and what follows from that alone: checking, defaults and the difference of two sets.

Everything here is pure; the gRPC server and the packages build on it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from sandbox.plugins.values import UNKNOWN, Properties, Secret, Unknown, has_unknown, plain

Scalar = Literal["string", "boolean", "integer", "number", "any"]


@dataclass(frozen=True)
class ListOf:
    """A list whose elements are all of one type."""

    element: Type


@dataclass(frozen=True)
class MapOf:
    """An object with any keys whose values are all of one type."""

    element: Type


@dataclass(frozen=True)
class Field:
    """One input property."""

    type: Type = "string"
    required: bool = False
    secret: bool = False
    replaces: bool = False
    """A change makes a new resource instead of updating the old one."""
    default: Any = None
    """What an absent value becomes, already at check, as in the official plugins."""


Fields = Mapping[str, Field]
Type = Scalar | ListOf | MapOf | Fields


@dataclass(frozen=True)
class Failure:
    """Why an input cannot be accepted."""

    path: str
    reason: str


class Change(Enum):
    """What happened to a property; the names are the protocol's."""

    ADD = "ADD"
    DELETE = "DELETE"
    UPDATE = "UPDATE"


@dataclass(frozen=True)
class PropertyChange:
    """One changed property path, and whether it takes a new resource."""

    change: Change
    replaces: bool = False


Difference = dict[str, PropertyChange]
"""Changes by property path, such as `connection.host` or `triggers[0]`."""


def check(fields: Fields, values: Properties, path: str = "") -> tuple[Properties, list[Failure]]:
    """The values with defaults filled in and secret fields wrapped, and everything that is wrong with them."""
    checked: Properties = {}
    failures = [
        Failure(join(path, name), "this stand-in plugin does not know the property")
        for name in values
        if name not in fields
    ]
    for name, field in fields.items():
        value = values.get(name, field.default)
        if value is None:
            if field.required:
                failures.append(Failure(join(path, name), "a value is required"))
            continue
        value, found = _check_value(field.type, value, join(path, name))
        failures += found
        checked[name] = Secret(value) if field.secret and not isinstance(value, Secret) else value
    return checked, failures


def _check_value(kind: Type, value: Any, path: str) -> tuple[Any, list[Failure]]:  # noqa: PLR0911 -- a case a kind
    if isinstance(value, Secret):
        value, failures = _check_value(kind, value.value, path)
        return Secret(value), failures
    if value is UNKNOWN or kind == "any":
        return value, []
    match kind:
        case ListOf(element):
            if not isinstance(value, list):
                return value, [_wrong_type(path, "a list", value)]
            pairs = [_check_value(element, item, f"{path}[{index}]") for index, item in enumerate(value)]
            return [item for item, _ in pairs], [failure for _, found in pairs for failure in found]
        case MapOf(element):
            if not isinstance(value, dict):
                return value, [_wrong_type(path, "an object", value)]
            items = {name: _check_value(element, item, join(path, name)) for name, item in value.items()}
            return {name: item for name, (item, _) in items.items()}, [f for _, fs in items.values() for f in fs]
        case str():
            fits, expected = _SCALARS[kind]
            return value, [] if fits(value) else [_wrong_type(path, expected, value)]
    if not isinstance(value, dict):
        return value, [_wrong_type(path, "an object", value)]
    return check(kind, value, path)


_SCALARS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "string": (lambda value: isinstance(value, str), "a string"),
    "boolean": (lambda value: isinstance(value, bool), "a boolean"),
    "integer": (lambda value: isinstance(value, int) and not isinstance(value, bool), "an integer"),
    "number": (lambda value: isinstance(value, int | float) and not isinstance(value, bool), "a number"),
}


def _wrong_type(path: str, expected: str, value: Any) -> Failure:
    # The value itself stays out: it may be a secret.
    return Failure(path, f"expected {expected}, got {type(value).__name__}")


def difference(fields: Fields, old: Properties, new: Properties) -> Difference:
    """What changed from the old inputs to the new ones; a field that replaces does so whatever changed inside it."""
    found: Difference = {}
    for name in sorted(old.keys() | new.keys()):
        replaces = name in fields and fields[name].replaces
        for path, change in _changes(join("", name), plain(old.get(name)), plain(new.get(name))):
            found[path] = PropertyChange(change, replaces)
    return found


def _changes(path: str, old: Any, new: Any) -> Iterable[tuple[str, Change]]:
    if old is None or new is None:
        if old is not new:
            yield path, Change.ADD if old is None else Change.DELETE
    elif isinstance(new, Unknown):
        yield path, Change.UPDATE
    elif isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            yield from _changes(join(path, name), old.get(name), new.get(name))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            before, after = (items[index] if index < len(items) else None for items in (old, new))
            yield from _changes(f"{path}[{index}]", before, after)
    elif old != new or isinstance(old, bool) is not isinstance(new, bool):
        yield path, Change.UPDATE


def without(found: Difference, ignored: Iterable[str]) -> Difference:
    """The changes but those at or below an ignored path, such as `connection.privateKey` or `tags[0]`."""
    prefixes = tuple(ignored)
    return {path: change for path, change in found.items() if not any(_below(path, prefix) for prefix in prefixes)}


def _below(path: str, prefix: str) -> bool:
    return path == prefix or (path.startswith(prefix) and path[len(prefix)] in ".[")


def join(path: str, name: str) -> str:
    """The path of a property inside the one at `path`, in Pulumi's notation: `a.b`, or `a["b.c"]`."""
    if not re.fullmatch(r"[^.\[\]\"]+", name):
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'{path}["{escaped}"]'
    return f"{path}.{name}" if path else name


def mirrored(inputs: Properties, outputs: Properties, *, preview: bool = False) -> Properties:
    """The outputs, each that repeats an input as secret as that input; in a preview also as unknown as it."""
    return {
        name: inputs[name]
        if name in inputs and (plain(inputs[name]) == value or (preview and has_unknown(inputs[name])))
        else value
        for name, value in outputs.items()
    }
