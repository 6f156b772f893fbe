"""What the bridge makes of a program's inputs before it uses them, and of an object that it reads; pure."""

from __future__ import annotations

import hashlib
import itertools
from typing import Any

from sandbox.plugins.digitalocean.attributes import (
    Attribute,
    Attributes,
    Many,
    Problem,
    Values,
    by_pulumi_name,
    from_pulumi,
    pulumi_name,
    to_pulumi,
    zero,
)
from sandbox.plugins.schema import Failure
from sandbox.plugins.values import UNKNOWN, Properties

DEFAULTS = "__defaults"
"""The bridge's own key for the names of inputs that the program did not set."""


def check(
    attributes: Attributes, name: str, inputs: Properties, old: Properties, seed: bytes
) -> tuple[Properties, list[Failure]]:
    """The inputs in their attributes' types and with defaults, and what is wrong with them.

    Args:
        attributes: The resource's table.
        name: The resource's name in the program.
        inputs: What the program says.
        old: The inputs of the last update, whose defaults stay; empty for a new resource.
        seed: For a random name: the same in a preview and its update.
    """
    problems: list[Problem] = []
    values = from_pulumi(attributes, inputs, problems)
    wrong = {problem.path for problem in problems}
    defaults = _defaults(attributes, name, values, old, seed)
    problems += _problems(attributes, values | defaults, wrong)
    given = {key: value for key, value in (values | defaults).items() if value is not None}
    # What does not fit stays as the program has it: it is shown beside the message.
    checked = {key: value for key, value in inputs.items() if key in wrong}
    checked |= to_pulumi({key: attributes[key] for key in given}, given)
    names = sorted(pulumi_name(key, attributes[key]) for key in defaults)
    failures = [
        Failure("", f"{item.reason}. Examine values at '{name}.{item.path}'." if item.path else item.reason)
        for item in problems
    ]
    return {**{key: _with_defaults(value) for key, value in checked.items()}, DEFAULTS: names}, failures


def _defaults(attributes: Attributes, name: str, values: Values, old: Properties, seed: bytes) -> Values:
    """The values of those attributes that the program leaves to the bridge."""
    kept = old.get(DEFAULTS, ())
    found: Values = {}
    for key, attribute in attributes.items():
        shown = pulumi_name(key, attribute)
        if values[key] is not None or not (attribute.autonamed or attribute.default):
            continue  # a default that is a zero is left to the plan
        if shown in kept and shown in old:
            found[key] = old[shown]
        elif attribute.autonamed:
            found[key] = f"{name}-{hashlib.sha256(seed).hexdigest()[:7]}"
        else:
            found[key] = attribute.default
    return found


def _problems(attributes: Attributes, values: Values, wrong: set[str], name: str = "", path: str = "") -> list[Problem]:
    """What is missing, and what is not as it must be.

    Args:
        attributes: The table.
        values: What it is about.
        wrong: Property paths of which a problem is known already.
        name: The provider's name of the object, such as `rule.0.`.
        path: The program's name of the object, such as `maintenanceWindows[0].`.
    """
    found = []
    for key, attribute in attributes.items():
        value, place = values[key], path + pulumi_name(key, attribute)
        if value is None:
            if attribute.required and place not in wrong:
                reason = (
                    f'Missing required argument. The argument "{name}{key}" is required, but no definition was found.'
                )
                found.append(Problem(place, reason))
            continue
        if not attribute.input:
            reason = (
                f'Value for unconfigurable attribute. Can\'t configure a value for "{name}{key}": its value will be '
                "decided automatically based on the result of applying this configuration."
            )
            found.append(Problem(place, reason))
        if any(values[other] is None for other in attribute.needs):
            names = ",".join(sorted((key, *attribute.needs)))
            reason = f'Missing required argument. "{name}{key}": all of `{names}` must be specified'
            found.append(Problem(place, reason))
        if value is not UNKNOWN and place not in wrong:
            found += _value_problems(attribute, value, wrong, name + key, place)
    return found


