"""Studio's lines: views are told apart, and flaws are told with their line."""

import json
from pathlib import Path

import msgspec
import pytest

from adapters.formats.items import DeclaredView, SourceAnnotation, SourceImage, ViewAnnotations
from domain.dataset.image import TRAIN, VALIDATION, Box
from domain.errors import Invalid
from domain.library.view import CLASSIFICATION, DETECTION, TAGGING
from tests.adapters.formats.making import OPTIONS, export, lay, only_problem, take

Entry = dict[str, object]
VIEWS: list[Entry] = [
    {"name": "where", "type": "detection", "concepts": [{"name": "cat"}, {"name": "dog"}]},
    {"name": "what", "type": "tagging", "concepts": [{"name": "wet"}, {"name": "dark"}]},
    {"name": "kind", "type": "classification", "concepts": [{"name": "pet"}, {"name": "dog"}]},
]
HEADER: Entry = {"name": "animals", "splits": ["train", "val"], "views": VIEWS}
REGION = {"bbox": {"xmin": 0.05, "ymin": 0.2, "xmax": 0.55, "ymax": 0.7}}
BOXED: Entry = {"concepts": [{"name": "cat"}], "region": REGION}
BOX = Box(0.05, 0.2, 0.5, 0.5)


def line(*annotations: Entry, **more: object) -> str:
    return json.dumps({"data": [{"file": "a.png"}], "annotations": annotations} | more)


def said(name: str, value: bool | None = None, view: str | None = None) -> Entry:
    concept = {"name": name} | ({} if value is None else {"bool": value})
    return {"concepts": [concept]} | ({} if view is None else {"view": view})


def studio(root: Path, *lines: str, header: Entry | str = HEADER) -> Path:
    top = header if isinstance(header, str) else json.dumps(header)
    return lay(root, {"studio.jsonl": "\n".join([top, *lines]), "a.png": "", "b.png": ""})


def test_a_file_after_the_documentation_is_read(tmp_path: Path) -> None:
    full = line(BOXED, said("wet", True), said("dark", False), said("pet"), splits=["val"], id=7)
    other = json.dumps({"data": [{"file": "b.png"}], "id": "x", "splits": "train"})
    read = take("studio", studio(tmp_path, full, "", other))
    assert read.views == (
        DeclaredView("where", DETECTION, ("cat", "dog")),
        DeclaredView("what", TAGGING, ("wet", "dark")),
        DeclaredView("kind", CLASSIFICATION, ("pet", "dog")),
    )
    answers = {
        "where": ViewAnnotations((SourceAnnotation("cat", BOX),)),
        "what": ViewAnnotations((SourceAnnotation("wet"),)),
        "kind": ViewAnnotations((SourceAnnotation("pet"),)),
    }
    assert read.images == [
        SourceImage("a.png", "studio.jsonl:2", VALIDATION, {}, answers),
        SourceImage("b.png", "studio.jsonl:4", TRAIN),
    ]


def test_tags_that_all_do_not_hold_are_without_concept(tmp_path: Path) -> None:
    read = take("studio", studio(tmp_path, line(said("wet", False), said("dark", False))))
    assert read.images[0].annotations == {"what": ViewAnnotations((), True)}


def test_an_annotation_of_nothing_is_without_concept(tmp_path: Path) -> None:
    read = take("studio", studio(tmp_path, line({"concepts": [], "view": "where"})))
    assert read.images[0].annotations == {"where": ViewAnnotations((), True)}


def test_a_view_is_named_where_labels_are_shared(tmp_path: Path) -> None:
    assert 'add "view"' in only_problem("studio", studio(tmp_path, line(said("dog")))).reason
    read = take("studio", studio(tmp_path, line(said("dog", view="kind"))))
    assert read.images[0].annotations == {"kind": ViewAnnotations((SourceAnnotation("dog"),))}


