"""Decisions about suspects: what they name, how long they hold, and what is refused."""

import pytest

from domain.dataset import image as images
from domain.dataset.annotation import Annotation, Box, DoubtedLabel
from domain.dataset.image import (
    AnnotateImage,
    Image,
    ImageAdded,
    ImageAnnotated,
    ImageRemoved,
    ImageSplitAssigned,
    SuspectCorrected,
    SuspectLeftUnsure,
    SuspectUpheld,
)
from domain.dataset.suspects import (
    ADD,
    MOVE,
    RELABEL,
    REMOVE,
    UNSURE,
    UPHELD,
    CorrectSuspect,
    DecideSuspect,
    Suggestion,
    TakeSuggestion,
    correct_suspect,
    decide_suspect,
    take_suggestion,
)
from domain.errors import Conflict, Invalid, NotFound
from domain.event import Event
from domain.library.view import CLASSIFICATION, DETECTION, KINDS, TAGGING, View
from tests.domain.story import Story

VIEWS = {kind: View("p", "pets", kind, {"c1": "cat", "c2": "dog"}) for kind in KINDS}
ADDED = ImageAdded("p", "sha", 8, 6, "a.png", {})
CAT, DOG = Annotation("c1"), Annotation("c2")
IS_CAT, IS_DOG = DoubtedLabel("c1"), DoubtedLabel("c2")
BOX, FAR = Box(0.1, 0.2, 0.3, 0.4), Box(0.6, 0.6, 0.3, 0.3)


def decide(command: object, image: Image | None) -> list[Event]:
    match command:
        case DecideSuspect():
            return decide_suspect(command, image, VIEWS[command.view_id])
        case TakeSuggestion():
            return take_suggestion(command, image, VIEWS[command.view_id])
        case CorrectSuspect():
            return correct_suspect(command, image, VIEWS[command.annotate.view_id])
    raise AssertionError(command)


given = Story(images.evolve, decide).given


def annotated(view_id: str, *annotations: Annotation, nothing: bool = False) -> ImageAnnotated:
    return ImageAnnotated(view_id, annotations, nothing)


IS_A_CAT = annotated(CLASSIFICATION, CAT)
UPHOLD = DecideSuspect(CLASSIFICATION, "x", IS_CAT, UPHELD)
LEAVE = DecideSuspect(CLASSIFICATION, "x", IS_CAT, UNSURE)
WAS_UPHELD = SuspectUpheld(CLASSIFICATION, "x", IS_CAT)
WAS_LEFT = SuspectLeftUnsure(CLASSIFICATION, "x", IS_CAT)


def test_a_decision_holds_until_the_label_changes() -> None:
    split = ImageSplitAssigned("validation")
    given(ADDED, IS_A_CAT).when(UPHOLD).then(WAS_UPHELD)
    given(ADDED, IS_A_CAT, WAS_UPHELD, split).when(UPHOLD).then()
    given(ADDED, IS_A_CAT, WAS_UPHELD).when(LEAVE).then(WAS_LEFT)
    given(ADDED, IS_A_CAT, WAS_UPHELD, WAS_LEFT).when(UPHOLD).then(WAS_UPHELD)
    is_a_dog = annotated(CLASSIFICATION, DOG)
    given(ADDED, IS_A_CAT, WAS_UPHELD, is_a_dog).when(UPHOLD).then(Conflict, field="item")
    given(ADDED, IS_A_CAT, WAS_UPHELD, is_a_dog, IS_A_CAT).when(UPHOLD).then(WAS_UPHELD)
    given(ADDED, IS_A_CAT, WAS_UPHELD, annotated(TAGGING, DOG)).when(UPHOLD).then()


def test_other_labels_of_the_image_may_change() -> None:
    both, cat = annotated(TAGGING, CAT, DOG), annotated(TAGGING, CAT)
    has, lacks = IS_CAT, DoubtedLabel("c2", present=False)
    upheld = SuspectUpheld(TAGGING, "x", has)
    given(ADDED, both, upheld, cat).when(DecideSuspect(TAGGING, "y", has, UPHELD)).then()
    without = SuspectUpheld(TAGGING, "x", lacks)
    again = DecideSuspect(TAGGING, "y", lacks, UPHELD)
    given(ADDED, cat, without).when(again).then()
    given(ADDED, cat, without, both, cat).when(again).then(SuspectUpheld(TAGGING, "y", lacks))
    none = annotated(TAGGING)
    given(ADDED, cat, without, none).when(again).then(Conflict, field="item")
    given(ADDED, cat, without, none, cat).when(again).then(SuspectUpheld(TAGGING, "y", lacks))


