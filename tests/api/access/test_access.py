"""Keys, accounts and roles at the door of the running API."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from litestar import Litestar, get
from litestar.exceptions import ImproperlyConfiguredException

from api.access.guard import refuse_unguarded
from cli.operations.first_key import new_key
from domain.access.account import account_id
from tests.api.people import People
from tests.api.scene import Scene
from tests.system.system import eventually
from tests.waiting import HANG_SECONDS


@pytest.fixture(scope="module")
def people(site: Scene) -> People:
    return People(site)


@pytest.fixture(scope="module")
def project(site: Scene) -> str:
    return site.project()


@pytest.fixture
def anybody(site: Scene) -> Iterator[httpx.Client]:
    """A client without a key."""
    with site.nobody() as client:
        yield client


def whoami(client: httpx.Client) -> httpx.Response:
    return client.get("/api/v1/whoami")


def issue(client: httpx.Client, **asked: Any) -> httpx.Response:
    return client.post("/api/v1/keys", json={"label": "another"} | asked)


def test_without_a_key_nothing_is_told_but_how_to_get_one(anybody: httpx.Client) -> None:
    refused = anybody.get("/api/v1/projects")
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")
    assert "stemma keys issue" in refused.json()["detail"]


@pytest.mark.parametrize(
    "header",
    [
        "Basic YTpi",
        "Bearer",
        "Bearer nonsense",
        "Bearer stemma_" + "0" * 16 + "_" + "0" * 64,
        "Bearer \xe9",
    ],
)
def test_what_is_no_key_opens_nothing(anybody: httpx.Client, header: str) -> None:
    refused = anybody.get(
        "/api/v1/projects", headers=[(b"Authorization", header.encode("latin-1"))]
    )
    assert refused.status_code == 401


def test_a_page_without_a_session_leads_to_signing_in(anybody: httpx.Client) -> None:
    refused = anybody.get("/projects/none?name=a&b=c", headers={"Accept": "text/html"})
    assert refused.status_code == 303
    assert refused.headers["Location"] == "/login?next=/projects/none%3Fname%3Da%26b%3Dc"


def test_schemas_and_static_files_are_open(anybody: httpx.Client) -> None:
    for path in ("/schema/openapi.json", "/static/style.css"):
        assert anybody.get(path).status_code == 200


def test_a_revoked_key_is_refused_at_the_very_next_request(people: People) -> None:
    _, client = people.join(("viewer", None))
    for _ in range(3):
        assert whoami(client).status_code == 200
    client.delete(f"/api/v1/keys/{whoami(client).json()['key_id']}").raise_for_status()
    assert whoami(client).status_code == 401


def test_a_closed_account_is_refused_at_the_very_next_request(people: People) -> None:
    account, client = people.join(("viewer", None))
    assert whoami(client).status_code == 200
    people.site.http.delete(f"/api/v1/accounts/{account}").raise_for_status()
    refused = whoami(client)
    assert refused.status_code == 401
    assert "closed" in refused.json()["detail"]


def test_roles_hold_from_the_very_next_request(people: People, project: str) -> None:
    account, client = people.join()
    path = f"/api/v1/projects/{project}"
    assert client.get(path).status_code == 404
    people.grant(account, "viewer", project)
    assert client.get(path).status_code == 200
    assert client.patch(path, json={"name": "Mine"}).status_code == 403
    withdrawn = f"/api/v1/accounts/{account}/roles/viewer"
    people.site.http.delete(withdrawn, params={"project_id": project}).raise_for_status()
    assert client.get(path).status_code == 404


def test_what_others_have_looks_exactly_like_what_is_not_there(
    people: People, project: str
) -> None:
    _, client = people.join(("viewer", people.site.project("Another")))
    theirs = client.get(f"/api/v1/projects/{project}")
    none = client.get("/api/v1/projects/none")
    assert (theirs.status_code, theirs.json()) == (none.status_code, none.json())
    assert theirs.status_code == 404


def test_a_lacking_right_is_named(people: People, project: str) -> None:
    _, client = people.join(("viewer", project))
    refused = client.post(
        f"/api/v1/projects/{project}/views", json={"name": "v", "kind": "tagging"}
    )
    assert refused.status_code == 403
    assert "the right annotate" in refused.json()["detail"]


def test_an_expired_key_opens_nothing(people: People) -> None:
    account, _ = people.join(("viewer", None))
    for seconds in (0.3, 3.0, 30.0):  # one that has passed before it is read is refused
        soon = datetime.now(UTC) + timedelta(seconds=seconds)
        key = {"label": "test", "account_id": account, "expires_at": soon.isoformat()}
        issued = people.site.http.post("/api/v1/keys", json=key)
        if issued.status_code != 422:
            break
    client = people.site.client(issued.raise_for_status().json()["key"])
    while (answer := whoami(client)).status_code == 200:
        assert datetime.now(UTC) < soon + timedelta(seconds=HANG_SECONDS)
    assert datetime.now(UTC) >= soon
    assert "expired" in answer.json()["detail"]


def test_a_rotated_key_opens_until_its_overlap_ends(people: People) -> None:
    _, before = people.join(("viewer", None))
    path = f"/api/v1/keys/{whoami(before).json()['key_id']}/rotate"
    after = people.site.client(before.post(path, json={"overlap_seconds": 3600}).json()["key"])
    assert [whoami(one).status_code for one in (before, after)] == [200, 200]
    last = people.site.client(after.post(path, json={}).json()["key"])
    assert [whoami(one).status_code for one in (before, after, last)] == [401, 401, 200]


def test_a_key_is_told_once(people: People) -> None:
    headers = {"Idempotency-Key": new_key()}
    first = people.site.http.post("/api/v1/keys", json={"label": "once"}, headers=headers)
    again = people.site.http.post("/api/v1/keys", json={"label": "once"}, headers=headers)
    assert first.json()["id"] == again.json()["id"]
    assert first.json()["key"].startswith("stemma_")
    assert again.json()["key"] is None
    listed = people.site.http.get("/api/v1/keys").text
    assert first.json()["id"] in listed
    assert first.json()["key"].split("_")[2] not in listed


def test_a_keys_limits_hold(people: People, project: str) -> None:
    _, client = people.join(("administrator", None), roles=["annotator"], projects=[project])
    held = whoami(client).json()["roles"]
    assert held == [{"role": one, "project_id": project} for one in ("annotator", "viewer")]
    other = people.site.project("Beyond")
    assert client.get(f"/api/v1/projects/{other}").status_code == 404
    assert client.patch(f"/api/v1/projects/{project}", json={"name": "x"}).status_code == 403


def test_a_limited_key_issues_none_that_opens_more(people: People, project: str) -> None:
    limits = {"roles": ["annotator"], "projects": [project]}
    ends = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    account, client = people.join(("trainer", None), expires_at=ends, **limits)
    within = limits | {"expires_at": ends}
    assert issue(client, **within).status_code == 201
    for wider in ({"roles": None}, {"roles": ["trainer"]}, {"projects": None}):
        assert issue(client, **(within | wider)).status_code == 403, wider
    assert (
        issue(client, **(within | {"expires_at": None})).json()["errors"][0]["field"]
        == "expires_at"
    )
    # Nor by way of a key of the same account that may more.
    wide = people.site.post("/keys", {"label": "wide", "account_id": account})["id"]
    assert client.post(f"/api/v1/keys/{wide}/rotate", json={}).status_code == 403
    assert client.delete(f"/api/v1/keys/{wide}").status_code == 403
    assert client.delete(f"/api/v1/keys/{whoami(client).json()['key_id']}").status_code == 200


def test_a_key_that_ends_gives_others_none_that_lasts(people: People) -> None:
    """Whoever issues or rotates a key can use it, whosever it is."""
    ends = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    _, client = people.join(("administrator", None), expires_at=ends)
    friend, _ = people.join(("administrator", None))
    assert issue(client, account_id=friend, expires_at=ends).status_code == 201
    refused = issue(client, account_id=friend)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (403, "expires_at")
    theirs = people.site.post("/keys", {"label": "theirs", "account_id": friend})["id"]
    assert client.post(f"/api/v1/keys/{theirs}/rotate", json={}).status_code == 403
    assert client.delete(f"/api/v1/keys/{theirs}").status_code == 200


def test_a_replaced_secret_gives_nothing_that_outlives_it(
    people: People, anybody: httpx.Client
) -> None:
    _, before = people.join(("viewer", None))
    path = f"/api/v1/keys/{whoami(before).json()['key_id']}/rotate"
    latest = before.post(path, json={"overlap_seconds": 3600}).json()["key"]
    assert whoami(before).json()["until"] is not None
    assert issue(before).status_code == 403
    assert before.post(path, json={}).status_code == 403
    replaced = before.headers["Authorization"].removeprefix("Bearer ")
    refused = anybody.post("/api/v1/sessions", json={"key": replaced})
    assert (refused.status_code, "rotated" in refused.json()["detail"]) == (401, True)
    assert anybody.post("/api/v1/sessions", json={"key": latest}).status_code == 201


@pytest.mark.parametrize(("path", "field"), [("accounts", "name"), ("keys", "key_id")])
def test_lists_come_in_pages(people: People, path: str, field: str) -> None:
    """Each once and in order, whatever the page's size."""
    account, client = people.join(("administrator", None))
    for number in range(4):
        people.site.post("/keys", {"label": f"no {number}", "account_id": account})

    def listed(limit: int) -> list[str]:
        found: list[str] = []
        asked: dict[str, Any] = {"limit": limit}
        while True:
            page = client.get(f"/api/v1/{path}", params=asked).raise_for_status().json()
            assert 1 <= len(page["items"]) <= limit
            found += [one[field] for one in page["items"]]
            if page["next"] is None:
                return found
            asked["cursor"] = page["next"]

    everything = listed(500)
    assert len(everything) >= 3
    assert everything == sorted(everything, key=str.casefold)
    assert listed(2) == listed(len(everything)) == everything


