"""Lists, counts, thumbnails and annotations of single images, over HTTP."""

import io
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from adapters.images import decoders
from adapters.images.child import Small
from adapters.images.decoders import Decoder
from tests.api.dataset.test_images import GOOD, encoded, upload
from tests.api.scene import Scene

BOX = {"x": 0.1, "y": 0.2, "width": 0.3, "height": 0.4}


def annotate(
    site: Scene, image: str, view: str, *concepts: str, revision: int | None = None, **more: object
) -> httpx.Response:
    body = {"annotations": [{"concept_id": one} for one in concepts]} | more
    headers = {} if revision is None else {"If-Match": f'"{revision}"'}
    url = f"/api/v1/images/{image}/annotations/{view}"
    return site.http.put(url, json=body, headers=headers)


def look(site: Scene, path: str, **params: object) -> Any:
    answer = site.http.get(f"/api/v1{path}", params={"at_least": site.store.head(), **params})  # type: ignore[dict-item]
    assert answer.is_success, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def dataset(site: Scene) -> dict[str, Any]:
    """Four images: a cat, a cat that validates, one without concept, one not annotated."""
    project = site.project("Filtered")
    view = str(site.post(f"/projects/{project}/views", {"name": "v", "kind": "tagging"})["id"])
    cat, dog = site.concepts(view, "cat", "dog")
    images = site.images(project, 4)
    for image in images[:2]:
        assert annotate(site, image, view, cat).is_success
    assert annotate(site, images[2], view, without_concept=True).is_success
    site.http.put(f"/api/v1/images/{images[1]}/split", json={"split": "validation"})
    return {"project": project, "view": view, "cat": cat, "dog": dog, "images": images}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, [0, 1, 2, 3]),
        ({"order": "newest"}, [3, 2, 1, 0]),
        ({"concept_id": "cat"}, [0, 1]),
        ({"concept_id": "cat", "split": "validation"}, [1]),
        ({"without_concept": True}, [2]),
        ({"annotated": False}, [3]),
        ({"annotated": True, "order": "newest", "limit": 2}, [2, 1]),
        ({"concept_id": "dog"}, []),
    ],
)
def test_the_list_is_filtered_and_ordered(
    site: Scene, dataset: dict[str, Any], wanted: dict[str, Any], found: list[int]
) -> None:
    asked = wanted | {"view_id": dataset["view"]}
    if "concept_id" in asked:
        asked["concept_id"] = dataset[asked["concept_id"]]
    items = look(site, f"/projects/{dataset['project']}/images", **asked)["items"]
    assert [dataset["images"].index(one["image_id"]) for one in items] == found


def test_any_image_is_a_cursor_in_both_directions(site: Scene, dataset: dict[str, Any]) -> None:
    path = f"/projects/{dataset['project']}/images"
    listed = look(site, path)["items"]
    middle = listed[1]["added_position"]
    assert look(site, path, cursor=middle)["items"] == listed[2:]
    assert look(site, path, cursor=middle, order="newest")["items"] == listed[:1]


def test_a_filter_of_a_view_needs_the_view(site: Scene, dataset: dict[str, Any]) -> None:
    refused = site.http.get(
        f"/api/v1/projects/{dataset['project']}/images", params={"without_concept": True}
    )
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "view_id"


def test_the_dataset_is_counted(site: Scene, dataset: dict[str, Any]) -> None:
    counted = look(site, f"/projects/{dataset['project']}/dataset")
    assert counted["counts"] == {"images": 4, "train": 3, "validation": 1, "test": 0}
    assert counted["views"] == [
        {
            "view_id": dataset["view"],
            "annotated": {"train": 2, "validation": 1, "test": 0},
            "unannotated": {"train": 1, "validation": 0, "test": 0},
            "without_concept": {"train": 1, "validation": 0, "test": 0},
            "reviewed": {"train": 0, "validation": 0, "test": 0},
            "concepts": [{"concept_id": dataset["cat"], "train": 1, "validation": 1, "test": 0}],
        }
    ]
    view = look(site, f"/views/{dataset['view']}")
    assert view["images"] == counted["views"][0]
    assert site.http.get("/api/v1/projects/none/dataset").status_code == 404