def test_boxes_are_recognised_and_recorded_exactly() -> None:
    two = annotated(DETECTION, Annotation("c1", BOX), Annotation("c1", FAR))
    rounded = Box(0.10000001, 0.2, 0.30000001, 0.4)
    uphold = DecideSuspect(DETECTION, "x", DoubtedLabel("c1", True, rounded), UPHELD)
    upheld = SuspectUpheld(DETECTION, "x", DoubtedLabel("c1", True, BOX))
    given(ADDED, two).when(uphold).then(upheld)
    one = annotated(DETECTION, Annotation("c1", BOX))
    given(ADDED, two, upheld, one).when(uphold).then()
    far = annotated(DETECTION, Annotation("c1", FAR))
    given(ADDED, two, upheld, far).when(uphold).then(Conflict, field="item")
    near = DoubtedLabel("c1", False, Box(0.6, 0.6, 0.3, 0.25))
    given(ADDED, one).when(DecideSuspect(DETECTION, "x", near, UNSURE)).then(
        SuspectLeftUnsure(DETECTION, "x", near)
    )
    given(ADDED, two).when(DecideSuspect(DETECTION, "x", near, UNSURE)).then(Conflict, field="item")


def test_a_correction_is_recorded_with_its_annotation() -> None:
    corrected = SuspectCorrected(CLASSIFICATION, "x", IS_CAT)
    dog = AnnotateImage(CLASSIFICATION, (DOG,))
    correct = CorrectSuspect("x", IS_CAT, dog)
    given(ADDED, IS_A_CAT).when(correct).then(annotated(CLASSIFICATION, DOG), corrected)
    same = CorrectSuspect("x", IS_CAT, AnnotateImage(CLASSIFICATION, (CAT,)))
    given(ADDED, IS_A_CAT).when(same).then(Invalid, field="annotations")
    given(ADDED, annotated(CLASSIFICATION, DOG)).when(correct).then(Conflict, field="item")
    # An annotator saves what it has, whether that replaces the label or not.
    lenient = CorrectSuspect("x", IS_CAT, dog, must_replace=False)
    given(ADDED, IS_A_CAT).when(lenient).then(annotated(CLASSIFICATION, DOG), corrected)
    given(ADDED, annotated(CLASSIFICATION, DOG)).when(lenient).then()
    kept = CorrectSuspect("x", IS_CAT, AnnotateImage(TAGGING, (CAT, DOG)), must_replace=False)
    given(ADDED, annotated(TAGGING, CAT)).when(kept).then(annotated(TAGGING, CAT, DOG))


@pytest.mark.parametrize(
    ("view_id", "before", "label", "suggestion", "after"),
    [
        (CLASSIFICATION, (CAT,), IS_CAT, Suggestion(RELABEL, "c2"), (DOG,)),
        (TAGGING, (CAT, DOG), IS_CAT, Suggestion(REMOVE, "c1"), (DOG,)),
        (TAGGING, (DOG,), IS_DOG, Suggestion(REMOVE, "c2"), ()),
        (TAGGING, (CAT,), DoubtedLabel("c2", False), Suggestion(ADD, "c2"), (CAT, DOG)),
        (
            DETECTION,
            (Annotation("c1", BOX), Annotation("c1", FAR)),
            DoubtedLabel("c1", True, BOX),
            Suggestion(RELABEL, "c2", BOX),
            (Annotation("c1", FAR), Annotation("c2", BOX)),
        ),
        (
            DETECTION,
            (Annotation("c1", BOX),),
            DoubtedLabel("c1", True, BOX),
            Suggestion(MOVE, "c1", FAR),
            (Annotation("c1", FAR),),
        ),
        (
            DETECTION,
            (),
            DoubtedLabel("c1", False, FAR),
            Suggestion(ADD, "c1", FAR),
            (Annotation("c1", FAR),),
        ),
    ],
)
def test_a_suggestion_changes_one_label(
    view_id: str,
    before: tuple[Annotation, ...],
    label: DoubtedLabel,
    suggestion: Suggestion,
    after: tuple[Annotation, ...],
) -> None:
    had = ImageAnnotated(view_id, before, not before)
    has = ImageAnnotated(view_id, after, not after)
    given(ADDED, had).when(TakeSuggestion(view_id, "x", label, suggestion)).then(
        has, SuspectCorrected(view_id, "x", label)
    )


def test_what_is_refused() -> None:
    given().when(UPHOLD).then(NotFound, field="image_id")
    given(ADDED, IS_A_CAT, ImageRemoved()).when(UPHOLD).then(NotFound, field="image_id")
    given(ADDED).when(UPHOLD).then(Conflict, field="item")
    image = images.evolve(images.evolve(None, ADDED), IS_A_CAT)
    with pytest.raises(Invalid):
        decide_suspect(UPHOLD, image, View("q", "other", CLASSIFICATION, {"c1": "cat"}))
