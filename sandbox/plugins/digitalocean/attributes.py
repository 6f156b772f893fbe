"""The table of a resource's attributes, as Terraform providers declare them, and the values that fit it.

Names are Terraform's (`ssh_keys`), which the API and the provider's messages use too; a program in Pulumi sees
camel case (`sshKeys`). `Values` has every attribute of its table: a bool, int, float, str, list or dict, None where
there is no value, UNKNOWN where a preview cannot know it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sandbox.plugins.values import UNKNOWN, Properties, has_unknown

Values = dict[str, Any]
Scalar = Literal["string", "bool", "int", "float"]
Validator = Callable[[str, Any], "str | None"]
"""Takes an attribute's name, such as `rule.0.type`, and its value, and says what is wrong with it."""


@dataclass(frozen=True)
class Many:
    """A collection of scalars or of objects."""

    element: Scalar | Attributes
    kind: Literal["list", "set"]
    single: bool = False
    """At most one element, which a program sees without the list around it."""
    key: Callable[[Any], Any] = lambda element: element
    """What makes two scalars of a set the same."""


@dataclass(frozen=True)
class Attribute:
    """One attribute of a resource or of an object inside it."""

    type: Scalar | Many = "string"
    required: bool = False
    optional: bool = False
    computed: bool = False
    """The provider sets it; with `optional`, where the program does not."""
    default: Any = None
    force_new: bool = False
    """A change makes a new object."""
    sensitive: bool = False
    autonamed: bool = False
    """Without a value it is named after the resource, with a random ending."""
    normal: Callable[[str], str] | None = None
    """What the state has of it (Terraform's StateFunc)."""
    same: Callable[[Any, Any, Values], bool] | None = None
    """Whether an old and a new value mean the same, in this configuration (DiffSuppressFunc)."""
    validate: Validator | None = None
    """For a collection: what each of its scalars must be."""
    needs: tuple[str, ...] = ()
    """Attributes without which it may not be set."""
    pulumi: str | None = None
    """Its name in Pulumi, where that is not its name in camel case."""

    @property
    def input(self) -> bool:
        """Whether a program may set it."""
        return self.required or self.optional


Attributes = Mapping[str, Attribute]


@dataclass(frozen=True)
class Problem:
    """What is wrong with a value."""

    path: str
    """The property that a program sees; empty where there is none to name."""
    reason: str


def pulumi_name(name: str, attribute: Attribute) -> str:
    """The attribute's name in a Pulumi program."""
    return attribute.pulumi or re.sub(r"_(.)", lambda match: match[1].upper(), name)


def by_pulumi_name(attributes: Attributes) -> dict[str, tuple[str, Attribute]]:
    """The table's names and attributes by their names in Pulumi."""
    return {pulumi_name(name, attribute): (name, attribute) for name, attribute in attributes.items()}


def from_pulumi(
    attributes: Attributes, properties: Properties, problems: list[Problem] | None = None, path: str = ""
) -> Values:
    """The values of properties, each made to fit its attribute's type.

    Args:
        attributes: The table.
        properties: What the engine sent; keys that begin with `__` are the bridge's own.
        problems: Gets what does not fit and what the table does not know.
        path: Where the properties are, such as `rules[0].`.
    """
    problems = [] if problems is None else problems
    names = by_pulumi_name(attributes)
    values: Values = dict.fromkeys(attributes)
    for key, value in properties.items():
        if key in names:
            name, attribute = names[key]
            values[name] = _fitted(attribute.type, value, path + key, problems)
        elif not key.startswith("__") and key != "id":
            problems.append(Problem(path + key, "Invalid or unknown key"))
    return values


def _fitted(kind: Scalar | Many, value: Any, path: str, problems: list[Problem]) -> Any:
    if value is None or value is UNKNOWN:
        return value
    if not isinstance(kind, Many):
        return _scalar(kind, value, path, problems)
    items = [value] if kind.single else value
    if not isinstance(items, list):
        problems.append(Problem(path, "Attribute must be a list"))
        return None
    # Terraform cannot point into a set, so its problems name the whole of it.
    place = path if kind.single or kind.kind == "set" else path + "[{}]"
    return [_element(kind, item, place.format(index), problems) for index, item in enumerate(items)]


def _element(kind: Many, value: Any, path: str, problems: list[Problem]) -> Any:
    if isinstance(kind.element, str):
        return _fitted(kind.element, value, path, problems)
    if value is UNKNOWN:
        return value
    if not isinstance(value, dict):
        problems.append(Problem(path, "Attribute must be an object"))
        return dict.fromkeys(kind.element)
    return from_pulumi(kind.element, value, problems, path if kind.kind == "set" and not kind.single else path + ".")


_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


def _scalar(kind: Scalar, value: Any, path: str, problems: list[Problem]) -> Any:  # noqa: PLR0911 -- a case a type
    match kind, value:
        case _, list() | dict():
            what = "list" if isinstance(value, list) else "map"
            problems.append(Problem(path, f"Attribute must be a single value, not a {what}"))
            return None
        case "string", bool():
            return str(value).lower()
        case "string", _:
            return str(value)
        case "bool", str() if value in _TRUE | _FALSE:
            return value in _TRUE
        case "bool", bool():
            return value
        case "bool", _:
            reason = f"cannot parse '' as bool: strconv.ParseBool: parsing \"{value}\": invalid syntax"
            problems.append(Problem(path, reason))
            return None
    try:
        return int(float(value)) if kind == "int" else float(value)
    except ValueError:
        function = "Int" if kind == "int" else "Float"
        reason = f"cannot parse '' as {kind}: strconv.Parse{function}: parsing \"{value}\": invalid syntax"
        problems.append(Problem(path, reason))
        return None


def to_pulumi(attributes: Attributes, values: Values) -> Properties:
    """The properties of values; those without a value are None."""
    return {
        pulumi_name(name, attribute): _shown(attribute.type, values[name]) for name, attribute in attributes.items()
    }


def _shown(kind: Scalar | Many, value: Any) -> Any:
    if not isinstance(kind, Many) or value is UNKNOWN:
        return value
    element = kind.element
    if value is None:
        return None if kind.single or isinstance(element, str) else []
    if not isinstance(element, str):
        value = [item if item is UNKNOWN else to_pulumi(element, item) for item in value]
    if not kind.single:
        return value
    return value[0] if value else None


def zero(value: Any) -> bool:
    """Whether the value is none or its type's zero, between which Terraform's providers see no difference."""
    return value is None or (value is not UNKNOWN and value in ("", 0, [], {}))


def identity(kind: Many, value: Any) -> Any:
    """The properties by which two elements of a set are equal: those that the program sets, not the computed ones."""
    if isinstance(kind.element, str):
        return value if value is UNKNOWN else kind.key(value)
    inputs = {name: value[name] for name, attribute in kind.element.items() if attribute.input}
    return tuple(sorted((name, item) for name, item in inputs.items() if not has_unknown(item)))
