"""Pascal VOC: other tools' files are read exactly, and flaws are told with their line."""

from pathlib import Path

import msgspec
import pytest
import supervision as sv

from adapters.formats.items import DeclaredView, SourceAnnotation, SourceImage, ViewAnnotations
from domain.dataset.image import TRAIN, VALIDATION, Box
from domain.errors import Invalid
from domain.library.view import DETECTION
from tests.adapters.formats.independent import EXPECTED, data_set, said_of
from tests.adapters.formats.making import OPTIONS, export, lay, only_problem, take

BOX = "<xmin>11</xmin><ymin>21</ymin><xmax>110</xmax><ymax>70</ymax>"
OBJECT = f"<object><name>cat</name><bndbox>{BOX}</bndbox></object>"
SIZE = "<size><width>200</width><height>100</height></size>"
SAID = ViewAnnotations((SourceAnnotation("cat", Box(0.05, 0.2, 0.5, 0.5)),))


def voc(objects: str = OBJECT, name: str = "a.png", size: str = SIZE, head: str = "") -> str:
    return f"{head}<annotation>\n<filename>{name}</filename>{size}\n{objects}\n</annotation>"


def test_supervisions_export_is_read_exactly(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    data = data_set(tmp_path / "images")
    data.as_pascal_voc(annotations_directory_path=str(tmp_path / "Annotations"))
    read = take("voc", tmp_path)
    assert said_of(read.images) == EXPECTED
    assert {image.size for image in read.images} == {(400, 200)}


def test_supervision_reads_an_export_exactly(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    data_set(tmp_path / "images")
    images = [
        SourceImage(f"images/{name}", "", None, {}, {"animals": said}, (400, 200))
        for name, said in EXPECTED.items()
    ]
    view = DeclaredView("animals", DETECTION, ("cat", "hot dog", "été"))
    written = {path: (tmp_path / path).read_bytes() for path in (i.path for i in images)}
    export("voc", tmp_path, [view], images)
    lay(tmp_path, written)
    back = sv.DetectionDataset.from_pascal_voc(
        str(tmp_path / "images"), str(tmp_path / "Annotations")
    )
    first = back.annotations[str(tmp_path / "images/a.png")]
    assert first.xyxy.tolist() == [[10, 20, 110, 70], [0, 0, 400, 200], [399, 199, 400, 200]]


@pytest.mark.parametrize(
    ("xml", "image", "head"),
    [
        ("Annotations/a.xml", "JPEGImages/a.png", "<folder>VOC2012</folder>"),
        ("Annotations/a.xml", "images/a.png", "<folder>C:\\data</folder>"),
        ("Annotations/b/a.xml", "images/b/a.png", ""),
        ("Annotations/a.xml", "a.png", ""),
        ("Annotations/a.xml", "elsewhere/a.png", "<folder>elsewhere</folder>"),
        ("some/a.xml", "some/a.png", ""),
        ("a.xml", "a.png", ""),
    ],
)
def test_the_image_is_found_in_the_usual_places(
    tmp_path: Path, xml: str, image: str, head: str
) -> None:
    lay(tmp_path, {xml: voc(head + OBJECT), image: ""})
    (found,) = take("voc", tmp_path).images
    assert (found.path, found.where, found.split) == (image, xml, None)
    assert found.annotations == {"animals": SAID}


def test_image_sets_give_the_splits(tmp_path: Path) -> None:
    files = {f"Annotations/{stem}.xml": voc(name=f"{stem}.png") for stem in "abc"}
    files |= {f"JPEGImages/{stem}.png": "" for stem in "abc"}
    sets = {"ImageSets/Main/train.txt": "a\r\n\n", "ImageSets/Main/val.txt": "b"}
    read = take("voc", lay(tmp_path, files | sets))
    assert [image.split for image in read.images] == [TRAIN, VALIDATION]
    assert [item.path for item in read.left_out] == ["JPEGImages/c.png"]


def test_a_folder_by_the_images_gives_the_split(tmp_path: Path) -> None:
    lay(tmp_path, {"valid/a.xml": voc(), "valid/a.png": ""})
    assert take("voc", tmp_path).images[0].split == VALIDATION


@pytest.mark.parametrize(
    ("path", "content", "where", "reason"),
    [
        ("test.txt", "a", "train.txt:1", "'a' is in both test and train"),
        ("train.txt", "a\nb", "train.txt:2", "Annotations/b.xml not found"),
        ("train.txt", "../a", "train.txt:1", "leads outside"),
        ("val.txt", "\na", "val.txt:2", "in both"),
    ],
)
def test_flaws_of_image_sets_name_the_line(
    tmp_path: Path, path: str, content: str, where: str, reason: str
) -> None:
    sets = {"ImageSets/Main/train.txt": "a", f"ImageSets/Main/{path}": content}
    lay(tmp_path, {"Annotations/a.xml": voc(), "JPEGImages/a.png": "", **sets})
    problem = only_problem("voc", tmp_path)
    assert problem.where == f"ImageSets/Main/{where}"
    assert reason in problem.reason


def test_no_object_means_without_concept(tmp_path: Path) -> None:
    lay(tmp_path, {"a.xml": voc(""), "a.png": ""})
    assert take("voc", tmp_path).images[0].annotations == {"animals": ViewAnnotations((), True)}


def test_parts_of_an_object_are_passed_over(tmp_path: Path) -> None:
    part = f"<part><name>head</name><bndbox>{BOX}</bndbox></part>"
    lay(tmp_path, {"a.xml": voc(OBJECT.replace("</object>", part + "</object>")), "a.png": ""})
    assert take("voc", tmp_path).images[0].annotations == {"animals": SAID}


@pytest.mark.parametrize(
    ("objects", "where", "reason"),
    [
        (OBJECT + "\n" + OBJECT.replace("110", "201"), "a.xml:4", "beyond"),
        (OBJECT.replace(">11<", ">-1<"), "a.xml:3", "beyond"),
        (OBJECT.replace(">11<", ">111<"), "a.xml:3", "no area"),
        (OBJECT.replace("11", "nan", 1), "a.xml:3", "finite"),
        (OBJECT.replace("11", "1e999", 1), "a.xml:3", "finite"),
        (OBJECT.replace("11", "eleven", 1), "a.xml:3", "xmin is 'eleven'"),
        (OBJECT.replace("<xmin>11</xmin>", ""), "a.xml:3", "one <xmin>, not 0"),
        (OBJECT.replace("cat", ""), "a.xml:3", "enter a label"),
        (OBJECT.replace("cat", "c" * 201), "a.xml:3", "201 characters"),
        (f"<object><name>cat</name><bndbox/><bndbox>{BOX}</bndbox></object>", "a.xml:3", "not 2"),
    ],
)
def test_a_flawed_object_is_told_with_its_line(
    tmp_path: Path, objects: str, where: str, reason: str
) -> None:
    problem = only_problem("voc", lay(tmp_path, {"a.xml": voc(objects), "a.png": ""}))
    assert problem.where == where
    assert reason in problem.reason


def test_boxes_are_clipped_on_demand(tmp_path: Path) -> None:
    lay(tmp_path, {"a.xml": voc(OBJECT.replace(">11<", ">-4<")), "a.png": ""})
    (image,) = take("voc", tmp_path, msgspec.structs.replace(OPTIONS, clip=True)).images
    assert image.annotations["animals"].annotations[0].box == Box(0, 0.2, 0.55, 0.5)


LAUGHS = '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (voc("&b;", head=LAUGHS), "DTD"),
        (voc("&b;", head='<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>'), "DTD"),
        (voc(head='<!DOCTYPE annotation SYSTEM "http://127.0.0.1/a.dtd">'), "DTD"),
        (voc("&nbsp;"), "line 3"),
        (voc()[:-5], "line 4"),
        ("", "no element"),
        ("<svg/>", "<annotation>"),
        (voc().encode().replace(b"cat", b"\xff"), "line 3"),
        (voc("<a>" * 50_000), "nests too deeply"),
        (voc(size=SIZE.replace("200", "0")), "width is '0'"),
        (voc(size=SIZE.replace("200", "9" * 5000)), "width is '999"),
        (voc(name="b.png"), "no file 'b.png'"),
    ],
)
def test_a_flawed_file_is_a_problem_and_reading_goes_on(
    tmp_path: Path, content: str | bytes, reason: str
) -> None:
    lay(tmp_path, {"a.xml": content, "a.png": "", "b.xml": voc(name="a.png")})
    read = take("voc", tmp_path)
    assert [(problem.where, reason in problem.reason) for problem in read.problems] == [
        ("a.xml", True)
    ], read.problems
    assert len(read.images) == 1


