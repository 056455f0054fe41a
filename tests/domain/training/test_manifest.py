import hashlib
import json
import random
from collections.abc import Iterator

import pytest

from domain.dataset import image as images
from domain.dataset.image import (
    Annotation,
    Box,
    Image,
    ImageAdded,
    ImageAnnotated,
    ImageRemoved,
    ImageReviewed,
    ImageReviewWithdrawn,
    ImageSplitAssigned,
)
from domain.event import Event
from domain.library.view import CLASSIFICATION, DETECTION, TAGGING
from domain.training import manifest
from domain.training.manifest import ManifestCounts, PlacedImage
from domain.training.messages import ManifestLine

BOX = Box(0.1, 0.2, 0.3, 0.4)
SIDES = (0.1, 0.2, 0.3, 0.4)


def added(image: str, project: str = "p") -> tuple[str, Event]:
    return image, ImageAdded(project, f"sha-{image}", 8, 8, f"{image}.png", {})


def said(image: str, *concepts: str, view: str = "v", nothing: bool = False) -> tuple[str, Event]:
    annotations = tuple(Annotation(concept) for concept in concepts)
    return image, ImageAnnotated(view, annotations, nothing)


def folded(*history: tuple[str, Event], project: str = "p") -> list[PlacedImage]:
    """The project's images after the events, as the log's reader hands them over."""
    streams: dict[str, list[Event]] = {}
    for image, event in history:
        streams.setdefault(image, []).append(event)
    placed = []
    for image, events in sorted(streams.items()):
        state: Image | None = None
        for event in events:
            state = images.evolve(state, event)
        if state is not None and state.project_id == project and not state.removed:
            placed.append(PlacedImage(image, state, len(events)))
    return placed


def lines(
    *history: tuple[str, Event],
    kind: str = CLASSIFICATION,
    concepts: str = "ab",
    negatives: bool = True,
    reviewed: bool = False,
) -> list[ManifestLine]:
    return list(
        manifest.manifest(
            folded(*history),
            "v",
            kind,
            frozenset(concepts),
            negative_validation=negatives,
            reviewed_only=reviewed,
        )
    )


A = ManifestLine("1", "sha-1", "train", ("a",))
B = ManifestLine("2", "sha-2", "train", ("b",))
BOTH = (added("2"), said("2", "b"), added("1"), said("1", "a"))


def test_images_of_the_test_set_are_in_no_manifest() -> None:
    for kind in (CLASSIFICATION, TAGGING, DETECTION):
        assigned = ("1", ImageSplitAssigned("test"))
        assert lines(*BOTH, assigned, kind=kind) == lines(*BOTH[:2], kind=kind)


def test_a_manifest_is_sorted_by_image() -> None:
    assert lines(*BOTH) == [A, B]


def test_the_order_of_unrelated_events_does_not_matter() -> None:
    images = [
        [added(str(n)), said(str(n), "a"), (str(n), ImageSplitAssigned("validation"))]
        for n in range(9)
    ]
    in_order = [event for image in images for event in image]
    shuffled, left, choose = [], [list(image) for image in images], random.Random(1)
    while left := [image for image in left if image]:
        shuffled.append(choose.choice(left).pop(0))
    assert shuffled != in_order
    assert manifest.digest(lines(*shuffled)) == manifest.digest(lines(*in_order))


@pytest.mark.parametrize(
    "more",
    [
        (added("3"),),
        (added("3"), said("3", "a", view="w")),
        (added("3"), said("3")),
        (added("3"), said("3", "a", "b")),
        (added("3"), said("3", "c")),
        (added("3"), said("3", nothing=True)),
        (added("3"), said("3", "a"), said("3")),
        (added("3"), said("3", "a"), ("3", ImageRemoved())),
        (added("3"), said("3", "a"), ("3", ImageRemoved()), added("3")),
        (added("3", "q"), said("3", "a")),
        (said("3", "a"),),
    ],
)
def test_an_image_without_exactly_one_of_the_concepts_does_not_train(
    more: tuple[tuple[str, Event], ...],
) -> None:
    assert lines(*BOTH, *more) == [A, B]


def test_only_reviewed_images_train_if_that_is_asked_for() -> None:
    reviewed, again = ("2", ImageReviewed("v", 2)), said("2", "b")
    elsewhere = ("1", ImageReviewed("w", 2))
    assert lines(*BOTH, reviewed, elsewhere, reviewed=True) == [B]
    assert lines(*BOTH, reviewed, elsewhere) == [A, B]
    assert lines(*BOTH, reviewed, again, reviewed=True) == []
    withdrawn = ("2", ImageReviewWithdrawn("v"))
    assert lines(*BOTH, reviewed, withdrawn, reviewed=True) == []
    validates = ("1", ImageSplitAssigned("validation"))
    unreviewed = ManifestLine("1", "sha-1", "validation", ("a",))
    assert lines(*BOTH, reviewed, validates, reviewed=True) == [unreviewed, B]


