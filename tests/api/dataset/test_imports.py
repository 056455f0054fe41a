"""Imports and exports by the API: what goes in comes out, and a refusal leaves nothing behind."""

import html
import io
import socket
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from adapters.processes.processes import wait_until
from stemma_client.packing import pack
from tests.adapters.dataset.importing import png, write_files
from tests.api.dataset.import_scene import MEGABYTE, PETS, ImportScene, with_bad_lines, zipped
from tests.waiting import HANG_SECONDS

BOX = {"x": 0.25, "y": 0.25, "width": 0.5, "height": 0.5}
NOBODY = "00000000-0000-0000-0000-000000000000"
CSV = "file,label,xmin,ymin,xmax,ymax\n1.png,cat,2,2,6,4\n2.png,dog,0,0,4,3\n"
BOXES: dict[str, bytes | str] = {"annotations.csv": CSV, "1.png": png(1), "2.png": png(2)}
FORMATS = {
    "coco": "annotations/instances_train.json",
    "voc": "Annotations/1.xml",
    "yolo": "data.yaml",
    "csv": "annotations.csv",
    "studio": "annotations.jsonl",
}


@pytest.fixture
def project_id(importing: ImportScene) -> str:
    return importing.site.project()


def errors(response: Any, status: int = 422) -> dict[str, str]:
    """What a problem says of each field."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    return {one["field"]: one["detail"] for one in response.json().get("errors", [])}


def in_pieces(content: bytes, size: int = 1000) -> Iterator[bytes]:
    """A body whose length is not told beforehand."""
    for start in range(0, len(content), size):
        yield content[start : start + size]


def nothing_is_left(importing: ImportScene) -> bool:
    return wait_until(lambda: importing.left_behind() == [], HANG_SECONDS)


def test_an_archive_is_taken_in(importing: ImportScene, project_id: str) -> None:
    asked = importing.upload(
        project_id, zipped(PETS), view="species", format="folders", kind="classification"
    )
    item = importing.ended(asked)
    assert item["status"] == "completed"
    assert (item["source"], item["on_server"], item["view"]) == ("pets.zip", False, "species")
    assert (item["actor"], item["format"]) == ("administrator", "folders")
    counts = {"images": 3, "added": 3, "annotated": 3, "views": 1, "concepts": 2}
    assert {name: number for name, number in item["counts"].items() if number} == counts
    [view] = importing.views(project_id)
    assert (view["name"], [one["label"] for one in view["concepts"]]) == ("species", ["cat", "dog"])
    names = [image["file_name"] for image in importing.images(project_id)]
    assert names == ["1.png", "2.png", "3.png"]
    assert nothing_is_left(importing)


def test_a_tar_is_streamed(importing: ImportScene, project_id: str, tmp_path: Path) -> None:
    item = importing.ended(
        importing.upload(
            project_id,
            pack(write_files(tmp_path, PETS)),
            name="pets.tar",
            new_concepts=True,
            skip_bad=True,
            clip=True,
        )
    )
    assert item["counts"]["added"] == 3
    assert [view["name"] for view in importing.views(project_id)] == ["pets"]
    assert item["rules"] == {
        "format": "auto",
        "kind": None,
        "new_concepts": True,
        "skip_bad": True,
        "clip": True,
        "dry_run": False,
        "unlabelled": "negative",
        "origin": None,
        "frame_rate": 1.0,
    }


def test_a_repeated_upload_is_one_import(importing: ImportScene, project_id: str) -> None:
    content = zipped(PETS)
    first = importing.upload(project_id, content, key=f"{project_id} once")
    again = importing.upload(project_id, content, key=f"{project_id} once")
    assert again.json()["id"] == first.json()["id"]
    importing.ended(first)
    assert importing.upload(project_id, content, key=f"{project_id} once").status_code == 202
    listed = importing.http.get(f"/api/v1/projects/{project_id}/imports").json()
    assert len(listed["items"]) == 1
    for other in (
        importing.upload(project_id, zipped({"cat/9.png": png(9)}), key=f"{project_id} once"),
        importing.upload(project_id, content, key=f"{project_id} once", clip=True),
    ):
        assert "Idempotency-Key" in errors(other, 409)
    assert nothing_is_left(importing)


def test_the_same_upload_twice_at_once_is_one_import(
    importing: ImportScene, project_id: str
) -> None:
    content, key = zipped(PETS), f"{project_id} at once"
    with ThreadPoolExecutor(4) as clients:
        answers = list(
            clients.map(lambda _: importing.upload(project_id, content, key=key), range(4))
        )
    assert len({answer.json()["id"] for answer in answers}) == 1
    importing.ended(answers[0])
    assert len(importing.images(project_id)) == 3
    assert nothing_is_left(importing)


def test_what_lies_on_the_server_is_taken_in_where_it_is_allowed(
    importing: ImportScene, project_id: str, tmp_path: Path
) -> None:
    allowed = write_files(importing.root / "pets", PETS)
    forbidden = write_files(tmp_path / "pets", PETS)
    (importing.root / "elsewhere").symlink_to(forbidden)
    before = importing.site.store.head()
    for source, reason in {
        str(forbidden): "STEMMA_IMPORT_ROOTS",
        f"{importing.root}/../{importing.root.name}x": "STEMMA_IMPORT_ROOTS",
        f"{importing.root}/elsewhere": "STEMMA_IMPORT_ROOTS",
        f"{importing.root}/nothing": "does not exist",
        "pets": "absolute",
        "": "absolute",
        f"{importing.root}/\0": "control characters",
    }.items():
        assert reason in errors(importing.ask(project_id, source=source))["source"]
    assert importing.site.store.head() == before
    item = importing.ended(importing.ask(project_id, source=str(allowed)))
    assert (item["status"], item["counts"]["added"]) == ("completed", 3)
    assert (item["source"], item["on_server"]) == (str(allowed), True)
    assert len(list(allowed.rglob("*.png"))) == 3, "the source is not touched"


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"format": "pdf"}, "format"),
        ({"kind": "guessing"}, "kind"),
        ({"view": ""}, "view"),
        ({"view": "x" * 201}, "view"),
        ({"name": ""}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"clip": "perhaps"}, "clip"),
    ],
)
def test_a_bad_request_names_the_field_and_leaves_nothing(
    importing: ImportScene, project_id: str, asked: dict[str, Any], field: str
) -> None:
    before = importing.site.store.head()
    assert field in errors(importing.upload(project_id, zipped(PETS), **asked))
    if field != "name":
        source = {"source": str(importing.root)}
        # A field of a struct is named by msgspec, and some are `$.kind`.
        [named] = errors(importing.ask(project_id, **(source | asked)))
        assert field in named
    assert importing.site.store.head() == before
    assert importing.left_behind() == []


def test_there_is_no_import_into_no_project(importing: ImportScene) -> None:
    errors(importing.upload(NOBODY, zipped(PETS)), 404)
    errors(importing.ask(NOBODY, source=str(importing.root)), 404)
    errors(importing.http.get(f"/api/v1/imports/{NOBODY}"), 404)
    errors(importing.http.get(f"/api/v1/imports/{NOBODY}/report"), 404)
    assert importing.left_behind() == []


def test_an_empty_body_is_refused(importing: ImportScene, project_id: str) -> None:
    assert "empty" in errors(importing.upload(project_id, b""))["body"]
    assert "empty" in errors(importing.upload(project_id, in_pieces(b"")))["body"]
    assert importing.left_behind() == []


@pytest.mark.parametrize("told", [True, False], ids=["its length told", "in pieces"])
def test_a_body_that_is_too_large_is_refused(
    importing: ImportScene, project_id: str, told: bool
) -> None:
    before = importing.site.store.head()
    body = bytes(MEGABYTE + 1)
    refused = importing.upload(project_id, body if told else in_pieces(body, 300_000))
    assert "larger than 1,000,000 bytes" in errors(refused)["body"]
    assert importing.site.store.head() == before
    assert importing.left_behind() == []


def test_an_upload_that_breaks_off_leaves_nothing(importing: ImportScene, project_id: str) -> None:
    before = importing.site.store.head()
    address = urlsplit(importing.site.url)
    path = f"/api/v1/projects/{project_id}/imports/upload?name=pets.zip"
    key = importing.http.headers["Authorization"]
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: {key}\r\n"
        "Content-Length: 1000\r\n\r\n"
    )
    with socket.create_connection((str(address.hostname), address.port or 0)) as client:
        client.sendall(head.encode() + b"PK")
        assert wait_until(lambda: importing.left_behind() != [], HANG_SECONDS)
    assert nothing_is_left(importing)
    assert importing.site.store.head() == before


def test_a_refused_import_says_where_and_takes_nothing(
    importing: ImportScene, project_id: str
) -> None:
    item = importing.ended(importing.upload(project_id, zipped(with_bad_lines(25))))
    assert (item["status"], item["problems"], item["counts"]) == ("refused", 25, None)
    assert [one["where"] for one in item["first"]] == [
        f"annotations.csv:{line}" for line in range(3, 23)
    ]
    report = importing.http.get(f"/api/v1/imports/{item['import_id']}/report")
    assert report.headers["content-type"].startswith("application/x-ndjson")
    assert "attachment" in report.headers["content-disposition"]
    lines = [msgspec.json.decode(line) for line in report.content.splitlines()]
    assert [line["where"] for line in lines] == [f"annotations.csv:{n}" for n in range(3, 28)]
    assert {line["kind"] for line in lines} == {"problem"}
    assert importing.images(project_id) == []
    assert importing.views(project_id) == []
    assert nothing_is_left(importing)
    taken = importing.taken(project_id, zipped(with_bad_lines(25)), skip_bad=True)
    assert (taken["counts"]["added"], taken["counts"]["skipped"]) == (1, 25)


def test_an_archive_that_is_none_is_refused(importing: ImportScene, project_id: str) -> None:
    item = importing.ended(importing.upload(project_id, b"these are notes"))
    assert item["status"] == "refused"
    assert "zip" in item["reason"]
    errors(importing.http.get(f"/api/v1/imports/{item['import_id']}/report"), 404)


def test_a_dry_run_changes_nothing(importing: ImportScene, project_id: str) -> None:
    before = importing.site.store.head()
    item = importing.ended(importing.upload(project_id, zipped(PETS), dry_run=True))
    assert item["status"] == "checked"
    assert (item["counts"]["added"], item["counts"]["concepts"]) == (3, 2)
    assert importing.images(project_id) == []
    assert importing.views(project_id) == []
    assert importing.site.store.head() == before + 2, "it was asked for, and has ended"


def test_imports_are_listed_newest_first_and_by_pages(
    importing: ImportScene, project_id: str
) -> None:
    path = f"/api/v1/projects/{project_id}/imports"
    asked = [
        importing.ended(importing.upload(project_id, b"nothing", name=f"{number}.zip"))
        for number in range(3)
    ]
    first = importing.http.get(path, params={"limit": 2}).json()
    assert [one["source"] for one in first["items"]] == ["2.zip", "1.zip"]
    second = importing.http.get(path, params={"limit": 2, "cursor": first["next"]}).json()
    assert second["items"] == [asked[0]]
    assert second["next"] is None
    assert "cursor" in errors(importing.http.get(path, params={"cursor": "x"}))
    elsewhere = importing.site.project()
    assert importing.http.get(f"/api/v1/projects/{elsewhere}/imports").json()["items"] == []


def test_exports_in_each_format_as_they_were(importing: ImportScene, project_id: str) -> None:
    importing.taken(project_id, zipped(BOXES), view="boxes")
    [view] = importing.views(project_id)
    position = importing.site.store.head()
    asked = {"view_id": view["view_id"], "images": True}
    taken = {form: importing.export(project_id, format=form, **asked) for form in FORMATS}
    for form, export in taken.items():
        assert export.headers["content-type"] == "application/zip"
        name = f'attachment; filename="{form}-at-{position}.zip"'
        assert export.headers["content-disposition"] == name
        with zipfile.ZipFile(io.BytesIO(export.content)) as archive:
            assert archive.testzip() is None
            assert FORMATS[form] in archive.namelist()
            assert archive.read("images/1.png") == png(1)
    [image, _] = importing.images(project_id)
    said = [{"concept_id": view["concepts"][1]["concept_id"], "box": BOX}]
    path = f"/api/v1/images/{image['image_id']}/annotations/{view['view_id']}"
    assert importing.http.put(path, json={"annotations": said}).is_success
    for form, export in taken.items():
        past = importing.export(project_id, format=form, as_of=position, **asked)
        assert past.content == export.content
        assert importing.export(project_id, format=form, **asked).content != export.content
    assert importing.left_behind() == []


def test_an_export_goes_in_again(importing: ImportScene, project_id: str) -> None:
    importing.taken(project_id, zipped(BOXES), view="boxes")
    export = importing.export(project_id, format="studio", images=True).content
    other = importing.site.project("Copy")
    item = importing.taken(other, export)
    assert (item["format"], item["counts"]["added"], item["counts"]["annotated"]) == (
        "studio",
        2,
        2,
    )
    again = importing.taken(other, export)
    assert {name for name, number in again["counts"].items() if number} == {"images"}


def test_what_cannot_be_exported_is_explained(importing: ImportScene, project_id: str) -> None:
    created = importing.site.store.head()
    importing.taken(project_id, zipped(PETS), view="species")
    [view] = importing.views(project_id)
    head = importing.site.store.head()

    def refused(status: int, **asked: Any) -> str:
        response = importing.export(project_id, **asked)
        return f"{errors(response, status)} {response.json()['detail']}"

    assert "'as_of'" in refused(422, format="csv", as_of=head + 1)
    assert "'as_of'" in refused(422, format="csv", as_of=-1)
    assert "'view_id'" in refused(404, format="csv", view_id=NOBODY)
    assert "'view_id'" in refused(404, format="csv", view_id=view["view_id"], as_of=created)
    assert "'format'" in refused(422, format="pdf")
    assert "'format'" in refused(422, format="folders")
    assert "'format'" in refused(422)
    for form in ("coco", "voc", "yolo"):
        assert "csv" in refused(422, format=form)
    importing.site.view(project_id, name="another")
    assert "one view, not 2" in refused(422, format="csv")
    errors(importing.export(NOBODY, format="studio"), 404)
    errors(importing.export(project_id, format="studio", as_of=0), 404)
    assert importing.left_behind() == []


def test_a_browser_that_follows_a_link_sees_the_problem_as_a_page(
    importing: ImportScene, project_id: str
) -> None:
    refused = importing.http.get(
        f"/api/v1/projects/{project_id}/export",
        params={"format": "csv"},
        headers={"Accept": "text/html,*/*;q=0.8"},
    )
    assert refused.status_code == 422
    assert refused.headers["content-type"].startswith("text/html")
    assert "one view, not 0" in refused.text


def test_the_description_of_the_api_has_the_routes(importing: ImportScene) -> None:
    paths = importing.http.get("/schema/openapi.json").json()["paths"]
    project = "/api/v1/projects/{project_id}"
    assert set(paths[f"{project}/imports"]) == {"get", "post"}
    upload = paths[f"{project}/imports/upload"]["post"]
    assert {one["name"] for one in upload["parameters"]} >= {
        "name",
        "view",
        "format",
        "kind",
        "new_concepts",
        "skip_bad",
        "clip",
        "dry_run",
        "unlabelled",
        "origin",
    }
    for path in ("/api/v1/imports/{import_id}", "/api/v1/imports/{import_id}/report"):
        assert set(paths[path]) == {"get"}
    assert "application/zip" in str(paths[f"{project}/export"]["get"]["responses"]["200"])


SPLIT = "file,label,split\n1.png,cat,train\n2.png,cat,spare\n"
SPLITS: dict[str, bytes | str] = {"annotations.csv": SPLIT, "1.png": png(1), "2.png": png(2)}


def test_what_is_left_out_is_counted_and_named(importing: ImportScene, project_id: str) -> None:
    item = importing.taken(project_id, zipped(SPLITS))
    assert (item["counts"]["images"], item["counts"]["left_out"]) == (1, 1)
    [remark] = item["summary"]
    assert remark["count"] == 1
    assert "images of split 'spare' are left out" in remark["text"]
    report = importing.http.get(f"/api/v1/imports/{item['import_id']}/report").text
    assert msgspec.json.decode(report) == {
        "kind": "left_out",
        "where": "annotations.csv:3",
        "text": remark["text"],
    }
    page = importing.http.get(f"/projects/{project_id}/imports").text
    assert f"<li data-remark>{html.escape(remark['text'])}: 1</li>" in page.replace(
        "&#39;", "&#x27;"
    )


def test_unlabelled_and_origin_are_checked(importing: ImportScene, project_id: str) -> None:
    content = zipped(SPLITS)
    assert "negative" in errors(importing.upload(project_id, content, unlabelled="x"))["unlabelled"]
    assert "0 or 1" in errors(importing.upload(project_id, content, origin=2))["origin"]
    item = importing.taken(project_id, content, unlabelled="unannotated", origin=0)
    assert (item["rules"]["unlabelled"], item["rules"]["origin"]) == ("unannotated", 0)


@pytest.mark.parametrize("name", ["a.zip\n812 ada: all is well", "\x1b[2Ja.zip", "a\u202epiz.zip"])
def test_a_name_with_control_characters_is_refused(
    importing: ImportScene, project_id: str, name: str
) -> None:
    """It is printed on the trail, and signed for good."""
    before = importing.site.store.head()
    uploaded = importing.upload(project_id, zipped(PETS), name=name)
    assert uploaded.status_code == 422, uploaded.text
    assert uploaded.json()["errors"][0]["field"] == "name"
    asked = importing.ask(project_id, source=f"/data/{name}")
    assert asked.status_code == 422, asked.text
    assert asked.json()["errors"][0]["field"] == "source"
    assert importing.site.store.head() == before
