"""A query parameter that an operation does not have is refused, whichever operation it is."""

from typing import Any

import pytest

from tests.api.scene import Scene


def operations(site: Scene) -> list[tuple[str, str, list[str]]]:
    """Each operation's method and path, and the names of its query parameters."""
    document = site.http.get("/schema/openapi.json").json()
    return [
        (method.upper(), path, [one["name"] for one in told.get("parameters", ()) if _asked(one)])
        for path, methods in document["paths"].items()
        for method, told in methods.items()
    ]


def _asked(parameter: dict[str, Any]) -> bool:
    return bool(parameter["in"] == "query")


def test_every_operation_refuses_a_parameter_that_it_does_not_have(site: Scene) -> None:
    found = operations(site)
    assert len(found) > 50
    for method, path, known in (one for one in found if one[1].startswith("/api/")):
        address = path.replace("{position}", "1").replace("{epoch}", "1")
        answer = site.http.request(method, address, params={"nmae": "version.*"})
        assert answer.status_code == 422, (method, path, answer.text)
        (error,) = answer.json()["errors"]
        assert error["field"] == "nmae"
        assert all(name in error["detail"] for name in known), (method, path, error)


@pytest.mark.parametrize("asked", ["name=version.*&limit=1", "name=version.*&name=view.*", ""])
def test_what_it_has_is_taken(site: Scene, asked: str) -> None:
    assert site.http.get(f"/api/v1/events?{asked}").is_success


@pytest.mark.parametrize("path", ["/", "/health/live", "/metrics"])
def test_pages_and_health_pass_over_what_is_added_to_their_address(site: Scene, path: str) -> None:
    assert site.http.get(f"{path}?utm_source=mail").is_success
