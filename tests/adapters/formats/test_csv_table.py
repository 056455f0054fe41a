"""CSV: tables of others are read exactly, and every quirk of a spreadsheet is told by line."""

import csv
import io
from pathlib import Path

import msgspec
import pytest
from PIL import Image

from adapters.formats.items import ReadOptions, SourceAnnotation, ViewAnnotations
from domain.dataset.image import TRAIN, VALIDATION, Box
from domain.errors import Invalid
from domain.library.view import CLASSIFICATION, DETECTION, TAGGING
from tests.adapters.formats.making import OPTIONS, lay, only_problem, take

TFOD = ("filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax")
BOX = Box(0.05, 0.2, 0.5, 0.5)
TAGS = ReadOptions("animals", TAGGING)


def table(root: Path, text: str | bytes, path: str = "annotations.csv") -> Path:
    return lay(root, {path: text, "a.png": "", "b.png": "", "images/c.png": ""})


def test_the_table_of_tensorflows_api_is_read_exactly(tmp_path: Path) -> None:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(TFOD)
    writer.writerow(("a.png", 200, 100, "cat", 10, 20, 110, 70))
    writer.writerow(("a.png", 200, 100, "hot dog, big", 0, 0, 200, 100))
    writer.writerow(("c.png", 200, 100, "cat", 199, 99, 200, 100))
    read = take("csv", table(tmp_path, text.getvalue(), "train_labels.csv"))
    said = [SourceAnnotation("cat", BOX), SourceAnnotation("hot dog, big", Box(0, 0, 1, 1))]
    assert read.views[0].kind == DETECTION
    assert [(image.path, image.size, image.where) for image in read.images] == [
        ("a.png", (200, 100), "train_labels.csv:2"),
        ("images/c.png", (200, 100), "train_labels.csv:4"),
    ]
    assert read.images[0].annotations == {"animals": ViewAnnotations(tuple(said))}
    last = SourceAnnotation("cat", Box(0.995, 0.99, 0.005, 0.01))
    assert read.images[1].annotations == {"animals": ViewAnnotations((last,))}


def test_an_images_size_is_read_from_its_upright_header(tmp_path: Path) -> None:
    table(tmp_path, "file,label,xmin,ymin,xmax,ymax\na.jpg,cat,10,20,110,70\n")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (100, 200)).save(tmp_path / "a.jpg", exif=exif)
    (image,) = take("csv", tmp_path).images
    assert (image.annotations["animals"].annotations[0].box, image.size) == (BOX, None)


def test_a_size_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    table(tmp_path, "file,label,xmin,ymin,xmax,ymax\na.jpg,cat,10,20,110,70\n")
    lay(tmp_path, {"a.jpg": b"no image"})
    assert "give width and height" in only_problem("csv", tmp_path).reason


def test_one_label_an_image_is_a_classification(tmp_path: Path) -> None:
    read = take("csv", table(tmp_path, "image,concept,split\na.png,cat,train\nb.png,dog,val\n"))
    assert read.views[0].kind == CLASSIFICATION
    assert [image.split for image in read.images] == [TRAIN, VALIDATION]
    assert read.images[1].annotations == {"animals": ViewAnnotations((SourceAnnotation("dog"),))}


def test_two_labels_ask_for_tagging(tmp_path: Path) -> None:
    table(tmp_path, "file,label\na.png,cat\na.png,dog\n")
    assert "the kind tagging" in only_problem("csv", tmp_path).reason
    (image,) = take("csv", tmp_path, TAGS).images
    assert image.annotations == {
        "animals": ViewAnnotations((SourceAnnotation("cat"), SourceAnnotation("dog")))
    }


def test_without_a_label_nothing_is_said_unless_without_concept(tmp_path: Path) -> None:
    table(tmp_path, "file,label,without_concept\na.png,,\nb.png,,TRUE\n")
    read = take("csv", tmp_path, TAGS)
    assert [image.annotations for image in read.images] == [
        {},
        {"animals": ViewAnnotations((), True)},
    ]


