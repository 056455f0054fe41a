"""The dataset in forms that other libraries read: Ultralytics' YAML, and COCO."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stemma_trainer.data import Item

_FOLDERS = {"train": "train"}
"""Names of Ultralytics for splits; every other split validates."""

_ENDINGS = (
    (b"\x89PNG", ".png"),
    (b"\xff\xd8", ".jpg"),
    (b"GIF8", ".gif"),
    (b"BM", ".bmp"),
    (b"II*\0", ".tif"),
    (b"MM\0*", ".tif"),
)


def write_yolo(folder: Path, items: "Sequence[Item]", concepts: Sequence[str], kind: str) -> Path:
    """Write what Ultralytics reads; images are links into the cache.

    The path is what to give as `data`: of a detection a YAML file, of a classification the folder.
    Raises `ValueError` for a tagging, which it has no form for, and for crops.
    """
    if kind == "tagging":
        raise ValueError("Ultralytics has no form for a tagging; use run.data.torch")
    for item in _whole(items, "Ultralytics"):
        split = _FOLDERS.get(item.split, "val")
        name = f"{item.image}{ending_of(item.path)}"
        if kind == "classification":
            # Numbers before the labels: Ultralytics numbers the folders by their order.
            target = folder / split / f"{item.concepts[0]:04}" / name
        else:
            target = folder / "images" / split / name
            labels = folder / "labels" / split / f"{item.image}.txt"
            labels.parent.mkdir(parents=True, exist_ok=True)
            labels.write_text("".join(_yolo_lines(item)), encoding="utf-8")
        _link(target, item.path)
    if kind == "classification":
        return folder
    # JSON is YAML: a label may hold what YAML gives a meaning to.
    sheet = {"path": str(folder.resolve()), "train": "images/train", "val": "images/val"}
    names = dict(enumerate(concepts))
    target = folder / "data.yaml"
    target.write_text(json.dumps(sheet | {"names": names}), encoding="utf-8")
    return target


def _yolo_lines(item: "Item") -> Iterator[str]:
    for concept, (x, y, width, height) in zip(item.concepts, item.boxes, strict=True):
        yield f"{concept} {x + width / 2:.9g} {y + height / 2:.9g} {width:.9g} {height:.9g}\n"


def as_coco(items: "Sequence[Item]", concepts: Sequence[str]) -> dict[str, Any]:
    """What COCO's JSON has, with whole paths as file names. It needs Pillow, for the images'
    sizes. Raises `ValueError` for crops."""
    from PIL import Image

    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, item in enumerate(_whole(items, "COCO"), 1):
        with Image.open(item.path) as image:
            wide, high = image.size
        images.append({"id": number, "file_name": str(item.path), "width": wide, "height": high})
        for place, concept in enumerate(item.concepts):
            x, y, width, height = item.boxes[place] if item.boxes else (0.0, 0.0, 1.0, 1.0)
            box = [x * wide, y * high, width * wide, height * high]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": concept + 1,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                }
            )
    categories = [{"id": number, "name": label} for number, label in enumerate(concepts, 1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def ending_of(path: Path) -> str:
    """The ending of an image's name, by its first bytes: the cache has names without one."""
    with path.open("rb") as file:
        beginning = file.read(12)
    for magic, ending in _ENDINGS:
        if beginning.startswith(magic):
            return ending
    return ".webp" if beginning[8:12] == b"WEBP" else ""


def _whole(items: "Sequence[Item]", form: str) -> "Iterator[Item]":
    for item in items:
        if item.crop is not None:
            raise ValueError(f"{form} has no form for crops of images; use run.data.torch")
        yield item


def _link(target: Path, source: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        target.symlink_to(source.resolve())