def test_a_test_set_is_drawn_counted_and_listed(site: Scene) -> None:
    project = site.project()
    site.images(project, 6)
    site.post(f"/projects/{project}/test-set", {"size": 2, "seed": 1})
    counts = look(site, f"/projects/{project}/dataset")["counts"]
    assert counts == {"images": 6, "train": 4, "validation": 0, "test": 2}
    listed = look(site, f"/projects/{project}/images", split="test")["items"]
    assert [image["split"] for image in listed] == ["test", "test"]
    page = site.http.get(f"/projects/{project}", params={"split": "test"}).text
    assert 'data-count="test">2<' in page
    assert page.count('<span class="split">test</span>') == 2


def test_an_annotation_rests_on_the_revision_it_names(site: Scene) -> None:
    project = site.project()
    view = site.view(project)
    cat, dog = site.concepts(view, "cat", "dog")
    (image,) = site.images(project, 1)
    first = annotate(site, image, view, cat, revision=1)
    assert (first.status_code, first.headers["ETag"]) == (200, '"2"')
    stale = annotate(site, image, view, dog, revision=1)
    assert stale.status_code == 412
    found = look(site, f"/images/{image}", view_id=view)["image"]
    assert [one["concept_id"] for one in found["annotations"]] == [cat]
    assert (found["revision"], found["changed_by"]) == (2, "administrator")
    assert annotate(site, image, view, dog, revision=2).is_success
    assert annotate(site, image, view, "bird").status_code == 422
    assert annotate(site, "none", view, dog).status_code == 404
    assert annotate(site, image, view, dog, box=1).status_code == 422


def test_of_annotators_at_once_one_is_first(site: Scene) -> None:
    project = site.project()
    view = str(site.post(f"/projects/{project}/views", {"name": "v", "kind": "tagging"})["id"])
    concepts = site.concepts(view, *(f"c{number}" for number in range(6)))
    (image,) = site.images(project, 1)
    answers: list[int] = []

    def run(concept: str) -> None:
        answers.append(annotate(site, image, view, concept, revision=1).status_code)

    threads = [threading.Thread(target=run, args=(one,)) for one in concepts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200, *[412] * 5]


def thumbnail_of(site: Scene, image: str, **params: object) -> Image.Image:
    answer = site.http.get(f"/api/v1/images/{image}/thumbnail", params=params)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/webp"
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.headers["x-content-type-options"] == "nosniff"
    return Image.open(io.BytesIO(answer.content))


def on_its_side() -> bytes:
    """A wide JPEG that its EXIF says to turn by 90°, so that its dark left comes to the top."""
    image = Image.new("RGB", (800, 400), "white")
    image.paste("black", (0, 0, 400, 400))
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    image.save(file, "JPEG", exif=exif)
    return file.getvalue()


def test_a_thumbnail_is_small_upright_and_made_once(
    server: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    (image,) = upload(server, server.project(), ("a.jpg", on_its_side())).json()["ids"]
    server.visible()
    made = thumbnail_of(server, image)
    assert made.size == (128, 256)
    assert made.convert("L").getpixel((64, 20)) < 40  # type: ignore[operator]
    monkeypatch.setattr(Decoder, "small", None)
    assert thumbnail_of(server, image).size == (128, 256)


@pytest.mark.parametrize(
    ("mode", "form"),
    [("1", "PNG"), ("P", "GIF"), ("LA", "PNG"), ("I;16", "TIFF"), ("CMYK", "JPEG")],
)
def test_every_kind_of_picture_has_a_thumbnail(site: Scene, mode: str, form: str) -> None:
    source = Image.new("L", (600, 300), 200).convert(mode)
    (image,) = upload(site, site.project(), ("a.bin", encoded(source, form))).json()["ids"]
    site.visible()
    assert thumbnail_of(site, image).size == (256, 128)
    assert thumbnail_of(site, image, size=2048).size == (600, 300)


def test_a_blob_that_cannot_be_decoded_is_a_problem(
    server: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (image,) = upload(server, server.project(), ("a.png", GOOD)).json()["ids"]
    server.visible()
    path = f"/api/v1/images/{image}/thumbnail"
    assert server.http.get(path, params={"size": 300}).status_code == 422
    monkeypatch.setattr(decoders, "Small", lambda _pixels, *others: Small(1, *others))
    refused = server.http.get(path)
    assert refused.status_code == 422
    assert "cannot be decoded" in refused.json()["detail"]
    [stored] = [one for one in (tmp_path / "blobs" / "sha256").rglob("*") if one.is_file()]
    stored.unlink()
    assert server.http.get(path).headers["content-type"] == "application/problem+json"
    assert server.http.get("/api/v1/images/none/thumbnail").status_code == 404
