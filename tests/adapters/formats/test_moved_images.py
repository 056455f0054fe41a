"""Images that are not where their annotations expect them are found by their file names."""

import json
from pathlib import Path

import pytest

from adapters.formats import moved_images
from adapters.formats.moved_images import ELSEWHERE, MovedImages
from adapters.formats.sources import Flaw
from tests.adapters.formats.making import Taken, lay, take

HEADER = {
    "name": "a",
    "splits": ["train"],
    "views": [{"name": "animals", "type": "classification", "concepts": [{"name": "cat"}]}],
}


def coco(name: str) -> str:
    image = {"id": 1, "file_name": name, "width": 200, "height": 100}
    box = {"id": 5, "image_id": 1, "category_id": 7, "bbox": [10, 20, 100, 50]}
    return json.dumps(
        {"images": [image], "annotations": [box], "categories": [{"id": 7, "name": "cat"}]}
    )


def sources(name: str) -> dict[str, dict[str, str]]:
    """An annotation file of each format, with one image of this name."""
    line = {"data": [{"file": name}], "annotations": [{"concepts": [{"name": "cat"}]}]}
    return {
        "coco": {"annotations/instances.json": coco(name)},
        "voc": {
            "Annotations/a.xml": f"<annotation><filename>{name}</filename><size><width>200</width>"
            "<height>100</height></size></annotation>"
        },
        "csv": {"labels.csv": f"file,label\n{name},cat\n"},
        "studio": {"a.jsonl": f"{json.dumps(HEADER)}\n{json.dumps(line)}\n"},
    }


def read(form: str, folder: Path, name: str, *images: str) -> Taken:
    return take(form, lay(folder, sources(name)[form] | dict.fromkeys(images, "")))


@pytest.mark.parametrize("form", ["coco", "voc", "csv", "studio"])
@pytest.mark.parametrize("path", ["pics/sub/a.png", "images/deep/sub/a.png"])
def test_an_image_is_found_by_its_name(tmp_path: Path, form: str, path: str) -> None:
    taken = read(form, tmp_path, "a.png", path, "pics/b.png")
    assert ([image.path for image in taken.images], taken.problems) == ([path], [])
    assert ELSEWHERE in [note.text for note in taken.notes]


@pytest.mark.parametrize("form", ["coco", "voc", "csv", "studio"])
def test_of_several_none_is_taken(tmp_path: Path, form: str) -> None:
    taken = read(form, tmp_path, "a.png", "pics/one/a.png", "pics/two/a.png")
    assert taken.images == []
    (problem,) = taken.problems
    assert "'pics/one/a.png', 'pics/two/a.png'" in problem.reason


@pytest.mark.parametrize("form", ["coco", "voc", "csv", "studio"])
@pytest.mark.parametrize("name", ["two/a.png", "gone/two/a.png", "two/a"])
def test_the_end_of_the_path_decides(tmp_path: Path, form: str, name: str) -> None:
    taken = read(form, tmp_path, name, "pics/one/a.png", "pics/two/a.png")
    found = [] if name.startswith("gone") else ["pics/two/a.png"]
    assert [image.path for image in taken.images] == found


def test_an_image_missing_in_its_own_folder_is_not_another_of_its_name(tmp_path: Path) -> None:
    taken = read("coco", tmp_path, "left/a.png", "left/b.png", "right/a.png")
    assert taken.images == []
    assert "there is no file 'left/a.png'" in taken.problems[0].reason


def test_an_image_of_another_split_is_another_image(tmp_path: Path) -> None:
    lay(tmp_path, {"annotations/instances_train.json": coco("a.png"), "pics/val/a.png": ""})
    taken = take("coco", tmp_path)
    assert (taken.images, len(taken.problems)) == ([], 1)


def test_links_and_hidden_files_are_not_found(tmp_path: Path) -> None:
    lay(tmp_path, {".hidden/a.png": "", "pics/.a.png": "", "pics/b.png": ""})
    (tmp_path / "pics" / "a.png").symlink_to(tmp_path / ".hidden" / "a.png")
    (tmp_path / "linked").symlink_to(tmp_path / ".hidden")
    with pytest.raises(Flaw, match=r"no file 'a\.png'"):
        MovedImages(tmp_path).find("a.png", [""])


def test_the_source_is_listed_once_and_within_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(tmp_path, {f"{number}/a.png": b"" for number in range(120)} | {"x/b.png": b""})
    moved = MovedImages(tmp_path)
    with pytest.raises(Flaw, match="several files"):
        moved.find("a.png", [""])
    assert moved.find("b.png", [""]) == "x/b.png"
    (tmp_path / "x").rename(tmp_path / "y")
    assert moved.find("b.png", [""]) == "x/b.png"
    monkeypatch.setattr(moved_images, "MOST_FILES", 100)
    with pytest.raises(Flaw, match="there is no file"):
        MovedImages(tmp_path).find("b.png", [""])
