"""COCO: other tools' files are read exactly, ours load with pycocotools, and flaws are told."""

import json
from pathlib import Path

import msgspec
import pytest
from pycocotools.coco import COCO

from adapters.formats.items import (
    DeclaredView,
    Note,
    SourceAnnotation,
    SourceImage,
    ViewAnnotations,
)
from domain.dataset.image import TRAIN, VALIDATION, Box
from domain.errors import Invalid
from domain.library.view import DETECTION
from tests.adapters.formats.independent import CLASSES, EXPECTED, data_set, said_of
from tests.adapters.formats.making import OPTIONS, export, lay, only_problem, take

CAT = {"id": 7, "name": "cat"}
IMAGE = {"id": 1, "file_name": "a.png", "width": 200, "height": 100}
BOXED = {"id": 5, "image_id": 1, "category_id": 7, "bbox": [10, 20, 100, 50]}
SAID = ViewAnnotations((SourceAnnotation("cat", Box(0.05, 0.2, 0.5, 0.5)),))
Entry = dict[str, object]


def coco(
    images: list[Entry] | None = None,
    annotations: list[Entry] | None = None,
    categories: list[Entry] | None = None,
) -> str:
    return json.dumps(
        {
            "images": [IMAGE] if images is None else images,
            "annotations": [BOXED] if annotations is None else annotations,
            "categories": [CAT] if categories is None else categories,
        }
    )


def test_supervisions_export_is_read_exactly(tmp_path: Path) -> None:
    annotations = tmp_path / "annotations" / "instances_train.json"
    data_set(tmp_path).as_coco(annotations_path=str(annotations))
    read = take("coco", tmp_path)
    assert read.views == (DeclaredView("animals", DETECTION, tuple(CLASSES)),)
    assert said_of(read.images) == EXPECTED
    assert {(image.split, image.size) for image in read.images} == {(TRAIN, (400, 200))}


def test_pycocotools_loads_an_export(tmp_path: Path) -> None:
    images = [
        SourceImage("images/a.png", "", TRAIN, {}, {"animals": SAID}, (200, 100)),
        SourceImage("b.png", "", VALIDATION, {}, {"animals": ViewAnnotations((), True)}, (2, 1)),
    ]
    export("coco", tmp_path, [DeclaredView("animals", DETECTION, ("dog", "cat"))], images)
    loaded = COCO(tmp_path / "annotations" / "instances_train.json")
    assert loaded.loadImgs(loaded.getImgIds())[0]["file_name"] == "images/a.png"
    assert loaded.loadCats(loaded.getCatIds()) == [
        {"id": 1, "name": "dog"},
        {"id": 2, "name": "cat"},
    ]
    (annotation,) = loaded.loadAnns(loaded.getAnnIds(catIds=[2]))
    assert (annotation["bbox"], annotation["area"]) == ([10, 20, 100, 50], 5000)
    other = COCO(tmp_path / "annotations" / "instances_validation.json")
    assert (other.getImgIds(), other.getAnnIds()) == ([2], [])


def test_an_image_without_an_answer_is_not_exported(tmp_path: Path) -> None:
    view = DeclaredView("animals", DETECTION, ("cat",))
    export("coco", tmp_path, [view], [SourceImage("a.png", "", size=(2, 1))])
    assert take("coco", tmp_path).images == []


@pytest.mark.parametrize(
    ("path", "image", "split"),
    [
        ("annotations/instances_train2017.json", "train2017/a.png", TRAIN),
        ("annotations/instances_val2017.json", "images/val2017/a.png", VALIDATION),
        ("instances.json", "images/a.png", None),
        ("train.json", "a.png", TRAIN),
        ("valid/_annotations.coco.json", "valid/a.png", VALIDATION),
        ("trainval.json", "a.png", None),
    ],
)
def test_names_tell_splits_and_lead_to_images(
    tmp_path: Path, path: str, image: str, split: str | None
) -> None:
    read = take("coco", lay(tmp_path, {path: coco(), image: ""}))
    assert [(found.path, found.split) for found in read.images] == [(image, split)]
    assert read.images[0].annotations == {"animals": SAID}
    assert read.images[0].where == f"{path}: image 1"


def test_instances_come_before_captions(tmp_path: Path) -> None:
    files = {"annotations/captions_train.json": "[]", "annotations/instances_train.json": coco()}
    assert len(take("coco", lay(tmp_path, {**files, "a.png": ""})).images) == 1


def test_categories_of_all_files_are_declared_in_the_order_of_ids(tmp_path: Path) -> None:
    train = coco(categories=[CAT, {"id": 3, "name": "dog"}])
    val = coco([], [], [{"id": 1, "name": "owl"}, {"id": 2, "name": "cat"}])
    lay(tmp_path, {"train.json": train, "val.json": val, "a.png": ""})
    assert take("coco", tmp_path).views[0].concepts == ("dog", "cat", "owl")


def test_crowds_are_left_out_and_counted(tmp_path: Path) -> None:
    crowd = BOXED | {"iscrowd": 1, "segmentation": {"counts": [1], "size": [1, 1]}}
    annotations = [BOXED, crowd | {"id": 6}, crowd | {"id": 8, "image_id": 2}]
    images = [IMAGE, IMAGE | {"id": 2, "file_name": "b.png"}]
    lay(tmp_path, {"a.json": coco(images, annotations), "a.png": "", "b.png": ""})
    read = take("coco", tmp_path)
    assert [image.annotations for image in read.images] == [{"animals": SAID}, {}]
    crowds = [f"a.json: annotation {key} of image {image}" for key, image in ((6, 1), (8, 2))]
    assert read.notes == [Note(where, "crowd regions (iscrowd) are left out") for where in crowds]


