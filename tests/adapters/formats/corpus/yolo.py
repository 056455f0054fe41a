"""YOLO as Ultralytics, Roboflow, CVAT, Label Studio and FiftyOne lay it out."""

from tests.adapters.formats.corpus.case import (
    IMAGE,
    TEST,
    TRAIN,
    VALIDATION,
    WITHOUT,
    YOLO,
    boxed,
    case,
)

CASES = [
    case(
        "ultralytics: lists of train, val and test",
        "yolo",
        {
            "data.yaml": "train: train.txt\nval: val.txt\ntest: test.txt\nnames: [cat, dog]",
            "train.txt": "./images/a.png\n",
            "val.txt": "./images/b.png\n",
            "test.txt": "./images/c.png\n",
            **{f"images/{stem}.png": IMAGE for stem in "abcd"},
            **{f"labels/{stem}.txt": f"0 {YOLO}\n" for stem in "abcd"},
        },
        {
            "images/a.png": (TRAIN, boxed("cat")),
            "images/b.png": (VALIDATION, boxed("cat")),
            "images/c.png": (TEST, boxed("cat")),
        },
        left_out=("images/d.png",),
    ),
    case(
        "ultralytics: coco8.yaml with folders, and images that no split has",
        "yolo",
        {
            "coco8.yaml": (
                "path: coco8 # dataset root dir\ntrain: images/train\nval: images/val\n"
                "test: # optional\nnames:\n  0: cat\n  1: dog\ndownload: https://x.test/coco8.zip\n"
            ),
            "images/train/a.png": IMAGE,
            "labels/train/a.txt": f"1 {YOLO}",
            "images/val/b.png": IMAGE,
            "labels/val/b.txt": "",
            "images/extra/c.png": IMAGE,
            "README.md": "# coco8",
            "LICENSE": "AGPL-3.0",
        },
        {"images/train/a.png": (TRAIN, boxed("dog")), "images/val/b.png": (VALIDATION, WITHOUT)},
        left_out=("images/extra/c.png",),
    ),
    case(
        "ultralytics: predictions with a confidence, NumPy's classes, polygons",
        "yolo",
        {
            "data.yaml": "names: [cat, dog]",
            "images/a.png": IMAGE,
            "labels/a.txt": f"0 {YOLO} 0.875\n",
            "images/b.png": IMAGE,
            "labels/b.txt": f"1.0 {YOLO}\n",
            "images/c.png": IMAGE,
            "labels/c.txt": "0 0.05 0.2 0.55 0.2 0.55 0.7 0.05 0.7\n",
        },
        {
            "images/a.png": (None, boxed("cat")),
            "images/b.png": (None, boxed("dog")),
            "images/c.png": (None, boxed("cat")),
        },
        notes=("confidence", "polygons"),
    ),
    case(
        "roboflow: yolov8 with train, valid and test",
        "yolo",
        {
            "data.yaml": (
                "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\nnc: 2\n"
                "names: ['cat', 'dog']\n\nroboflow:\n  workspace: w\n  version: 1\n"
            ),
            "README.roboflow.txt": "pets - v1\n* Resize to 640x640 (Stretch)",
            "README.dataset.txt": "# pets",
            **{f"{part}/images/a_png.rf.{part}.png": IMAGE for part in ("train", "valid", "test")},
            **{
                f"{part}/labels/a_png.rf.{part}.txt": f"0 {YOLO}"
                for part in ("train", "valid", "test")
            },
        },
        {
            "train/images/a_png.rf.train.png": (TRAIN, boxed("cat")),
            "valid/images/a_png.rf.valid.png": (VALIDATION, boxed("cat")),
            "test/images/a_png.rf.test.png": (TEST, boxed("cat")),
        },
    ),
    case(
        "cvat: YOLO 1.1 with Darknet's lists",
        "yolo",
        {
            "obj.data": (
                "classes = 2\ntrain = data/train.txt\nvalid = data/valid.txt\nnames ="
                " data/obj.names\nbackup = backup/\n"
            ),
            "obj.names": "cat\ndog\n",
            "train.txt": "data/obj_train_data/a.png\n",
            "valid.txt": "data/obj_valid_data/b.png\n",
            "obj_train_data/a.png": IMAGE,
            "obj_train_data/a.txt": f"0 {YOLO}\n",
            "obj_valid_data/b.png": IMAGE,
            "obj_valid_data/b.txt": f"1 {YOLO}\n",
            "obj_train_data/unlisted.png": IMAGE,
        },
        {
            "obj_train_data/a.png": (TRAIN, boxed("cat")),
            "obj_valid_data/b.png": (VALIDATION, boxed("dog")),
        },
        left_out=("obj_train_data/unlisted.png",),
    ),
    case(
        "cvat: Ultralytics YOLO",
        "yolo",
        {
            "data.yaml": "path: ./\ntrain: train.txt\nnames:\n  0: cat\n",
            "train.txt": "images/train/a.png\n",
            "images/train/a.png": IMAGE,
            "labels/train/a.txt": f"0 {YOLO}\n",
        },
        {"images/train/a.png": (TRAIN, boxed("cat"))},
    ),
    case(
        "label studio: classes.txt and notes.json",
        "yolo",
        {
            "classes.txt": "cat\ndog\n",
            "notes.json": (
                '{"categories": [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}],'
                ' "info": {"year": 2025, "version": "1.0", "contributor": "Label Studio"}}'
            ),
            "images/0a1b-a.png": IMAGE,
            "labels/0a1b-a.txt": f"1 {YOLO}\n",
        },
        {"images/0a1b-a.png": (None, boxed("dog"))},
    ),
    case(
        "fiftyone: YOLOv5Dataset",
        "yolo",
        {
            "dataset.yaml": (
                "names:\n  0: cat\npath: /home/me/exported\ntrain: ./images/train/\n"
                "validation: ./images/validation/\ntest: ./images/test/\n"
            ),
            **{f"images/{part}/a.png": IMAGE for part in ("train", "validation", "test")},
            **{f"labels/{part}/a.txt": f"0 {YOLO}" for part in ("train", "validation", "test")},
        },
        {
            "images/train/a.png": (TRAIN, boxed("cat")),
            "images/validation/a.png": (VALIDATION, boxed("cat")),
            "images/test/a.png": (TEST, boxed("cat")),
        },
    ),
    case(
        "labelImg: YOLO beside the images",
        "yolo",
        {"classes.txt": "cat\n", "a.png": IMAGE, "a.txt": f"0 {YOLO}\n", "b.png": IMAGE},
        {"a.png": (None, boxed("cat")), "b.png": (None, None)},
    ),
]
