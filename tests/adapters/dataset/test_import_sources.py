"""What an import leaves out of a source and why; what it says of how it read it."""

import json
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from application.dataset.imports import add_missing_concepts, views_of
from application.log.store import Store
from application.views import create_view
from domain.dataset.image import TEST, TRAIN, VALIDATION
from domain.dataset.imports import (
    UNANNOTATED,
    Ending,
    ImportCompleted,
    ImportRefused,
    ImportRemark,
    ImportRules,
)
from domain.errors import Invalid
from tests.adapters.dataset.importing import Importer, png, write_files
from tests.servers import Database

ABSENT = "missing images of the test split are left out"
Files = dict[str, bytes | str]


@pytest.fixture
def importer(store: Store, migrated: Database, tmp_path: Path) -> Importer:
    return Importer(store, tmp_path / "blobs", migrated.app_url)


def completed(ending: Ending) -> ImportCompleted:
    assert isinstance(ending, ImportCompleted), ending
    return ending


def refused(ending: Ending) -> ImportRefused:
    assert isinstance(ending, ImportRefused), ending
    return ending


def splits(importer: Importer) -> dict[str, str]:
    return {image.added.file_name: image.split for image in importer.images().values()}


def report(importer: Importer, ending: ImportCompleted) -> list[tuple[str, str, str]]:
    assert ending.report is not None
    lines = map(json.loads, importer.blobs.get(ending.report).splitlines())
    return [(line["kind"], line["where"], line["text"]) for line in lines]


BOX = "0 0.5 0.5 0.5 0.5\n"
LISTS: Files = {
    "data.yaml": "train: train.txt\nval: val.txt\ntest: test.txt\nnames: [cat, dog]",
    "train.txt": "images/a.png",
    "val.txt": "images/b.png",
    "test.txt": "images/c.png",
    **{f"images/{stem}.png": png(number) for number, stem in enumerate("abcd")},
    **{f"labels/{stem}.txt": BOX for stem in "abcd"},
}


@pytest.mark.parametrize("skip_bad", [False, True])
def test_images_of_a_test_list_are_the_test_set(
    importer: Importer, tmp_path: Path, skip_bad: bool
) -> None:
    source = write_files(tmp_path / "source", LISTS)
    ending = completed(importer.take(source, rules=ImportRules(skip_bad=skip_bad)))
    assert splits(importer) == {"a.png": TRAIN, "b.png": VALIDATION, "c.png": TEST}
    assert (ending.counts.images, ending.counts.left_out) == (3, 1)
    unnamed = "images that are in none of the folders or lists of data.yaml are left out"
    assert ending.summary == (ImportRemark(unnamed, 1),)
    assert report(importer, ending) == [("left_out", "images/d.png", unnamed)]


CSV = "file,label,split\na.png,cat,train\nb.png,cat,val\nc.png,cat,test\nd.png,cat,holdout 2\n"
COLUMN: Files = {"a.csv": CSV, **{f"{stem}.png": png(n) for n, stem in enumerate("abcd")}}


def test_images_of_another_split_are_left_out(importer: Importer, tmp_path: Path) -> None:
    ending = completed(importer.take(write_files(tmp_path / "source", COLUMN)))
    assert splits(importer) == {"a.png": TRAIN, "b.png": VALIDATION, "c.png": TEST}
    [remark] = ending.summary
    assert remark.count == 1
    assert "split 'holdout 2'" in remark.text


def test_a_source_of_absent_test_images_alone_says_so(importer: Importer, tmp_path: Path) -> None:
    source = write_files(tmp_path / "table", {"a.csv": "file,label,split\na.png,cat,test\n"})
    assert f"no image to import: {ABSENT} (1)" in refused(importer.take(source)).reason


COCO = {
    "images": [{"id": 1, "file_name": "a.png", "width": 8, "height": 6}],
    "annotations": [],
    "categories": [{"id": 1, "name": "cat"}],
}
EMPTY: dict[str, Files] = {
    "coco": {"a.json": json.dumps(COCO), "a.png": png(1)},
    "voc": {"a.xml": "<annotation><filename>a.png</filename></annotation>", "a.png": png(1)},
}


@pytest.mark.parametrize("form", EMPTY)
def test_images_listed_without_annotations_become_what_is_asked_for(
    importer: Importer, tmp_path: Path, form: str
) -> None:
    source = write_files(tmp_path / "source", EMPTY[form])
    rules = ImportRules(unlabelled=UNANNOTATED)
    ending = completed(importer.take(source, rules=rules))
    assert any("are imported as not annotated" in remark.text for remark in ending.summary)
    [image] = importer.images().values()
    assert image.annotations == {}
    ending = completed(importer.take(source))
    assert any("are imported as without concept" in remark.text for remark in ending.summary)
    [image] = importer.images().values()
    assert [said.without_concept for said in image.annotations.values()] == [True]


def test_an_unknown_rule_is_refused(importer: Importer, tmp_path: Path) -> None:
    source = write_files(tmp_path / "source", EMPTY["voc"])
    for rules in (ImportRules(unlabelled="maybe"), ImportRules(origin=2)):
        with pytest.raises(Invalid, match=r"unlabelled|origin"):
            importer.ask(source, rules=rules)


