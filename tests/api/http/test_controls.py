"""No text that is typed holds control characters: it is signed for good, and shown in terminals."""

import pytest

from domain.access.account import account_id
from tests.api.scene import Scene

BAD = ["a\n1 ada: all is well", "\x1b[2Jcat", "\u202etac", "c\x9bat"]

FIELDS = [
    ("POST", "/projects", {"name": "{}"}),
    ("PATCH", "/projects/{project}", {"name": "{}"}),
    ("POST", "/projects/{project}/views", {"name": "{}", "kind": "tagging"}),
    ("POST", "/projects/{project}/imports", {"source": "/{}"}),
    ("POST", "/projects/{project}/imports", {"source": "/a", "view": "{}"}),
    ("POST", "/images/{image}/erase", {"reason": "{}"}),
    ("POST", "/views/{view}/concepts", {"labels": ["{}"]}),
    ("PATCH", "/views/{view}/concepts/{concept}", {"label": "{}"}),
    ("POST", "/views/{view}/versions", {"name": "{}"}),
    ("POST", "/views/{view}/experiments", {"name": "{}"}),
    ("PATCH", "/models/{model}", {"name": "{}"}),
    ("POST", "/models/{model}/forks", {"concepts": ["{concept}"], "why": "{}"}),
    ("POST", "/models/{model}/forks", {"concepts": ["{concept}"], "why": "b", "name": "{}"}),
    ("PATCH", "/versions/{version}", {"name": "{}"}),
    ("POST", "/accounts", {"name": "{}"}),
    ("POST", "/accounts", {"name": "eve", "email": "{}@a.example"}),
    ("POST", "/accounts/{account}/erase", {"reason": "{}"}),
    ("POST", "/keys", {"label": "{}"}),
    ("POST", "/webhooks", {"url": "https://a.example/{}"}),
    ("POST", "/webhooks", {"url": "https://a.example/", "description": "{}"}),
]


@pytest.fixture(scope="module")
def ids(site: Scene) -> dict[str, str]:
    project, view = site.trainable("Doors")
    version = site.version(view)
    site.visible()
    created = site.store.streams([f"version-{version}"])[f"version-{version}"][0].event
    [image, *_] = site.http.get(f"/api/v1/projects/{project}/images").json()["items"]
    site.post("/accounts", {"name": "dora"})
    return {
        "project": project,
        "view": view,
        "version": version,
        "image": image["image_id"],
        "model": str(created.model_id),  # type: ignore[attr-defined]
        "concept": site.concepts(view, "third")[0],
        "account": account_id("dora"),
    }


def filled(value: object, bad: str, ids: dict[str, str]) -> object:
    match value:
        case str() if "{}" in value:
            return value.replace("{}", bad)
        case str():
            return value.format(**ids)
        case list():
            return [filled(item, bad, ids) for item in value]
        case dict():
            return {name: filled(item, bad, ids) for name, item in value.items()}
    return value


@pytest.mark.parametrize(("method", "path", "body"), FIELDS)
def test_control_characters_are_refused_at_the_door(
    site: Scene, ids: dict[str, str], method: str, path: str, body: dict[str, object]
) -> None:
    head = site.store.head()
    for bad in BAD:
        at = f"/api/v1{path.format(**ids)}"
        response = site.http.request(method, at, json=filled(body, bad, ids))
        assert response.status_code == 422, response.text
        assert bad not in response.text
    assert site.store.head() == head


def test_so_is_the_name_of_an_uploaded_image(site: Scene, ids: dict[str, str]) -> None:
    head = site.store.head()
    path = f"/api/v1/projects/{ids['project']}/images"
    response = site.http.post(path, files=[("files", ("a\u202egnp.png", b"", "image/png"))])
    assert response.status_code == 422, response.text
    assert site.store.head() == head