def test_metadata_becomes_text(tmp_path: Path) -> None:
    metadata = '{"a": "x\\ny", "b": 1.50, "c": true, "d": null, "e": 12345678901234567890, "f": ""}'
    text = line()[:-1] + f', "metadata": {metadata}}}'
    read = take("studio", studio(tmp_path, text))
    expected = {"a": "x\ny", "b": "1.50", "c": "true", "e": "12345678901234567890", "f": ""}
    assert read.images[0].metadata == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (line(said("bird")), "0 views have ['bird']"),
        (line(said("bird", view="kind")), "no concept 'bird'"),
        (line(said("dog", view="other")), "no view 'other'"),
        (line({"concepts": []}), "3 views have []"),
        (line(BOXED, said("cat", view="where")), "annotation 2: in a detection view"),
        (line(BOXED | {"concepts": [{"name": "cat"}, {"name": "dog"}]}), "one concept"),
        (line(said("pet") | {"region": REGION}), "a region has no meaning"),
        (line(said("pet", False)), "only tagging has false"),
        (line(said("pet"), said("dog", view="kind")), "2 concepts"),
        (line(said("wet"), said("wet")), "listed twice"),
        (line(said("wet"), said("wet", False)), "as both present and absent"),
        (line(said("wet"), {"concepts": [], "view": "what"}), "choose one"),
        (line({"concepts": [], "view": "kind"}), "every image must have a concept"),
        (line(BOXED).replace("0.55", "1.55"), "beyond"),
        (line(BOXED).replace("0.55", "0.05"), "no area"),
        (line(BOXED).replace("0.55", "NaN"), "not the JSON"),
        (line(BOXED).replace("0.55", "1e999"), "not the JSON"),
        (line(splits=["train", "val"]), "2 splits"),
        (line(splits=3), "splits"),
        (line(metadata={"a": {}}), "metadata 'a' is nested"),
        (line(metadata={"a": [1]}), "metadata 'a' is nested"),
        (line(metadata={"a": "\0"}), "control characters"),
        (line(data=[]), "0 files"),
        (line(data=[{"file": "a.png"}] * 2), "2 files"),
        (line(data=[{"image": "a.png"}]), "file"),
        (line(data=[{"file": "z.png"}]), "no file 'z.png'"),
        (line()[:-1], "not the JSON"),
        ('{"data": ' + "[" * 50_000, "not the JSON"),
        ('{"x": ' + "[" * 50_000, "not the JSON"),
        ("[]", "not the JSON"),
    ],
)
def test_a_flawed_line_is_told_and_reading_goes_on(tmp_path: Path, text: str, reason: str) -> None:
    read = take("studio", studio(tmp_path, text, line(data=[{"file": "b.png"}])))
    assert [problem.where for problem in read.problems] == ["studio.jsonl:2"]
    assert reason in read.problems[0].reason
    assert [image.path for image in read.images] == ["b.png"]


def test_a_file_that_comes_again_is_a_problem(tmp_path: Path) -> None:
    problem = only_problem("studio", studio(tmp_path, line(), line()))
    assert (problem.where, "appears again" in problem.reason) == ("studio.jsonl:3", True)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("", "not a Studio header"),
        ("{}", "views"),
        ("[" * 100_000, "not a Studio header"),
        ({"views": [VIEWS[0] | {"conditions": [{"view": "what"}]}]}, "conditions"),
        ({"views": [VIEWS[0] | {"type": "segmentation"}]}, "'segmentation'"),
        ({"views": [VIEWS[0], VIEWS[0]]}, "twice"),
        ({"views": [VIEWS[0] | {"concepts": [{"name": "a"}, {"name": "a "}]}]}, "twice"),
        ({"views": [VIEWS[0] | {"concepts": [{"name": ""}]}]}, "enter a label"),
        ({"views": [VIEWS[0] | {"name": "a\nb"}]}, "control characters"),
    ],
)
def test_a_flawed_header_is_refused(tmp_path: Path, header: Entry | str, reason: str) -> None:
    with pytest.raises(Invalid) as refusal:
        take("studio", studio(tmp_path, line(), header=header))
    assert refusal.value.detail.startswith("studio.jsonl:1: ")
    assert reason in refusal.value.detail


@pytest.mark.parametrize("empty", [None, [], {}])
def test_empty_conditions_are_none(tmp_path: Path, empty: object) -> None:
    header: Entry = {"views": [VIEWS[0] | {"conditions": empty}]}
    assert len(take("studio", studio(tmp_path, line(), header=header)).images) == 1


def test_a_line_that_is_no_text_is_refused(tmp_path: Path) -> None:
    lay(tmp_path, {"a.txt": json.dumps(HEADER).encode() + b"\n\xff"})
    with pytest.raises(Invalid, match=r"a\.txt:2: this is not UTF-8"):
        take("studio", tmp_path)


def test_boxes_are_clipped_on_demand(tmp_path: Path) -> None:
    studio(tmp_path, line(BOXED).replace("0.55", "1.55"))
    (image,) = take("studio", tmp_path, msgspec.structs.replace(OPTIONS, clip=True)).images
    assert image.annotations["where"].annotations[0].box == Box(0.05, 0.2, 0.95, 0.5)


def test_an_export_says_what_does_not_hold(tmp_path: Path) -> None:
    view = DeclaredView("what", TAGGING, ("wet", "dark"))
    image = SourceImage("a.png", "", None, {}, {"what": ViewAnnotations((), True)})
    export("studio", tmp_path, [view], [image])
    written = (tmp_path / "annotations.jsonl").read_text().splitlines()
    concepts = [{"name": "wet", "bool": False}, {"name": "dark", "bool": False}]
    assert json.loads(written[1])["annotations"] == [{"concepts": concepts, "view": "what"}]
    assert json.loads(written[0])["views"][0]["type"] == "tagging"


