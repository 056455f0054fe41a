"""A folder's format is recognised by its files, or refused with what was looked for."""

from pathlib import Path

import pytest

from adapters.formats.registry import FORMATS, detect
from domain.errors import Invalid
from tests.adapters.formats.making import lay

COCO = '{"images": [], "annotations": [], "categories": []}'
STUDIO = '{"views": []}\n{"data": [], "images": []}'
VOC = "<annotation/>"
SIGNS = {
    "coco": [{"annotations/instances_val.json": COCO}, {"x.json": COCO, "images/a.png": ""}],
    "voc": [{"Annotations/a.xml": VOC}, {"train/a.xml": VOC, "train/a.png": ""}],
    "yolo": [{"data.yaml": "names: [cat]"}, {"classes.txt": "cat", "a.png": "", "a.txt": ""}],
    "csv": [{"labels.csv": "file,label"}, {"annotations.csv": "file,label", "other.csv": ""}],
    "studio": [{"a.jsonl": STUDIO}, {"a.json": STUDIO}, {"a.txt": STUDIO, "b.txt": "x"}],
    "folders": [{"cat/a.png": ""}, {"train/cat/a.JPG": "x", "notes.csv": "a,b"}],
}


@pytest.mark.parametrize(
    ("form", "files"), [(form, files) for form, samples in SIGNS.items() for files in samples]
)
def test_formats_are_recognised(tmp_path: Path, form: str, files: dict[str, str]) -> None:
    assert detect(lay(tmp_path, files)) == form


def test_every_format_is_told_when_none_is_recognised(tmp_path: Path) -> None:
    with pytest.raises(Invalid) as refusal:
        detect(lay(tmp_path, {"a.png": "", "readme.md": "", "some.json": "{}"}))
    assert all(f"{form}: " in refusal.value.detail for form in FORMATS)


def test_two_formats_are_not_guessed_between(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="coco and csv"):
        detect(lay(tmp_path, SIGNS["csv"][0] | SIGNS["coco"][0]))


def test_a_folder_of_images_is_no_class(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="folders: images/ does not have the name of a class"):
        detect(lay(tmp_path, {"images/a.png": ""}))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("boxes.txt", "0 0.5 0.5 0.25 0.25\n"),
        ("cat/a.json", '{"imagePath": "a.png"}'),
        ("which.csv", "bild;art\na;cat\nb;cat\n"),
    ],
)
def test_a_guess_that_leaves_data_unread_is_refused(
    tmp_path: Path, name: str, content: str
) -> None:
    lay(tmp_path, {"cat/a.png": "", "cat/b.png": "", name: content})
    with pytest.raises(Invalid, match=f"looks like folders, but {name}"):
        detect(tmp_path)


def test_tables_of_test_images_are_left_unread(tmp_path: Path) -> None:
    files = dict.fromkeys(["train/a.png", "test/b.png", "test/c.png"], "")
    files |= {"train.csv": "id,label\na,cat\n", "sample_submission.csv": "id,label\nb,cat\nc,cat\n"}
    assert detect(lay(tmp_path, files | {"test.csv": "id\nb\nc\n"})) == "csv"


def test_the_reason_of_each_format_is_told(tmp_path: Path) -> None:
    files = {
        "notes.json": '{"categories": []}',
        "a.xml": "<annotations/>",
        "data.yaml": "names: []",
        "t.csv": "bild;art\n",
        "s.jsonl": "{}",
    }
    with pytest.raises(Invalid) as refusal:
        detect(lay(tmp_path, files))
    for reason in (
        "coco: notes.json: Object missing required field `images`",
        "voc: a.xml: the XML is not Pascal VOC: its root is not <annotation>",
        "yolo: data.yaml: the classes' names are missing; list them there",
        "csv: t.csv:1: column 'file' is missing; found 'bild', 'art'",
        "studio: s.jsonl:1: this is not a Studio header",
        "folders: no <class>/<image> found",
    ):
        assert reason in refusal.value.detail
