import uuid

import msgspec
import pytest

from domain.dataset import image as images
from domain.dataset.image import (
    AddImage,
    AnnotateImage,
    Annotation,
    AssignSplit,
    Box,
    EraseImage,
    Image,
    ImageAdded,
    ImageAnnotated,
    ImageAnnotatedBlindly,
    ImageErased,
    ImageRemoved,
    ImageReviewed,
    ImageReviewWithdrawn,
    ImageSplitAssigned,
    RemoveImage,
    ReviewImage,
    WithdrawReview,
)
from domain.errors import Conflict, Gone, Invalid, NotFound
from domain.event import Event
from domain.library.view import CLASSIFICATION, DETECTION, KINDS, TAGGING, View
from tests.domain.story import Story

VIEWS = {kind: View("p", "pets", kind, {"c1": "cat", "c2": "dog"}) for kind in KINDS} | {
    f"{kind} of crops": View(
        "p", "pets", kind, {"c1": "cat", "c2": "dog"}, parent_id=DETECTION, crops=True
    )
    for kind in (CLASSIFICATION, TAGGING)
}
ADD = AddImage("p", "sha", 8, 6, "a.png", {"camera": "left"})
ADDED = ImageAdded("p", "sha", 8, 6, "a.png", {"camera": "left"})
CAT, DOG = Annotation("c1"), Annotation("c2")
BOX = Box(0.1, 0.2, 0.3, 0.4)


def decide(command: object, image: Image | None) -> list[Event]:
    """The view that a command names is the one of that kind."""
    if isinstance(command, AnnotateImage):
        return images.annotate(command, image, VIEWS[command.view_id])
    if isinstance(command, ReviewImage | WithdrawReview):
        return images.review(command, image, VIEWS[command.view_id])
    return images.decide(command, image)  # type: ignore[arg-type]


given = Story(images.evolve, decide).given


def test_an_image_joins() -> None:
    given().when(ADD).then(ADDED)


def test_adding_the_same_image_again_is_no_event() -> None:
    given(ADDED).when(ADD).then()


def test_a_removed_image_comes_back_anew() -> None:
    given(ADDED, ImageSplitAssigned("validation"), ImageRemoved()).when(ADD).then(ADDED)
    assert given(ADDED, ImageSplitAssigned("validation"), ImageRemoved(), ADDED).state == Image(
        ADDED, revision=4
    )


def test_a_review_names_the_annotation_and_ends_with_it() -> None:
    annotated, other = (
        ImageAnnotated(TAGGING, (CAT,), False),
        ImageAnnotated(TAGGING, (DOG,), False),
    )
    elsewhere = ImageAnnotated(DETECTION, (), True)
    split = ImageSplitAssigned("validation")
    review, reviewed = ReviewImage(TAGGING), ImageReviewed(TAGGING, 2)
    given(ADDED, annotated, split, elsewhere).when(review).then(reviewed)
    given(ADDED, annotated, reviewed, split, elsewhere).when(review).then()
    given(ADDED, annotated, reviewed, other).when(review).then(ImageReviewed(TAGGING, 4))
    given(ADDED, annotated, reviewed, other, annotated).when(review).then(ImageReviewed(TAGGING, 5))
    given(ADDED, annotated, reviewed, ImageRemoved(), ADDED, annotated).when(review).then(
        ImageReviewed(TAGGING, 6)
    )


def test_only_what_is_annotated_is_reviewed() -> None:
    given().when(ReviewImage(TAGGING)).then(NotFound, field="image_id")
    cleared = ImageAnnotated(TAGGING, (CAT,), False), ImageAnnotated(TAGGING, (), False)
    for history in ((), cleared):
        given(ADDED, *history).when(ReviewImage(TAGGING)).then(Conflict, field="view_id")
    nothing = ImageAnnotated(TAGGING, (), True)
    given(ADDED, nothing).when(ReviewImage(TAGGING)).then(ImageReviewed(TAGGING, 2))


