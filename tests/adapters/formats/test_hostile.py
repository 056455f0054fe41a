"""No format leads out of its folder, follows a link, opens a device or reads without bounds."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from adapters.formats.items import Problem
from domain.errors import Invalid
from tests.adapters.formats.making import OPTIONS, lay, only_problem, take

PATHS = [
    "/etc/passwd",
    "../a.png",
    "images/../../a.png",
    "images/..",
    "C:\\a.png",
    "C:a.png",
    "images\\a.png",
    "\\\\host\\a.png",
    "",
    ".",
    "a\0.png",
    "a\n.png",
    "a" * 300 + ".png",
    "é" * 130,
    "a/" * 600 + "a.png",
    "gone.png",
    "images",
]


def coco(path: str) -> dict[str, str]:
    image = {"id": 1, "file_name": path, "width": 1, "height": 1}
    return {"a.json": json.dumps({"images": [image], "annotations": [], "categories": []})}


def table(path: str) -> dict[str, str]:
    return {"a.csv": f'file,label\n"{path}",cat\n'}


def studio(path: str) -> dict[str, str]:
    return {"a.jsonl": '{"views": []}\n' + json.dumps({"data": [{"file": path}]})}


def voc(path: str) -> dict[str, str]:
    size = "<size><width>1</width><height>1</height></size>"
    return {"a.xml": f"<annotation><filename>{path}</filename>{size}</annotation>"}


def listed(path: str) -> dict[str, str]:
    return {"data.yaml": "names: [cat]\ntrain: train.txt", "train.txt": path}


REFERRING = {"coco": coco, "csv": table, "studio": studio, "voc": voc, "yolo": listed}
Referring = Callable[[str], dict[str, str]]


# XML has no way to spell a NUL, and a list of a path a line none for an empty one.
SPELT = [
    (form, referring, path)
    for form, referring in REFERRING.items()
    for path in PATHS
    if form not in {"voc", "yolo"} or (path and path.isprintable())
]


@pytest.mark.parametrize(("form", "referring", "path"), SPELT)
def test_a_path_that_leads_elsewhere_is_a_problem(
    tmp_path: Path, form: str, referring: Referring, path: str
) -> None:
    root = tmp_path / "source"
    lay(root, {**referring(path), "images/x.png": ""})
    lay(tmp_path, {"a.png": ""})
    problem = only_problem(form, root)
    assert isinstance(problem, Problem)
    assert len(problem.reason) < 500
    assert not [image for image in take(form, root).images if "x.png" not in image.path]


@pytest.mark.parametrize(("form", "referring"), REFERRING.items())
def test_links_to_images_are_not_followed(tmp_path: Path, form: str, referring: Referring) -> None:
    root = lay(tmp_path / "source", referring("deep/a.png"))
    outside = lay(tmp_path / "outside", {"a.png": ""})
    (root / "deep").symlink_to(outside)
    assert "links are not followed" in only_problem(form, root).reason
    (root / "deep").unlink()
    (root / "deep").mkdir()
    (root / "deep/a.png").symlink_to(outside / "a.png")
    problems = take(form, root).problems
    assert all("links are not followed" in problem.reason for problem in problems)
    assert problems


def test_links_in_a_label_s_folder_are_not_followed(tmp_path: Path) -> None:
    root = lay(tmp_path / "source", {"cat/a.png": ""})
    (root / "cat/b.png").symlink_to(root / "cat/a.png")
    assert "links are not followed" in only_problem("folders", root).reason
    (root / "cat/b.png").unlink()
    (root / "dog").symlink_to(root / "cat")
    assert only_problem("folders", root).where == "dog"


@pytest.mark.parametrize(("form", "referring"), REFERRING.items())
def test_links_to_annotations_and_pipes_are_not_read(
    tmp_path: Path, form: str, referring: Referring
) -> None:
    root = tmp_path / "source"
    root.mkdir()
    (name, *_) = referring("a.png")
    lay(tmp_path, {name: referring("a.png")[name]})
    (root / name).symlink_to(tmp_path / name)
    with pytest.raises(Invalid):
        take(form, root)
    (root / name).unlink()
    os.mkfifo(root / name)
    with pytest.raises(Invalid):
        take(form, root)


@pytest.mark.parametrize(("form", "referring"), REFERRING.items())
def test_a_file_too_large_is_refused_by_name(
    tmp_path: Path, form: str, referring: Referring
) -> None:
    files = referring("a.png")
    root = lay(tmp_path, {**files, "a.png": ""})
    (name, *_) = files
    size = (root / name).stat().st_size
    assert take(form, root, msgspec.structs.replace(OPTIONS, max_bytes=size)).images
    with pytest.raises(Invalid, match=f"{name}: the file has {size}"):
        take(form, root, msgspec.structs.replace(OPTIONS, max_bytes=size - 1))


def test_folders_without_end_are_refused(tmp_path: Path) -> None:
    deep = "a/" * 40
    with pytest.raises(Invalid, match="nest deeper"):
        take("yolo", lay(tmp_path, {"classes.txt": "cat", f"{deep}a.png": ""}))


def test_a_name_on_disk_that_is_no_text_is_a_problem(tmp_path: Path) -> None:
    lay(tmp_path, {"classes.txt": "cat", "cat/a.png": ""})
    name = os.fsdecode(b"\xff.png")
    (tmp_path / "cat/a.png").rename(tmp_path / "cat" / name)
    for form in ("folders", "yolo"):
        problem = [
            p for p in take(form, tmp_path).problems if "xff" in p.where or "dcff" in p.where
        ]
        assert "printable" in problem[0].reason
        msgspec.json.encode((problem[0].where, problem[0].reason))
