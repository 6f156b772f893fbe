"""What `meltanodata up` knows of the options that it passes to Pulumi."""

from __future__ import annotations

import pytest

from meltanodata.cli.pulumi_options import for_preview, switches


@pytest.mark.parametrize(
    ("given", "planned"),
    [
        ("--refresh --run-program -t a::b --replace c", "--refresh --run-program -t a::b --replace c"),
        ("-r -p 4 -p8 --parallel=2", "-r -p 4 -p8 --parallel=2"),
        ("-yrf --yes --skip-preview=true --continue-on-error", "-r"),
        ("-yp4", "-p4"),
        ("--json --diff --debug -d -j --expect-no-changes", ""),
        ("--plan x --secrets-provider y --event-log=z --target a", "--target a"),
        ("--exclude a --new-option b", "--exclude a --new-option b"),
    ],
)
def test_the_plan_is_that_of_the_same_options(given: str, planned: str) -> None:
    """An option that nobody here knows reaches the preview, which says so if it does not have it."""
    assert for_preview(given.split()) == planned.split()


def test_the_switches_among_options() -> None:
    assert switches(["-yf", "--json=true", "--strict=false", "--target", "x", "-pf"]) >= {"yes", "skip-preview", "json"}
    assert not switches(["--strict=false", "-pf", "-p", "y"]) & {"strict", "skip-preview", "yes"}