LETTERS: Entry = {"name": "letter", "type": "classification", "concepts": [{"name": "x"}]}
MARKS: Entry = {"name": "mark", "type": "tagging", "concepts": [{"name": "torn"}, {"name": "old"}]}
TREE: Entry = {
    "views": [
        VIEWS[0]
        | {"children": [LETTERS | {"conditions": [[{"name": "dog"}], [{"name": "cat"}]]}, MARKS]}
    ]
}
ON_BOXES = ("where", (("dog",), ("cat",)), True)
DECLARED = (
    DeclaredView("where", DETECTION, ("cat", "dog")),
    DeclaredView("letter", CLASSIFICATION, ("x",), *ON_BOXES),
    DeclaredView("mark", TAGGING, ("torn", "old"), "where", (("cat",), ("dog",)), True),
)


def test_child_views_are_read_as_children_or_by_their_conditions(tmp_path: Path) -> None:
    read = take("studio", studio(tmp_path / "tree", line(), header=TREE))
    assert read.views == DECLARED
    letters = LETTERS | {"conditions": [[{"name": "dog"}], [{"name": "cat"}]]}
    flat: Entry = {"views": [VIEWS[0], letters, VIEWS[1] | {"conditions": [[{"name": "x"}]]}]}
    read = take("studio", studio(tmp_path / "flat", line(), header=flat))
    assert read.views[:2] == DECLARED[:2]
    assert read.views[2] == DeclaredView(
        "what", TAGGING, ("wet", "dark"), "letter", (("x",),), True
    )


@pytest.mark.parametrize(
    ("child", "reason"),
    [
        (LETTERS | {"conditions": [[{"name": "bird"}]]}, "'bird', which its parent lacks"),
        (LETTERS | {"name": "where"}, "twice"),
        (LETTERS | {"type": "x"}, "kind"),
    ],
)
def test_a_child_that_cannot_be_is_refused(tmp_path: Path, child: Entry, reason: str) -> None:
    header: Entry = {"views": [VIEWS[0] | {"children": [child]}]}
    with pytest.raises(Invalid, match=reason):
        take("studio", studio(tmp_path, line(), header=header))
    flat: Entry = {"views": [VIEWS[0], LETTERS | {"conditions": [[{"name": "bird"}]]}]}
    with pytest.raises(Invalid, match="which 0 views before it have"):
        take("studio", studio(tmp_path, line(), header=flat))


def test_a_crop_has_the_region_of_the_annotation_around_it(tmp_path: Path) -> None:
    inside = BOXED | {"children": [said("x"), said("torn")]}
    beside = said("torn", view="mark") | {"region": REGION}
    nothing: Entry = {"concepts": [{"name": "torn", "bool": False}], "view": "mark"}
    expected = {
        "where": ViewAnnotations((SourceAnnotation("cat", BOX),)),
        "letter": ViewAnnotations((SourceAnnotation("x", BOX),)),
        "mark": ViewAnnotations((SourceAnnotation("torn", BOX),)),
    }
    (read,) = take("studio", studio(tmp_path / "a", line(inside), header=TREE)).images
    assert read.annotations == expected
    assert list(read.annotations) == ["where", "letter", "mark"]
    (read,) = take("studio", studio(tmp_path / "b", line(beside, BOXED), header=TREE)).images
    assert read.annotations == {key: expected[key] for key in ("where", "mark")}
    assert list(read.annotations) == ["where", "mark"]
    both = line(BOXED, beside, nothing)
    (read,) = take("studio", studio(tmp_path / "c", both, header=TREE)).images
    assert read.annotations["mark"] == ViewAnnotations((SourceAnnotation("torn", BOX),), True)


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        (said("x", view="letter"), "has crops as its items; add the region"),
        (BOXED | {"children": [said("x"), said("x")]}, "listed twice"),
        (BOXED | {"children": [said("torn", False)]}, "bool is false for a crop"),
        (BOXED | {"children": [said("bird")]}, "views have"),
    ],
)
def test_a_flawed_crop_is_a_problem(tmp_path: Path, annotation: Entry, reason: str) -> None:
    problem = only_problem("studio", studio(tmp_path, line(annotation), header=TREE))
    assert reason in problem.reason


def test_child_views_come_back(tmp_path: Path) -> None:
    image = SourceImage(
        "a.png",
        "a",
        TRAIN,
        annotations={
            "where": ViewAnnotations((SourceAnnotation("cat", BOX), SourceAnnotation("dog", BOX))),
            "letter": ViewAnnotations((SourceAnnotation("x", BOX),)),
            "mark": ViewAnnotations((SourceAnnotation("torn", BOX),), True),
        },
    )
    lay(tmp_path, {"a.png": ""})
    export("studio", tmp_path, list(DECLARED), [image])
    read = take("studio", tmp_path)
    assert read.views == DECLARED
    assert [each.annotations for each in read.images] == [image.annotations]
