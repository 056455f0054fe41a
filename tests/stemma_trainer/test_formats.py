"""The dataset in the forms of other libraries, read as they read it."""

import io
import json
from pathlib import Path

import pytest
import yaml
from PIL import Image
from pycocotools.coco import COCO

from stemma_trainer.data import Data, Item

LABELS = ["cat: a", "dog"]
BOX = (0.25, 0.5, 0.5, 0.25)


def item(folder: Path, name: str, split: str, concepts: tuple[int, ...], **other: object) -> Item:
    path = folder / f"sha256-of-{name}"
    picture = io.BytesIO()
    Image.new("L", (40, 20)).save(picture, "PNG")
    path.write_bytes(picture.getvalue())
    boxes = (BOX,) * len(concepts)
    return Item(name, path, split, concepts, boxes, other.get("crop"))  # type: ignore[arg-type]


@pytest.fixture
def boxes(tmp_path: Path) -> Data:
    items = [item(tmp_path, "a", "train", (1, 0)), item(tmp_path, "b", "validation", ())]
    return Data(items, LABELS, "detection")


def test_ultralytics_finds_images_labels_and_names(boxes: Data, tmp_path: Path) -> None:
    sheet = boxes.yolo(tmp_path / "yolo")
    assert boxes.yolo(tmp_path / "yolo") == sheet  # a resumed run writes it again
    read = yaml.safe_load(sheet.read_text())
    assert list(read["names"].values()) == LABELS
    for split, name in (("train", "a"), ("val", "b")):
        image = Path(read["path"]) / read[split] / f"{name}.png"
        assert Image.open(image).size == (40, 20)
        labels = Path(str(image).replace("/images/", "/labels/")).with_suffix(".txt")
        assert labels.exists()
    lines = (tmp_path / "yolo/labels/train/a.txt").read_text().splitlines()
    assert lines == ["1 0.5 0.625 0.5 0.25", "0 0.5 0.625 0.5 0.25"]


def test_ultralytics_has_a_folder_for_each_class(tmp_path: Path) -> None:
    data = Data([item(tmp_path, "a", "train", (1,))], LABELS, "classification")
    assert (data.yolo(tmp_path / "yolo") / "train" / "0001" / "a.png").exists()


def test_coco_reads_it(boxes: Data, tmp_path: Path) -> None:
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(boxes.coco(boxes.all)))
    coco = COCO(path)
    assert [one["name"] for one in coco.loadCats(coco.getCatIds())] == LABELS
    (first, _) = coco.loadAnns(coco.getAnnIds(imgIds=[1]))
    assert (first["bbox"], first["category_id"]) == ([10.0, 10.0, 20.0, 5.0], 2)
    assert coco.getAnnIds(imgIds=[2]) == []


def test_what_a_form_cannot_hold_is_refused(tmp_path: Path) -> None:
    crop = item(tmp_path, "a", "train", (1,), crop=(0.0, 0.0, 0.5, 0.5))
    data = Data([crop], LABELS, "classification")
    with pytest.raises(ValueError, match="Ultralytics has no form for crops"):
        data.yolo(tmp_path / "yolo")
    with pytest.raises(ValueError, match="COCO has no form for crops"):
        data.coco(data.all)
    with pytest.raises(ValueError, match="no form for a tagging"):
        Data([], LABELS, "tagging").yolo(tmp_path / "yolo")


def test_an_arrow_table_and_a_dataset_of_torch_have_the_items(boxes: Data) -> None:
    assert boxes.train.table().column("concepts").to_pylist() == [[1, 0]]
    dataset = boxes.all.torch(lambda item: item.image)
    assert [dataset[place] for place in range(len(dataset))] == ["a", "b"]
