"""Which stacks of a fleet need a new certificate, and whether one of them has it already. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meltanodata.config import certificates

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from meltanodata.config.certificates import Described


@dataclass(frozen=True)
class StackCertificate:
    """What a stack's config has."""

    stack: str
    certificate: str | None
    """PEM; None where there is none."""
    key: str | None
    described: Described | None
    """None where there is no certificate, or it cannot be read."""
    problems: tuple[str, ...]
    """What is wrong with certificate and key, each a sentence's end after the setting's name."""

    @classmethod
    def of(cls, stack: str, pem: tuple[str | None, str | None], domain: str, now: datetime) -> StackCertificate:
        """Read certificate and key."""
        certificate, key = pem
        wrong = [f"{name} {problem}" for name, problem in certificates.problems(certificate, key, domain, now)]
        wrong += [
            f"{name} is missing" for name, text in (("certificate", certificate), ("certificate_key", key)) if not text
        ]
        return cls(stack, certificate, key, certificates.described(certificate or ""), tuple(wrong))

    def due(self, now: datetime) -> bool:
        """Whether the stack needs another one."""
        return self.described is None or bool(self.problems) or self.described.lifetime.due(now)


def due(stacks: Sequence[StackCertificate], now: datetime) -> list[StackCertificate]:
    """The stacks that need another certificate."""
    return [stack for stack in stacks if stack.due(now)]


def usable(stacks: Sequence[StackCertificate], now: datetime) -> StackCertificate | None:
    """The stack whose certificate is not due and lasts longest, which the others can have as well.

    A run that was killed between two stacks' files leaves one; so does an operator who set it in one stack by hand.
    """
    current = [stack for stack in stacks if not stack.due(now)]
    return max(current, key=lambda stack: stack.described.lifetime.ends if stack.described else now, default=None)
