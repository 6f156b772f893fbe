"""Domains and their records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dns.resolver
import pytest

from tests.sandbox.api import Client

if TYPE_CHECKING:
    from sandbox.running import Running

RECORDS = "/v2/domains/meltanodata.com/records"


def a_record(**changes: object) -> dict[str, Any]:
    """A body as the provider sends it, valid but for the changes."""
    zeros = {"priority": 0, "port": 0, "weight": 0, "flags": 0}
    return {"type": "A", "name": "acme", "data": "198.18.0.16", "ttl": 3600, **zeros, **changes}


def create(client: Client, **changes: object) -> dict[str, Any]:
    record: dict[str, Any] = client.post(RECORDS, a_record(**changes))["domain_record"]
    return record


def test_a_domain_is_born_with_soa_and_name_servers(meltano: Client) -> None:
    records = meltano.get(RECORDS)["domain_records"]
    assert [(record["type"], record["name"], record["data"]) for record in records] == [
        ("SOA", "@", "1800"),
        ("NS", "@", "ns1.digitalocean.com"),
        ("NS", "@", "ns2.digitalocean.com"),
        ("NS", "@", "ns3.digitalocean.com"),
    ]


def test_a_record_comes_changes_and_goes(meltano: Client) -> None:
    record = create(meltano)
    path = f"{RECORDS}/{record['id']}"
    assert (record["name"], record["data"], record["ttl"], record["priority"]) == ("acme", "198.18.0.16", 3600, None)
    assert meltano.get(path)["domain_record"] == record
    changed = meltano.put(path, a_record(data="198.18.0.17"))["domain_record"]
    assert changed == record | {"data": "198.18.0.17"}
    changed = meltano.patch(path, {"ttl": 60})["domain_record"]
    assert changed == record | {"data": "198.18.0.17", "ttl": 60}
    assert (
        "acme.meltanodata.com. 60 IN A 198.18.0.17" in meltano.get("/v2/domains/meltanodata.com")["domain"]["zone_file"]
    )
    meltano.delete(path)
    meltano.delete(path, 404)
    meltano.get(path, 404)
    meltano.put(path, a_record(), 404)


def test_the_default_ttl_is_1800(meltano: Client) -> None:
    assert create(meltano, ttl=None)["ttl"] == 1800


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("acme", "acme"),
        ("acme.meltanodata.com.", "acme"),
        ("acme.meltanodata.com", "acme.meltanodata.com"),
        ("@", "@"),
        ("meltanodata.com.", "@"),
        ("a.b", "a.b"),
        ("*", "*"),
    ],
)
def test_names_are_stored_short(meltano: Client, sent: str, stored: str) -> None:
    assert create(meltano, name=sent)["name"] == stored


def test_two_alike_are_two(meltano: Client) -> None:
    assert create(meltano)["id"] != create(meltano)["id"]
    assert meltano.get(f"{RECORDS}?name=acme.meltanodata.com")["meta"]["total"] == 2


def test_filters(meltano: Client) -> None:
    first = create(meltano)
    create(meltano, name="other")
    create(meltano, type="TXT", data="v=1")
    assert len(meltano.get(f"{RECORDS}?type=A")["domain_records"]) == 2
    assert [r["name"] for r in meltano.get(f"{RECORDS}?name=acme.meltanodata.com")["domain_records"]] == [
        "acme",
        "acme",
    ]
    found = meltano.get(f"{RECORDS}?name=acme.meltanodata.com&type=A")["domain_records"]
    assert [record["id"] for record in found] == [first["id"]]
    assert {r["type"] for r in meltano.get(f"{RECORDS}?name=meltanodata.com")["domain_records"]} == {"SOA", "NS"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": "acme"}, "IP address did not match IPv4 format (e.g. 127.0.0.1)."),
        ({"type": "AAAA"}, "IP address did not match IPv6 format (e.g. 2001:db8::)."),
        ({"type": "CNAME", "data": "example.com"}, "Data needs to end with a dot (.)"),
        ({"name": "no spaces"}, "Name Only valid hostname characters are allowed."),
        ({"name": "-acme"}, "Name Only valid hostname characters are allowed."),
        ({"ttl": 29}, "TTL must be"),
        ({"type": "PTR"}, "type:"),
    ],
)
def test_a_bad_record_is_refused(meltano: Client, changes: dict[str, object], message: str) -> None:
    refused = meltano.post(RECORDS, a_record(**changes), 422)
    assert refused["message"].startswith(message)
    kept = create(meltano, name="kept", ttl=60)
    if changes.keys() <= {"data", "name", "ttl"}:
        meltano.patch(f"{RECORDS}/{kept['id']}", changes, 422)
    assert meltano.get(f"{RECORDS}/{kept['id']}")["domain_record"] == kept


def test_a_cname_stands_alone(meltano: Client) -> None:
    alias = create(meltano, name="www", type="CNAME", data="acme.meltanodata.com.")
    assert alias["data"] == "acme.meltanodata.com"
    assert (
        meltano.post(RECORDS, a_record(name="www"), 422)["message"] == "records cannot share a name with a CNAME record"
    )
    create(meltano)
    refused = meltano.post(RECORDS, a_record(type="CNAME", data="@"), 422)
    assert refused["message"] == "CNAME records cannot share a name with other records"
    meltano.patch(f"{RECORDS}/{alias['id']}", {"ttl": 60})


def test_each_type_keeps_its_own_fields(meltano: Client) -> None:
    mx = create(meltano, type="MX", data="mail.example.com.", priority=10)
    assert (mx["data"], mx["priority"], mx["port"]) == ("mail.example.com", 10, None)
    srv = create(meltano, type="SRV", name="_sip._tcp", data="sip.example.com.", priority=1, port=5060, weight=2)
    assert (srv["priority"], srv["port"], srv["weight"]) == (1, 5060, 2)
    own = create(meltano, type="MX", name="own", data="meltanodata.com.", priority=10)
    assert own["data"] == "@"
    assert meltano.patch(f"{RECORDS}/{own['id']}", {"ttl": 60})["domain_record"]["data"] == "@"
    caa = create(meltano, type="CAA", data="letsencrypt.org.", flags=0, tag="issue")
    assert (caa["data"], caa["flags"], caa["tag"]) == ("letsencrypt.org", 0, "issue")
    assert meltano.patch(f"{RECORDS}/{mx['id']}", {"priority": 20})["domain_record"] == mx | {"priority": 20}


def test_an_alias_of_the_domain_itself_resolves(meltano: Client, running: Running) -> None:
    create(meltano, name="@")
    create(meltano, name="www", type="CNAME", data="@")
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = [running.resolver[0]], running.resolver[1]
    assert [answer.address for answer in resolver.resolve("www.meltanodata.com", "A")] == ["198.18.0.16"]


def test_a_domain_comes_and_goes(meltano: Client) -> None:
    made = meltano.post("/v2/domains", {"name": "example.org", "ip_address": "198.18.0.16"})["domain"]
    assert made == {"name": "example.org", "ttl": 1800, "zone_file": None}
    records = meltano.get("/v2/domains/example.org/records?type=A")["domain_records"]
    assert [(record["name"], record["data"]) for record in records] == [("@", "198.18.0.16")]
    meltano.delete("/v2/domains/example.org")
    meltano.delete("/v2/domains/example.org", 404)
    meltano.get("/v2/domains/example.org/records", 404)
    meltano.post("/v2/domains", {"name": "example.org"})
    assert meltano.get("/v2/domains/example.org/records?type=A")["domain_records"] == []


def test_a_domain_exists_once_in_the_world(meltano: Client, running: Running) -> None:
    other = Client(running.api_url, running.teams["MeltanoData DBs 1"].token)
    for client in (meltano, other):
        assert client.post("/v2/domains", {"name": "meltanodata.com"}, 422)["message"] == "Name already exists"
    other.post(RECORDS, a_record(), 404)
    meltano.post("/v2/domains", {"name": "nodots"}, 422)
    meltano.post("/v2/domains", {"name": "example.org", "ip_address": "here"}, 422)
    assert meltano.get("/v2/domains")["meta"]["total"] == 1
