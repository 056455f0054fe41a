"""YOLO: other tools' files are read exactly, splits are found, and flaws are told by line."""

from pathlib import Path

import msgspec
import pytest

from adapters.formats.items import DeclaredView, SourceAnnotation, SourceImage, ViewAnnotations
from domain.dataset.image import TRAIN, VALIDATION, Box
from domain.errors import Invalid
from domain.library.view import DETECTION
from tests.adapters.formats.independent import CLASSES, EXPECTED, data_set, said_of
from tests.adapters.formats.making import OPTIONS, export, lay, only_problem, take

LINE = "0 0.3 0.45 0.5 0.5\n"
SAID = ViewAnnotations((SourceAnnotation("cat", Box(0.05, 0.2, 0.5, 0.5)),))
NAMES = {"data.yaml": "names: [cat, dog]"}
PAIR = {"images/a.png": "", "labels/a.txt": LINE}


def test_supervisions_export_is_read_exactly(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    data_set(tmp_path / "images").as_yolo(
        annotations_directory_path=str(tmp_path / "labels"),
        data_yaml_path=str(tmp_path / "data.yaml"),
    )
    read = take("yolo", tmp_path)
    assert read.views == (DeclaredView("animals", DETECTION, tuple(CLASSES)),)
    assert said_of(read.images) == EXPECTED


def test_the_edge_of_an_image_may_be_missed_by_the_last_decimal(tmp_path: Path) -> None:
    lay(tmp_path, {**NAMES, **PAIR, "labels/a.txt": "0 0.833335 0.5 0.333334 1"})
    (image,) = take("yolo", tmp_path).images
    assert image.annotations["animals"].annotations[0].box == Box(0.666668, 0, 0.333332, 1)


@pytest.mark.parametrize(
    ("image", "labels"),
    [
        ("images/train/a.png", "labels/train/a.txt"),
        ("train/images/a.png", "train/labels/a.txt"),
        ("images/images/a.png", "images/labels/a.txt"),
        ("images/a.png", "images/a.txt"),
        ("some/a.png", "some/a.txt"),
        ("a.png", "a.txt"),
    ],
)
def test_labels_are_found_in_the_usual_places(tmp_path: Path, image: str, labels: str) -> None:
    (found,) = take("yolo", lay(tmp_path, {**NAMES, image: "", labels: LINE})).images
    assert (found.path, found.annotations) == (image, {"animals": SAID})


def test_no_file_is_no_answer_and_an_empty_one_is_without_concept(tmp_path: Path) -> None:
    lay(tmp_path, {**NAMES, "images/a.png": "", "images/b.png": "", "labels/b.txt": " \n"})
    read = take("yolo", tmp_path)
    assert [image.annotations for image in read.images] == [
        {},
        {"animals": ViewAnnotations((), True)},
    ]


@pytest.mark.parametrize(
    ("path", "content", "names"),
    [
        ("data.yaml", "names: [cat, 'no']\nnc: 2", ("cat", "no")),
        ("data.yaml", "names: [cat, no]", ("cat", "no")),
        ("data.yaml", "names: !!python/object/apply:os.system [cat]", ("cat",)),
        ("data.yml", "names:\n  0: cat\n  7: dog", ("cat", "dog")),
        ("animals.yaml", "names: {1: dog, 0: cat}", ("cat", "dog")),
        ("classes.txt", "\ufeffcat\r\nhot dog\r\n\r\n", ("cat", "hot dog")),
        ("obj.names", "cat\ndog", ("cat", "dog")),
        ("coco.names", "cat", ("cat",)),
        ("labels/classes.txt", "cat", ("cat",)),
    ],
)
def test_names_come_from_the_usual_files(
    tmp_path: Path, path: str, content: str, names: tuple[str, ...]
) -> None:
    read = take("yolo", lay(tmp_path, {path: content, **PAIR}))
    assert (read.views[0].concepts, read.problems) == (names, [])
    assert read.images[0].annotations == {"animals": SAID}


@pytest.mark.parametrize(
    ("yaml", "image", "split"),
    [
        ("", "images/train/a.png", TRAIN),
        ("", "valid/images/a.png", VALIDATION),
        ("", "images/val2017/a.png", VALIDATION),
        ("", "images/a.png", None),
        ("train: some\nval: other", "other/images/a.png", VALIDATION),
        ("train: [some, more]", "more/a.png", TRAIN),
        ("train: some\nval: some/held", "some/held/a.png", VALIDATION),
        ("train: ../train/images", "train/images/a.png", TRAIN),
        ("path: data\ntrain: some", "data/some/a.png", TRAIN),
        ("path: ../there\ntrain: some", "some/a.png", TRAIN),
    ],
)
def test_splits_come_from_what_the_yaml_names_or_from_folders(
    tmp_path: Path, yaml: str, image: str, split: str | None
) -> None:
    lay(tmp_path, {"data.yaml": f"names: [cat]\n{yaml}", image: ""})
    for folder in ("some", "more", "other"):
        (tmp_path / folder).mkdir(exist_ok=True)
    read = take("yolo", tmp_path)
    assert [(found.path, found.split) for found in read.images] == [(image, split)]
    assert read.problems == []


def test_lists_give_the_splits(tmp_path: Path) -> None:
    lists = {"train.txt": "./images/a.png\n\n", "lists/val.txt": "images/b.png\n"}
    yaml = {"data.yaml": "names: [cat]\ntrain: train.txt\nval: lists/val.txt"}
    pictures = {f"images/{stem}.png": "" for stem in "abc"}
    read = take("yolo", lay(tmp_path, {**lists, **yaml, **pictures}))
    assert [image.split for image in read.images] == [TRAIN, VALIDATION]
    assert [item.path for item in read.left_out] == ["images/c.png"]


@pytest.mark.parametrize(
    ("files", "where", "reason"),
    [
        ({"labels/a.txt": LINE + "0 1 2 3"}, "labels/a.txt:2", "for a polygon, not 4"),
        ({"labels/a.txt": "0" + " 0.5" * 7}, "labels/a.txt:1", "for a polygon, not 8"),
        ({"labels/a.txt": "0" + " 0.5" * 8}, "labels/a.txt:1", "no area"),
        ({"labels/a.txt": "2" + LINE[1:]}, "labels/a.txt:1", "class 2 has no name in data.yaml"),
        ({"labels/a.txt": "-1" + LINE[1:]}, "labels/a.txt:1", "class '-1'"),
        ({"labels/a.txt": "cat" + LINE[1:]}, "labels/a.txt:1", "class 'cat'"),
        ({"labels/a.txt": "9" * 5000 + LINE[1:]}, "labels/a.txt:1", "class '999"),
        ({"labels/a.txt": "0 0.3 0,45 0.5 0.5"}, "labels/a.txt:1", "'0,45'; give a number"),
        ({"labels/a.txt": "0 nan 0.45 0.5 0.5"}, "labels/a.txt:1", "finite"),
        ({"labels/a.txt": "0 0.3 inf 0.5 0.5"}, "labels/a.txt:1", "finite"),
        ({"labels/a.txt": "0 0.3 0.45 0 0.5"}, "labels/a.txt:1", "no area"),
        ({"labels/a.txt": "0 0.3 0.45 -0.5 0.5"}, "labels/a.txt:1", "no area"),
        ({"labels/a.txt": "0 0.9 0.45 0.5 0.5"}, "labels/a.txt:1", "beyond"),
        ({"labels/b.txt": LINE}, "labels/b.txt", "image 'b' not found in images/"),
        ({"data.yaml": "names: [cat]\ntrain: gone"}, "data.yaml", "not a folder or list"),
        ({"data.yaml": "names: [cat]\ntrain: l.txt", "l.txt": "b.png"}, "l.txt:1", "no file"),
        ({"data.yaml": "names: [cat]\ntrain: l.txt", "l.txt": "../b.png"}, "l.txt:1", "outside"),
        ({"data.yaml": "names: [cat]\ntrain: images\nval: images"}, "data.yaml", "two splits"),
    ],
)
def test_flaws_name_the_file_and_the_line(
    tmp_path: Path, files: dict[str, str], where: str, reason: str
) -> None:
    problem = only_problem("yolo", lay(tmp_path, {**NAMES, **PAIR, **files}))
    assert problem.where == where
    assert reason in problem.reason


def test_boxes_are_clipped_on_demand(tmp_path: Path) -> None:
    lay(tmp_path, {**NAMES, **PAIR, "labels/a.txt": "0 0.9 0.5 0.4 1"})
    (image,) = take("yolo", tmp_path, msgspec.structs.replace(OPTIONS, clip=True)).images
    assert image.annotations["animals"].annotations[0].box == Box(0.7, 0, 0.3, 1)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "names: cat",
        "names: []",
        "names: {cat: 0}",
        "names: [[cat]]",
        "names: [cat, cat]",
        "names: ['']",
        "names: ['a\tb']",
        "names: [cat",
        "names: &a [cat]\nmore: *a",
        "a: &a [x, x]\nb: &b [*a, *a]\nnames: [*b, *b]",
        "[" * 5000,
        "names: [cat]\n" + "#" * 300_000,
        b"names: ['\xff']",
        b"names: [cat]\0",
    ],
)
def test_flawed_names_are_refused_by_file(tmp_path: Path, content: str | bytes) -> None:
    with pytest.raises(Invalid, match=r"data\.yaml"):
        take("yolo", lay(tmp_path, {"data.yaml": content, **PAIR}))