@pytest.mark.parametrize(
    ("files", "where", "reason"),
    [
        ({"a.json": coco([IMAGE, IMAGE])}, "a.json: image 1", "twice"),
        ({"a.json": coco([IMAGE, IMAGE | {"id": 2}])}, "a.json: image 2", "listed twice"),
        ({"a.json": coco(annotations=[BOXED, BOXED])}, "annotation 5 of image 1", "id is used"),
        ({"a.json": coco([])}, "annotation 5 of image 1", "image 1 not found"),
        ({"a.json": coco(categories=[])}, "annotation 5 of image 1", "category 7 not found"),
        ({"a.json": coco([IMAGE | {"width": 0}])}, "image 1", "width is '0'"),
        ({"a.json": coco([IMAGE | {"height": 10**30}])}, "image 1", "height is '10000"),
        ({"a.json": coco([IMAGE | {"file_name": "b.png"}])}, "image 1", "no file 'b.png'"),
        *(
            ({"a.json": coco(annotations=[BOXED | {"bbox": bbox}])}, "annotation 5", reason)
            for bbox, reason in [
                (None, "bbox"),
                ([1, 2, 3], "bbox"),
                ([1, 2, "3", 4], "bbox"),
                ([150, 20, 100, 50], "beyond"),
                ([10, 20, 0, 50], "no area"),
                ([10, 20, -5, 50], "no area"),
            ]
        ),
    ],
)
def test_flaws_name_the_file_and_the_entry(
    tmp_path: Path, files: dict[str, str], where: str, reason: str
) -> None:
    problem = only_problem("coco", lay(tmp_path, {**files, "a.png": ""}))
    assert where in problem.where
    assert reason in problem.reason


def test_boxes_are_clipped_on_demand(tmp_path: Path) -> None:
    beyond = BOXED | {"bbox": [150, 20, 100, 50]}
    lay(tmp_path, {"a.json": coco(annotations=[beyond]), "a.png": ""})
    clip = msgspec.structs.replace(OPTIONS, clip=True)
    (image,) = take("coco", tmp_path, clip).images
    assert image.annotations["animals"].annotations[0].box == Box(0.75, 0.2, 0.25, 0.5)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        coco()[:-1],
        coco().replace("20,", "NaN,"),
        coco().replace("20,", "1e999,"),
        '{"a":' + "[" * 100_000,
        coco().encode("utf-16"),
        b'{"images": [], "annotations": [], "categories": [{"id": 1, "name": "\xff"}]}',
        coco(categories=[CAT, CAT]),
        coco(categories=[CAT | {"name": " "}]),
        coco(categories=[CAT | {"name": "a\u0000b"}]),
    ],
)
def test_a_file_that_is_no_coco_is_refused_by_name(tmp_path: Path, content: str | bytes) -> None:
    with pytest.raises(Invalid, match=r"instances\.json"):
        take("coco", lay(tmp_path, {"instances.json": content, "a.png": ""}))


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    lay(tmp_path, {"a.json": coco().encode("utf-8-sig"), "a.png": ""})
    assert len(take("coco", tmp_path).images) == 1


def test_an_edge_may_be_missed_by_a_rounding(tmp_path: Path) -> None:
    rounded = BOXED | {"bbox": [100.0005, 50, 100, 50.0005]}
    (image,) = take(
        "coco", lay(tmp_path, {"a.json": coco(annotations=[rounded]), "a.png": ""})
    ).images
    box = image.annotations["animals"].annotations[0].box
    assert box is not None
    assert (box.x + box.width, box.y + box.height) == (1, 1)


def test_the_same_box_twice_is_noted(tmp_path: Path) -> None:
    twice = coco(annotations=[BOXED, BOXED | {"id": 6}])
    read = take("coco", lay(tmp_path, {"a.json": twice, "a.png": ""}))
    assert len(read.images[0].annotations["animals"].annotations) == 2
    note = Note("a.json: image 1", "the same box with the same label appears twice")
    assert read.notes == [note]


def test_a_category_that_has_boxes_stays_a_concept_though_it_is_a_parent(tmp_path: Path) -> None:
    below = {"id": 8, "name": "kitten", "supercategory": "cat"}
    lay(tmp_path, {"a.json": coco(categories=[CAT, below]), "a.png": ""})
    read = take("coco", tmp_path)
    assert (read.views[0].concepts, read.notes) == (("cat", "kitten"), [])


def test_a_parent_may_have_the_name_of_its_class(tmp_path: Path) -> None:
    parent = {"id": 0, "name": "cat", "supercategory": "none"}
    below = CAT | {"supercategory": "cat"}
    read = take("coco", lay(tmp_path, {"a.json": coco(categories=[parent, below]), "a.png": ""}))
    assert (read.views[0].concepts, read.images[0].annotations) == (("cat",), {"animals": SAID})
    assert [note.where for note in read.notes] == ["a.json: category 0"]
