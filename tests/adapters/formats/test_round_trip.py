"""What a writer writes, its reader reads: the same images, answers and boxes, to the last bit.

Each format is given what it can hold. COCO and Pascal VOC list only images with an answer, and
none but Studio has several views. YOLO and Studio have no sizes. Metadata is CSV's and Studio's;
in a table an empty value is no value.
"""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.formats import voc
from adapters.formats.coco import WITHOUT_ANNOTATIONS
from adapters.formats.items import DeclaredView, ReadOptions, SourceImage, ViewAnnotations
from adapters.formats.registry import FORMATS, detect
from adapters.formats.remainder import REPEATED
from adapters.formats.voc_origin import FROM_1
from domain.dataset.image import TRAIN, VALIDATION
from domain.errors import Invalid
from domain.library.view import CLASSIFICATION, DETECTION, KINDS
from tests.adapters.formats.making import Taken, export, folder, take
from tests.adapters.formats.sampling import exports

WITHOUT_BOXES = WITHOUT_ANNOTATIONS.format("without concept")
WITHOUT_OBJECTS = voc.WITHOUT_OBJECTS.format("without concept")
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
Sample = tuple[list[DeclaredView], list[SourceImage]]


def returned(form: str, views: Sequence[DeclaredView], images: Sequence[SourceImage]) -> Taken:
    """What is read of an export in the format, with no problem and in the order of paths."""
    with folder() as root:
        export(form, root, views, images)
        options = ReadOptions(views[0].name, None if form != "csv" else views[0].kind)
        read = take(form, root, options)
        assert not images or detect(root) == form
    assert (read.problems, read.left_out) == ([], [])
    assert {note.text for note in read.notes} <= {FROM_1, REPEATED, WITHOUT_BOXES, WITHOUT_OBJECTS}
    return msgspec.structs.replace(read, images=plain(read.images))


def plain(images: Sequence[SourceImage], sized: bool = True) -> list[SourceImage]:
    """The images in the order of paths, as only their annotations tell them apart."""
    return sorted(
        (
            msgspec.structs.replace(image, where="", size=image.size if sized else None)
            for image in images
        ),
        key=lambda image: image.path,
    )


def with_whole_lists(sample: Sample) -> Sample:
    """A sample in which each image has a split, or none has: an image that no list names is left
    out, and a project's images all have one."""
    views, images = sample
    if any(image.split for image in images):
        images = [msgspec.structs.replace(i, split=i.split or TRAIN) for i in images]
    return views, images


@QUICK
@given(exports(answered=True))
def test_coco(sample: Sample) -> None:
    views, images = sample
    read = returned("coco", views, images)
    assert (list(read.views), read.images) == (views, plain(images))


@QUICK
@given(exports(answered=True).filter(lambda sample: bool(sample[1])).map(with_whole_lists))
def test_voc(sample: Sample) -> None:
    views, images = sample
    assert returned("voc", views, images).images == plain(images)


@pytest.mark.parametrize("name", ['".jpg', '0".jpg', '"0".jpg', '""0.jpg', "0 1.jpg"])
def test_names_that_look_quoted_stay_in_their_split(name: str) -> None:
    view = DeclaredView("a", DETECTION, ())
    boxless = {"a": ViewAnnotations((), True)}
    images = [
        SourceImage(name, "", TRAIN, {}, boxless, (1, 1)),
        SourceImage("other.jpg", "", VALIDATION, {}, boxless, (1, 1)),
    ]
    assert returned("voc", [view], images).images == plain(images)


@QUICK
@given(exports().map(with_whole_lists))
def test_yolo(sample: Sample) -> None:
    views, images = sample
    read = returned("yolo", views, images)
    assert (list(read.views), read.images) == (views, plain(images, sized=False))


@QUICK
@given(exports(KINDS, metadata=True))
def test_csv(sample: Sample) -> None:
    views, images = sample
    assert returned("csv", views, images).images == plain(images)


@QUICK
@given(exports(KINDS, count=3, metadata=True))
def test_studio(sample: Sample) -> None:
    views, images = sample
    read = returned("studio", views, images)
    assert (list(read.views), read.images) == (views, plain(images, sized=False))


@pytest.mark.parametrize("form", ["csv", "studio"])
@QUICK
@given(data=st.data())
def test_tables_and_lines_keep_the_order(form: str, data: st.DataObject) -> None:
    views, images = data.draw(exports())
    with folder() as root:
        read = take(form, export(form, root, views, images), ReadOptions(views[0].name))
    assert [image.path for image in read.images] == [image.path for image in images]


@pytest.mark.parametrize("form", ["coco", "voc", "yolo", "csv"])
def test_one_view_fits(form: str) -> None:
    write = FORMATS[form].write
    assert write is not None
    view = DeclaredView("a", DETECTION, ())
    with pytest.raises(Invalid, match="one view"):
        list(write([view, view], lambda: iter([])))


@pytest.mark.parametrize("form", ["coco", "voc", "yolo"])
def test_boxes_need_a_detection_view(form: str) -> None:
    write = FORMATS[form].write
    assert write is not None
    with pytest.raises(Invalid, match="csv or studio"):
        list(write([DeclaredView("a", CLASSIFICATION, ())], lambda: iter([])))
