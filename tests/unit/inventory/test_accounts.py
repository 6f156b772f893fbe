"""What the accounts say, asked of a server on loopback, and what is said when they do not answer."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from datetime import UTC
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st
from pydantic import SecretStr

from meltanodata.errors import UserError
from meltanodata.inventory import accounts
from meltanodata.inventory.accounts import (
    Cluster,
    DatabaseOffer,
    Droplet,
    DropletSize,
    Inventory,
    OtherRecord,
    Record,
    Snapshot,
    Source,
)
from tests.fakes.digitalocean import HOME, LAYOUTS, PG, TOKENS, DigitalOcean, database, droplet, serve
from tests.program.builders import DAY, TEAM_1, TEAM_2, cluster, settings

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def digitalocean() -> Iterator[DigitalOcean]:
    with serve() as fake:
        yield fake


AT_ONCE = accounts.Waits(0, 0)


def read(digitalocean: DigitalOcean, url: str | None = None) -> Inventory:
    tokens = {team: SecretStr(token) for team, token in TOKENS.items()}
    return accounts.read(settings(api_url=url or digitalocean.url), tokens, AT_ONCE)


def refused(digitalocean: DigitalOcean, url: str | None = None) -> str:
    with pytest.raises(UserError) as caught:
        read(digitalocean, url)
    said = str(caught.value)
    assert not [token for token in TOKENS.values() if token in said]
    return said


def test_everything_is_asked_of_the_team_that_has_it(digitalocean: DigitalOcean) -> None:
    created = "2026-11-20T00:00:00Z"
    snapshots = [
        {
            "id": "301",
            "name": "Ubuntu meltano-1",
            "regions": ["nyc3", "fra1"],
            "created_at": created,
            "min_disk_size": 50,
        }
    ]
    digitalocean.lists = {
        (HOME, "/v2/droplets"): [droplet(), droplet(8, status="new", networks={"v4": []})],
        (HOME, "/v2/domains/meltanodata.com/records"): [
            {"id": 9, "type": "A", "name": "acme", "data": "203.0.113.7"},
            {"id": 10, "type": "CNAME", "name": "www", "data": "shop.example.com"},
            {"id": 11, "type": "SOA", "name": None, "data": None},
        ],
        (HOME, "/v2/snapshots"): snapshots,
        (HOME, "/v2/account/keys"): [{"id": 41}, {"id": 42}],
        (HOME, "/v2/projects"): [{"id": "p-1", "name": "Meltano"}],
        (HOME, "/v2/sizes"): [
            {"slug": "s-2vcpu-2gb", "available": True, "regions": ["nyc3", "fra1"], "disk": 60},
            {"slug": "s-1vcpu-1gb", "available": False, "regions": ["nyc3"], "disk": 25},
        ],
        (TEAM_1, "/v2/databases"): [database(), database("x", engine="redis")],
        (TEAM_2, "/v2/databases"): [database("f00d", status="creating")],
    }
    name, size = "db-postgresql-nyc3-1-acme", "db-s-1vcpu-1gb"
    assert read(digitalocean) == Inventory(
        droplets=(
            Droplet(7, "acme.meltanodata.com", "active", "nyc3", "s-2vcpu-2gb", 60, "203.0.113.7"),
            Droplet(8, "acme.meltanodata.com", "new", "nyc3", "s-2vcpu-2gb", 60),
        ),
        records=(Record(9, "acme", "203.0.113.7"),),
        clusters=(
            Cluster("c0ffee", name, TEAM_1, "online", "nyc3", size, "16"),
            Cluster("f00d", name, TEAM_2, "creating", "nyc3", size, "16"),
        ),
        cluster_counts={TEAM_1: 2, TEAM_2: 1},
        snapshots=(Snapshot("301", "Ubuntu meltano-1", frozenset({"nyc3", "fra1"}), DAY, 50),),
        ssh_keys=("41", "42"),
        projects={"Meltano": "p-1"},
        droplet_sizes={
            "s-2vcpu-2gb": DropletSize(frozenset({"nyc3", "fra1"}), 60),
            "s-1vcpu-1gb": DropletSize(frozenset(), 25),
        },
        database=DatabaseOffer(("15", "16"), frozenset({"nyc3", "fra1"}), frozenset({"db-s-1vcpu-1gb"})),
        other_records=(OtherRecord(10, "www", "CNAME", "shop.example.com"), OtherRecord(11, "", "SOA", "")),
    )
    assert digitalocean.queries["/v2/domains/meltanodata.com/records"].keys() == {"page", "per_page"}
    assert digitalocean.queries["/v2/snapshots"]["resource_type"] == "droplet"
    assert digitalocean.asked == Counter(
        {
            **{(team, "/v2/account"): 1 for team in TOKENS},
            (HOME, "/v2/droplets"): 1,
            (HOME, "/v2/domains/meltanodata.com/records"): 1,
            (HOME, "/v2/snapshots"): 1,
            (HOME, "/v2/account/keys"): 1,
            (HOME, "/v2/projects"): 1,
            (HOME, "/v2/sizes"): 1,
            (TEAM_1, "/v2/databases"): 1,
            (TEAM_1, "/v2/databases/options"): 1,
            (TEAM_2, "/v2/databases"): 1,
        }
    )


def test_all_pages_are_read_and_the_token_goes_nowhere_else(digitalocean: DigitalOcean) -> None:
    digitalocean.per_page = 2
    digitalocean.lists = {(HOME, "/v2/droplets"): [droplet(number) for number in range(5)]}
    assert [it.id for it in read(digitalocean).droplets] == [0, 1, 2, 3, 4]
    assert digitalocean.asked[HOME, "/v2/droplets"] == 3


def test_an_object_that_stands_on_two_pages_is_one(digitalocean: DigitalOcean) -> None:
    """Somebody makes a droplet while the list is read: what was last on a page is first on the next one."""
    digitalocean.per_page = 2
    digitalocean.lists = {(HOME, "/v2/droplets"): [droplet(number) for number in range(1, 5)]}
    digitalocean.shifts = {"/v2/droplets": [0, 1]}
    assert sorted(it.id for it in read(digitalocean).droplets) == [1, 2, 3, 4, 104]
    # The first reading ended with another total than it had begun with.
    assert digitalocean.asked[HOME, "/v2/droplets"] == 3 + 3


def test_two_of_one_name_are_two(digitalocean: DigitalOcean) -> None:
    digitalocean.per_page = 1
    digitalocean.lists = {(HOME, "/v2/droplets"): [droplet(1), droplet(2)]}
    assert [(it.id, it.name) for it in read(digitalocean).droplets] == [
        (1, "acme.meltanodata.com"),
        (2, "acme.meltanodata.com"),
    ]


def test_an_object_that_no_page_shows_is_missed_and_the_list_read_again(digitalocean: DigitalOcean) -> None:
    """Somebody destroys one of the first page while the list is read: the first of the second page moves up to it."""
    digitalocean.per_page = 2
    digitalocean.lists = {(HOME, "/v2/droplets"): [droplet(number) for number in range(1, 6)]}
    digitalocean.shifts = {"/v2/droplets": [0, -1]}
    assert [it.id for it in read(digitalocean).droplets] == [2, 3, 4, 5]


@pytest.mark.parametrize("shift", [1, -1])
def test_a_list_that_never_stands_still_is_not_half_read(digitalocean: DigitalOcean, shift: int) -> None:
    digitalocean.per_page = 2
    digitalocean.lists = {(HOME, "/v2/droplets"): [droplet(number) for number in range(1, 40)]}
    digitalocean.shifts = {"/v2/droplets": [shift] * 999}
    assert refused(digitalocean) == (f"{HOME}: the list /v2/droplets changed during each of 3 readings. Run it again")


def test_a_total_of_more_than_was_asked_for_is_believed_once_the_list_stands_still(digitalocean: DigitalOcean) -> None:
    body = {"snapshots": [{"id": "301", "name": "Ubuntu meltano-1", "regions": ["nyc3"]}], "meta": {"total": 40}}
    digitalocean.faults[HOME, "/v2/snapshots"] = [(200, {}, json.dumps(body).encode())] * 2
    assert [it.id for it in read(digitalocean).snapshots] == ["301"]


@pytest.mark.parametrize("networks", [None, {"v6": None}, {"v6": [{"type": "private"}, {"type": "public"}]}])
def test_a_droplet_without_a_public_ipv6_address_has_none(digitalocean: DigitalOcean, networks: Any) -> None:
    digitalocean.lists = {(HOME, "/v2/droplets"): [droplet(networks=networks)]}
    assert [it.ipv6 for it in read(digitalocean).droplets] == [()]


def test_a_droplets_public_ipv6_address_is_read(digitalocean: DigitalOcean) -> None:
    networks = {"v6": [{"type": "public", "ip_address": "2001:db8::7"}]}
    digitalocean.lists = {(HOME, "/v2/droplets"): [droplet(networks=networks)]}
    assert [it.ipv6 for it in read(digitalocean).droplets] == [("2001:db8::7",)]


@pytest.mark.parametrize("items", [[], [droplet()]], ids=["empty", "the same for ever"])
def test_pages_without_end_have_one(digitalocean: DigitalOcean, items: list[Any]) -> None:
    body = {"droplets": items, "links": {"pages": {"next": "x"}}, "meta": {"total": 7}}
    digitalocean.faults[HOME, "/v2/droplets"] = [(200, {}, json.dumps(body).encode())] * 99
    assert "changed during each of" in refused(digitalocean)
    assert digitalocean.asked[HOME, "/v2/droplets"] <= 6


@pytest.mark.parametrize("status", [520, 521, 524, 530, 501])
def test_what_a_network_before_digitalocean_answers_passes(digitalocean: DigitalOcean, status: int) -> None:
    digitalocean.faults[HOME, "/v2/droplets"] = [(status, {}, b"<html>")] * 2
    read(digitalocean)
    digitalocean.faults[HOME, "/v2/droplets"] = [(status, {}, b"<html>")] * 9
    assert f"DigitalOcean answered GET /v2/droplets with {status}. Run it again" in refused(digitalocean)


def answered(digitalocean: DigitalOcean, team: str, path: str, body: object) -> Inventory:
    digitalocean.faults[team, path] = [(200, {}, json.dumps(body).encode())]
    return read(digitalocean)


@pytest.mark.parametrize(
    "networks",
    [
        {},
        None,
        {"v4": None},
        {"v6": []},
        {"v4": [{"type": "public"}]},
        {"v4": [{"type": "public", "ip_address": None}]},
    ],
)
def test_a_droplet_that_has_no_network_yet_has_no_address(digitalocean: DigitalOcean, networks: object) -> None:
    digitalocean.lists = {(HOME, "/v2/droplets"): [droplet(networks=networks)]}
    (found,) = read(digitalocean).droplets
    assert (found.id, found.address) == (7, None)


def test_somebody_elses_odd_droplet_holds_up_nobody(digitalocean: DigitalOcean) -> None:
    odd = {"id": 5, "name": "odd", "region": None, "size_slug": None, "disk": None, "status": None}
    digitalocean.lists = {(HOME, "/v2/droplets"): [odd, droplet()]}
    assert read(digitalocean).droplets == (
        Droplet(5, "odd", "", "", "", 0),
        Droplet(7, "acme.meltanodata.com", "active", "nyc3", "s-2vcpu-2gb", 60, "203.0.113.7"),
    )


def test_an_empty_list_may_be_null(digitalocean: DigitalOcean) -> None:
    assert answered(digitalocean, HOME, "/v2/droplets", {"droplets": None, "meta": {"total": 0}}).droplets == ()
    assert answered(digitalocean, TEAM_1, "/v2/databases", {"databases": None}).clusters == ()


def test_null_is_no_empty_list_where_there_is_something(digitalocean: DigitalOcean) -> None:
    digitalocean.faults[HOME, "/v2/droplets"] = [(200, {}, b'{"droplets": null, "meta": {"total": 3}}')]
    assert "the answer to GET /v2/droplets is not as expected" in refused(digitalocean)


def test_lists_within_objects_may_be_null(digitalocean: DigitalOcean) -> None:
    sizes = [{"slug": "s-1", "available": True, "regions": None, "disk": 25}]
    assert answered(digitalocean, HOME, "/v2/sizes", {"sizes": sizes}).droplet_sizes == {
        "s-1": DropletSize(frozenset(), 25)
    }
    snapshot = {"id": 1, "name": "x", "regions": None, "created_at": None, "min_disk_size": None}
    (found,) = answered(digitalocean, HOME, "/v2/snapshots", {"snapshots": [snapshot]}).snapshots
    assert (found.regions, found.min_disk, found.created_at.tzinfo) == (frozenset(), 0, UTC)


def test_several_layouts_of_one_node_are_offered_together(digitalocean: DigitalOcean) -> None:
    layouts = [*LAYOUTS, {"num_nodes": 1, "sizes": ["gd-2vcpu-8gb"]}]
    body = {"options": {"pg": {**PG, "layouts": layouts}}}
    found = answered(digitalocean, TEAM_1, "/v2/databases/options", body)
    assert found.database.sizes == {"db-s-1vcpu-1gb", "gd-2vcpu-8gb"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings_of_hypothesis(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    place=st.sampled_from(["/v2/droplets", "/v2/databases", "/v2/snapshots", "/v2/sizes", "/v2/projects"]),
    key=st.sampled_from(
        ["id", "name", "status", "region", "networks", "size", "version", "engine", "regions", "slug", "disk"]
    ),
    value=JSON,
    answer=JSON,
)
def test_any_answer_is_taken_or_told_and_never_a_traceback(
    digitalocean: DigitalOcean, place: str, key: str, value: object, answer: object
) -> None:
    team = TEAM_1 if place == "/v2/databases" else HOME
    right = {**droplet(), **database(), "id": 7, "slug": "s-1", "regions": ["nyc3"], "available": True}
    items = [{**right, key: value}, {k: v for k, v in right.items() if k != key}]
    for body in (answer, {place.rsplit("/", 1)[1]: answer}, {place.rsplit("/", 1)[1]: items}):
        digitalocean.faults[team, place] = [(200, {}, json.dumps(body).encode())] * 3
        with contextlib.suppress(UserError):
            read(digitalocean)
        digitalocean.faults.clear()


def test_a_token_that_netrc_has_for_the_host_is_not_used(
    digitalocean: DigitalOcean, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    read(digitalocean)
    assert not [team for team, _ in digitalocean.asked if team == "?"]


def test_every_refused_token_is_named_with_its_remedy(digitalocean: DigitalOcean) -> None:
    for team, path in ((HOME, "/v2/droplets"), (HOME, "/v2/projects"), (TEAM_2, "/v2/databases")):
        digitalocean.faults[team, path] = [(401, {}, b'{"id":"Unauthorized"}')]
    assert refused(digitalocean).splitlines() == [
        f"{team}: the token is refused (401). Set it: pulumi config set --stack test --secret --path {path} < token.txt"
        for team, path in ((HOME, f"meltanodata:tokens.{HOME}"), (TEAM_2, f"'meltanodata:tokens[\"{TEAM_2}\"]'"))
    ]


def test_a_token_without_the_right_to_read(digitalocean: DigitalOcean) -> None:
    digitalocean.faults[TEAM_1, "/v2/databases"] = [(403, {}, b"{}")]
    assert f"{TEAM_1}: the token may not read /v2/databases (403)" in refused(digitalocean)


def test_tokens_of_each_others_teams_are_named_and_nothing_else_is_asked(digitalocean: DigitalOcean) -> None:
    digitalocean.names = {TEAM_1: TEAM_2, TEAM_2: f"{TEAM_1} (full)"}
    assert refused(digitalocean).splitlines() == [
        f"{mine}: the token is of the team {other}, where everything of {mine} would be looked for and made."
        f" Set it: pulumi config set --stack test --secret --path 'meltanodata:tokens[\"{mine}\"]' < token.txt"
        for mine, other in ((TEAM_1, TEAM_2), (TEAM_2, TEAM_1))
    ]
    assert set(digitalocean.asked) == {(team, "/v2/account") for team in TOKENS}


@pytest.mark.parametrize("mark", [" (full)", "(full)", "  (FULL) ", ""])
def test_the_mark_of_a_full_team_is_no_difference(digitalocean: DigitalOcean, mark: str) -> None:
    digitalocean.names = {team: f"{team}{mark}" for team in TOKENS}
    read(digitalocean)


def test_a_token_of_a_team_that_nobody_knows_is_refused(digitalocean: DigitalOcean) -> None:
    digitalocean.names = {TEAM_2: "Somebody's \x1b[2J", HOME: "Meltano Inc."}
    home, second = refused(digitalocean).splitlines()
    assert home.startswith(f"{HOME}: the token is of a team that DigitalOcean calls 'Meltano Inc.'. If it is the wrong")
    assert "take a token of Meltano. Set it: pulumi config set --stack test --secret" in home
    assert home.endswith("--stack test --path meltanodata:droplet_team.account 'Meltano Inc.'")
    assert second.isprintable()
    assert "account" not in second


def test_a_team_may_be_called_otherwise_at_digitalocean(digitalocean: DigitalOcean) -> None:
    digitalocean.names = {HOME: "Meltano Inc.", TEAM_2: "Number two (full)"}
    teams = [{"name": TEAM_1}, {"name": TEAM_2, "account": "Number two"}]
    tokens = {team: SecretStr(token) for team, token in TOKENS.items()}
    named = settings(
        api_url=digitalocean.url, droplet_team={"name": HOME, "account": "Meltano Inc."}, database_teams=teams
    )
    accounts.read(named, tokens, AT_ONCE)
    digitalocean.names[TEAM_2] = "Number three"
    with pytest.raises(
        UserError, match=r"take a token of Number two\..*--path 'meltanodata:database_teams\[1\].account'"
    ):
        accounts.read(named, tokens, AT_ONCE)


@pytest.mark.parametrize("account", [{}, {"team": None}, {"team": {}}, {"team": {"name": ""}}, {"team": {"name": 7}}])
def test_a_token_of_which_nobody_says_whose_it_is_is_refused(digitalocean: DigitalOcean, account: Any) -> None:
    digitalocean.faults[TEAM_1, "/v2/account"] = [(200, {}, json.dumps({"account": account}).encode())]
    assert f"{TEAM_1}: DigitalOcean does not say which team the token is of." in refused(digitalocean)


def test_a_token_that_may_not_say_whose_it_is_needs_one_more_scope(digitalocean: DigitalOcean) -> None:
    digitalocean.faults[TEAM_1, "/v2/account"] = [(403, {}, b"{}")]
    said = refused(digitalocean)
    assert f"{TEAM_1}: the token may not read /v2/account (403)." in said
    assert "account:read" in said


def test_a_wrong_token_of_the_environment_is_not_corrected_in_the_settings(
    digitalocean: DigitalOcean, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MELTANODATA_TOKENS", "{}")
    digitalocean.names = {TEAM_1: TEAM_2}
    said = refused(digitalocean)
    assert "MELTANODATA_TOKENS" in said
    assert "pulumi config set" not in said


def test_a_domain_of_another_team(digitalocean: DigitalOcean) -> None:
    digitalocean.faults[HOME, "/v2/domains/meltanodata.com/records"] = [(404, {}, b"{}")]
    assert refused(digitalocean) == f"{HOME}: there is no /v2/domains/meltanodata.com/records in this team (404)"


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_passing_troubles_are_waited_out(digitalocean: DigitalOcean, status: int) -> None:
    digitalocean.faults[HOME, "/v2/droplets"] = [(status, {"Retry-After": "0"}, b"{}")] * 4
    read(digitalocean)
    assert digitalocean.asked[HOME, "/v2/droplets"] == 5


def test_requests_used_up(digitalocean: DigitalOcean) -> None:
    digitalocean.faults[HOME, "/v2/droplets"] = [(429, {"Retry-After": "3000"}, b"{}")] * 9
    assert (
        refused(digitalocean)
        == f"{HOME}: no requests left for the token (429, GET /v2/droplets). Wait, and run it again"
    )
    assert digitalocean.asked[HOME, "/v2/droplets"] == 5


def test_a_lasting_trouble(digitalocean: DigitalOcean) -> None:
    digitalocean.faults[HOME, "/v2/droplets"] = [(503, {}, b"{}")] * 9
    assert f"{HOME}: DigitalOcean answered GET /v2/droplets with 503" in refused(digitalocean)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"droplets": [{"id": 1}]}', b'{"droplets": null}'])
def test_something_else_than_digitalocean(digitalocean: DigitalOcean, body: bytes) -> None:
    digitalocean.faults[HOME, "/v2/droplets"] = [(200, {}, body)]
    said = refused(digitalocean)
    assert said.startswith(f"{HOME}: ")
    assert "/v2/droplets" in said
    assert said.endswith("DigitalOcean?")


def test_a_redirect_is_not_followed(digitalocean: DigitalOcean) -> None:
    digitalocean.faults[HOME, "/v2/droplets"] = [(302, {"Location": "/v2/projects"}, b"")]
    assert f"{HOME}: DigitalOcean answered GET /v2/droplets with 302" in refused(digitalocean)


def test_an_unreachable_api_is_said_once_a_team(digitalocean: DigitalOcean) -> None:
    said = refused(digitalocean, "http://127.0.0.1:1").splitlines()
    assert said == [
        f"{team}: http://127.0.0.1:1 cannot be reached: Connection refused" for team in (HOME, TEAM_1, TEAM_2)
    ]


def test_an_api_without_a_name(digitalocean: DigitalOcean) -> None:
    said = refused(digitalocean, "http://sandbox.invalid")
    assert said.splitlines()[0].startswith(f"{HOME}: http://sandbox.invalid cannot be reached: ")


def test_a_connection_cut_in_the_middle(digitalocean: DigitalOcean) -> None:
    digitalocean.faults[HOME, "/v2/droplets"] = [(200, {"Content-Length": "99"}, b"{")] * 9
    assert refused(digitalocean).startswith(f"{HOME}: ")


def test_whom_a_cluster_lets_in(digitalocean: DigitalOcean) -> None:
    rules = [{"type": "ip_addr", "value": "203.0.113.7", "uuid": "u"}, {"type": "droplet", "value": "7", "uuid": "v"}]
    answer = json.dumps({"rules": rules}).encode()
    digitalocean.faults = {
        (TEAM_1, "/v2/databases/a/firewall"): [(503, {}, b""), (200, {}, answer)],
        (TEAM_2, "/v2/databases/b/firewall"): [(200, {}, b'{"rules": []}')],
    }
    clusters = [cluster(id="a", team=TEAM_1), cluster(id="b", team=TEAM_2)]
    tokens = {team: SecretStr(token) for team, token in TOKENS.items()}
    assert accounts.trusted_sources(settings(api_url=digitalocean.url), tokens, clusters) == {
        "a": {Source("ip_addr", "203.0.113.7"), Source("droplet", "7")},
        "b": frozenset(),
    }
    digitalocean.faults = {(TEAM_1, "/v2/databases/a/firewall"): [(403, {}, b"")]}
    with pytest.raises(UserError, match="may not read /v2/databases/a/firewall"):
        accounts.trusted_sources(settings(api_url=digitalocean.url), tokens, clusters[:1])
