"""Records of a tenant's host name that are not the tenant's: they are neither adopted nor ignored."""

from __future__ import annotations

from typing import Any

import pytest

from meltanodata.engine.resource_types import Type
from meltanodata.inventory import host_records
from meltanodata.inventory.accounts import OtherRecord
from meltanodata.inventory.names import Existing, identify
from tests.program.builders import accounts, cluster, droplet, record, tenant

DOMAIN = "meltanodata.com"
KNOWN = {("acme", Type.DROPLET): "7", ("acme", Type.RECORD): "8", ("acme", Type.CLUSTER): "c0ffee"}
PAGE = "https://cloud.digitalocean.com/networking/domains/meltanodata.com"


def other(type_: str, value: str, name: str = "acme", id_: int = 12) -> OtherRecord:
    return OtherRecord(id_, name, type_, value)


def judged(
    ids: dict[tuple[str, Type], str] | None = None, entry: dict[str, Any] | None = None, **held: Any
) -> tuple[Existing, list[str]]:
    """What is the tenant's, and every reason to stop."""
    inventory, tenants = accounts(**held), [tenant(**(entry or {}))]
    existing, unclear = identify(tenants, inventory, DOMAIN, ids or {})
    problems = host_records.problems(tenants, existing, inventory, DOMAIN, ids or {})
    return existing["acme"], [
        f"{key}: {reason}"
        for by_tenant in (unclear, problems)
        for key, reasons in by_tenant.items()
        for reason in reasons
    ]


@pytest.mark.parametrize(
    ("type_", "value"), [("CNAME", "shop.example.com"), ("AAAA", "2001:db8::1"), ("NS", "ns.example.com")]
)
def test_a_new_tenant_gets_no_name_that_leads_elsewhere(type_: str, value: str) -> None:
    existing, problems = judged(other_records=(other(type_, value),))
    assert existing == Existing()
    (problem,) = problems
    assert problem == (
        f"acme: acme.meltanodata.com has the {type_} record 12 ({value!r}), which is not the tenant's and would keep"
        " visitors from it. Nothing is created. Give the tenant another name. To keep it for another purpose, list the"
        f" name in the setting no_tenants. Only if nobody uses it any more, delete it at {PAGE}, or by: doctl compute"
        " domain records delete meltanodata.com 12"
    )


def test_an_a_record_of_another_purpose_is_not_taken_over() -> None:
    existing, (problem,) = judged(records=(record(address="198.51.100.80"),))
    assert existing == Existing()
    assert "has the A record 8 ('198.51.100.80'), which is not the tenant's" in problem
    assert problem.index("Give the tenant another name") < problem.index("delete")


def test_all_records_of_the_name_are_said_at_once_and_none_of_a_website_is_called_a_stray() -> None:
    website = record(address="198.51.100.80"), record(id=9, name="ACME", address="198.51.100.81")
    _, (problem,) = judged(records=website, other_records=(other("AAAA", "2001:db8::1"),))
    assert "the A record 8 ('198.51.100.80'), the A record 9 ('198.51.100.81') and the AAAA record 12" in problem
    assert problem.count("doctl") == 3


def test_an_adopted_droplets_name_may_not_lead_elsewhere_and_the_message_says_how_to_keep_the_record() -> None:
    held: dict[str, Any] = {"droplets": (droplet(),), "clusters": (cluster(),)}
    existing, (problem,) = judged(**held, records=(record(address="198.51.100.80"),))
    assert (existing.import_droplet, existing.import_record) == ("7", None)
    assert "Give the tenant another host name (adopt: {record: NAME})" in problem
    assert "set its value to the address of the tenant's droplet, 203.0.113.7, and the next run adopts it" in problem
    existing, problems = judged(**held, records=(record(),))
    assert (existing.import_record, problems) == ("meltanodata.com,8", [])


