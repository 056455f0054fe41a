"""Names of splits mean the same in every format; what names another split never trains."""

from pathlib import Path

import pytest

from adapters.formats.splits import file_split, folder_split, is_known, meaning
from domain.dataset.image import TEST, TRAIN, VALIDATION
from tests.adapters.formats.making import lay, take


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("Train", TRAIN),
        ("TRAINING", TRAIN),
        (" valid ", VALIDATION),
        ("dev", VALIDATION),
        ("Testing", TEST),
        ("holdout", TEST),
        ("", None),
        ("trainval", None),
        ("UNASSIGNED", None),
    ],
)
def test_a_name_is_a_split_or_none_in_particular(name: str, split: str | None) -> None:
    assert is_known(name)
    assert meaning(name) == split


@pytest.mark.parametrize("name", ["fold 3", "trian"])
def test_any_other_name_is_another_split(name: str) -> None:
    assert not is_known(name)


@pytest.mark.parametrize(
    ("folder", "split"),
    [
        ("train", "train"),
        ("val2017", "val"),
        ("Test_Images", "test"),
        ("training_set", "training"),
        ("obj_valid_data", "valid"),
        ("images", None),
        ("train station", None),
        ("contest", None),
        ("trainval", None),
    ],
)
def test_a_folder_names_a_split_by_all_its_words(folder: str, split: str | None) -> None:
    assert folder_split(folder) == split


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("annotations/instances_val2017.json", "val"),
        ("pets_test_labels.csv", "test"),
        ("test/_annotations.csv", "test"),
        ("train_test.json", None),
        ("labels.csv", None),
    ],
)
def test_a_file_names_a_split_by_a_word_or_by_its_folder(path: str, split: str | None) -> None:
    assert file_split(path) == split


STUDIO = (
    '{{"views": []}}\n{{"data": [{{"file": "a.png"}}]}}\n{{"data": [{{"file": "b.png"}}]}}'.format()
)
SOURCES = {
    "csv": {"labels.csv": "file,label\na.png,cat\nb.png,cat\n"},
    "studio": {"pets.jsonl": STUDIO},
    "folders": {},
    "yolo": {"classes.txt": "cat"},
}


@pytest.mark.parametrize("form", SOURCES)
def test_a_list_names_the_test_images_of_every_format(tmp_path: Path, form: str) -> None:
    folder = "cat/" if form == "folders" else ""
    images = {f"{folder}a.png": "", f"{folder}b.png": ""}
    lists = {"train.txt": f"{folder}a.png\n", "test.txt": f"./{folder}b.png\n"}
    read = take(form, lay(tmp_path, {**SOURCES[form], **images, **lists}))
    assert sorted((image.path, image.split) for image in read.images) == [
        (f"{folder}a.png", TRAIN),
        (f"{folder}b.png", TEST),
    ]
    assert read.left_out == []
    assert read.problems == []


def test_an_image_on_two_lists_is_a_problem(tmp_path: Path) -> None:
    lists = {"train.txt": "a.png\n", "test.txt": "a.png\n", "labels.csv": "file,label\na.png,cat\n"}
    (problem,) = take("csv", lay(tmp_path, {**lists, "a.png": ""})).problems
    assert (problem.where, problem.reason) == (
        "train.txt:1",
        "'a.png' is in both test and train; choose one",
    )


def test_a_column_that_names_splits_is_not_left_out(tmp_path: Path) -> None:
    table = "file,label,phase\na.png,cat,train\nb.png,cat,test\n"
    read = take("csv", lay(tmp_path, {"labels.csv": table, "a.png": "", "b.png": ""}))
    assert [problem.reason for problem in read.problems] == [
        "column 'phase' looks like a split; name it split, or remove it"
    ] * 2
    assert read.images == []


def test_a_list_of_test_images_alone_says_nothing_of_the_others(tmp_path: Path) -> None:
    lists = {"test.txt": "b.png\n", "labels.csv": SOURCES["csv"]["labels.csv"]}
    read = take("csv", lay(tmp_path, {**lists, "a.png": "", "b.png": ""}))
    assert [(image.path, image.split) for image in read.images] == [
        ("a.png", None),
        ("b.png", TEST),
    ]


ABSENT = {
    "csv": {"labels.csv": "file,label,split\na.png,cat,train\nb.png,cat,test\n"},
    "studio": {
        "pets.jsonl": '{"views": []}\n{"data": [{"file": "a.png"}]}\n'
        '{"data": [{"file": "b.png"}], "splits": "test"}'
    },
    "coco": {
        "instances_train.json": '{"images": [{"id": 1, "file_name": "a.png"}], "annotations": [],'
        ' "categories": []}',
        "instances_test.json": '{"images": [{"id": 1, "file_name": "b.png"}], "annotations": [],'
        ' "categories": []}',
    },
    "yolo": {"data.yaml": "train: .\ntest: ../test/images\nnames: [cat]"},
}


@pytest.mark.parametrize("form", ABSENT)
def test_images_of_a_test_set_may_be_absent(tmp_path: Path, form: str) -> None:
    """They are published apart, or not at all."""
    read = take(form, lay(tmp_path, {**ABSENT[form], "a.png": ""}))
    assert [image.path for image in read.images] == ["a.png"]
    assert [item.path for item in read.left_out] == ([] if form == "yolo" else ["b.png"])
    assert read.problems == []
