"""The page of an image: what it is annotated with, and who changed that, and when."""

import re
from typing import Any

import httpx

from tests.api.pages.test_html import get
from tests.api.people import People
from tests.api.scene import Scene


def annotated(server: Scene) -> tuple[str, str, str, list[str]]:
    """A project with an image that was annotated twice; their ids, the view's and its concepts'."""
    project = server.project()
    (image,) = server.images(project, 1)
    view = server.view(project, "zero", "one")
    concepts = server.http.get(f"/api/v1/views/{view}").json()["view"]["concepts"]
    ids = [str(concept["concept_id"]) for concept in concepts]
    for concept in ids:
        change(server.http, image, view, concept)
    server.visible()
    return project, image, view, ids


def change(client: httpx.Client, image: str, view: str, concept: str) -> Any:
    body = {"annotations": [{"concept_id": concept}]}
    answer = client.put(f"/api/v1/images/{image}/annotations/{view}", json=body)
    assert answer.is_success, answer.text
    return answer.json()


def test_the_page_shows_labels_as_links_and_who_changed_them(server: Scene) -> None:
    project, image, view, (zero, one) = annotated(server)
    page = get(server, f"/images/{image}")
    assert f'href="/projects/{project}?view={view}&amp;concept={one}#images">one</a>' in page
    assert f"concept={zero}#images" not in page
    assert f'href="/views/{view}/annotate?image={image}">Which digit</a>' in page
    events = re.findall(r'data-position-of="\d+" data-event="([^"]+)"', page)
    assert events == ["image.annotated", "image.annotated", "image.added"]
    newest = page.partition("data-position-of")[2].partition("</tr>")[0]
    assert "administrator" in newest
    assert "<del>zero</del> → <ins>one</ins>" in newest
    assert f'href="/audit?stream=image-{image}">In the audit trail</a>' in page


def test_a_long_history_is_cut_and_links_to_the_whole(server: Scene) -> None:
    _, image, view, ids = annotated(server)
    for number in range(20):
        change(server.http, image, view, ids[number % 2])
    server.visible()
    page = get(server, f"/images/{image}")
    assert page.count("data-position-of") == 20
    assert f'href="/audit?stream=image-{image}">All changes in the audit trail</a>' in page


def test_only_who_may_read_the_trail_sees_the_history(server: Scene) -> None:
    project, image, _, _ = annotated(server)
    people = People(server)
    pages = {}
    for role in ("annotator", "auditor"):
        _, client = people.join((role, project))
        server.visible()
        answer = client.get(f"/images/{image}", headers={"Accept": "text/html"})
        assert answer.status_code == 200, answer.text
        pages[role] = answer.text
    assert all(">one</a>" in page for page in pages.values())
    remove = 'data-confirm="Remove '
    assert remove in pages["annotator"]
    assert remove not in pages["auditor"]
    assert not any('data-opens="erase"' in page for page in pages.values())
    assert "data-history" in pages["auditor"]
    assert "data-history" not in pages["annotator"]