def test_keys_of_others_are_as_if_not_there(people: People) -> None:
    account, _ = people.join(("viewer", None))
    _, client = people.join(("trainer", None))
    key = people.site.post("/keys", {"label": "theirs", "account_id": account})["id"]
    assert client.delete(f"/api/v1/keys/{key}").status_code == 404
    assert client.post(f"/api/v1/keys/{key}/rotate", json={}).status_code == 404
    assert client.get("/api/v1/keys", params={"account_id": account}).status_code == 403
    assert issue(client, account_id=account).status_code == 403


def test_nobody_grants_beyond_what_they_administer(people: People, project: str) -> None:
    account, _ = people.join()
    other = people.site.project("Not theirs")
    _, client = people.join(("administrator", project))
    path = f"/api/v1/accounts/{account}/roles"

    def granted(role: str, where: str | None) -> int:
        return client.post(path, json={"role": role, "project_id": where}).status_code

    assert granted("administrator", project) == 200
    assert granted("viewer", None) == 403
    assert granted("viewer", other) == 404
    assert client.get("/api/v1/accounts").status_code == 200
    assert client.post("/api/v1/accounts", json={"name": "friend"}).status_code == 403


def test_a_trainer_grants_nothing(people: People, project: str) -> None:
    account, client = people.join(("trainer", project))
    path = f"/api/v1/accounts/{account}/roles"
    assert client.post(path, json={"role": "viewer", "project_id": project}).status_code == 403


