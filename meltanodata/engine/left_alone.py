"""How the program tells whoever reads a preview that it leaves a tenant alone: by a warning for each reason. Pure.

See docs/decisions/tenants-left-alone.md.
"""

from __future__ import annotations

import re

_WARNING = re.compile(r"(?:warning: )?([a-z0-9-]+) cannot be planned and is left as it is: (.*)", re.DOTALL)


def warning(tenant: str, reason: str) -> str:
    """The warning."""
    return f"{tenant} cannot be planned and is left as it is: {reason}"


def read(message: str) -> tuple[str, str] | None:
    """The tenant and the reason in a warning, as a preview's JSON has it; None for any other message."""
    match = _WARNING.fullmatch(message.strip())
    return (match[1], match[2]) if match else None
