"""Inputs of droplets as a program may say them, for generated tests."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

texts = st.text("abcXYZ-.9", min_size=1, max_size=8)
optional: dict[str, st.SearchStrategy[Any]] = {
    "region": st.sampled_from(["nyc3", "ams3"]),
    "backups": st.booleans(),
    "ipv6": st.booleans(),
    "monitoring": st.booleans(),
    "resizeDisk": st.booleans(),
    "gracefulShutdown": st.booleans(),
    "tags": st.lists(texts.filter(lambda text: "." not in text), unique_by=str.lower, max_size=4),
    "sshKeys": st.lists(texts, unique=True, max_size=4),
    "vpcUuid": texts,
}
droplets = st.fixed_dictionaries({"image": texts, "size": texts, "name": texts}, optional=optional)