def test_labels_that_are_no_text_are_refused_with_their_line(tmp_path: Path) -> None:
    lay(tmp_path, {**NAMES, **PAIR, "labels/a.txt": LINE.encode() + b"\xff"})
    with pytest.raises(Invalid, match=r"labels/a\.txt:2: this is not UTF-8"):
        take("yolo", tmp_path)


def test_images_whose_labels_would_share_a_file_are_refused(tmp_path: Path) -> None:
    view = DeclaredView("animals", DETECTION, ())
    images = [SourceImage(path, "") for path in ("images/a.png", "images/a.jpg")]
    with pytest.raises(Invalid, match=r"a\.jpg"):
        export("yolo", tmp_path, [view], images)
    with pytest.raises(Invalid, match="'train' is already used"):
        export("yolo", tmp_path, [view], [SourceImage("train.png", "")])


def test_a_label_of_an_image_that_is_not_read_says_so(tmp_path: Path) -> None:
    lay(tmp_path, {**NAMES, **PAIR, "images/b.jxl": "x", "labels/b.txt": LINE})
    problem = only_problem("yolo", tmp_path)
    assert (problem.where, problem.reason) == (
        "labels/b.txt",
        "Stemma does not read JPEG XL images; convert it to PNG or JPEG",
    )


def test_keypoints_after_a_box_are_left_out(tmp_path: Path) -> None:
    pose = {
        "data.yaml": "names: [cat]\nkpt_shape: [2, 2]",
        "labels/a.txt": LINE[:-1] + " .1 .2 .3 .4",
    }
    read = take("yolo", lay(tmp_path, {**PAIR, **pose}))
    assert read.images[0].annotations == {"animals": SAID}
    assert [note.text for note in read.notes] == ["keypoints are left out"]