def test_the_last_administrator_stays(server: Scene) -> None:
    first = account_id("administrator")
    for path in (f"/api/v1/accounts/{first}", f"/api/v1/accounts/{first}/roles/administrator"):
        refused = server.http.delete(path)
        assert refused.status_code == 409
        assert "last administrator" in refused.json()["detail"]
    people = People(server)
    _, second = people.join(("administrator", None))
    assert second.delete(f"/api/v1/accounts/{first}").status_code == 200
    assert server.http.get("/api/v1/projects").status_code == 401


@pytest.mark.parametrize(
    "name", ["policy", "Eraser", "worker:gpu", "webhooks", "a b", "", "operator", "ünder"]
)
def test_a_name_that_could_be_another_is_refused(site: Scene, name: str) -> None:
    refused = site.http.post("/api/v1/accounts", json={"name": name})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "name"


def test_a_name_is_taken_once_whatever_its_case(site: Scene) -> None:
    site.post("/accounts", {"name": "Ada"})
    assert site.http.post("/api/v1/accounts", json={"name": "ada"}).status_code == 409


def test_a_route_that_asks_for_nothing_stops_the_start() -> None:
    @get("/forgotten", sync_to_thread=False)
    def forgotten() -> None: ...

    with pytest.raises(ImproperlyConfiguredException, match="/forgotten"):
        refuse_unguarded(Litestar([forgotten], openapi_config=None))


def test_refusals_are_counted_with_who_and_why(server: Scene) -> None:
    people = People(server)
    project = server.project()
    _, client = people.join(("viewer", server.project("Another")))
    who = whoami(client).json()["actor"]
    with server.nobody() as nobody:
        for _ in range(3):
            nobody.get(f"/api/v1/projects/{project}")
    client.get(f"/api/v1/projects/{project}")
    client.get("/api/v1/refusals")

    def told() -> set[tuple[str, str, str]]:
        items = server.http.get("/api/v1/refusals").raise_for_status().json()["items"]
        return {(one["account"], one["route"], one["reason"]) for one in items}

    assert eventually(lambda: len(found := told()) == 3 and found, "refusals are written") == {
        ("", "/api/v1/projects/{project_id}", "not signed in"),
        (who, "/api/v1/projects/{project_id}", "no role in the project"),
        (who, "/api/v1/refusals", "lacks the right audit"),
    }
    items = server.http.get("/api/v1/refusals", params={"account": ""}).json()["items"]
    assert sum(one["count"] for one in items) == 3
