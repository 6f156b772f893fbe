"""Two stacks and an ACME server, for the commands that renew the certificate."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import yaml

from meltanodata.certificate import acme_server, serving
from meltanodata.certificate.challenge import Zone
from meltanodata.engine import pulumi_cli
from meltanodata.engine.stack_state import StackState
from meltanodata.errors import UserError
from tests.certificates import certificate, pem
from tests.fleets import write_stack
from tests.states import exported

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from meltanodata.certificate.acme_server import Issued

NOW = datetime.now(UTC)
STACKS = ("prod", "prod-2")


def wildcard(days_ago: float, days_left: float) -> str:
    """A certificate for the domain, valid between two days counted from now."""
    ends = NOW + timedelta(days=days_left)
    return certificate("*.meltanodata.com", begins=NOW - timedelta(days=days_ago), ends=ends)


class World:
    """Two stacks, prod and prod-2, whose secrets are not encrypted but encoded; an ACME server that issues `issued`."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for stack in STACKS:
            write_stack(folder, stack)
        self.folder = folder
        self.issued: Issued | UserError = UserError("the server was asked")
        self.orders = 0
        self.suggests = False
        self.served: str | None = None
        """The fingerprint of what the droplets serve."""
        monkeypatch.setattr(pulumi_cli, "config", self._config)
        monkeypatch.setattr(pulumi_cli, "set_secrets", self._set)
        monkeypatch.setattr(pulumi_cli, "state", lambda *_, **__: StackState(exported("acme", "bolt")))
        monkeypatch.setattr(serving, "fingerprints", lambda made: {each.tenant: self.served for each in made})
        monkeypatch.setattr(Zone, "remove_leftovers", lambda _: None)
        monkeypatch.setattr(acme_server, "AcmeServer", lambda *_: self)

    def file(self, stack: str) -> Path:
        return self.folder / f"Pulumi.{stack}.yaml"

    def has(self, stack: str, text: str) -> None:
        self._set(
            stack,
            self.folder,
            self.file(stack),
            {"meltanodata:certificate": text, "meltanodata:certificate_key": pem()},
        )

    def _config(self, stack: str, _: Path, file: Path | None = None) -> dict[str, str]:
        values = yaml.safe_load((file or self.file(stack)).read_text())["config"]
        return {
            key: base64.b64decode(value["secure"]).decode()
            for key, value in values.items()
            if isinstance(value, dict) and "secure" in value
        }

    @staticmethod
    def _set(_: str, __: Path, file: Path, secrets: dict[str, str]) -> None:
        content = yaml.safe_load(file.read_text())
        for key, value in secrets.items():
            content["config"][key] = {"secure": base64.b64encode(value.encode()).decode()}
        file.write_text(yaml.safe_dump(content, sort_keys=False))

    @property
    def configs(self) -> dict[str, dict[str, str]]:
        """The secrets by stack."""
        return {stack: self._config(stack, self.folder) for stack in STACKS}

    def sign_in(self) -> None:
        pass

    def suggests_renewal(self, *_: object) -> bool:
        return self.suggests

    def obtain(self, name: str, _: object) -> Issued:
        assert name == "*.meltanodata.com"
        self.orders += 1
        if isinstance(self.issued, UserError):
            raise self.issued
        return self.issued

    @property
    def certificates(self) -> set[str | None]:
        return {config.get("meltanodata:certificate") for config in self.configs.values()}
