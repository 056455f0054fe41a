"""Uploads are hostile until decoded; what is refused leaves nothing behind."""

import io
import zlib
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.api.scene import Scene
from tests.waiting import HANG_SECONDS


def encoded(image: Image.Image, form: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


GOOD = encoded(Image.new("RGB", (8, 8), (200, 0, 0)))
NOISE = encoded(Image.effect_noise((64, 64), 90))
PHOTO = encoded(Image.effect_noise((64, 64), 90), "JPEG")


def bomb() -> bytes:
    """A PNG of a few kilobytes that claims 60,000 by 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
        )

    size = (60_000).to_bytes(4, "big")
    header = chunk(b"IHDR", size + size + bytes([8, 0, 0, 0, 0]))
    pixels = chunk(b"IDAT", zlib.compress(bytes(1_000_000)))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


def upload(server: Scene, project_id: str, *files: tuple[str, bytes]) -> httpx.Response:
    parts = [("files", (name, data, "image/png")) for name, data in files]
    return server.http.post(
        f"/api/v1/projects/{project_id}/images", files=parts, timeout=HANG_SECONDS
    )


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("empty.png", b"", "empty"),
        ("notes.png", b"these are notes", "not an image"),
        ("half.png", NOISE[: len(NOISE) // 2], "damaged"),
        ("half.jpg", PHOTO[: len(PHOTO) // 2], "damaged"),
        ("end.png", NOISE[:-8], "damaged"),
        ("bomb.png", bomb(), "pixels"),
        ("page.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        ("../up.png", GOOD, "folders"),
        ("a\u202eb.png", GOOD, "printable"),
        ("large.png", GOOD + bytes(100_000_000), "bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_file_is_refused_by_name_and_nothing_is_stored(
    server: Scene, tmp_path: Path, name: str, data: bytes, reason: str
) -> None:
    project_id = server.project()
    before = server.store.head()
    refused = upload(server, project_id, ("good.png", GOOD), (name, data))
    assert refused.status_code == 422, refused.text
    (error,) = refused.json()["errors"]
    assert error["field"] == name
    assert reason in error["detail"]
    assert server.store.head() == before
    assert [file for file in (tmp_path / "blobs").rglob("*") if file.is_file()] == []


def test_uploading_again_changes_nothing(server: Scene) -> None:
    project_id = server.project()
    first = upload(server, project_id, ("a.png", GOOD), ("b.jpg", PHOTO)).json()
    head = server.store.head()
    again = upload(server, project_id, ("other name.png", GOOD)).json()
    assert again["ids"] == first["ids"][:1]
    assert server.store.head() == head


def test_the_same_file_twice_in_one_upload_is_one_image(server: Scene) -> None:
    project_id = server.project()
    answer = upload(server, project_id, ("a.png", GOOD), ("b.png", GOOD)).json()
    assert answer["ids"][0] == answer["ids"][1]
    server.visible()
    listed = server.http.get(f"/api/v1/projects/{project_id}/images").json()["items"]
    assert [(one["file_name"], one["width"], one["height"]) for one in listed] == [("a.png", 8, 8)]


def test_an_upload_without_files_says_so(server: Scene) -> None:
    path = f"/api/v1/projects/{server.project()}/images"
    boundary = {"Content-Type": "multipart/form-data; boundary=x"}
    for content, headers in ((b"--x--\r\n", boundary), (b"", boundary), (b"a=b", {}), (b"", {})):
        refused = server.http.post(path, content=content, headers=headers)
        assert refused.status_code in {400, 422}, (content, headers, refused.text)
    named_otherwise = server.http.post(path, files=[("images", ("a.png", GOOD))])
    assert "files" in named_otherwise.json()["detail"]


def test_an_upload_to_no_project_is_a_404(server: Scene) -> None:
    assert (
        upload(server, "00000000-0000-0000-0000-000000000000", ("a.png", GOOD)).status_code == 404
    )


def test_the_bytes_come_back_as_they_were(server: Scene) -> None:
    image_id = upload(server, server.project(), ("a.jpg", PHOTO)).json()["ids"][0]
    server.visible()
    content = server.http.get(f"/api/v1/images/{image_id}/content")
    assert content.content == PHOTO
    assert content.headers["content-type"] == "image/jpeg"
    assert content.headers["x-content-type-options"] == "nosniff"


def test_a_removed_image_is_gone_and_can_come_back(server: Scene) -> None:
    project_id = server.project()
    image_id = upload(server, project_id, ("a.png", GOOD)).json()["ids"][0]
    server.http.put(f"/api/v1/images/{image_id}/split", json={"split": "validation"})
    assert server.http.delete(f"/api/v1/images/{image_id}").status_code == 200
    assert server.http.delete(f"/api/v1/images/{image_id}").status_code == 404
    server.visible()
    assert server.http.get(f"/api/v1/images/{image_id}").status_code == 404
    assert upload(server, project_id, ("a.png", GOOD)).json()["ids"] == [image_id]
    server.visible()
    assert server.http.get(f"/api/v1/images/{image_id}").json()["image"]["split"] == "train"


def test_annotations_of_one_request_are_all_taken_or_none(server: Scene) -> None:
    project_id = server.project()
    view_id = server.view(project_id)
    (concept,) = server.concepts(view_id, "zero")
    images = server.images(project_id, 2)
    head = server.store.head()

    def annotate(*said: tuple[str, str]) -> httpx.Response:
        body = [
            {"image_id": image_id, "annotations": [{"concept_id": concept_id}]}
            for image_id, concept_id in said
        ]
        return server.http.post(f"/api/v1/views/{view_id}/annotations", json={"images": body})

    unknown_concept = annotate((images[0], concept), (images[1], "nothing"))
    assert unknown_concept.status_code == 422
    assert unknown_concept.json()["errors"][0]["field"] == "concept_id"
    assert "annotations[1]" in unknown_concept.json()["detail"]
    unknown_image = annotate((images[0], concept), ("nothing", concept))
    assert unknown_image.status_code == 404
    assert unknown_image.json()["errors"][0]["field"] == "image_id"
    assert server.store.head() == head
    assert annotate((images[0], concept), (images[1], concept)).status_code == 200
    server.visible()
    path = f"/api/v1/projects/{project_id}/images"
    found = server.http.get(path, params={"view_id": view_id, "concept_id": concept}).json()
    assert [one["image_id"] for one in found["items"]] == images


def test_the_image_list_pages_through_all_and_shows_the_past(server: Scene) -> None:
    project_id = server.project()
    server.images(project_id, 3)
    past = server.visible()
    server.images(project_id, 7)
    server.visible()
    path = f"/api/v1/projects/{project_id}/images"
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = server.http.get(path, params={"limit": 3} | ({"cursor": cursor} if cursor else {}))
        seen += [one["image_id"] for one in page.json()["items"]]
        cursor = page.json()["next"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 7
    before = server.http.get(path, params={"as_of": past}).json()["items"]
    assert [one["image_id"] for one in before] == seen[:3]
