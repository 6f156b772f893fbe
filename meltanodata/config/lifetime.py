"""When a certificate is due for renewal. Pure, and the one place that says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True)
class Lifetime:
    """How long a certificate is valid; both times have their zone."""

    begins: datetime
    ends: datetime

    @property
    def renewal(self) -> datetime:
        """From when on it is due: a third of its lifetime is left, as Let's Encrypt recommends for any lifetime."""
        return self.ends - (self.ends - self.begins) / 3

    def due(self, now: datetime) -> bool:
        """Whether it has to be renewed; also true of one that has expired."""
        return now > self.renewal

    def valid(self, now: datetime) -> bool:
        """Whether browsers accept it at this time."""
        return self.begins <= now < self.ends
