from __future__ import annotations

from datetime import timedelta

from meltanodata.certificate import renewal
from meltanodata.certificate.renewal import StackCertificate
from tests.certificates import NOW, certificate, pem

DOMAIN = "meltanodata.com"


def held(stack: str, days_ago: int, days_left: int) -> StackCertificate:
    begins, ends = NOW - timedelta(days=days_ago), NOW + timedelta(days=days_left)
    text = certificate(f"*.{DOMAIN}", begins=begins, ends=ends)
    return StackCertificate.of(stack, (text, pem()), DOMAIN, NOW)


def names(stacks: list[StackCertificate]) -> list[str]:
    return [each.stack for each in stacks]


def test_the_stacks_with_little_lifetime_left_or_no_certificate_need_one() -> None:
    stacks = [held("old", 61, 29), held("new", 1, 89), StackCertificate.of("none", (None, None), DOMAIN, NOW)]
    assert names(renewal.due(stacks, NOW)) == ["old", "none"]
    assert stacks[2].problems == ("certificate is missing", "certificate_key is missing")


def test_a_certificate_without_its_key_is_no_use() -> None:
    stack = StackCertificate.of("prod", (certificate(f"*.{DOMAIN}"), None), DOMAIN, NOW)
    assert stack.due(NOW)
    assert renewal.usable([stack], NOW) is None


def test_the_certificate_that_lasts_longest_serves_the_others() -> None:
    stacks = [held("a", 61, 29), held("b", 20, 70), held("c", 1, 89)]
    best = renewal.usable(stacks, NOW)
    assert best is not None
    assert best.stack == "c"
    assert renewal.usable(stacks[:1], NOW) is None
