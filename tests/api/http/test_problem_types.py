"""Each kind of problem has a name that stays, and an entry where its `type` leads."""

from urllib.parse import urldefrag

import httpx

from api.http.problem_types import PROBLEM_TYPES
from tests.api.scene import Scene

NAMES = [
    "malformed-request",
    "unauthenticated",
    "forbidden",
    "sign-in-refused",
    "not-found",
    "method-not-allowed",
    "conflict",
    "training-ended",
    "idempotency-key-reused",
    "contention",
    "gone",
    "revision-changed",
    "too-large",
    "unknown-host",
    "invalid-input",
    "too-many-requests",
    "too-many-failed-sign-ins",
    "defect",
    "stored-data-damaged",
    "not-yet-visible",
    "unavailable",
]


def test_names_stay() -> None:
    assert [each.name for each in PROBLEM_TYPES] == NAMES


def test_a_type_leads_to_its_entry_without_a_key(site: Scene) -> None:
    page = httpx.get(f"{site.url}/problems").raise_for_status().text
    for each in PROBLEM_TYPES:
        path, anchor = urldefrag(each.uri)
        assert path == "/problems"
        assert f'id="{anchor}"' in page
        assert each.title in page


def test_conflicts_are_told_apart(site: Scene) -> None:
    def types(*answers: httpx.Response) -> list[str]:
        return [urldefrag(answer.json()["type"]).fragment for answer in answers]

    def post(path: str, body: object, **headers: str) -> httpx.Response:
        return site.http.post(f"/api/v1{path}", json=body, headers=headers)

    project = post("/projects", {"name": "Told apart"}).json()
    view = post(f"/projects/{project['id']}/views", {"name": "x", "kind": "tagging"}).json()
    concepts = f"/views/{view['id']}/concepts"
    key = {"Idempotency-Key": "told apart"}
    post(concepts, {"labels": ["cat"]}, **key)
    again, reused = post(concepts, {"labels": ["cat"]}), post(concepts, {"labels": ["dog"]}, **key)
    stale = site.http.patch(
        f"/api/v1/views/{view['id']}", json={"name": "y"}, headers={"If-Match": '"1"'}
    )
    away = httpx.get(f"{site.url}/api/v1/projects")
    other = httpx.get(f"{site.url}/api/v1/projects", headers={"Host": "elsewhere"})
    method = site.http.put("/api/v1/projects")
    assert types(again, reused, stale, away, other, method) == [
        "conflict",
        "idempotency-key-reused",
        "revision-changed",
        "unauthenticated",
        "unknown-host",
        "method-not-allowed",
    ]
