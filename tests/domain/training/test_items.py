"""Items of child views, and their manifests against a reference that follows each item by hand."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.dataset import image as images
from domain.dataset.image import (
    Annotation,
    Box,
    Image,
    ImageAdded,
    ImageAnnotated,
    ImageReviewed,
    ImageSplitAssigned,
)
from domain.dataset.items import Parent, image_id_of, items_of
from domain.event import Event
from domain.library.view import CLASSIFICATION, DETECTION, TAGGING
from domain.training import manifest
from domain.training.manifest import PlacedImage
from domain.training.messages import ManifestLine

BOXES = [Box(0.1 * n, 0.1, 0.2, 0.3) for n in range(4)]
CONCEPTS = "ab"
ADDED = ImageAdded("p", "sha", 8, 8, "1.png", {})

# The views above, the nearest first, and the kinds of their child.
CHAINS: list[tuple[tuple[Parent, ...], tuple[str, ...]]] = [
    ((), (CLASSIFICATION, TAGGING, DETECTION)),
    ((Parent("c", CLASSIFICATION, (("a",),)),), (CLASSIFICATION, TAGGING, DETECTION)),
    ((Parent("t", TAGGING, (("a", "b"), ("c",))),), (CLASSIFICATION, TAGGING, DETECTION)),
    ((Parent("d", DETECTION, (("a",), ("c",))),), (CLASSIFICATION, TAGGING)),
    (
        (Parent("d", DETECTION, (("b",),)), Parent("c", CLASSIFICATION, (("a",), ("b",)))),
        (CLASSIFICATION, TAGGING),
    ),
    (
        (Parent("x", CLASSIFICATION, (("a",),)), Parent("d", DETECTION, (("a",), ("b",)))),
        (CLASSIFICATION, TAGGING),
    ),
]
BOXED = {"d", "x", "v-crops"}


def annotations(boxed: bool, single: bool) -> st.SearchStrategy[tuple[Annotation, ...]]:
    boxes = st.sampled_from(BOXES) if boxed else st.none()
    each = st.builds(Annotation, st.sampled_from("abc"), boxes)
    own = (lambda a: a.box) if single and boxed else (lambda a: (a.concept_id, a.box))
    return st.lists(each, max_size=1 if single and not boxed else 4, unique_by=own).map(tuple)


def event(view: str, boxed: bool, single: bool) -> st.SearchStrategy[Event]:
    said = st.builds(ImageAnnotated, st.just(view), annotations(boxed, single), st.booleans())
    return st.one_of(said, said, st.sampled_from([ImageSplitAssigned("validation")]))


@st.composite
def histories(draw: Any) -> tuple[tuple[Parent, ...], str, list[Event]]:
    parents, kinds = draw(st.sampled_from(CHAINS))
    kind = draw(st.sampled_from(kinds))
    crops = any(parent.kind == DETECTION for parent in parents)
    of_views = [
        event(parent.view_id, parent.view_id in BOXED, parent.kind == CLASSIFICATION)
        for parent in parents
    ]
    own = event("v", crops or kind == DETECTION, kind == CLASSIFICATION)
    return parents, kind, draw(st.lists(st.one_of(own, *of_views), max_size=12))


def folded(events: Sequence[Event]) -> Image:
    state: Image | None = None
    for each in (ADDED, *events):
        state = images.evolve(state, each)
    assert state is not None
    return state


def last(events: Sequence[Event], view: str) -> tuple[int, ImageAnnotated] | None:
    for place in reversed(range(len(events))):
        each = events[place]
        if isinstance(each, ImageAnnotated) and each.view_id == view:
            return place, each
    return None


def reference(
    parents: tuple[Parent, ...], kind: str, events: Sequence[Event]
) -> list[tuple[str, tuple[str, ...], Box | None]]:
    """Key, concepts and box of each item, by asking of each box whether it passes every view."""
    split = "validation" if any(isinstance(e, ImageSplitAssigned) for e in events) else "train"
    said = last(events, "v")
    if said is None:
        return []
    detection = next((p.view_id for p in parents if p.kind == DETECTION), None)
    candidates: list[tuple[str, Box | None, str | None]] = [("1", None, None)]
    if detection is not None:
        boxes = last(events, detection)
        candidates = [
            (f"1:{n}", a.box, a.concept_id)
            for n, a in enumerate(boxes[1].annotations if boxes else ())
        ]
    lines = []
    taken: set[Box] = set()
    for key, box, concept in candidates:
        passes = True
        for parent in parents:
            at = last(events, parent.view_id)
            if at is None:
                passes = False
                break
            above = any(p.kind == DETECTION for p in parents[parents.index(parent) + 1 :])
            if parent.view_id == detection:
                has = {concept}
            else:
                has = {a.concept_id for a in at[1].annotations if not above or a.box == box}
            passes &= any(set(group) <= has for group in parent.conditions)
        if not passes or (box is not None and box in taken):
            continue
        if box is not None:
            taken.add(box)
        mine = [a for a in said[1].annotations if box is None or a.box == box]
        if not mine:
            fresh = True
            for parent in parents if box is not None else ():
                at = last(events, parent.view_id)
                fresh &= at is not None and at[0] < said[0]
                if parent.view_id == detection:
                    break
            if not (said[1].without_concept and fresh):
                continue
        kept = tuple(a.concept_id for a in mine if a.concept_id in CONCEPTS)
        if kind == CLASSIFICATION and len(kept) != 1:
            continue
        if kind == DETECTION and not kept and split == "train":
            continue
        lines.append((key, kept, box))
    return lines


def lines_of(parents: tuple[Parent, ...], kind: str, state: Image) -> list[ManifestLine]:
    return list(
        manifest.manifest(
            [PlacedImage("1", state, state.revision)],
            "v",
            kind,
            frozenset(CONCEPTS),
            negative_validation=True,
            reviewed_only=False,
            parents=parents,
        )
    )


@settings(max_examples=500)
@given(histories())
def test_a_manifest_is_what_the_reference_finds(
    history: tuple[tuple[Parent, ...], str, list[Event]],
) -> None:
    parents, kind, events = history
    found = [
        (line.image, line.concepts, None if line.crop is None else Box(*line.crop))
        for line in lines_of(parents, kind, folded(events))
    ]
    assert found == reference(parents, kind, events)
    assert {image_id_of(key) for key, _, _ in found} <= {"1"}


ON_BOXES = (Parent("d", DETECTION, (("a",),)),)


def said(view: str, *given: tuple[str, Box | None], nothing: bool = False) -> ImageAnnotated:
    return ImageAnnotated(view, tuple(Annotation(*each) for each in given), nothing)


def test_a_crop_has_the_number_of_its_box_and_its_place() -> None:
    state = folded(
        [said("d", ("b", BOXES[0]), ("a", BOXES[1])), said("v", ("b", BOXES[0]), ("a", BOXES[1]))]
    )
    crop = (0.1, 0.1, 0.2, 0.3)
    (line,) = lines_of(ON_BOXES, CLASSIFICATION, state)
    assert line == ManifestLine("1:1", "sha", "train", ("a",), crop=crop)
    assert manifest.canonical_line(line) == (
        b'{"blob":"sha","concepts":["a"],"crop":[0.1,0.1,0.2,0.3],"image":"1:1","split":"train"}\n'
    )


def test_a_box_that_moved_has_no_label() -> None:
    labelled = [said("d", ("a", BOXES[0])), said("v", ("a", BOXES[0]))]
    assert len(lines_of(ON_BOXES, CLASSIFICATION, folded(labelled))) == 1
    moved = [*labelled, said("d", ("a", BOXES[1]))]
    assert lines_of(ON_BOXES, CLASSIFICATION, folded(moved)) == []
    back = [*moved, said("d", ("a", BOXES[0]))]
    assert len(lines_of(ON_BOXES, CLASSIFICATION, folded(back))) == 1


def test_a_complete_image_says_nothing_of_later_boxes() -> None:
    boxes, complete = said("d", ("a", BOXES[0]), ("a", BOXES[1])), said("v", nothing=True)
    assert len(lines_of(ON_BOXES, TAGGING, folded([boxes, complete]))) == 2
    assert lines_of(ON_BOXES, TAGGING, folded([boxes, complete, boxes])) == []


def test_crops_of_an_image_that_is_not_reviewed_do_not_train() -> None:
    labelled = [said("d", ("a", BOXES[0])), said("v", ("a", BOXES[0]))]
    for more, count in (([], 0), ([ImageReviewed("v", 3)], 1)):
        state = folded([*labelled, *more])
        lines = manifest.manifest(
            [PlacedImage("1", state, state.revision)],
            "v",
            CLASSIFICATION,
            frozenset(CONCEPTS),
            negative_validation=True,
            reviewed_only=True,
            parents=ON_BOXES,
        )
        assert len(list(lines)) == count


def test_the_same_box_twice_is_one_crop() -> None:
    state = folded([said("d", ("a", BOXES[0]), ("b", BOXES[0]))])
    parents = (Parent("d", DETECTION, (("a",), ("b",))),)
    assert [item.number for item in items_of(state.annotations, parents)] == [0]


def test_where_crops_are_tells_validation_sets_apart() -> None:
    def validating(box: Box) -> str | None:
        crop = (box.x, box.y, box.width, box.height)
        line = ManifestLine("1:0", "sha", "validation", ("a",), crop=crop)
        return manifest.counts([line]).validation_set

    assert validating(BOXES[0]) == validating(BOXES[0]) != validating(BOXES[1])
