"""Sentences about what is wrong, for the doctor, and for the verification, whose output Pulumi shows as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from meltanodata.droplet.layout import CADDY_FOLDER, UI_LOG

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meltanodata.droplet.scripts.codes import Problem


class Sentence(NamedTuple):
    """Something that is wrong."""

    text: str
    look_at: str
    """Files, and commands to be run on the droplet."""


def about_system(state: str, failed: Sequence[str] = ()) -> Sentence:
    """About a system that is not running."""
    units = f"; failed: {' '.join(failed)}" if failed else ""
    return Sentence(f"the system is {state or 'silent'}, not running{units}", "systemctl --failed")


def about_service(service: str, state: str) -> Sentence:
    """About a service that is not active."""
    unit = f"{service}.service is {state or 'silent'}, not active"
    return Sentence(unit, f"journalctl --unit {service} --lines 50")


def about_page(host_name: str, problem: Problem) -> Sentence:
    """About a page that does not ask for the login."""
    text, look_at = {
        "another_certificate": ("serves another certificate", f"{CADDY_FOLDER}, journalctl --unit caddy"),
        "bad_certificate": (f"has no valid certificate ({problem.detail})", "journalctl --unit caddy"),
        "no_answer": (f"does not answer ({problem.detail})", "journalctl --unit caddy"),
        "public": (
            "shows itself to everybody",
            "MELTANO_UI_AUTHENTICATION=true in systemctl cat meltano, and ui.anonymous_readonly of the project",
        ),
        "another_status": (f"answers {problem.detail}", f"{UI_LOG}, journalctl --unit meltano --lines 50"),
    }[problem.code]
    return Sentence(f"https://{host_name} {text}", look_at)