@pytest.mark.parametrize(
    ("files", "where", "reason"),
    [
        (
            {"train/cat/a.png": png(1), "val/cat/b.png": png(1)},
            "val/cat/b.png",
            "the image is the same as at train/cat/a.png, with other splits; keep one of them",
        ),
        (
            {"cat/a.png": png(1), "dog/b.png": png(1)},
            "dog/b.png",
            "the image is the same as at cat/a.png, with other annotations; keep one of them",
        ),
        (
            {"a.csv": "file,label,width,height\na.png,cat,6,8\n", "a.png": png(1)},
            "a.csv:2",
            "6x8 pixels are declared, but a.png has 8x6; width and height are swapped",
        ),
        (
            {"a.csv": "file,label,width,height\na.png,cat,80,60\n", "a.png": png(1)},
            "a.csv:2",
            "80x60 pixels are declared, but a.png has 8x6; correct the size, or name the right"
            " image",
        ),
        (
            {"a.csv": "file,label\na.jp2,cat\n", "a.jp2": b"\0\0\0\x0cjP  "},
            "a.csv:2",
            "Stemma does not read JPEG 2000 images; convert it to PNG or JPEG",
        ),
        (
            {"cat/a.png": png(1), "cat/b.psd": b"8BPS"},
            "cat/b.psd",
            "Stemma does not read PSD images; convert it to PNG or JPEG",
        ),
    ],
)
def test_a_message_names_what_is_wrong(
    importer: Importer, tmp_path: Path, files: Files, where: str, reason: str
) -> None:
    ending = refused(importer.take(write_files(tmp_path / "source", files)))
    assert [(problem.where, problem.reason) for problem in ending.first] == [(where, reason)]


def test_exif_is_named_where_it_turns_the_image(importer: Importer, tmp_path: Path) -> None:
    source = write_files(
        tmp_path / "source", {"a.csv": "file,label,width,height\na.jpg,cat,80,60\n"}
    )
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (80, 60)).save(source / "a.jpg", exif=exif)
    [problem] = refused(importer.take(source)).first
    assert "since its EXIF orientation turns it" in problem.reason


UNREAD = [
    ("bild|art\na.png|cat\n", "labels.csv:1: column 'file' is missing; found 'bild', 'art'"),
    ("a.png,cat\nb.png,dog\n", "this seems to be a row, so put a header above"),
    ("file;klasse\na.png;cat\n", "column 'label' is missing; found 'file', 'klasse'"),
]


@pytest.mark.parametrize(("table", "reason"), UNREAD)
@pytest.mark.parametrize("folder", ["images", "cat"])
def test_a_guess_that_leaves_a_table_unread_is_refused(
    importer: Importer, tmp_path: Path, table: str, reason: str, folder: str
) -> None:
    files: Files = {f"{folder}/a.png": png(1), f"{folder}/b.png": png(2), "labels.csv": table}
    source = write_files(tmp_path / "source", files)
    ending = refused(importer.take(source, rules=ImportRules(skip_bad=True)))
    assert reason in ending.reason


@pytest.mark.parametrize(
    ("name", "content"),
    [("cat/a.txt", BOX), ("cat/a.json", '{"imagePath": "a.png", "shapes": []}')],
)
def test_a_guess_that_leaves_boxes_unread_is_refused(
    importer: Importer, tmp_path: Path, name: str, content: str
) -> None:
    files: Files = {"cat/a.png": png(1), "dog/b.png": png(2), name: content}
    source = write_files(tmp_path / "source", files)
    reason = refused(importer.take(source)).reason
    assert f"looks like folders, but {name} names images or has boxes" in reason
    assert completed(importer.take(source, rules=ImportRules("folders"))).counts.images == 2


@pytest.mark.parametrize("wrapper", ["pets/pets/", "a/b/c/", ""])
def test_folders_around_a_source_are_left_away(
    importer: Importer, tmp_path: Path, wrapper: str
) -> None:
    files: Files = {f"{wrapper}cat/a.png": png(1), f"{wrapper}dog/dog/b.png": png(2)}
    completed(importer.take(write_files(tmp_path / "source", files)))
    [view] = views_of(importer.store, importer.project).values()
    assert sorted(view.concepts.values()) == ["cat", "dog"]


def test_a_label_is_found_in_another_normalisation(importer: Importer, tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "été") for form in ("NFC", "NFD"))
    view = importer.do(
        "view", lambda s: create_view(s, importer.project, "saison", "classification")
    )
    importer.do("concept", lambda s: add_missing_concepts(s, view, [composed]))
    files: Files = {f"{decomposed}/a.png": png(1), "hiver/b.png": png(2)}
    ending = completed(importer.take(write_files(tmp_path / "source", files), view="saison"))
    assert ending.counts.concepts == 1
    state = views_of(importer.store, importer.project)[view]
    assert sorted(state.concepts.values()) == sorted([composed, "hiver"])


def test_an_image_is_found_in_another_normalisation(importer: Importer, tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "é.png") for form in ("NFC", "NFD"))
    files: Files = {"a.csv": f"file,label\n{composed},cat\n", decomposed: png(1)}
    ending = completed(importer.take(write_files(tmp_path / "source", files)))
    assert ending.counts.images == 1
