"""Child views over HTTP: created, annotated, trained on, and evaluated crop by crop."""

import io
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from adapters.blobs.blobs import BlobStore
from application.handle import Request, handle
from application.training.policies import manifest_of
from domain.aggregates import VERSION
from domain.dataset.items import image_id_of
from domain.training import manifest
from domain.training.messages import CheckpointSaved, ConceptLabel, ManifestLine, Started
from domain.training.version import FreezeDataset, Version
from tests.api.evaluation.scene import finish, predictions, row
from tests.api.library.test_views import stemma
from tests.api.scene import DIGEST, Scene

BOXES = [{"x": 0.125 * n, "y": 0.25, "width": 0.25, "height": 0.5} for n in range(3)]


class Digits(msgspec.Struct):
    """A detection view of six images with three boxes each, a *number* and two *letters*, and a
    child view that reads the letters."""

    project: str
    parent: str
    number: str
    letter: str
    child: str
    concepts: list[str]
    images: list[str]


def create(scene: Scene, project: str, kind: str, **more: object) -> str:
    view = {"name": f"A {kind}", "kind": kind} | more
    return str(scene.post(f"/projects/{project}/views", view)["id"])


def annotate(scene: Scene, view: str, image: str, *annotations: Any, **more: object) -> Any:
    said = {"image_id": image, "annotations": list(annotations)} | more
    return scene.post(f"/views/{view}/annotations", {"images": [said]})


def labelled(concept: str, box: object) -> dict[str, object]:
    return {"concept_id": concept, "box": box}


@pytest.fixture
def digits(site: Scene) -> Digits:
    project = site.project("Boxes")
    parent = create(site, project, "detection")
    number, letter = site.concepts(parent, "number", "letter")
    images = site.images(project, 6)
    for image in images:
        annotate(
            site,
            parent,
            image,
            labelled(number, BOXES[0]),
            labelled(letter, BOXES[1]),
            labelled(letter, BOXES[2]),
        )
    child = create(site, project, "classification", parent_id=parent, conditions=[[letter]])
    concepts = site.concepts(child, "a", "b")
    for image in images:
        annotate(
            site, child, image, labelled(concepts[0], BOXES[1]), labelled(concepts[1], BOXES[2])
        )
    site.post(f"/projects/{project}/validation-split", {"size": 2, "seed": 1})
    site.visible()
    return Digits(project, parent, number, letter, child, concepts, images)


def lines_of(scene: Scene, version_id: str) -> list[ManifestLine]:
    return list(manifest_of(scene.store, version_of(scene, version_id).created))


def version_of(scene: Scene, version_id: str) -> Version:
    events = scene.store.streams([VERSION.stream(version_id)])[VERSION.stream(version_id)]
    version = VERSION.fold(recorded.event for recorded in events)
    assert version is not None
    return version


def refused(scene: Scene, method: str, path: str, content: object = None) -> tuple[int, str, str]:
    response = scene.http.request(method, f"/api/v1{path}", json=content)
    problem = response.json()
    return response.status_code, problem.get("errors", [{}])[0].get("field", ""), problem["detail"]


def test_a_child_view_names_its_parent_and_conditions(site: Scene, digits: Digits) -> None:
    view = site.http.get(f"/api/v1/views/{digits.child}").json()["view"]
    assert (view["parent_id"], view["conditions"], view["crops"]) == (
        digits.parent,
        [[digits.letter]],
        True,
    )
    parent = site.http.get(f"/api/v1/views/{digits.parent}").json()["view"]
    assert (parent["parent_id"], parent["conditions"], parent["crops"]) == (None, [], False)


def test_each_box_that_meets_the_conditions_trains(site: Scene, digits: Digits) -> None:
    version = site.version(digits.child, architecture="mobilenet_v3_small", margin_crop=0.2)
    created = version_of(site, version).created
    options = created.built_in("x")
    assert (options.crops, options.margin_crop) == (True, 0.2)
    lines = lines_of(site, version)
    assert len(lines) == 12
    assert {image_id_of(line.image) for line in lines} == set(digits.images)
    for line in lines:
        assert line.crop in [tuple(box.values()) for box in BOXES[1:]]
        assert line.concepts == (digits.concepts[line.crop == tuple(BOXES[2].values())],)
    assert sum(line.split == "validation" for line in lines) == 4
    # What happens afterwards changes the next version alone.
    before = manifest.digest(lines)
    moved = {**BOXES[1], "x": 0.2}
    annotate(site, digits.parent, digits.images[0], labelled(digits.letter, moved))
    path = f"/views/{digits.child}/conditions"
    changed = site.http.put(
        f"/api/v1{path}", json={"conditions": [[digits.number], [digits.letter]]}
    )
    assert changed.status_code == 200, changed.text
    assert manifest.digest(lines_of(site, version)) == before
    assert len(lines_of(site, site.version(digits.child))) == 10


