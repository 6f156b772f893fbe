"""The parts of a resource's URN: urn:pulumi:STACK::PROJECT::PARENT$TYPE::NAME. Pure.

https://www.pulumi.com/docs/iac/concepts/resources/names/#urns
"""

from __future__ import annotations


def prefix(stack: str) -> str:
    """How every URN of a stack begins."""
    return f"urn:pulumi:{stack}::"


def stack_of(urn: str) -> str:
    """The stack's name."""
    return urn.split(":", 3)[2]


def project_of(urn: str) -> str:
    """The project's name."""
    return urn.split("::", 2)[1]


def type_of(urn: str) -> str:
    """The resource's own type, without its parents'."""
    return urn.split("::", 3)[2].rsplit("$", 1)[-1]


def name_of(urn: str) -> str:
    """The resource's name."""
    return urn.rsplit("::", 1)[1]


def with_name(urn: str, name: str) -> str:
    """The URN of the same resource under another name."""
    return f"{urn.rsplit('::', 1)[0]}::{name}"