def test_images_of_one_name_are_refused(tmp_path: Path) -> None:
    given = {"animals": ViewAnnotations((), True)}
    images = [SourceImage(path, "", None, {}, given, (1, 1)) for path in ("a.png", "a.jpg")]
    with pytest.raises(Invalid, match=r"a\.jpg"):
        export("voc", tmp_path, [DeclaredView("animals", DETECTION, ())], images)


@pytest.mark.parametrize(
    ("xmin", "origin", "box", "note"),
    [
        ("11", None, Box(0.05, 0.2, 0.5, 0.5), "counted from 1"),
        ("11", 1, Box(0.05, 0.2, 0.5, 0.5), None),
        ("11", 0, Box(0.055, 0.21, 0.495, 0.49), None),
        ("0", None, Box(0, 0.21, 0.55, 0.49), "counted from 0"),
        ("0.4", None, Box(0.002, 0.21, 0.548, 0.49), "counted from 0"),
    ],
)
def test_the_origin_is_what_is_asked_for_or_what_the_boxes_show(
    tmp_path: Path, xmin: str, origin: int | None, box: Box, note: str | None
) -> None:
    lay(tmp_path, {"a.xml": voc(OBJECT.replace(">11<", f">{xmin}<")), "a.png": ""})
    read = take("voc", tmp_path, msgspec.structs.replace(OPTIONS, origin=origin))
    assert read.images[0].annotations["animals"].annotations[0].box == box
    assert [note in found.text for found in read.notes if note] == [True] * bool(note)
    assert len(read.notes) == bool(note)
