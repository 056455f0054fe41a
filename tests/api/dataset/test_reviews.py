"""Reviews over HTTP: who found what right, filters, counts, and what ends a review."""

from typing import Any

from tests.api.dataset.test_annotating import annotate, look
from tests.api.scene import Scene


def numbers(site: Scene, scene: dict[str, Any], **params: object) -> list[int]:
    """The images of a list, by their number."""
    path = f"/projects/{scene['project']}/images"
    rows = look(site, path, view_id=scene["view"], **params)["items"]
    return [scene["images"].index(row["image_id"]) for row in rows]


def test_a_review_names_who_and_when_and_ends_with_a_change(site: Scene) -> None:
    project = site.project("Reviewed")
    view = site.view(project)
    cat, dog = site.concepts(view, "cat", "dog")
    images = site.images(project, 4)
    scene = {"project": project, "view": view, "images": images}
    for image in images[:3]:
        assert annotate(site, image, view, cat).is_success
    url = f"/api/v1/images/{images[0]}/reviews/{view}"
    grace = site.person("grace", "annotator")
    assert grace.put(url, headers={"If-Match": '"1"'}).status_code == 412
    assert grace.put(url, headers={"If-Match": '"2"'}).is_success
    assert grace.put(f"/api/v1/images/{images[1]}/reviews/{view}").is_success
    refused = grace.put(f"/api/v1/images/{images[3]}/reviews/{view}")
    assert refused.status_code == 409
    assert "is not annotated in view 'Which digit'" in refused.json()["detail"]
    site.http.put(f"/api/v1/images/{images[1]}/split", json={"split": "validation"})

    assert numbers(site, scene, reviewed=True) == [0, 1]
    assert numbers(site, scene, reviewed=True, order="newest", limit=1) == [1]
    assert numbers(site, scene, reviewed=False) == [2]
    assert numbers(site, scene, reviewed=True, split="validation") == [1]
    assert numbers(site, scene, reviewed=True, concept_id=cat) == [0, 1]
    assert numbers(site, scene, reviewed=False, concept_id=cat) == [2]
    assert numbers(site, scene, reviewed=True, annotated=False) == []
    counts = look(site, f"/views/{view}")["images"]["reviewed"]
    assert counts == {"train": 1, "validation": 1, "test": 0}
    before = site.store.head()

    assert annotate(site, images[0], view, dog).is_success
    assert annotate(site, images[0], view, cat).is_success
    assert site.http.delete(f"/api/v1/images/{images[1]}/reviews/{view}").is_success
    assert numbers(site, scene, reviewed=True) == []
    assert look(site, f"/views/{view}")["images"]["reviewed"] == {
        "train": 0,
        "validation": 0,
        "test": 0,
    }
    then = look(site, f"/images/{images[0]}", view_id=view, as_of=before)["image"]
    now = look(site, f"/images/{images[0]}", view_id=view)["image"]
    assert (then["reviewed_by"], now["reviewed_by"]) == ("grace", None)
    assert then["reviewed_at"] is not None


def test_a_training_of_reviewed_images_needs_some(site: Scene) -> None:
    project, view = site.trainable("Only reviewed")
    url = f"/api/v1/views/{view}/versions"
    refused = site.http.post(url, json={"options": {"reviewed_only": True}})
    assert refused.status_code == 409
    assert "no training image of this model is reviewed" in refused.json()["detail"]
    rows = look(site, f"/projects/{project}/images", view_id=view, split="train")["items"]
    for row in rows:
        site.http.put(f"/api/v1/images/{row['image_id']}/reviews/{view}").raise_for_status()
    version = site.version(view, reviewed_only=True)
    site.visible()
    options = site.http.get(f"/api/v1/versions/{version}").json()["version"]["options"]
    assert options["reviewed_only"] is True
