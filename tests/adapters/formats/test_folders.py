"""A folder per class: what torchvision's ImageFolder sees, and a problem for the rest."""

from pathlib import Path

import pytest
from torchvision.datasets import ImageFolder

from adapters.formats.items import DeclaredView, ReadOptions, SourceAnnotation, ViewAnnotations
from domain.dataset.image import TRAIN, VALIDATION
from domain.errors import Invalid
from domain.library.view import CLASSIFICATION, TAGGING
from tests.adapters.formats.making import lay, only_problem, take


def test_the_same_is_seen_as_by_torchvision(tmp_path: Path) -> None:
    lay(tmp_path, {"cat/1.png": "", "cat/2.png": "", "hot dog/1.png": "", "été/x.png": ""})
    seen = ImageFolder(str(tmp_path))
    read = take("folders", tmp_path)
    assert read.views == (DeclaredView("animals", CLASSIFICATION, tuple(seen.classes)),)
    ours = [
        (str(tmp_path / image.path), image.annotations["animals"].annotations[0].label)
        for image in read.images
    ]
    assert ours == [(path, seen.classes[place]) for path, place in seen.samples]


def test_folders_named_after_splits_are_splits(tmp_path: Path) -> None:
    lay(tmp_path, {"train/cat/1.png": "", "Valid/cat/2.png": "", "Valid/dog/3.png": ""})
    read = take("folders", tmp_path)
    assert [(image.path, image.split) for image in read.images] == [
        ("Valid/cat/2.png", VALIDATION),
        ("Valid/dog/3.png", VALIDATION),
        ("train/cat/1.png", TRAIN),
    ]
    assert read.images[0].annotations == {"animals": ViewAnnotations((SourceAnnotation("cat"),))}
    assert read.views[0].concepts == ("cat", "dog")


def test_beside_other_labels_train_is_a_label(tmp_path: Path) -> None:
    read = take("folders", lay(tmp_path, {"train/1.png": "", "plane/2.png": ""}))
    assert read.views[0].concepts == ("plane", "train")
    assert [image.split for image in read.images] == [None, None]


def test_what_file_managers_leave_is_passed_over(tmp_path: Path) -> None:
    clutter = dict.fromkeys(
        [".DS_Store", "cat/.DS_Store", "cat/Thumbs.db", "cat/._1.png", "__MACOSX/x"], "x"
    )
    read = take("folders", lay(tmp_path, {"cat/1.png": "", **clutter}))
    assert ([image.path for image in read.images], read.problems) == (["cat/1.png"], [])


@pytest.mark.parametrize(
    ("extra", "where", "reason"),
    [
        ("loose.png", "loose.png", "the folder of a label"),
        ("cat/deep/2.png", "cat/deep", "move the files of this folder up"),
        ("cat/notes.heic", "cat/notes.heic", "HEIC images; convert it to PNG"),
        ("cat/b\nc.png", "cat/b\\nc.png", "printable"),
        ("cat/b\\c.png", "cat/b\\c.png", "leads outside"),
        ("c\tat/1.png", "c\\tat", "control characters"),
        ("c" * 201 + "/1.png", "c" * 201, "201 characters"),
    ],
)
def test_whatever_is_not_in_its_place_is_a_problem(
    tmp_path: Path, extra: str, where: str, reason: str
) -> None:
    problem = only_problem("folders", lay(tmp_path, {"cat/1.png": "", extra: ""}))
    assert problem.where == where
    assert reason in problem.reason


@pytest.mark.parametrize(
    ("extra", "where"),
    [("1.png", "1.png"), ("train/1.png", "train/1.png"), ("train/1.avif", "train/1.avif")],
)
def test_problems_among_splits(tmp_path: Path, extra: str, where: str) -> None:
    assert only_problem("folders", lay(tmp_path, {"train/cat/1.png": "", extra: ""})).where == where


def test_no_folder_and_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="no folder per class"):
        take("folders", lay(tmp_path, {"1.png": ""}))
    with pytest.raises(Invalid, match="kind"):
        take("folders", lay(tmp_path, {"cat/1.png": ""}), ReadOptions("a", TAGGING))
