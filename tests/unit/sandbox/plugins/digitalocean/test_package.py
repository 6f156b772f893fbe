"""The stand-in digitalocean plugin as a whole."""

from __future__ import annotations

from importlib import metadata

from sandbox.plugins.digitalocean import PACKAGE


def test_it_stands_in_for_the_version_that_the_sdk_wants() -> None:
    assert metadata.version("pulumi-digitalocean") == PACKAGE.version
