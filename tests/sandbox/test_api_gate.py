"""What every request passes: token, scope, limits, faults; and how lists are paged."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
import requests

from sandbox.api.faults import Fault
from sandbox.control import Control, ControlError
from tests.sandbox.api import Client, new_database, new_droplet
from tests.sandbox.contract import violations
from tests.waiting import PATIENCE, eventually

if TYPE_CHECKING:
    from sandbox.running import Running


@pytest.fixture
def reader(running: Running, meltano: Client) -> Client:  # noqa: ARG001 (a sandbox as at first)
    """The droplet team's token for previews."""
    return Client(running.api_url, running.teams["Meltano"].read_token)


# Tokens


@pytest.mark.parametrize("token", ["", "nobody's", "é"])
def test_a_token_that_nobody_gave_out(running: Running, token: str) -> None:
    answer = requests.get(
        f"{running.api_url}/v2/account", headers={"Authorization": f"Bearer {token}".encode()}, timeout=PATIENCE
    )
    assert answer.status_code == 401
    assert answer.json().keys() == {"id", "message", "request_id"}
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert violations(answer) == []


def test_no_token_at_all(running: Running) -> None:
    assert requests.post(f"{running.api_url}/v2/droplets", json={}, timeout=PATIENCE).status_code == 401


def test_a_preview_token_reads_and_changes_nothing(reader: Client) -> None:
    assert reader.get("/v2/droplets")["droplets"] == []
    droplet = new_droplet(reader)
    for method, path, body in (
        ("POST", "/v2/droplets", droplet),
        ("PUT", "/v2/account/keys/1", {"name": "x"}),
        ("PATCH", "/v2/projects/default", {"name": "x"}),
        ("DELETE", "/v2/domains/meltanodata.com", None),
    ):
        refused = reader.request(method, path, body)
        assert refused.status_code == 403, path
        assert refused.json()["message"] == "You are not authorized to perform this operation"
    assert reader.get("/v2/droplets")["droplets"] == []
    assert len(reader.get("/v2/domains")["domains"]) == 1


# Forms


def test_what_is_not_there(meltano: Client, running: Running) -> None:
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {running.teams['Meltano'].token}"
    answer = session.get(f"{running.api_url}/v2/kubernetes/clusters", timeout=PATIENCE)
    assert (answer.status_code, answer.json()["id"]) == (404, "not_found")
    answer = session.put(f"{running.api_url}/v2/droplets", timeout=PATIENCE)
    assert (answer.status_code, answer.json()["id"]) == (405, "method_not_allowed")
    for path in ("/v2/droplets/1", "/v2/droplets/acme", "/v2/databases/1", "/v2/actions/1", "/v2/snapshots/1"):
        assert meltano.get(path, 404)["id"] == "not_found"


@pytest.mark.parametrize(("body", "status"), [(b"{", 400), (b"[]", 400), (b"", 400), (b'{"name": {}}', 422)])
def test_a_body_of_another_form(running: Running, meltano: Client, body: bytes, status: int) -> None:  # noqa: ARG001
    answer = requests.post(
        f"{running.api_url}/v2/droplets",
        data=body,
        headers={"Authorization": f"Bearer {running.teams['Meltano'].token}"},
        timeout=PATIENCE,
    )
    assert answer.status_code == status
    assert answer.json().keys() == {"id", "message", "request_id"}


# Pages


def test_lists_have_pages(meltano: Client) -> None:
    names = [f"t{number:02}.meltanodata.com" for number in range(25)]
    body = new_droplet(meltano)
    del body["name"]
    for start in (0, 10, 20):
        meltano.post("/v2/droplets", body | {"names": names[start : start + 10]}, 202)
    first = meltano.get("/v2/droplets")
    assert [droplet["name"] for droplet in first["droplets"]] == names[:20]
    assert first["meta"] == {"total": 25}
    assert first["links"]["pages"].keys() == {"next", "last"}
    second = meltano.get(first["links"]["pages"]["next"].removeprefix(meltano.url))
    assert [droplet["name"] for droplet in second["droplets"]] == names[20:]
    assert second["links"]["pages"].keys() == {"first", "prev"}
    assert second["links"]["pages"]["prev"].endswith("page=1")
    assert first["links"]["pages"]["last"] == first["links"]["pages"]["next"]
    whole = meltano.get("/v2/droplets?page=1&per_page=200")
    assert (len(whole["droplets"]), whole["links"]) == (25, {})
    middle = meltano.get("/v2/droplets?page=2&per_page=10&tag_name=production")["links"]["pages"]
    assert middle.keys() == {"first", "prev", "next", "last"}
    assert "per_page=10" in middle["next"]
    assert "tag_name=production" in middle["next"]
    beyond = meltano.get("/v2/droplets?page=9")
    assert beyond["droplets"] == []
    assert "prev" in beyond["links"]["pages"]


@pytest.mark.parametrize("query", ["page=0", "page=x", "per_page=0", "per_page=-1", "per_page=1000"])
def test_a_strange_page_is_the_usual_one(meltano: Client, query: str) -> None:
    assert meltano.get(f"/v2/account/keys?{query}")["meta"]["total"] == 2


# Limits


def test_every_answer_says_what_is_left(meltano: Client) -> None:
    left = [int(meltano.request("GET", "/v2/account").headers["ratelimit-remaining"]) for _ in range(3)]
    assert left == [4999, 4998, 4997]
    answer = meltano.request("GET", "/v2/account")
    assert answer.headers["ratelimit-limit"] == "5000"
    assert 3500 < int(answer.headers["ratelimit-reset"]) - time.time() <= 3600


