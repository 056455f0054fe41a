"""The OpenAPI document describes authentication, errors, and the headers of commands."""

from typing import Any

import pytest
import yaml

from tests.api.scene import Scene


@pytest.fixture(scope="module")
def document(site: Scene) -> Any:
    return site.http.get("/schema/openapi.json").raise_for_status().json()


def operations(document: Any) -> list[tuple[str, str, Any]]:
    return [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def names(operation: Any, place: str) -> set[str]:
    return {one["name"] for one in operation["parameters"] if one["in"] == place}


def test_errors_are_problems(document: Any) -> None:
    for method, path, operation in operations(document):
        for status, response in operation["responses"].items():
            if int(status) >= 400 and path != "/health/ready":
                assert response == {"$ref": f"#/components/responses/{status}"}, (method, path)
    for status, response in document["components"]["responses"].items():
        (schema,) = response["content"].values()
        assert list(response["content"]) == ["application/problem+json"], status
        assert schema == {"schema": {"$ref": "#/components/schemas/Problem"}}
    assert "errors" in document["components"]["schemas"]["Problem"]["properties"]
    assert "Retry-After" in document["components"]["responses"]["429"]["headers"]
    assert "Retry-After" in document["components"]["responses"]["503"]["headers"]
    assert "WWW-Authenticate" in document["components"]["responses"]["401"]["headers"]


def test_a_key_or_a_session_opens_what_is_not_open(document: Any) -> None:
    schemes = document["components"]["securitySchemes"]
    assert (schemes["key"]["scheme"], schemes["session"]["in"]) == ("bearer", "cookie")
    unguarded = {path for _, path, one in operations(document) if not one["security"]}
    entrances = {"/api/v1/sessions", "/api/v1/invitations/accept"}
    assert unguarded == entrances | {"/health/live", "/health/ready"}
    for method, path, operation in operations(document):
        assert ("401" in operation["responses"]) is (
            bool(operation["security"]) or path in entrances
        ), (method, path)


def test_commands_take_their_headers_and_give_a_revision(document: Any, site: Scene) -> None:
    rename = document["paths"]["/api/v1/projects/{project_id}"]["patch"]
    assert {"Idempotency-Key", "If-Match"} <= names(rename, "header")
    assert "ETag" in rename["responses"]["200"]["headers"]
    assert {"409", "412", "422", "429", "503"} <= rename["responses"].keys()
    read = document["paths"]["/api/v1/projects/{project_id}"]["get"]
    assert not names(read, "header")
    project = site.project("Described")
    path = f"/api/v1/projects/{project}"
    revision = site.http.patch(path, json={"name": "Renamed"}).headers["ETag"]
    stale = site.http.patch(path, json={"name": "Late"}, headers={"If-Match": '"1"'})
    assert (stale.status_code, stale.headers["Content-Type"]) == (412, "application/problem+json")
    fresh = site.http.patch(path, json={"name": "Late"}, headers={"If-Match": revision})
    assert fresh.is_success


def test_a_picture_is_asked_for_conditionally(document: Any) -> None:
    thumbnail = document["paths"]["/api/v1/images/{image_id}/thumbnail"]["get"]
    assert names(thumbnail, "header") == {"If-None-Match"}
    assert "content" not in thumbnail["responses"]["304"]
    assert "410" in thumbnail["responses"]


def test_yaml_is_the_same_document(document: Any, site: Scene) -> None:
    text = site.http.get("/schema/openapi.yaml").raise_for_status().text
    assert yaml.safe_load(text)["paths"].keys() == document["paths"].keys()