def test_what_cannot_be_is_refused(site: Scene, digits: Digits) -> None:
    views = f"/projects/{digits.project}/views"
    letters = {"parent_id": digits.parent, "conditions": [[digits.letter]]}
    detector = {"name": "D", "kind": "detection"} | letters
    status, field, detail = refused(site, "POST", views, detector)
    assert (status, field) == (422, "kind"), detail
    assert "cannot have crops" in detail
    for conditions, where in (
        ([], "conditions"),
        ([["x"]], "conditions[0]"),
        ([[]], "conditions[0]"),
    ):
        body = {"name": "D", "kind": "tagging"} | letters | {"conditions": conditions}
        assert refused(site, "POST", views, body)[:2] == (422, where)
    status, field, detail = refused(
        site, "DELETE", f"/views/{digits.parent}/concepts/{digits.letter}"
    )
    assert (status, field) == (409, "concept_id")
    assert "'A classification'" in detail
    assert "'letter'" in detail
    nowhere = {"x": 0.5, "y": 0.5, "width": 0.1, "height": 0.1}
    said = {"image_id": digits.images[0], "annotations": [labelled(digits.concepts[0], nowhere)]}
    unknown = {"images": [said]}
    status, field, detail = refused(site, "POST", f"/views/{digits.child}/annotations", unknown)
    assert (status, field) == (422, "box"), detail
    status, field, _ = refused(
        site, "PUT", f"/views/{digits.parent}/conditions", {"conditions": [[digits.letter]]}
    )
    assert (status, field) == (409, "conditions")
    margin = {"options": {"margin_crop": 0.1}}
    status, field, _ = refused(site, "POST", f"/views/{digits.parent}/versions", margin)
    assert (status, field) == (422, "margin_crop")
    # A child that no condition names it in lets the concept go.
    assert site.http.delete(f"/api/v1/views/{digits.parent}/concepts/{digits.number}").is_success


def evaluated(scene: Scene, digits: Digits) -> tuple[str, list[ManifestLine]]:
    """A version of the child whose predictions are right but for the first validation crop."""
    version_id = scene.version(digits.child, architecture="mobilenet_v3_small")
    lines = lines_of(scene, version_id)
    blobs = BlobStore.from_url(scene.settings.require("blobs_url"))
    digest, _ = blobs.put_compressed(map(manifest.canonical_line, lines))
    request = Request(actor="policy", command_id=f"{version_id}/f", correlation_id=version_id)
    command = FreezeDataset(digest, manifest.counts(lines))
    handle(scene.store, request, lambda s: s.decide(VERSION, version_id, command))
    scene.report(
        version_id,
        Started("gpu-1", "cpu", {}, 0),
        CheckpointSaved(DIGEST, 1000, "validation_accuracy", 0.75, 1),
    )
    concepts = version_of(scene, version_id).created.concepts
    finish(scene, version_id, predictions(scene, "classification", concepts, rows(lines, concepts)))
    scene.visible()
    return version_id, lines


def rows(lines: Sequence[ManifestLine], concepts: Sequence[ConceptLabel]) -> list[dict[str, Any]]:
    places = {concept.concept_id: place for place, concept in enumerate(concepts)}
    first = next(line for line in lines if line.split == "validation")
    found = []
    for line in lines:
        true = places[line.concepts[0]]
        given = 1 - true if line is first else true
        found.append(
            row(line.image, line.split, [true], [0.9 if n == given else 0.1 for n in (0, 1)])
        )
    return found


def test_an_evaluation_is_crop_by_crop(site: Scene, digits: Digits) -> None:
    version_id, lines = evaluated(site, digits)
    at = f"/api/v1/versions/{version_id}/evaluation"
    summary = site.http.get(at).json()
    assert (summary["images"], summary["errors"], summary["accuracy"]) == (4, 1, 0.75)
    wrong = site.http.get(f"{at}/images", params={"show": "errors"}).json()["items"]
    (first,) = wrong
    line = next(line for line in lines if line.image == first["image_id"])
    assert tuple(first["crop"].values()) == line.crop
    one = site.http.get(f"{at}/images/{line.image}").json()["image"]
    assert one["crop"] == first["crop"]
    csv = site.http.get(f"{at}/predictions.csv").text.splitlines()
    assert len(csv) == 1 + 2 * len(lines)
    assert all(".png" in each for each in csv[1:])
    sliced = site.http.get(f"{at}/slices", params={"key": "none"}).json()
    assert [each["images"] for each in sliced["items"]] == [4]
    for path in ("", f"/images/{line.image}"):
        page = site.http.get(f"/versions/{version_id}/evaluation{path}")
        assert page.status_code == 200
        crop = ",".join(str(side) for side in line.crop or ())
        assert f"/api/v1/images/{image_id_of(line.image)}/thumbnail?" in page.text
        assert f"crop={crop}" in page.text
    same = site.http.get(f"/api/v1/versions/{version_id}/compare/{version_id}").json()
    assert same["counts"]["shared"] == 4


