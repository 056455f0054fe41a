"""What a view's page says before a training."""

import re

from tests.api.scene import Scene

BOX = {"x": 0.1, "y": 0.1, "width": 0.2, "height": 0.2}


def element(page: str, mark: str) -> str | None:
    """The start tag and the text of the first element with this attribute."""
    found = re.search(rf"<(\w+)[^>]*{mark}[^>]*>.*?</\1>", page, re.DOTALL)
    return found and re.sub(r"\s+", " ", found[0])


def test_a_concept_without_training_images_is_not_ready(site: Scene) -> None:
    project = site.project("Readiness")
    view = site.view(project)
    cat, dog = site.concepts(view, "cat", "dog")
    images = site.images(project, 3)

    def say(image: str, concept: str) -> None:
        body = {"annotations": [{"concept_id": concept}]}
        site.http.put(f"/api/v1/images/{image}/annotations/{view}", json=body).raise_for_status()

    def ready() -> str:
        page = site.http.get(f"/views/{view}?at_least={site.store.head()}")
        found = element(page.raise_for_status().text, 'data-ready="concepts"')
        assert found is not None
        assert ('class="done"' in found) == ("No training image has" not in page.text)
        return found

    say(images[0], cat)
    assert "none of dog" in ready()
    say(images[1], dog)
    assert 'class="done"' in ready()
    moved = site.http.put(f"/api/v1/images/{images[1]}/split", json={"split": "validation"})
    moved.raise_for_status()
    assert "none of dog" in ready()


def test_images_without_a_box_are_counted_before_a_detection_is_trained(site: Scene) -> None:
    project = site.project("Negatives")
    body = {"name": "Where", "kind": "detection"}
    view = str(site.post(f"/projects/{project}/views", body)["id"])
    (cat,) = site.concepts(view, "cat")
    boxed, *empty = site.images(project, 4)
    said = {"annotations": [{"concept_id": cat, "box": BOX}]}
    site.http.put(f"/api/v1/images/{boxed}/annotations/{view}", json=said).raise_for_status()
    for image in empty:
        nothing = {"annotations": [], "without_concept": True}
        url = f"/api/v1/images/{image}"
        site.http.put(f"{url}/annotations/{view}", json=nothing).raise_for_status()
    site.http.put(f"{url}/split", json={"split": "validation"}).raise_for_status()
    page = site.http.get(f"/views/{view}?at_least={site.store.head()}").raise_for_status().text
    note = element(page, 'data-note="negatives"')
    assert note is not None
    assert "2 of training are left out; 1 of validation are evaluated" in note
