"""When droplets are backed up: https://docs.digitalocean.com/products/backups/.

The sandbox keeps the policy and says when the next backup is due; it makes none.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from pydantic import BaseModel

from sandbox.api.errors import unprocessable
from sandbox.api.state import BackupPolicy, timestamp

if TYPE_CHECKING:
    from sandbox.api.cloud import JSON

_HOURS = (0, 4, 8, 12, 16, 20)
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_WINDOW = dt.timedelta(hours=4)
_RETENTION = {"weekly": 28, "daily": 7}
"""Plan → days for which a backup is kept."""
SUPPORTED: list[JSON] = [
    {
        "name": plan,
        "possible_window_starts": list(_HOURS),
        "window_length_hours": int(_WINDOW.total_seconds() // 3600),
        "retention_period_days": days,
        "possible_days": list(_DAYS) if plan == "weekly" else [],
    }
    for plan, days in _RETENTION.items()
]


class BackupPolicyForm(BaseModel):
    """A policy as requests name it."""

    plan: str | None = None
    weekday: str | None = None
    hour: int | None = None


def checked(form: BackupPolicyForm | None) -> BackupPolicy:
    """The policy that a request asks for; daily when it names none.

    Raises:
        ApiError: 422 for a plan, day or hour that there is not.
    """
    form = form or BackupPolicyForm()
    plan = form.plan or "daily"
    if plan not in _RETENTION:
        raise unprocessable(f"invalid backup plan {plan!r}: daily or weekly")
    if form.hour is not None and form.hour not in _HOURS:
        raise unprocessable(f"invalid backup hour {form.hour}: one of {', '.join(map(str, _HOURS))}")
    if plan == "daily" and form.weekday:
        raise unprocessable("invalid backup policy: a daily plan has no weekday")
    if form.weekday and form.weekday not in _DAYS:
        raise unprocessable(f"invalid backup weekday {form.weekday!r}: one of {', '.join(_DAYS)}")
    return BackupPolicy(plan, form.hour or 0, (form.weekday or _DAYS[0]) if plan == "weekly" else None)


def policy_json(policy: BackupPolicy) -> JSON:
    """As DigitalOcean shows it: the day of weekly ones only."""
    return {
        "plan": policy.plan,
        **({"weekday": policy.weekday} if policy.weekday else {}),
        "hour": policy.hour,
        "window_length_hours": int(_WINDOW.total_seconds() // 3600),
        "retention_period_days": _RETENTION[policy.plan],
    }


def next_window(policy: BackupPolicy, now: dt.datetime) -> JSON:
    """The next time span that begins after now (in UTC) in which a backup is made."""
    start = now.replace(hour=policy.hour, minute=0, second=0, microsecond=0)
    while start <= now or policy.weekday not in {None, _DAYS[start.isoweekday() % 7]}:
        start += dt.timedelta(days=1)
    return {"start": timestamp(start), "end": timestamp(start + _WINDOW)}