def test_a_review_is_withdrawn_once() -> None:
    annotated, reviewed = ImageAnnotated(TAGGING, (CAT,), False), ImageReviewed(TAGGING, 2)
    withdraw, withdrawn = WithdrawReview(TAGGING), ImageReviewWithdrawn(TAGGING)
    given(ADDED, annotated, reviewed).when(withdraw).then(withdrawn)
    given(ADDED, annotated, reviewed, withdrawn).when(withdraw).then()
    given(ADDED, annotated, reviewed, annotated).when(withdraw).then()
    given(ADDED, annotated, reviewed, withdrawn).when(ReviewImage(TAGGING)).then(reviewed)


def test_a_blind_annotation_stands_beside_the_one_in_force() -> None:
    annotated, other = ImageAnnotated(TAGGING, (CAT,), False), ImageAnnotated(TAGGING, (), True)
    split = ImageSplitAssigned("validation")
    command = AnnotateImage(TAGGING, (DOG, CAT))
    blind = ImageAnnotatedBlindly(TAGGING, (CAT, DOG), False, 2)

    def decide_blindly(command: AnnotateImage, image: Image | None) -> list[Event]:
        return images.annotate_blindly(command, image, VIEWS[command.view_id])

    beside = Story(images.evolve, decide_blindly).given
    beside(ADDED, annotated, split).when(command).then(blind)
    beside(ADDED, annotated, split, blind).when(command).then(blind)  # by another, maybe
    beside(ADDED, annotated, other).when(command).then(
        ImageAnnotatedBlindly(TAGGING, (CAT, DOG), False, 3)
    )
    beside(ADDED, annotated).when(AnnotateImage(TAGGING)).then(
        ImageAnnotatedBlindly(TAGGING, (), False, 2)
    )
    before = given(ADDED, annotated).state
    assert before is not None
    after = given(ADDED, annotated, blind).state
    assert after == msgspec.structs.replace(before, revision=3)
    reviewed = ImageReviewed(TAGGING, 2)
    state = given(ADDED, annotated, reviewed, blind).state
    assert state is not None
    assert state.is_reviewed(TAGGING)
    for history in ((), (annotated, ImageAnnotated(TAGGING, (), False))):
        beside(ADDED, *history).when(command).then(Conflict, field="view_id")
    beside(ADDED, annotated).when(AnnotateImage(TAGGING, (Annotation("unknown"),))).then(
        Invalid, field="concept_id"
    )


@pytest.mark.parametrize(
    ("add", "field"),
    [
        (AddImage("p", "sha", 8, 6, "a\0.png"), "file_name"),
        (AddImage("p", "sha", 8, 6, "\ud800.png"), "file_name"),
        (AddImage("p", "sha", 8, 6, "a.png", {"k\0": "v"}), "metadata"),
        (AddImage("p", "sha", 8, 6, "a.png", {"k": "v\0"}), "metadata"),
    ],
)
def test_text_that_no_database_stores_is_refused(add: AddImage, field: str) -> None:
    given().when(add).then(Invalid, field=field)


def test_the_id_follows_from_project_and_content() -> None:
    project, other = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))
    assert images.image_id(project, "sha") == images.image_id(project, "sha")
    assert images.image_id(project, "sha") != images.image_id(other, "sha")
    assert images.image_id(project, "sha") != images.image_id(project, "sha2")


@pytest.mark.parametrize(
    "command",
    [
        AnnotateImage(CLASSIFICATION, (CAT,)),
        AnnotateImage(CLASSIFICATION),
        AnnotateImage(TAGGING, (CAT, DOG)),
        AnnotateImage(TAGGING, without_concept=True),
        AnnotateImage(DETECTION, (Annotation("c1", Box(0, 0, 1, 1)), Annotation("c1", BOX))),
        AnnotateImage(DETECTION, without_concept=True),
    ],
)
def test_annotations_replace_those_of_their_view(command: AnnotateImage) -> None:
    before = ImageAnnotated(command.view_id, (Annotation("c9"),), False)
    given(ADDED, before).when(command).then(
        ImageAnnotated(command.view_id, command.annotations, command.without_concept)
    )


