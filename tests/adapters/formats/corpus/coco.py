"""COCO as its authors, Roboflow, Label Studio, CVAT and FiftyOne lay it out."""

import json

from tests.adapters.formats.corpus.case import IMAGE, TEST, TRAIN, VALIDATION, WITHOUT, boxed, case

BBOX = [10, 20, 100, 50]
CATS = [{"id": 1, "name": "cat", "supercategory": "animal"}]
ROBOFLOW = [
    {"id": 0, "name": "pets", "supercategory": "none"},
    {"id": 1, "name": "cat", "supercategory": "pets"},
]


def coco(
    *names: str,
    categories: object = CATS,
    category: int = 1,
    size: bool = True,
    empty: tuple[str, ...] = (),
) -> str:
    """A file of images with a box each, and of images without, `empty`."""
    sides = {"width": 200, "height": 100} if size else {}
    images = [{"id": key, "file_name": name} | sides for key, name in enumerate((*names, *empty))]
    annotations = [
        {"id": key, "image_id": key, "category_id": category, "bbox": BBOX, "iscrowd": 0}
        for key in range(len(names))
    ]
    return json.dumps({"images": images, "annotations": annotations, "categories": categories})


CASES = [
    case(
        "coco: 2017 with its other annotations, and a test set without any",
        "coco",
        {
            "annotations/instances_train2017.json": coco("a.png"),
            "annotations/instances_val2017.json": coco("b.png", empty=("c.png",)),
            "annotations/captions_train2017.json": '{"images": [{"file_name": "a.png"}]}',
            "annotations/person_keypoints_val2017.json": '{"images": [{"file_name": "b.png"}]}',
            "annotations/image_info_test2017.json": '{"images": [{"file_name": "d.png"}]}',
            "train2017/a.png": IMAGE,
            "val2017/b.png": IMAGE,
            "val2017/c.png": IMAGE,
            "test2017/d.png": IMAGE,
        },
        {
            "train2017/a.png": (TRAIN, boxed("cat")),
            "val2017/b.png": (VALIDATION, boxed("cat")),
            "val2017/c.png": (VALIDATION, WITHOUT),
        },
        left_out=("test2017/d.png",),
        notes=("images without annotations are imported as without concept",),
    ),
    case(
        "roboflow: COCO with a category that is only a parent",
        "coco",
        {
            **{
                f"{part}/_annotations.coco.json": coco(f"{part}.png", categories=ROBOFLOW)
                for part in ("train", "valid", "test")
            },
            **{f"{part}/{part}.png": IMAGE for part in ("train", "valid", "test")},
            "README.roboflow.txt": "pets - v1",
        },
        {
            "train/train.png": (TRAIN, boxed("cat")),
            "valid/valid.png": (VALIDATION, boxed("cat")),
            "test/test.png": (TEST, boxed("cat")),
        },
        notes=("category 'pets' is only a parent of others",),
    ),
    case(
        "label studio: COCO, whose result.json has paths in images/",
        "coco",
        {
            "result.json": coco("images/0a1b-a.png", categories=[{"id": 1, "name": "cat"}]),
            "images/0a1b-a.png": IMAGE,
            "images/not-annotated.png": IMAGE,
        },
        {"images/0a1b-a.png": (None, boxed("cat"))},
        left_out=("images/not-annotated.png",),
    ),
    case(
        "cvat: COCO 1.0",
        "coco",
        {"annotations/instances_default.json": coco("a.png"), "images/a.png": IMAGE},
        {"images/a.png": (None, boxed("cat"))},
    ),
    case(
        "fiftyone: COCODetectionDataset, without sizes",
        "coco",
        {"labels.json": coco("a.png", size=False), "data/a.png": IMAGE},
        {"data/a.png": (None, boxed("cat"))},
    ),
    case(
        "fiftyone: COCODetectionDataset, a folder for each split",
        "coco",
        {
            **{f"{part}/labels.json": coco(f"{part}.png") for part in ("train", "validation")},
            **{f"{part}/data/{part}.png": IMAGE for part in ("train", "validation")},
        },
        {
            "train/data/train.png": (TRAIN, boxed("cat")),
            "validation/data/validation.png": (VALIDATION, boxed("cat")),
        },
    ),
    case(
        "one file for images in folders of splits",
        "coco",
        {
            "annotations.json": coco("train/a.png", "val/b.png", "test/c.png"),
            **dict.fromkeys(("train/a.png", "val/b.png", "test/c.png"), IMAGE),
        },
        {
            "train/a.png": (TRAIN, boxed("cat")),
            "val/b.png": (VALIDATION, boxed("cat")),
            "test/c.png": (TEST, boxed("cat")),
        },
    ),
]
