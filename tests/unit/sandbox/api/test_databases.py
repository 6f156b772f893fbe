"""Host names of clusters."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sandbox.api.databases import _host


@given(st.from_regex(r"[a-z][a-z0-9-]{1,61}[a-z0-9]", fullmatch=True), st.integers(0, 0xFFFFFF))
def test_a_host_name_fits_into_the_dns_and_begins_with_the_cluster_s(name: str, number: int) -> None:
    label = _host(name, number).split(".")[0]
    assert len(f"private-{label}") <= 63
    assert label.startswith(name[:20])
    if len(name) < 30:
        assert label == f"{name}-do-user-{number}-0"