def test_views_are_annotated_side_by_side() -> None:
    first, second = ImageAnnotated("v1", (CAT,), False), ImageAnnotated("v2", (DOG,), False)
    state = given(ADDED, first, second).state
    assert state is not None
    assert state.annotations == {"v1": first, "v2": second}


@pytest.mark.parametrize(
    ("before", "command"),
    [
        ([ImageAnnotated(TAGGING, (CAT,), False)], AnnotateImage(TAGGING, (CAT,))),
        ([], AnnotateImage(TAGGING)),
    ],
)
def test_annotating_as_before_is_no_event(
    before: list[ImageAnnotated], command: AnnotateImage
) -> None:
    given(ADDED, *before).when(command).then()


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (AnnotateImage(CLASSIFICATION, (Annotation("c9"),)), "concept_id"),
        (AnnotateImage(CLASSIFICATION, (CAT, DOG)), "annotations"),
        (AnnotateImage(CLASSIFICATION, (Annotation("c1", BOX),)), "box"),
        (AnnotateImage(CLASSIFICATION, without_concept=True), "without_concept"),
        (AnnotateImage(TAGGING, (CAT, CAT)), "annotations"),
        (AnnotateImage(TAGGING, (Annotation("c1", BOX),)), "box"),
        (AnnotateImage(TAGGING, (CAT,), without_concept=True), "without_concept"),
        (AnnotateImage(DETECTION, (CAT,)), "box"),
        (
            AnnotateImage(DETECTION, (Annotation("c1", BOX),), without_concept=True),
            "without_concept",
        ),
    ],
)
def test_annotations_that_do_not_fit_the_view_are_refused(
    command: AnnotateImage, field: str
) -> None:
    given(ADDED).when(command).then(Invalid, field=field)


@pytest.mark.parametrize(
    "box",
    [
        Box(-0.1, 0, 0.5, 0.5),
        Box(0, -0.1, 0.5, 0.5),
        Box(0.6, 0, 0.5, 0.5),
        Box(0, 0.6, 0.5, 0.5),
        Box(0, 0, 0, 0.5),
        Box(0, 0, 0.5, 0),
        Box(0.5, 0, -0.1, 0.5),
        Box(float("nan"), 0, 0.5, 0.5),
        Box(0, 0, float("inf"), 0.5),
    ],
)
def test_a_box_outside_the_image_is_refused(box: Box) -> None:
    command = AnnotateImage(DETECTION, (Annotation("c1", box),))
    given(ADDED).when(command).then(Invalid, field="box")


def test_an_image_of_another_project_is_refused() -> None:
    elsewhere = ImageAdded("q", "sha", 8, 6, "a.png", {})
    given(elsewhere).when(AnnotateImage(TAGGING, (CAT,))).then(Invalid, field="image_id")


def test_an_image_changes_its_split() -> None:
    given(ADDED).when(AssignSplit("validation")).then(ImageSplitAssigned("validation"))


def test_an_image_trains_to_begin_with() -> None:
    given(ADDED).when(AssignSplit("train")).then()


def test_an_unknown_split_is_refused() -> None:
    given(ADDED).when(AssignSplit("holdout")).then(Invalid, field="split")


def test_an_image_leaves() -> None:
    given(ADDED).when(RemoveImage()).then(ImageRemoved())


@pytest.mark.parametrize("history", [(), (ADDED, ImageRemoved())])
@pytest.mark.parametrize(
    "command", [AnnotateImage(TAGGING, (CAT,)), AssignSplit("train"), RemoveImage()]
)
def test_an_image_that_is_not_there_takes_no_command(
    history: tuple[Event, ...], command: object
) -> None:
    given(*history).when(command).then(NotFound, field="image_id")


ERASED = ImageErased("sha", "consent withdrawn")


@pytest.mark.parametrize("history", [(ADDED,), (ADDED, ImageRemoved())])
def test_an_image_is_erased_whether_it_is_there_or_removed(history: tuple[Event, ...]) -> None:
    given(*history).when(EraseImage(" consent withdrawn ")).then(ERASED)
    given(*history, ERASED).when(EraseImage("again")).then()