def test_a_crop_is_shown_small(site: Scene, digits: Digits) -> None:
    at = f"/api/v1/images/{digits.images[0]}/thumbnail"
    response = site.http.get(at, params={"crop": "0.25,0.25,0.25,0.5"})
    assert response.is_success, response.text
    with Image.open(io.BytesIO(response.content)) as image:
        assert (image.format, image.size) == ("WEBP", (2, 4))
    known = {"If-None-Match": response.headers["ETag"]}
    again = site.http.get(at, params={"crop": "0.25,0.25,0.25,0.5"}, headers=known)
    assert again.status_code == 304
    other = site.http.get(at, params={"crop": "0.5,0.25,0.25,0.5"}, headers=known)
    assert other.status_code == 200
    for wrong in ("0.1,0.2,0.3", "a,b,c,d", "0,0,0,1", "nan,0,1,1"):
        path = f"/images/{digits.images[0]}/thumbnail?crop={wrong}"
        assert refused(site, "GET", path)[1] == "crop"


def test_a_child_of_a_tagging_view_is_about_the_images_that_meet_its_conditions(
    site: Scene,
) -> None:
    project = site.project("Tags")
    parent = create(site, project, "tagging")
    day, car = site.concepts(parent, "day", "car")
    child = create(site, project, "classification", parent_id=parent, conditions=[[day, car]])
    concepts = site.concepts(child, "red", "blue")
    # With two of them held out, both concepts are left to train on.
    images = site.images(project, 8)
    for number, image in enumerate(images):
        tags = [{"concept_id": day}] + [{"concept_id": car}] * (number != 7)
        annotate(site, parent, image, *tags)
        annotate(site, child, image, {"concept_id": concepts[number % 2]})
    site.post(f"/projects/{project}/validation-split", {"size": 2, "seed": 1})
    version = site.version(child)
    assert {line.image for line in lines_of(site, version)} == set(images[:7])
    assert not version_of(site, version).created.built_in("x").crops


def counts_of(scene: Scene, view: str) -> tuple[int, int, dict[str, int]]:
    """How many items of a view are annotated and not annotated, and have each concept."""
    scene.visible()
    images = scene.http.get(f"/api/v1/views/{view}").json()["images"]
    concepts = {
        each["concept_id"]: each["train"] + each["validation"] for each in images["concepts"]
    }
    return sum(images["annotated"].values()), sum(images["unannotated"].values()), concepts


def listed(scene: Scene, digits: Digits, **query: object) -> list[Any]:
    scene.visible()
    at = f"/api/v1/projects/{digits.project}/images"
    parameters: dict[str, Any] = {"view_id": digits.child, **query}
    return list(scene.http.get(at, params=parameters).json()["items"])


def test_crops_are_counted_and_found_as_long_as_they_have_no_label(
    site: Scene, digits: Digits
) -> None:
    a, b = digits.concepts
    first = digits.images[0]
    assert counts_of(site, digits.child) == (12, 0, {a: 6, b: 6})
    annotate(site, digits.child, first, labelled(a, BOXES[1]))
    assert counts_of(site, digits.child) == (11, 1, {a: 6, b: 5})
    (undone,) = listed(site, digits, annotated="false")
    assert undone["image_id"] == first
    assert [(crop["box"], crop["chosen"]) for crop in undone["crops"]] == [
        (BOXES[0], False),
        (BOXES[1], True),
        (BOXES[2], True),
    ]
    assert len(listed(site, digits, annotated="true")) == 5
    alone = site.http.get(f"/api/v1/images/{first}", params={"view_id": digits.child}).json()
    assert alone["image"]["crops"] == undone["crops"]
    # A box that moves takes its label with it; one that goes is no crop any more.
    moved = {**BOXES[1], "x": 0.2}
    annotate(site, digits.parent, first, labelled(digits.letter, moved))
    assert counts_of(site, digits.child) == (10, 1, {a: 5, b: 5})
    annotate(site, digits.parent, first, labelled(digits.number, BOXES[0]))
    assert counts_of(site, digits.child) == (10, 0, {a: 5, b: 5})
    assert len(listed(site, digits)) == 5


