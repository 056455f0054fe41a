"""What every command over HTTP has: a key, a revision, an actor, and problems that tell."""

import json

import httpx
import psycopg
import pytest

import api.backend
from api.http.problem_types import PROBLEM_TYPES
from tests.api.scene import Scene
from tests.servers import Database
from tests.waiting import HANG_SECONDS


def test_a_repeated_key_gives_the_first_answer_and_happens_once(server: Scene) -> None:
    key = {"Idempotency-Key": "once"}
    answers = [
        server.http.post("/api/v1/projects", json={"name": "Digits"}, headers=key) for _ in "ab"
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json()["id"] == answers[1].json()["id"]
    position = answers[1].json()["position"]
    listed = server.http.get("/api/v1/projects", params={"at_least": position}).json()["items"]
    assert len(listed) == 1


def test_a_key_used_for_something_else_is_a_conflict(server: Scene) -> None:
    key = {"Idempotency-Key": "once"}
    server.http.post("/api/v1/projects", json={"name": "Digits"}, headers=key)
    other = server.http.post("/api/v1/projects", json={"name": "Letters"}, headers=key)
    assert other.status_code == 409
    assert "fresh" in other.json()["detail"]


def test_if_match_lets_a_change_through_only_on_the_revision_named(server: Scene) -> None:
    path = f"/api/v1/projects/{server.project()}"
    server.visible()
    seen = server.http.get(path).headers["ETag"]
    first = server.http.patch(path, json={"name": "A"}, headers={"If-Match": seen})
    second = server.http.patch(path, json={"name": "B"}, headers={"If-Match": seen})
    assert (first.status_code, second.status_code) == (200, 412)
    assert first.headers["ETag"] != seen
    server.visible()
    assert server.http.get(path).json()["project"]["name"] == "A"


def test_a_malformed_if_match_names_the_header(server: Scene) -> None:
    path = f"/api/v1/projects/{server.project()}"
    refused = server.http.patch(path, json={"name": "A"}, headers={"If-Match": "newest"})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "If-Match"


def test_the_actor_and_the_correlation_are_in_the_event(server: Scene, migrated: Database) -> None:
    headers = {"Stemma-Actor": "eve", "Correlation-Id": "ticket 7"}
    ada = server.person("ada")
    ada.post("/api/v1/projects", json={"name": "Digits"}, headers=headers)
    with psycopg.connect(migrated.app_url) as connection:
        query = "SELECT actor, name FROM log.events WHERE correlation_id = 'ticket 7'"
        assert connection.execute(query).fetchall() == [("ada", "project.created")]


def assert_problem(response: httpx.Response, status: int, field: str | None = None) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"].startswith("application/problem+json")
    problem = response.json()
    assert (problem["status"], bool(problem["detail"])) == (status, True)
    (kind,) = [each for each in PROBLEM_TYPES if each.uri == problem["type"]]
    assert (kind.status, kind.title) == (status, problem["title"])
    if field is not None:
        assert [error["field"] for error in problem["errors"]] == [field]


def test_input_that_does_not_fit_names_its_field(server: Scene) -> None:
    def post(path: str, body: object) -> httpx.Response:
        return server.http.post(f"/api/v1{path}", json=body)

    project = server.project()
    assert_problem(post("/projects", {"name": "  "}), 422, "name")
    assert_problem(post("/projects", {"name": "x" * 201}), 422, "name")
    assert_problem(post("/projects", {"name": 7}), 422, "name")
    assert_problem(post("/projects", {"title": "x"}), 422)
    views = f"/projects/{project}/views"
    assert_problem(post(views, {"name": "x", "kind": "guess"}), 422, "kind")
    for draw in ("validation-split", "test-set"):
        split = f"/projects/{project}/{draw}"
        assert_problem(post(split, {"size": 0}), 422, "size")
        assert_problem(post(split, {"size": 0.2}), 422, "size")
    assert_problem(server.http.post("/api/v1/projects", content=b"{"), 400)


def test_only_wrong_fields_are_named_also_once_the_document_is_made(server: Scene) -> None:
    server.http.get("/schema/openapi.json").raise_for_status()
    views = f"/api/v1/projects/{server.project()}/views"
    assert_problem(server.http.post(views, json={"name": "x", "kind": "guess"}), 422, "kind")


def test_what_does_not_exist_is_a_404_problem(server: Scene) -> None:
    missing = "00000000-0000-0000-0000-000000000000"
    for path in ("projects", "views", "images", "models", "versions"):
        assert_problem(server.http.get(f"/api/v1/{path}/{missing}"), 404)
    for path in ("versions/x/progress", "versions/x/metrics", "versions/x/events", "no/such"):
        assert_problem(server.http.get(f"/api/v1/{path}"), 404)
    patched = server.http.patch(f"/api/v1/projects/{missing}", json={"name": "x"})
    assert_problem(patched, 404)


@pytest.mark.parametrize("beyond", [1, 4611686018427387904])
def test_a_position_that_the_log_has_not_reached_is_refused_without_waiting(
    server: Scene, monkeypatch: pytest.MonkeyPatch, beyond: int
) -> None:
    monkeypatch.setattr(api.backend, "WAIT_SECONDS", 10 * HANG_SECONDS)
    head = server.store.head()
    refused = server.http.get("/api/v1/projects", params={"at_least": head + beyond})
    assert_problem(refused, 422)
    assert f"the log ends at {head}" in refused.json()["detail"]


def test_every_operation_says_what_it_does(server: Scene) -> None:
    document = json.loads(server.http.get("/schema/openapi.json").text)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation.get("summary"), f"{method} {path}"
            assert operation.get("tags"), f"{method} {path}"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "projects/a%00b", None),
        ("GET", "views/a%00b", None),
        ("GET", "images/a%00b", None),
        ("GET", "versions/a%00b", None),
        ("POST", "views/a%00b/concepts", {"labels": ["cat"]}),
        ("POST", "projects/a%00b/views", {"name": "v", "kind": "tagging"}),
    ],
)
def test_an_id_that_no_database_holds_is_refused(
    server: Scene, method: str, path: str, body: object
) -> None:
    response = server.http.request(method, f"/api/v1/{path}", json=body)
    assert response.status_code == 422
    assert "not text" in response.json()["detail"]
