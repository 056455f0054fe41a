"""Names that have a better one keep working, and the description of the API says which they are."""

from typing import Any

import pytest

from tests.api.scene import Scene


@pytest.fixture(scope="module")
def document(site: Scene) -> Any:
    return site.http.get("/schema/openapi.json").json()


def test_the_former_names_of_a_cell_are_deprecated(document: Any) -> None:
    operation = document["paths"]["/api/v1/versions/{version_id}/evaluation/images"]["get"]
    marked = {one["name"]: one["deprecated"] for one in operation["parameters"]}
    assert {name for name, deprecated in marked.items() if deprecated} == {"true", "said"}
    assert {"actual", "predicted"} < marked.keys()


def test_the_former_name_of_a_webhooks_owner_is_deprecated(document: Any) -> None:
    fields = document["components"]["schemas"]["WebhookRow"]["properties"]
    assert {name for name, field in fields.items() if field.get("deprecated")} == {"vouched_by"}
    assert "owner" in fields
