"""The sandbox's CA, wildcard certificate and SSH keys."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from asyncssh import read_private_key, read_public_key
from cryptography import x509

from sandbox.home import Home
from sandbox.keys import Keys, load_ca

if TYPE_CHECKING:
    from pathlib import Path


def test_the_wildcard_is_signed_by_the_ca(tmp_path: Path) -> None:
    keys = Keys.ensure(Home(tmp_path), "meltanodata.com")
    leaf, ca = x509.load_pem_x509_certificates(keys.wildcard_certificate.read_bytes())
    leaf.verify_directly_issued_by(ca)
    assert ca == x509.load_pem_x509_certificate(keys.ca_certificate.read_bytes()) == load_ca(keys)[1]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["*.meltanodata.com", "meltanodata.com"]


def test_each_ssh_key_fits_its_public_half(tmp_path: Path) -> None:
    keys = Keys.ensure(Home(tmp_path), "meltanodata.com")
    for private, public in (
        (keys.ssh_private_key, keys.ssh_public_key),
        (keys.colleague_private_key, keys.colleague_public_key),
    ):
        assert read_private_key(private).convert_to_public() == read_public_key(public)


def test_private_files_are_private(tmp_path: Path) -> None:
    keys = Keys.ensure(Home(tmp_path), "meltanodata.com")
    private = {"ca.key", "wildcard.key", "id_ed25519", "colleague"}
    assert {p.name for p in keys.folder.iterdir() if stat.S_IMODE(p.stat().st_mode) == 0o600} == private


def test_keys_that_are_there_stay(tmp_path: Path) -> None:
    before = {p.name: p.read_bytes() for p in Keys.ensure(Home(tmp_path), "meltanodata.com").folder.iterdir()}
    after = {p.name: p.read_bytes() for p in Keys.ensure(Home(tmp_path), "meltanodata.com").folder.iterdir()}
    assert before == after