def test_an_image_has_the_split_and_annotation_it_had_last() -> None:
    history = (*BOTH, ("1", ImageSplitAssigned("validation")), said("1", "b"))
    assert lines(*history) == [ManifestLine("1", "sha-1", "validation", ("b",)), B]


def boxed(image: str, *concepts: str, nothing: bool = False) -> tuple[str, Event]:
    annotations = tuple(Annotation(concept, BOX) for concept in concepts)
    return image, ImageAnnotated("v", annotations, nothing)


def test_a_tagging_trains_on_all_that_was_looked_at() -> None:
    history = (
        *(added(image) for image in "12345"),
        said("1", "a", "b"),
        said("2", "b", "c"),
        said("3", "c"),
        said("4", nothing=True),
    )
    assert [(line.image, line.concepts) for line in lines(*history, kind=TAGGING)] == [
        ("1", ("a", "b")),
        ("2", ("b",)),
        ("3", ()),
        ("4", ()),
    ]


def test_a_detection_trains_on_images_with_a_box() -> None:
    history = (
        *(added(image) for image in "1234"),
        boxed("1", "a", "b", "a"),
        boxed("2", "c"),
        boxed("3", nothing=True),
    )
    [line] = lines(*history, kind=DETECTION)
    assert line == ManifestLine("1", "sha-1", "train", ("a", "b", "a"), (SIDES, SIDES, SIDES))


def test_a_detection_validates_on_images_without_a_box() -> None:
    """False positives on them count; versions of earlier releases keep the images they had."""
    history = (
        *(added(image) for image in "12345"),
        *((image, ImageSplitAssigned("validation")) for image in "1234"),
        boxed("1", "a"),
        boxed("2", "c"),
        boxed("3", nothing=True),
        boxed("5", nothing=True),
    )
    assert [(line.image, line.concepts) for line in lines(*history, kind=DETECTION)] == [
        ("1", ("a",)),
        ("2", ()),
        ("3", ()),
    ]
    earlier = lines(*history, kind=DETECTION, negatives=False)
    assert [line.image for line in earlier] == ["1"]


def test_counts_are_by_split_and_by_training_concept() -> None:
    validates = ManifestLine("3", "sha-3", "validation", ("a",))
    held_out = hashlib.sha256(b"3\n").hexdigest()
    assert manifest.counts([B, validates, A]) == ManifestCounts(2, 1, {"a": 1, "b": 1}, held_out)
    nothing = hashlib.sha256().hexdigest()
    assert manifest.counts([]) == ManifestCounts(0, 0, {}, nothing)


def test_an_image_counts_once_for_a_concept() -> None:
    twice = ManifestLine("1", "sha-1", "train", ("a", "a"), (SIDES, SIDES))
    assert manifest.counts([twice]).per_concept == {"a": 1}


def test_a_possible_training_is_known_before_the_end() -> None:
    validates = ManifestLine("0", "sha-0", "validation", ("a",))

    def endless() -> Iterator[ManifestLine]:
        yield validates
        yield from (A, A, B)
        raise AssertionError("went on")

    assert manifest.counts_of_enough(endless(), "classification").per_concept == {"a": 2, "b": 1}
    assert manifest.counts_of_enough(endless(), "detection").per_concept == {"a": 1}
    assert manifest.counts_of_enough([A, A, B], "classification") == manifest.counts([A, A, B])
    assert manifest.counts_of_enough([validates, A], "classification") == manifest.counts(
        [validates, A]
    )


def test_validation_sets_are_told_apart() -> None:
    def validating(*images: str) -> str | None:
        held_out = [ManifestLine(image, "sha", "validation", ("a",)) for image in images]
        return manifest.counts([A, *held_out]).validation_set

    assert validating("3", "4") == validating("3", "4")
    assert len({validating("3", "4"), validating("3"), validating("34"), validating()}) == 4


def test_the_lines_are_canonical_json() -> None:
    data = manifest.canonical_line(A) + manifest.canonical_line(
        ManifestLine("ä", "sha", "train", ("b",), (SIDES,))
    )
    assert data == (
        b'{"blob":"sha-1","concepts":["a"],"image":"1","split":"train"}\n'
        b'{"blob":"sha","boxes":[[0.1,0.2,0.3,0.4]],"concepts":["b"],"image":"\xc3\xa4",'
        b'"split":"train"}\n'
    )
    for line in data.splitlines():
        canonical = json.dumps(
            json.loads(line), sort_keys=True, separators=(",", ":"), ensure_ascii=False
        )
        assert canonical.encode() == line


def test_the_digest_is_that_of_the_lines() -> None:
    data = manifest.canonical_line(A) + manifest.canonical_line(B)
    assert manifest.digest([A, B]) == hashlib.sha256(data).hexdigest()
    assert manifest.digest([A]) != manifest.digest([A, B])
