"""What of a sandbox is real: what was asked for, and what this machine allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import TypeAdapter

from sandbox.running import Kind, PluginKind  # noqa: TC001 (pydantic reads the annotations)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.home import Home


class CannotBeHadError(Exception):
    """What was asked for by name is not possible here; the message says why."""


@dataclass(frozen=True)
class Choice:
    """What will run, and why something real will not."""

    droplets: Kind
    databases: Kind
    plugins: PluginKind
    reasons: dict[str, str]
    """Part (`droplets`, `databases`, `plugins`) → why its real form cannot be had here."""

    def save(self, home: Home) -> None:
        """Keep it in the home, for `status` to tell and for `reset` to act by."""
        (home.folder(".") / _FILE).write_bytes(_ADAPTER.dump_json(self, indent=2))

    @classmethod
    def load(cls, home: Home) -> Choice | None:
        """What the home's sandbox was last started with; None when it never was."""
        try:
            return _ADAPTER.validate_json((home.path / _FILE).read_bytes())
        except FileNotFoundError:
            return None


_FILE = "choice.json"
_ADAPTER = TypeAdapter(Choice)


def choose(
    droplets: Kind | None,
    databases: Kind | None,
    plugins: Literal["auto", "official", "stand-in"],
    obstacles: Callable[[str], str | None],
) -> Choice:
    """Decide: what is asked for by name is had or refused; what is not is real where it can be.

    Args:
        droplets: None leaves it open.
        databases: None leaves it open.
        plugins: auto leaves it open.
        obstacles: part → why its real form cannot be had here, None when it can.

    Raises:
        CannotBeHadError: something asked for cannot be had.
    """
    asked = {"droplets": droplets, "databases": databases, "plugins": plugins}
    wanted = {part for part, kind in asked.items() if kind in {None, "auto", "real", "official"}}
    reasons = {part: reason for part in sorted(wanted) if (reason := obstacles(part)) is not None}
    refused = [f"real {part}" for part in ("droplets", "databases") if asked[part] == "real" and part in reasons]
    refused += ["official plugins"] if plugins == "official" and "plugins" in reasons else []
    if refused:
        parts = "; ".join(f"no {name} here: {reasons[name.split()[1]]}" for name in refused)
        raise CannotBeHadError(parts)
    return Choice(
        droplets="real" if "droplets" in wanted - reasons.keys() else "light",
        databases="real" if "databases" in wanted - reasons.keys() else "light",
        plugins="official" if "plugins" in wanted - reasons.keys() else "stand-in",
        reasons=reasons,
    )


def obstacle(part: str) -> str | None:
    """Why real droplets or databases cannot be had on this machine; None when they can."""
    if part == "droplets":
        from sandbox.droplets.real import why_not_real  # noqa: PLC0415 (costs nothing where it is not asked)
    else:
        from sandbox.databases.real import why_not_real  # noqa: PLC0415 (likewise)
    return why_not_real()