def test_a_record_is_taken_over_where_the_state_has_only_the_droplet() -> None:
    ids = {key: id_ for key, id_ in KNOWN.items() if key[1] is not Type.RECORD}
    held: dict[str, Any] = {"droplets": (droplet(name="renamed by hand"),), "clusters": (cluster(),)}
    assert judged(ids, **held, records=(record(),)) == (
        Existing(droplet(name="renamed by hand"), record(), cluster(), None, "meltanodata.com,8"),
        [],
    )
    _, (problem,) = judged(ids, **held, records=(record(address="198.51.100.80"),))
    assert "not the tenant's" in problem


def test_a_droplet_without_an_address_makes_no_record_the_tenants() -> None:
    existing, (problem,) = judged(droplets=(droplet(address=None),), records=(record(address=""),))
    assert existing.record is None
    assert "the A record 8 ('')" in problem


def test_the_droplets_own_ipv6_address_leads_to_it() -> None:
    own = droplet(ipv6=("2001:db8::7",))
    long = other("AAAA", "2001:0db8:0000:0000:0000:0000:0000:0007")
    assert judged(droplets=(own,), records=(record(),), other_records=(long,))[1] == []
    (problem,) = judged(droplets=(own,), records=(record(),), other_records=(other("AAAA", "2001:db8::8"),))[1]
    assert "the AAAA record 12 ('2001:db8::8')" in problem


@pytest.mark.parametrize(
    "harmless",
    [
        other("MX", "mail.example.com"),
        other("TXT", "v=spf1 -all"),
        other("CAA", "letsencrypt.org"),
        other("CNAME", "shop.example.com", "*"),
        other("AAAA", "2001:db8::1", "@"),
        other("CNAME", "shop.example.com", "www.acme"),
        other("NS", "ns1.digitalocean.com", "@"),
    ],
)
def test_what_neither_excludes_the_record_nor_misleads_visitors_stays(harmless: OtherRecord) -> None:
    assert judged(other_records=(harmless,), records=(record(name="*"), record(id=9, name="@"))) == (Existing(), [])


@pytest.mark.parametrize("held", [(record(),), (record(address="198.51.100.80"),), ()])
def test_no_record_stops_a_tenant_whose_record_the_state_has(held: Any) -> None:
    others = (other("AAAA", "2001:db8::1"), other("CNAME", "shop.example.com", id_=13))
    _, problems = judged(KNOWN, droplets=(droplet(),), clusters=(cluster(),), records=held, other_records=others)
    assert problems == []


TAKEN: dict[str, dict[str, Any]] = {
    "CNAME": {"other_records": (other("CNAME", "shop.example.com", "shop"),), "records": (record(),)},
    "A": {"records": (record(), record(id=9, name="shop", address="198.51.100.80"))},
    "two A": {
        "records": (
            record(),
            record(id=9, name="shop", address="198.51.100.80"),
            record(id=10, name="shop", address="198.51.100.81"),
        )
    },
}


@pytest.mark.parametrize("taken", TAKEN)
def test_a_tenant_does_not_move_to_a_host_name_that_leads_elsewhere(taken: str) -> None:
    entry = {"adopt": {"record": "shop", "droplet": "acme.meltanodata.com"}}
    existing, (problem,) = judged(KNOWN, entry, droplets=(droplet(),), clusters=(cluster(),), **TAKEN[taken])
    assert existing.record == record()
    assert "acme: shop.meltanodata.com has the " in problem
    assert "Leave record out of its adopt, so that its host name stays as it is (acme)" in problem


def test_a_renamed_tenant_is_told_the_host_name_that_it_has() -> None:
    held = record(name="old")
    _, (problem,) = judged(KNOWN, droplets=(droplet(),), records=(held,), other_records=(other("CNAME", "x.example"),))
    assert "Write adopt: {record: old} in its entry, so that its host name stays as it is" in problem


def test_hostile_text_in_a_record_stays_on_one_line_and_is_bounded() -> None:
    (problem,) = judged(other_records=(other("CNAME", "\n::error::\x1b[2J" + "x" * 9999),))[1]
    assert problem.isprintable()
    assert len(problem) < 999
