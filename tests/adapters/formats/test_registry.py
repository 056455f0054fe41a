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
