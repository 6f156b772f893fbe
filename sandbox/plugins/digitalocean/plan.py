"""What an update or a create would make of a resource, and how that differs from what is there; pure.

As Terraform's SDK plans and as the bridge compares: old outputs with planned outputs.
"""

from __future__ import annotations

from typing import Any

from sandbox.plugins.digitalocean.attributes import (
    Attribute,
    Attributes,
    Many,
    Scalar,
    Values,
    identity,
    pulumi_name,
    zero,
)
from sandbox.plugins.schema import Change, Difference, PropertyChange
from sandbox.plugins.values import UNKNOWN, has_unknown


def planned(attributes: Attributes, old: Values | None, config: Values) -> Values:
    """The values after an update to this configuration; `old` is None for a create.

    An update that changes nothing of meaning leaves the old values as they are.
    """
    new = {
        name: _planned(attribute, None if old is None else old[name], config[name], config, create=old is None)
        for name, attribute in attributes.items()
    }
    if old is not None and all(_equal(attributes[name].type, old[name], new[name]) for name in attributes):
        return dict(old)
    return new


def _planned(attribute: Attribute, old: Any, new: Any, config: Values, *, create: bool) -> Any:
    if new is None and attribute.computed:
        return UNKNOWN if create else old
    if new is None and attribute.default is None:
        return old if zero(old) else None
    if new is None:
        new = attribute.default
    if new is UNKNOWN:
        return UNKNOWN
    if isinstance(attribute.type, Many):
        return _planned_many(attribute.type, old, new, config)
    if attribute.normal:
        new = attribute.normal(new)
    return old if attribute.same and old is not None and attribute.same(old, new, config) else new


def _planned_many(kind: Many, old: Any, new: list[Any], config: Values) -> Any:
    if isinstance(kind.element, str):
        if has_unknown(new):
            return UNKNOWN
        if kind.kind == "set":
            new = sorted({kind.key(item): item for item in reversed(new)}.values())
        return old if _equal(kind, old, new) else new or None
    element = kind.element
    before = old if isinstance(old, list) else []
    planned_objects = []
    for index, item in enumerate(new):
        if kind.kind == "set":
            match = next((other for other in before if identity(kind, other) == identity(kind, item)), None)
        else:
            match = before[index] if index < len(before) else None
        planned_objects.append(
            {
                name: _planned(attribute, match and match[name], item[name], config, create=match is None)
                for name, attribute in element.items()
            }
        )
    return planned_objects or (old if zero(old) else None)


def _equal(kind: Scalar | Many, old: Any, new: Any) -> bool:
    """Whether two values mean the same to Terraform."""
    if zero(old) and zero(new):
        return True
    if isinstance(kind, Many) and kind.kind == "set" and isinstance(old, list) and isinstance(new, list):
        return {identity(kind, item) for item in old} == {identity(kind, item) for item in new} and not has_unknown(new)
    return bool(old == new)


def differences(attributes: Attributes, old: Values, new: Values, config: Values) -> Difference:
    """The changes from the old values to the planned ones, by the paths that a program sees."""
    found: Difference = {}
    for name, attribute in attributes.items():
        path = pulumi_name(name, attribute)
        changes = _changes(attribute.type, path, old[name], new[name], config[name])
        found |= {place: PropertyChange(change, attribute.force_new) for place, change in changes.items()}
    return dict(sorted(found.items()))


def _changes(kind: Scalar | Many, path: str, old: Any, new: Any, config: Any) -> dict[str, Change]:
    if isinstance(kind, Many):
        old, new = (None if value == [] else value for value in (old, new))
    if old is None or new is None:
        return {} if old is new else {path: Change.ADD if old is None else Change.DELETE}
    if new is UNKNOWN:
        return {path: Change.UPDATE}
    if not isinstance(kind, Many):
        return {} if old == new else {path: Change.UPDATE}
    if kind.kind == "set":
        return _set_changes(kind, path, old, new, config)
    found: dict[str, Change] = {}
    for index in range(max(len(old), len(new))):
        before, after = (items[index] if index < len(items) else None for items in (old, new))
        found |= _element_changes(kind, path if kind.single else f"{path}[{index}]", before, after)
    return found


def _element_changes(kind: Many, path: str, old: Any, new: Any) -> dict[str, Change]:
    if isinstance(kind.element, str) or old is None or new is None:
        return _changes("string", path, old, new, None)
    found: dict[str, Change] = {}
    for name, attribute in kind.element.items():
        place = f"{path}.{pulumi_name(name, attribute)}"
        found |= _changes(attribute.type, place, old[name], new[name], None)
    return found


def _set_changes(kind: Many, path: str, old: list[Any], new: list[Any], config: Any) -> dict[str, Change]:
    """The changes at the places that elements have in the old outputs and in the program."""
    gone, come = ({identity(kind, item): index for index, item in enumerate(items)} for items in (old, new))
    removed = [index for key, index in gone.items() if key not in come]
    added = [index for key, index in come.items() if key not in gone]
    inputs = config if isinstance(config, list) else []
    if not removed and not added:
        return {}
    places = _places(kind, inputs, new, added) if len(inputs) >= len(new) else {}
    if len(places) != len(added):
        return {path: Change.UPDATE}
    found: dict[str, Change] = {}
    for index in sorted({*removed, *places}):
        before = old[index] if index in removed else None
        after = new[places[index]] if index in places else None
        found |= _element_changes(kind, f"{path}[{index}]", before, after)
    return found


def _places(kind: Many, inputs: list[Any], new: list[Any], added: list[int]) -> dict[int, int]:
    """For elements that are added: index in the program → index in the plan."""
    found: dict[int, int] = {}
    for index in added:
        for place, item in enumerate(inputs):
            if place not in found and _says(kind, item, new[index]):
                found[place] = index
                break
    return found


def _says(kind: Many, item: Any, planned_item: Any) -> bool:
    """Whether the element that the program has is the planned one."""
    if isinstance(kind.element, str):
        return bool(item == planned_item)
    return all(item[name] is None or item[name] == planned_item[name] for name in kind.element)
