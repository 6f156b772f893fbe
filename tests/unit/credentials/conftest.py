"""A stack with two tenants, and a vault of 1Password."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.credentials.world import World, vault_and_stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Two tenants that are applied, whose logins are in no vault yet."""
    with vault_and_stack(tmp_path, monkeypatch) as world:
        yield world
