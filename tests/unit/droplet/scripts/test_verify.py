"""The verification on a droplet, against an HTTPS server on loopback and a systemctl that says what it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meltanodata.droplet.scripts import verify
from tests.fakes.caddy import HOST, caddy, certificate

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def systemctl(tmp_path: Path) -> Path:
    """Says `running` and `active`; with a file of a service's name, that the service failed."""
    path = tmp_path / "systemctl"
    path.write_text(
        f"""#!/bin/sh
cd {tmp_path}
case $1 in
is-system-running) test -e failed && echo degraded || echo running ;;
list-units) test -e failed && echo "● caddy.service loaded failed failed Caddy" | sed 's/^● //' ;;
is-active) test -e $2 && echo failed || echo active ;;
esac
"""
    )
    path.chmod(0o755)
    return path


def verified(address: tuple[str, int], systemctl: Path, fingerprint: str | None, seconds: float = 0) -> None:
    verify.main({"host_name": HOST, "fingerprint": fingerprint, "seconds": seconds}, str(systemctl), address)


def found(address: tuple[str, int], systemctl: Path, fingerprint: str | None) -> str:
    with pytest.raises(SystemExit) as caught:
        verified(address, systemctl, fingerprint)
    return str(caught.value)


def test_all_is_well(tmp_path: Path, systemctl: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pem, fingerprint = certificate(tmp_path)
    with caddy(pem, [401]) as address:
        verified(address, systemctl, fingerprint)
    assert capsys.readouterr().out == f"{HOST} is up\n"


def test_any_certificate_for_the_host_will_do_where_none_is_named(tmp_path: Path, systemctl: Path) -> None:
    with caddy(certificate(tmp_path)[0], [401]) as address:
        verified(address, systemctl, None)


def test_what_is_not_up_yet_is_waited_for(tmp_path: Path, systemctl: Path) -> None:
    pem, fingerprint = certificate(tmp_path)
    with caddy(pem, [502, 502, 401]) as address:
        verified(address, systemctl, fingerprint, seconds=30)


def test_another_certificate(tmp_path: Path, systemctl: Path) -> None:
    with caddy(certificate(tmp_path)[0], [401]) as address:
        assert "serves another certificate" in found(address, systemctl, "0" * 64)


@pytest.mark.parametrize(("host", "days"), [("other.meltanodata.com", 1), (HOST, -1)])
def test_a_certificate_for_another_host_or_time(tmp_path: Path, systemctl: Path, host: str, days: int) -> None:
    with caddy(certificate(tmp_path, host, days)[0], [401]) as address:
        assert "has no valid certificate (CERTIFICATE_VERIFY_FAILED)" in found(address, systemctl, None)


def test_an_instance_that_shows_itself_to_everybody(tmp_path: Path, systemctl: Path) -> None:
    pem, fingerprint = certificate(tmp_path)
    with caddy(pem, [200]) as address:
        assert "MELTANO_UI_AUTHENTICATION" in found(address, systemctl, fingerprint)


def test_an_instance_that_does_not_work(tmp_path: Path, systemctl: Path) -> None:
    pem, fingerprint = certificate(tmp_path)
    with caddy(pem, [500]) as address:
        said = found(address, systemctl, fingerprint)
    assert "answers 500. Look at: /var/meltano/project/.meltano/run/meltano-ui.log" in said


def test_nobody_listens(systemctl: Path) -> None:
    said = found(("127.0.0.1", 1), systemctl, None)
    assert said == f"https://{HOST} does not answer ([Errno 111] Connection refused). Look at: journalctl --unit caddy"


def test_every_finding_is_said(tmp_path: Path, systemctl: Path) -> None:
    for name in ("failed", "caddy", "vsftpd"):
        (tmp_path / name).touch()
    pem, fingerprint = certificate(tmp_path)
    with caddy(pem, [500]) as address:
        said = found(address, systemctl, fingerprint).splitlines()
    assert [line.split(". ")[0] for line in said] == [
        f"https://{HOST} answers 500",
        "caddy.service is failed, not active",
        "vsftpd.service is failed, not active",
        "the system is degraded, not running; failed: caddy.service",
    ]