def test_a_token_has_250_requests_a_minute(meltano: Client, reader: Client, control: Control) -> None:
    for _ in range(250):
        assert meltano.request("GET", "/v2/account").status_code == 200
    refused = meltano.request("POST", "/v2/droplets", {})
    assert (refused.status_code, refused.json()["id"]) == (429, "too_many_requests")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert reader.get("/v2/account")  # another token, another limit
    assert sum(minute.refused for minute in control.minutes() if minute.team == "Meltano") == 1


def test_the_keys_are_listed_10_times_a_minute(meltano: Client) -> None:
    for _ in range(10):
        meltano.get("/v2/account/keys?page=1&per_page=200")
    assert meltano.request("GET", "/v2/account/keys").status_code == 429
    assert meltano.get("/v2/account")


# What is noted


def test_requests_are_noted(running: Running, meltano: Client, reader: Client, control: Control) -> None:
    since = time.time()
    meltano.get("/v2/droplets?page=1")
    reader.post("/v2/domains", {"name": "example.org"}, 403)
    requests.get(f"{running.api_url}/v2/account", timeout=PATIENCE)
    seen = control.requests(since)
    assert [(s.team, s.read_only, s.method, s.path, s.status) for s in seen] == [
        ("Meltano", False, "GET", "/v2/droplets?page=1", 200),
        ("Meltano", True, "POST", "/v2/domains", 403),
        ("", False, "GET", "/v2/account", 401),
    ]


def test_control_takes_its_own_token_only(running: Running) -> None:
    for token in (running.teams["Meltano"].token, ""):
        answer = requests.get(
            f"{running.api_url}/_sandbox/status", headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE
        )
        assert answer.status_code == 401


# Faults


def test_a_status_before_the_work(meltano: Client, control: Control) -> None:
    control.add_fault(Fault(effect="status", status=503, retry_after=7, method="POST", path="/v2/droplets", times=2))
    for _ in range(2):
        answer = meltano.request("POST", "/v2/droplets", new_droplet(meltano))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
        assert answer.json()["id"] == "service_unavailable"
    assert meltano.get("/v2/droplets")["droplets"] == []
    assert meltano.request("POST", "/v2/droplets", new_droplet(meltano)).status_code == 202


def test_a_status_after_the_work(meltano: Client, control: Control) -> None:
    control.add_fault(Fault(effect="status", status=500, after_work=True, method="POST", path="/v2/databases"))
    assert meltano.request("POST", "/v2/databases", new_database()).status_code == 500
    (made,) = meltano.get("/v2/databases")["databases"]
    assert made["name"] == new_database()["name"]


def test_a_connection_that_breaks_off(meltano: Client, control: Control) -> None:
    control.add_fault(Fault(effect="reset", path="/v2/account"))
    control.add_fault(Fault(effect="reset", path="/v2/databases", method="POST", after_work=True))
    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        meltano.request("GET", "/v2/account")
    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        meltano.request("POST", "/v2/databases", new_database())
    assert len(meltano.get("/v2/databases")["databases"]) == 1


def test_a_request_that_hangs_ends_with_its_client(meltano: Client, control: Control) -> None:
    since = time.time()
    control.add_fault(Fault(effect="hang", path="/v2/account"))
    with pytest.raises(requests.ReadTimeout):
        meltano.request("GET", "/v2/account", timeout=0.2)
    (hung,) = eventually(lambda: control.requests(since))
    assert hung.status == 0


def test_a_delay(meltano: Client, control: Control) -> None:
    control.add_fault(Fault(effect="delay", delay=0.3))
    before = time.monotonic()
    meltano.get("/v2/account")
    assert time.monotonic() - before >= 0.3


def test_faults_are_listed_and_taken_back(meltano: Client, control: Control) -> None:
    first = control.add_fault(Fault(effect="status", times=None))
    second = control.add_fault(Fault(effect="hang", team="MeltanoData*"))
    assert control.faults() == {
        first: Fault(effect="status", times=None),
        second: Fault(effect="hang", team="MeltanoData*"),
    }
    assert meltano.request("GET", "/v2/account").status_code == 500
    control.remove_fault(first)
    assert meltano.get("/v2/account")
    assert control.status().faults == 1
    control.clear_faults()
    assert control.faults() == {}
    with pytest.raises(ControlError):
        control.remove_fault(first)


def test_a_new_hour_has_all_its_requests(meltano: Client, control: Control) -> None:
    def left() -> int:
        return int(meltano.request("GET", "/v2/account").headers["ratelimit-remaining"])

    before = left()
    assert left() == before - 1
    control.new_hour()
    assert left() == 4999


def test_a_reset_leaves_nothing(meltano: Client, control: Control) -> None:
    first = meltano.get("/v2/account/keys")["ssh_keys"]
    meltano.post("/v2/droplets", new_droplet(meltano), 202)
    meltano.post("/v2/databases", new_database())
    meltano.post("/v2/domains", {"name": "example.org"})
    control.add_fault(Fault(effect="status", times=None))
    control.reset()
    status = control.status()
    assert {(team.droplets, team.databases) for team in status.teams} == {(0, 0)}
    assert (status.records, status.faults) == (0, 0)
    assert meltano.get("/v2/tags")["tags"] == []
    assert meltano.get("/v2/domains")["meta"]["total"] == 1
    again: list[dict[str, Any]] = meltano.get("/v2/account/keys")["ssh_keys"]
    assert [key["public_key"] for key in again] == [key["public_key"] for key in first]
    meltano.post("/v2/databases", new_database())  # the name is free
