"""When a droplet's next backup is due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from sandbox.api.backup_policies import BackupPolicyForm, checked, next_window, policy_json
from sandbox.api.droplets import _policy
from sandbox.api.state import Droplet

DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
SATURDAY = datetime(2026, 11, 28, 8, 0, 0, tzinfo=UTC)


def test_a_window_that_has_begun_is_not_the_next_one() -> None:
    daily = checked(BackupPolicyForm(plan="daily", hour=8))
    assert next_window(daily, SATURDAY - timedelta(seconds=1))["start"] == "2026-11-28T08:00:00Z"
    assert next_window(daily, SATURDAY) == {"start": "2026-11-29T08:00:00Z", "end": "2026-11-29T12:00:00Z"}


def test_a_weekly_policy_without_a_day_is_sundays() -> None:
    assert policy_json(checked(BackupPolicyForm(plan="weekly")))["weekday"] == "SUN"
    assert "weekday" not in policy_json(checked(None))


@given(
    moment=st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2035, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 -- hypothesis wants it so
    hour=st.sampled_from([0, 4, 8, 12, 16, 20]),
    day=st.sampled_from([None, *DAYS]),
)
def test_the_next_window_is_on_its_day_and_hour_and_no_later_than_it_must(
    moment: datetime, hour: int, day: str | None
) -> None:
    policy = checked(BackupPolicyForm(plan="weekly" if day else "daily", hour=hour, weekday=day))
    start = datetime.fromisoformat(next_window(policy, moment)["start"])
    assert moment < start <= moment + timedelta(days=7 if day else 1)
    assert (start.hour, start.minute, start.second) == (hour, 0, 0)
    assert day in {None, DAYS[start.isoweekday() % 7]}


def test_a_droplet_from_before_there_were_policies_is_backed_up_daily() -> None:
    droplet = Droplet(
        id=1,
        team="Meltano",
        name="acme.meltanodata.com",
        region="nyc3",
        size="s-2vcpu-2gb",
        disk=60,
        image=1,
        image_name="Ubuntu meltano-1",
        ssh_keys=[],
        address="198.18.0.16",
        private_address="10.108.0.2",
        created_at="2026-01-01T00:00:00Z",
        vpc_uuid="",
        features=["backups"],
        tags=[],
    )
    assert _policy(droplet) == checked(None)