def test_an_erasure_needs_an_image_and_a_reason() -> None:
    given().when(EraseImage("consent withdrawn")).then(NotFound, field="image_id")
    given(ADDED).when(EraseImage(" ")).then(Invalid, field="reason", says="enter a reason")
    given(ADDED).when(EraseImage("a\nb")).then(Invalid, field="reason")
    given(ADDED).when(EraseImage("x" * 1001)).then(Invalid, field="reason", says="at most 1000")


@pytest.mark.parametrize(
    "command", [AnnotateImage(TAGGING, (CAT,)), AssignSplit("train"), RemoveImage()]
)
def test_an_erased_image_takes_no_command_and_says_why(command: object) -> None:
    given(ADDED, ERASED).when(command).then(Gone, field="image_id", says="consent withdrawn")


def test_an_erased_image_does_not_come_back() -> None:
    given(ADDED, ERASED).when(ADD).then(Conflict, says="consent withdrawn")


def test_events_before_the_first_leave_no_image() -> None:
    assert given(ImageRemoved()).state is None


CLASSIFIED, TAGGED = f"{CLASSIFICATION} of crops", f"{TAGGING} of crops"
OTHER_BOX = Box(0.5, 0.2, 0.3, 0.4)
BOXED = ImageAnnotated(
    DETECTION, (Annotation("c1", BOX), Annotation("c2", BOX), Annotation("c2", OTHER_BOX)), False
)


def test_crops_are_annotated_by_their_boxes() -> None:
    both = (Annotation("c2", BOX), Annotation("c1", OTHER_BOX))
    given(ADDED, BOXED).when(AnnotateImage(CLASSIFIED, both)).then(
        ImageAnnotated(CLASSIFIED, both[::-1], False)
    )
    several = (Annotation("c1", BOX), Annotation("c2", BOX))
    given(ADDED, BOXED).when(AnnotateImage(TAGGED, several)).then(
        ImageAnnotated(TAGGED, several, False)
    )


@pytest.mark.parametrize("view", [CLASSIFIED, TAGGED])
def test_a_crop_is_a_box_that_the_parent_has_now(view: str) -> None:
    elsewhere = AnnotateImage(view, (Annotation("c1", Box(0.1, 0.2, 0.3, 0.41)),))
    given(ADDED, BOXED).when(elsewhere).then(Invalid, field="box", says="annotate it there first")
    label = AnnotateImage(view, (Annotation("c1", BOX),))
    given(ADDED).when(label).then(Invalid, field="box")
    removed = ImageAnnotated(DETECTION, (Annotation("c2", OTHER_BOX),), False)
    given(ADDED, BOXED, removed).when(label).then(Invalid, field="box")
    given(ADDED, BOXED).when(AnnotateImage(view, (CAT,))).then(
        Invalid, field="box", says="of crops needs a box"
    )


def test_a_crop_of_a_classification_has_one_concept() -> None:
    twice = AnnotateImage(CLASSIFIED, (Annotation("c1", BOX), Annotation("c2", BOX)))
    given(ADDED, BOXED).when(twice).then(Invalid, field="annotations")
    nothing = AnnotateImage(CLASSIFIED, (), without_concept=True)
    given(ADDED, BOXED).when(nothing).then(Invalid, field="without_concept")


def test_that_the_other_crops_hold_no_concept_is_said_of_the_crops_there_are() -> None:
    complete = AnnotateImage(TAGGED, (Annotation("c1", BOX),), without_concept=True)
    said = ImageAnnotated(TAGGED, (Annotation("c1", BOX),), True)
    given(ADDED, BOXED).when(complete).then(said)
    given(ADDED, BOXED, said, BOXED).when(complete).then(said)
    given(ADDED, BOXED, said).when(AnnotateImage(TAGGED, (Annotation("c1", BOX),))).then(
        ImageAnnotated(TAGGED, (Annotation("c1", BOX),), False)
    )
