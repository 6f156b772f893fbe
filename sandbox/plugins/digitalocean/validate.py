"""What a single value must be, in the provider's words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.plugins.digitalocean.attributes import Validator

_TAG = re.compile(r"[a-zA-Z0-9:\-_]{1,255}")


def not_zero(name: str, value: Any) -> str | None:
    """Neither an empty string nor the number 0."""
    if value == "":
        return f"{name} must not be empty, got {value}"
    return f"{name} must not be zero, got {value}" if value == 0 else None


def not_empty(name: str, value: str) -> str | None:
    """No empty string."""
    return None if value else f'expected "{name}" to not be an empty string, got {value}'


def tag(name: str, value: str) -> str | None:
    """A tag's name."""
    del name
    if _TAG.fullmatch(value):
        return None
    return (
        "tags may contain lowercase letters, numbers, colons, dashes, and underscores; "
        "there is a limit of 255 characters per tag"
    )


def one_of(*allowed: str, ignore_case: bool = False) -> Validator:
    """One of these strings."""
    folded = {item.lower() for item in allowed}

    def validate(name: str, value: str) -> str | None:
        if value in allowed or (ignore_case and value.lower() in folded):
            return None
        listed = " ".join(f'"{item}"' for item in allowed)
        return f"expected {name} to be one of [{listed}], got {value}"

    return validate


def between(least: int, most: int) -> Validator:
    """A number within bounds, both included."""
    return lambda name, value: (
        None if least <= value <= most else f"expected {name} to be in the range ({least} - {most}), got {value}"
    )


def at_least(least: int) -> Validator:
    """A number not below a bound."""
    return lambda name, value: None if value >= least else f"expected {name} to be at least ({least}), got {value}"


def length(least: int, most: int) -> Validator:
    """A string whose length is within bounds, both included."""
    return lambda name, value: (
        None
        if least <= len(value) <= most
        else f"expected length of {name} to be in the range ({least} - {most}), got {value}"
    )