def test_other_columns_are_metadata(tmp_path: Path) -> None:
    table(tmp_path, 'file,label,meta:Place,meta:\na.png,cat,"Lyon,\r\n69",\nb.png,dog,,x\n')
    read = take("csv", tmp_path)
    assert [image.metadata for image in read.images] == [{"Place": "Lyon,\r\n69"}, {"": "x"}]
    assert [image.where[-2:] for image in read.images] == [":2", ":4"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_marks_and_ends_of_lines_are_passed_over(tmp_path: Path, end: str, mark: str) -> None:
    lines = [mark + '"File" , LABEL', "a.png, cat ", "", "b.png,dog"]
    read = take("csv", table(tmp_path, end.join(lines).replace('"File" ', "File")))
    assert [image.annotations["animals"].annotations[0].label for image in read.images] == [
        "cat",
        "dog",
    ]
    assert read.problems == []


SPLIT = "file,label,split\n"
SHARES = "file,label,x,y,box_width,box_height\n"
PIXELS = "file,label,width,height,xmin,ymin,xmax,ymax\n"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (SPLIT + "a.png,cat\n", 2, "2 cells and the header 3"),
        (SPLIT + "a.png,cat,,\n", 2, "4 cells and the header 3"),
        (SPLIT + "a.png,c\0at,\n", 2, "NUL"),
        (SPLIT + f"a.png,{'c' * 131_073},\n", 2, "field larger than field limit"),
        (SPLIT + f"a.png,{'c' * 201},\n", 2, "201 characters"),
        (SPLIT + 'a.png,"cat"s,\n', 2, "correct its quotes"),
        (SPLIT + 'a.png,cat,\nb.png,"dog,\n', 3, "correct its quotes"),
        (SPLIT + 'a.png,"c\nat",\n', 2, "control characters"),
        (SPLIT + "z.png,cat,\n", 2, "no file 'z.png'"),
        (SPLIT + "a.png,cat,\nb.png,dog,\na.png,cat,\n", 4, "appears again"),
        (SPLIT + "a.png,cat,\nb.png,dog,\n./a.png,cat,\n", 4, "appears again"),
        (SPLIT + "a.png,cat,train\na.png,dog,val\n", 3, "differ"),
        ("file,label,without_concept\na.png,,maybe\n", 2, "true or false"),
        ("file,label,without_concept\na.png,,true\n", 2, "every image must have a concept"),
        ("file,label,without_concept\na.png,cat,true\n", 2, "choose one"),
        (SHARES + "a.png,cat,0,0,1.1,1\n", 2, "beyond"),
        (SHARES + "a.png,cat,0,0,0,1\n", 2, "no area"),
        (SHARES + "a.png,cat,0,0,nan,1\n", 2, "finite"),
        (SHARES + "a.png,cat,0,0,,1\n", 2, "box_width is ''"),
        (SHARES + 'a.png,cat,0,0,"0,5",1\n', 2, "box_width is '0,5'"),
        (SHARES + "a.png,,0,0,1,1\n", 2, "the box has no label"),
        (PIXELS + "a.png,cat,200,100,0,0,201,100\n", 2, "beyond"),
        (PIXELS + "a.png,cat,200,,0,0,200,100\n", 2, "height is ''"),
        (PIXELS + "a.png,cat,0,100,0,0,200,100\n", 2, "width is '0'"),
    ],
)
def test_a_flawed_row_is_told_with_its_line(
    tmp_path: Path, text: str, line: int, reason: str
) -> None:
    problem = only_problem("csv", table(tmp_path, text))
    assert problem.where == f"annotations.csv:{line}"
    assert reason in problem.reason


def test_reading_goes_on_after_a_flawed_row(tmp_path: Path) -> None:
    table(tmp_path, SPLIT + "a.png,cat,\nbad\nb.png,dog,\n")
    read = take("csv", tmp_path)
    assert [image.path for image in read.images] == ["b.png"]
    assert len(read.problems) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "'file' is missing"),
        ("file;art\n", "'label' is missing; found 'file', 'art'"),
        (
            "file,lable\n",
            "'label' is missing; found 'file', 'lable'; 'lable' is similar to 'label'",
        ),
        ("a.png,cat\n", "this seems to be a row, so put a header above"),
        ("file,filename,label\n", "'file' and 'filename' both name the file; remove one"),
        ("file,label,LABEL\n", "column 'label' is used twice"),
        ("label\n", "'file' is missing"),
        ("file\n", "'label' is missing"),
        ("file,label,xmin,ymin,xmax\n", "all of xmin, ymin, xmax, ymax"),
        ("file,label,x,y,box_width,box_height,xmin,ymin,xmax,ymax\n", "all of"),
        ("file,label,width\n", "width and height must be used together"),
        ('"file,label\n', "unexpected end of data"),
        (b"file,lab\xffel\n", "annotations.csv:1: this is not UTF-8"),
        (b"file,label\na.png,\xe9t\xe9\n", "annotations.csv:2: this is not UTF-8"),
        ("file,label\na.png,cat\n".encode("utf-16"), "annotations.csv:1: this is not UTF-8"),
        ("file,label\n" + "a" * 10_000_000, "annotations.csv:2: the line is too long"),
    ],
)
def test_what_is_no_table_of_ours_is_refused(
    tmp_path: Path, text: str | bytes, reason: str
) -> None:
    with pytest.raises(Invalid) as refusal:
        take("csv", table(tmp_path, text))
    assert reason in refusal.value.detail


@pytest.mark.parametrize(("header", "kind"), [(SPLIT, DETECTION), (SHARES, TAGGING)])
def test_a_kind_that_the_columns_cannot_hold_is_refused(
    tmp_path: Path, header: str, kind: str
) -> None:
    with pytest.raises(Invalid, match="kind"):
        take("csv", table(tmp_path, header), ReadOptions("animals", kind))


def test_boxes_are_clipped_on_demand(tmp_path: Path) -> None:
    table(tmp_path, SHARES + "a.png,cat,-0.5,0,1,2\n")
    (image,) = take("csv", tmp_path, msgspec.structs.replace(OPTIONS, clip=True)).images
    assert image.annotations["animals"].annotations[0].box == Box(0, 0, 0.5, 1)


def test_several_tables_are_refused(tmp_path: Path) -> None:
    lay(tmp_path, {"a.csv": SPLIT, "b.csv": SPLIT})
    with pytest.raises(Invalid, match="there are 2"):
        take("csv", tmp_path)
