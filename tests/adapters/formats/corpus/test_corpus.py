"""Data of other tools is recognised, and read with its splits and boxes; nothing else trains."""

from pathlib import Path

import pytest

from adapters.formats.items import SourceImage
from adapters.formats.registry import detect
from tests.adapters.formats.corpus import coco, csv, folders, voc, yolo
from tests.adapters.formats.corpus.case import WITHOUT, Case, Given
from tests.adapters.formats.making import OPTIONS, lay, take

CASES = [*yolo.CASES, *coco.CASES, *voc.CASES, *csv.CASES, *folders.CASES]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.format} of {case.source}")
def test_data_is_read_as_its_tool_means_it(tmp_path: Path, case: Case) -> None:
    lay(tmp_path, case.files)
    assert detect(tmp_path) == case.format
    read = take(case.format, tmp_path)
    assert read.problems == []
    assert {image.path: (image.split, given(image)) for image in read.images} == case.images
    assert sorted(item.path for item in read.left_out) == sorted(case.left_out)
    texts = {note.text for note in read.notes}
    assert [[text for text in texts if words in text] for words in case.notes] == [
        [text] for words in case.notes for text in texts if words in text
    ]
    assert len(texts) == len(case.notes), texts


def given(image: SourceImage) -> Given:
    in_view = image.annotations.get(OPTIONS.view)
    if in_view is None:
        return None
    if in_view.without_concept:
        return WITHOUT
    boxes = tuple((one.label, one.box) for one in in_view.annotations if one.box is not None)
    return boxes or in_view.annotations[0].label