def _value_problems(attribute: Attribute, value: Any, wrong: set[str], name: str, path: str) -> list[Problem]:
    if not isinstance(attribute.type, Many):
        reason = attribute.validate(name, value) if attribute.validate else None
        return [Problem(path, reason)] if reason else []
    found = []
    for index, item in enumerate(value):
        part = f"{name}.{index}"
        if item is UNKNOWN or item is None:
            continue
        if isinstance(attribute.type.element, str):
            reason = attribute.validate(part, item) if attribute.validate else None
            found += [Problem(path, reason)] if reason else []
        elif attribute.type.kind == "set":
            problems = _problems(attribute.type.element, item, wrong, f"{part}.")
            found += [Problem(path, problem.reason) for problem in problems]
        else:
            place = f"{path}." if attribute.type.single else f"{path}[{index}]."
            found += _problems(attribute.type.element, item, wrong, f"{part}.", place)
    return found


def _with_defaults(value: Any) -> Any:
    """The value, each object in it with the names of its defaults: no table has a nested one."""
    match value:
        case dict():
            known = {key: _with_defaults(item) for key, item in value.items() if item is not None}
            return {**known, DEFAULTS: []}
        case list():
            return [_with_defaults(item) for item in value]
    return value


def imported(attributes: Attributes, outputs: Properties) -> Properties:
    """The inputs of a program that would have made the object: what is neither computed only nor a default or zero."""
    found: Properties = {DEFAULTS: []}
    for key, (_, attribute) in by_pulumi_name(attributes).items():
        value = outputs.get(key)
        if not attribute.input or (not attribute.required and _is_default(attribute, value)):
            continue
        kind = attribute.type
        if isinstance(kind, Many) and not isinstance(kind.element, str) and value is not None:
            items = [value] if kind.single else value
            shown = [imported(kind.element, item) for item in items]
            value = shown[0] if kind.single else shown
        found[key] = value
    return found


def _is_default(attribute: Attribute, value: Any) -> bool:
    return zero(value) if not attribute.default else value == attribute.default


def refreshed(attributes: Attributes, inputs: Properties, outputs: Properties) -> Properties:
    """The inputs with the values that the object has now; what the program does not set stays unset."""
    names = by_pulumi_name(attributes)
    found: Properties = {}
    changed = set()
    for key, old in inputs.items():
        if key not in names or key not in outputs:
            continue
        value, same = _refreshed(names[key][1], old, outputs[key])
        found[key] = value
        if not same:
            changed.add(key)
    defaults = [key for key in inputs.get(DEFAULTS, ()) if key not in changed]
    return found | ({DEFAULTS: defaults} if defaults else {})


def _refreshed(attribute: Attribute, old: Any, new: Any) -> tuple[Any, bool]:
    """The input's new value, and whether it is the old one."""
    kind = attribute.type
    if isinstance(kind, Many) and isinstance(old, list) and isinstance(new, list):
        return _refreshed_list(kind, old, new)
    if isinstance(kind, Many) and not isinstance(kind.element, str) and isinstance(old, dict) and isinstance(new, dict):
        value = refreshed(kind.element, old, new)
        return value, value == old
    if attribute.normal and isinstance(old, str) and isinstance(new, str):
        # What the state has of it may not be what a program can write.
        return old, attribute.normal(old) == new
    return new, new == old


def _refreshed_list(kind: Many, old: list[Any], new: list[Any]) -> tuple[list[Any], bool]:
    """As many elements as the program has, at most."""
    if isinstance(kind.element, str):
        values = new[: len(old)]
        return values, values == old
    if kind.kind == "set":
        new = _matched(old, new)
    element = kind.element
    values = [refreshed(element, before, after) for before, after in zip(old, new, strict=False)]
    return values, values == old


def _matched(old: list[Properties], new: list[Properties]) -> list[Properties]:
    """The new objects in the order of those old ones that they have most in common with."""
    by_likeness = sorted(
        itertools.product(range(len(old)), range(len(new))),
        key=lambda pair: sum(3 if old[pair[0]][key] == new[pair[1]].get(key) else 1 for key in old[pair[0]]),
        reverse=True,
    )
    found: dict[int, int] = {}
    for before, after in by_likeness:
        if before not in found and after not in found.values():
            found[before] = after
    return [new[found[index]] for index in sorted(found)]