def test_a_complete_image_is_annotated_until_its_boxes_change(site: Scene, digits: Digits) -> None:
    tags = create(
        site,
        digits.project,
        "tagging",
        name="tags",
        parent_id=digits.parent,
        conditions=[[digits.letter]],
    )
    (torn,) = site.concepts(tags, "torn")
    first = digits.images[0]
    assert counts_of(site, tags) == (0, 12, {})
    annotate(site, tags, first, labelled(torn, BOXES[1]))
    assert counts_of(site, tags) == (1, 11, {torn: 1})
    annotate(site, tags, first, labelled(torn, BOXES[1]), without_concept=True)
    assert counts_of(site, tags) == (2, 10, {torn: 1})
    boxes = [labelled(digits.letter, box) for box in BOXES[1:]]
    annotate(site, digits.parent, first, *boxes)
    assert counts_of(site, tags) == (1, 11, {torn: 1})
    annotate(site, tags, first, labelled(torn, BOXES[1]), without_concept=True)
    assert counts_of(site, tags) == (2, 10, {torn: 1})


def test_a_grandchild_takes_the_crops_that_its_parent_says_so_of(
    site: Scene, digits: Digits
) -> None:
    a, _ = digits.concepts
    below = create(
        site,
        digits.project,
        "classification",
        name="below",
        parent_id=digits.child,
        conditions=[[a]],
    )
    kinds = site.concepts(below, "round", "flat")
    annotate(site, below, digits.images[0], labelled(kinds[0], BOXES[1]))
    assert counts_of(site, below) == (1, 5, {kinds[0]: 1})
    annotate(site, digits.child, digits.images[0], labelled(digits.concepts[1], BOXES[1]))
    assert counts_of(site, below) == (0, 5, {})


def test_pages_show_the_tree_and_the_conditions(site: Scene, digits: Digits) -> None:
    project = site.http.get(f"/projects/{digits.project}").text
    assert "12 of 12 crops" in project
    assert project.index(f'data-view="{digits.parent}"') < project.index("└")
    child = site.http.get(f"/views/{digits.child}").text
    words = " ".join(child.split("data-conditions")[1].split("</p>")[0].split())
    assert "Crops of" in words
    assert "with letter: 12 of 12 annotated" in words
    parent = site.http.get(f"/views/{digits.parent}").text
    assert f'data-child="{digits.child}"' in parent
    assert "classification, crops with letter" in parent


def test_the_shell_makes_child_views(site: Scene, digits: Digits) -> None:
    made = stemma(
        site, "views", "create", digits.project, "marks", "--kind", "tagging",
        "--parent", digits.parent, "--when", "number", "--when", "letter",
    )  # fmt: skip
    site.visible()
    rows = site.http.get(f"/api/v1/projects/{digits.project}/views").json()["items"]
    row = next(row for row in rows if row["name"] == "marks")
    assert row["view_id"] in made
    assert row["conditions"] == sorted([[digits.number], [digits.letter]])
    stemma(site, "views", "conditions", digits.child, "--when", "number")
    site.visible()
    changed = site.http.get(f"/api/v1/views/{digits.child}").json()["view"]
    assert changed["conditions"] == [[digits.number]]
    for wrong in (
        ["conditions", digits.parent, "--when", "number"],
        ["conditions", digits.child, "--when", "x"],
        ["create", digits.project, "x", "--kind", "tagging", "--when", "number"],
    ):
        assert stemma(site, "views", *wrong, fails=True).startswith("stemma: ")


def test_a_key_labels_the_selected_crop(site: Scene, digits: Digits, page: Page) -> None:
    first = digits.images[0]
    annotate(site, digits.child, first)
    site.visible()
    page.goto(f"/views/{digits.child}/annotate?image={first}")
    crops = page.locator("[data-boxes] button")
    expect(crops).to_have_text(["no concept", "no concept"])
    page.keyboard.press("Tab")
    expect(crops.nth(1)).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("b")
    expect(crops).to_have_text(["no concept", "b"])
    expect(crops.nth(0)).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("a")
    expect(page.locator("[data-state][role=status]")).to_contain_text(
        "no other image is unannotated"
    )
    expect(crops).to_have_text(["a", "b"])
    assert counts_of(site, digits.child)[:2] == (12, 0)
