"""Which parts of a sandbox are real: what was requested, and what this machine supports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import TypeAdapter

from sandbox.running import Kind, PluginKind  # noqa: TC001 (pydantic reads the annotations)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.home import Home


class CannotBeHadError(Exception):
    """A requested part is not available on this machine; the message says why."""


@dataclass(frozen=True)
class Choice:
    """What runs, and why a real part does not."""

    droplets: Kind
    databases: Kind
    plugins: PluginKind
    reasons: dict[str, str]
    """Part (`droplets`, `databases`, `plugins`) → why its real form is not available here."""

    def save(self, home: Home) -> None:
        """Keep it in the home, for `status` and `reset`."""
        (home.folder(".") / _FILE).write_bytes(_ADAPTER.dump_json(self, indent=2))

    @classmethod
    def load(cls, home: Home) -> Choice | None:
        """What the home's sandbox was last started with; None if it never was started."""
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
    last: Choice | None = None,
) -> Choice:
    """Decide: a requested part is used or refused; any other part is real where this machine supports it.

    Where nothing is requested, droplets and databases that were light at the last start are light again: what is in the
    sandbox is of that kind.

    Args:
        droplets: None leaves it open.
        databases: None leaves it open.
        plugins: auto leaves it open.
        obstacles: part → why its real form is not available here, None if it is.
        last: the choice of the sandbox's last start.

    Raises:
        CannotBeHadError: a requested part is not available.
    """
    asked = {"droplets": droplets, "databases": databases, "plugins": plugins}
    again = (
        {
            part: kind
            for part, kind in (("droplets", last.droplets), ("databases", last.databases))
            if asked[part] is None and kind == "light"
        }
        if last is not None
        else {}
    )
    asked |= again
    wanted = {part for part, kind in asked.items() if kind in {None, "auto", "real", "official"}}
    reasons = {part: reason for part in sorted(wanted) if (reason := obstacles(part)) is not None}
    reasons |= {part: f"as at the last start; change it with --{part} real" for part in again}
    refused = [f"real {part}" for part in ("droplets", "databases") if asked[part] == "real" and part in reasons]
    refused += ["official plugins"] if plugins == "official" and "plugins" in reasons else []
    if refused:
        parts = "; ".join(f"{name} are not available here: {reasons[name.split()[1]]}" for name in refused)
        raise CannotBeHadError(parts)
    return Choice(
        droplets="real" if "droplets" in wanted - reasons.keys() else "light",
        databases="real" if "databases" in wanted - reasons.keys() else "light",
        plugins="official" if "plugins" in wanted - reasons.keys() else "stand-in",
        reasons=reasons,
    )


def obstacle(part: str) -> str | None:
    """Why real droplets or databases are not available on this machine; None if they are."""
    if part == "droplets":
        from sandbox.droplets.real import why_not_real  # noqa: PLC0415 (costs nothing where it is not asked)
    else:
        from sandbox.databases.real import why_not_real  # noqa: PLC0415 (likewise)
    return why_not_real()
