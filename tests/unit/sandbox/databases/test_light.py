"""Light databases, and the authority that both kinds of databases show."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from sandbox.backends import Cluster, DatabaseBackend
from sandbox.databases.authority import Authority
from sandbox.databases.light import LightDatabases
from sandbox.home import Home

if TYPE_CHECKING:
    from pathlib import Path

HOST = "db-postgresql-nyc3-52483-a-rather-long-tenant-do-user-1234-0.b.db.ondigitalocean.com"
CLUSTER = Cluster("id", "name", "15", "127.1.2.3", HOST, 25060, "doadmin", "secret", "defaultdb")


def test_light_databases_keep_the_protocol(tmp_path: Path) -> None:
    databases: DatabaseBackend = LightDatabases(Home(tmp_path))

    async def life() -> None:
        await databases.create(CLUSTER)
        await databases.start(CLUSTER)
        await databases.set_trusted_sources(CLUSTER, frozenset({"127.1.0.1"}))
        await databases.destroy(CLUSTER)
        await databases.close()

    asyncio.run(life())
    assert "15" in databases.versions
    x509.load_pem_x509_certificate(databases.ca_pem().encode())


def test_the_authority_is_made_once_and_its_key_is_private(tmp_path: Path) -> None:
    assert Authority(tmp_path).pem == Authority(tmp_path).pem
    assert (tmp_path / "ca.key").stat().st_mode & 0o077 == 0


def test_a_certificate_is_good_for_its_host_name_alone(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pem, _ = authority.certificate(HOST)
    leaf = x509.load_pem_x509_certificate(pem.encode())
    store = Store([x509.load_pem_x509_certificate(authority.pem.encode())])
    verifier = PolicyBuilder().store(store).build_server_verifier(x509.DNSName(HOST))
    assert verifier.verify(leaf, [])[0] == leaf
    assert leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value == x509.SubjectAlternativeName(
        [x509.DNSName(HOST)]
    )
