"""An image of a project: its bytes by digest, its split, and its annotations in each view."""

import uuid
from collections import Counter
from functools import lru_cache
from typing import Annotated, Any, ClassVar

import msgspec

from domain.dataset.annotation import PRECISION, Annotation, Box, DoubtedLabel
from domain.dataset.blob import erased_before
from domain.errors import Conflict, Gone, Invalid, NotFound
from domain.event import Event
from domain.library.view import CLASSIFICATION, DETECTION, TAGGING, View, refuse_archived
from domain.personal import PERSONAL
from domain.text import MAX_REASON, clean_name, refuse_controls, refuse_unprintable

__all__ = ["PRECISION", "Annotation", "Box"]  # imported from here by many

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)

_ROUNDING = 2 * 10**-PRECISION


class ImageAdded(Event, frozen=True, tag="image.added"):
    """The image joined the project, or was added to it again. Width and height are in pixels."""

    schema_version: ClassVar[int] = 2

    project_id: str
    blob: str
    width: int
    height: int
    file_name: Annotated[str, PERSONAL]
    metadata: Annotated[dict[str, str], PERSONAL]


class ImageAnnotated(Event, frozen=True, tag="image.annotated"):
    """In one view the image now has exactly these annotations, replacing those it had.

    No annotation at all, and not *without concept*, means that it is no longer annotated. In a view
    of crops, `box` names the crop, as the box of the parent view that it is. In a tagging view of
    crops, *without concept* says that crops which are not listed hold no concept.
    """

    view_id: str
    annotations: tuple[Annotation, ...]
    without_concept: bool


class ImageSplitAssigned(Event, frozen=True, tag="image.split_assigned"):
    """The image trains, validates or is kept for the test, in every view."""

    split: str


class ImageReviewed(Event, frozen=True, tag="image.reviewed"):
    """Somebody looked at the image's annotations in one view and found them right.

    `annotated_revision` is the revision of the image at which they were made. A later change of
    them, of whatever kind, ends the review.
    """

    view_id: str
    annotated_revision: int


class ImageReviewWithdrawn(Event, frozen=True, tag="image.review_withdrawn"):
    """The annotations in this view count as not reviewed, though nothing of them has changed."""

    view_id: str


class SuspectUpheld(Event, frozen=True, tag="image.suspect_upheld"):
    """Somebody looked at a label that a version's list of suspects doubts, and found it right.

    The decision holds for as long as the image has this label.
    """

    view_id: str
    version_id: str
    label: DoubtedLabel


class SuspectLeftUnsure(Event, frozen=True, tag="image.suspect_left_unsure"):
    """Somebody looked at a label that a version's list of suspects doubts, and could not tell."""

    view_id: str
    version_id: str
    label: DoubtedLabel


class SuspectCorrected(Event, frozen=True, tag="image.suspect_corrected"):
    """The annotations before this event replaced a label that a version's list doubts."""

    view_id: str
    version_id: str
    label: DoubtedLabel


class SuggestionAccepted(Event, frozen=True, tag="image.suggestion_accepted"):
    """The annotations before this event were proposed by a version, and accepted by the actor.

    With `changed`, the actor changed them first.
    """

    view_id: str
    version_id: str
    changed: bool


class SuggestionRejected(Event, frozen=True, tag="image.suggestion_rejected"):
    """The actor looked at what a version proposed for the image, and does not want it."""

    view_id: str
    version_id: str


class ImageAnnotatedBlindly(Event, frozen=True, tag="image.annotated_blindly"):
    """The actor annotated an image of a view without seeing its annotations, which stay.

    The two are compared to measure how far people agree: `annotated_revision` is the revision of
    the image at which those were made. An actor's later blind annotation replaces the earlier; no
    annotation at all, and not *without concept*, withdraws it.
    """

    view_id: str
    annotations: tuple[Annotation, ...]
    without_concept: bool
    annotated_revision: int


Decision = SuspectUpheld | SuspectLeftUnsure


class ImageRemoved(Event, frozen=True, tag="image.removed"):
    """The image left the project; versions frozen with it keep it."""


class ImageErased(Event, frozen=True, tag="image.erased"):
    """The image left the project for good, and its bytes, of this digest, are deleted."""

    blob: str
    reason: str


class Image(msgspec.Struct, frozen=True):
    """`annotations` are by view; a view that the image was never annotated in has none.

    `revision` counts the image's events. `annotated_at` and `reviewed` have the revision of the
    last annotation, and of the last one that was reviewed, by view. `decisions` are those about
    suspects whose label has not changed since, by view. `erased` is the reason why it was erased;
    such an image is removed, too.
    """

    added: ImageAdded
    revision: int = 1
    split: str = TRAIN
    removed: bool = False
    erased: str | None = None
    annotations: dict[str, ImageAnnotated] = msgspec.field(default_factory=dict)
    annotated_at: dict[str, int] = msgspec.field(default_factory=dict)
    reviewed: dict[str, int] = msgspec.field(default_factory=dict)
    decisions: dict[str, tuple[Decision, ...]] = msgspec.field(default_factory=dict)

    def is_reviewed(self, view_id: str) -> bool:
        """Whether its annotations in a view, as they are now, were reviewed."""
        reviewed = self.reviewed.get(view_id)
        return reviewed is not None and reviewed == self.annotated_at.get(view_id)

    @property
    def project_id(self) -> str:
        return self.added.project_id

    @property
    def blob(self) -> str:
        return self.added.blob


class AddImage(msgspec.Struct, frozen=True):
    project_id: str
    blob: str
    width: int
    height: int
    file_name: str
    metadata: dict[str, str] = msgspec.field(default_factory=dict)


class AnnotateImage(msgspec.Struct, frozen=True):
    view_id: str
    annotations: tuple[Annotation, ...] = ()
    without_concept: bool = False


class ReviewImage(msgspec.Struct, frozen=True):
    view_id: str


class WithdrawReview(msgspec.Struct, frozen=True):
    view_id: str


class AssignSplit(msgspec.Struct, frozen=True):
    split: str


class RemoveImage(msgspec.Struct, frozen=True):
    pass


class EraseImage(msgspec.Struct, frozen=True):
    """`everywhere` allows that other images of the same bytes are erased with it."""

    reason: str
    everywhere: bool = False


def image_id(project_id: str, blob: str) -> str:
    """The id, derived from project and content, so that importing twice changes nothing."""
    return str(uuid.uuid5(_namespace(project_id), blob))


@lru_cache(maxsize=64)
def _namespace(project_id: str) -> uuid.UUID:
    return uuid.UUID(project_id)


def evolve(image: Image | None, event: Event) -> Image | None:
    if isinstance(event, ImageAdded):
        return Image(event, 1 if image is None else image.revision + 1)
    if image is None:
        return None
    revision = image.revision + 1
    return msgspec.structs.replace(image, revision=revision, **_change(image, event, revision))


def _change(image: Image, event: Event, revision: int) -> dict[str, Any]:
    match event:
        case ImageAnnotated(view_id=view_id):
            return {
                "annotations": image.annotations | {view_id: event},
                "annotated_at": image.annotated_at | {view_id: revision},
                "decisions": image.decisions | _still_valid(image, event),
            }
        case SuspectUpheld(view_id=view_id) | SuspectLeftUnsure(view_id=view_id):
            others = (
                decision
                for decision in image.decisions.get(view_id, ())
                if not decision.label.is_about(event.label)
            )
            return {"decisions": image.decisions | {view_id: (*others, event)}}
        case ImageReviewed():
            return {"reviewed": image.reviewed | {event.view_id: event.annotated_revision}}
        case ImageReviewWithdrawn(view_id=view_id):
            return {"reviewed": {key: at for key, at in image.reviewed.items() if key != view_id}}
        case ImageSplitAssigned():
            return {"split": event.split}
        case ImageRemoved():
            return {"removed": True}
        case ImageErased():
            return {"removed": True, "erased": event.reason}
    return {}


def _still_valid(image: Image, annotated: ImageAnnotated) -> dict[str, tuple[Decision, ...]]:
    """The decisions in a view whose label the new annotations leave as it was."""
    before = image.decisions.get(annotated.view_id, ())
    if not (annotated.annotations or annotated.without_concept):
        return {annotated.view_id: ()} if before else {}
    kept = tuple(each for each in before if each.label.holds(annotated.annotations))
    return {annotated.view_id: kept} if before else {}


def decide(
    command: AddImage | AssignSplit | RemoveImage | EraseImage, image: Image | None
) -> list[Event]:
    """The events of a command that needs no view; `annotate` decides the others."""
    match command:
        case AddImage():
            return _add(command, image)
        case AssignSplit(split=split):
            if split not in SPLITS:
                raise Invalid(
                    f"split must be train, validation or test, got {split!r}", field="split"
                )
            return [] if require(image).split == split else [ImageSplitAssigned(split)]
        case RemoveImage():
            require(image)
            return [ImageRemoved()]
        case EraseImage():
            return _erase(command, image)


def _add(command: AddImage, image: Image | None) -> list[Event]:
    """Adding an image of the project again is no event. Raises `Conflict` for an erased one."""
    if image is not None and not image.removed:
        return []
    if image is not None and image.erased is not None:
        raise erased_before(image.erased)
    refuse_controls(command.file_name, "file_name")
    for entry in command.metadata.items():
        refuse_unprintable("".join(entry), "metadata")
    return [
        ImageAdded(
            command.project_id,
            command.blob,
            command.width,
            command.height,
            command.file_name,
            command.metadata,
        )
    ]


def annotate(command: AnnotateImage, image: Image | None, view: View) -> list[Event]:
    """Replace the image's annotations in one view.

    Raises `Invalid` where they do not fit the view's kind or name a concept it lacks.
    """
    current = require(image)
    if current.project_id != view.project_id:
        raise Invalid("the image and the view belong to different projects", field="image_id")
    refuse_archived(view)
    check_fits(command, view)
    annotated = _annotated(command, current, view)
    before = current.annotations.get(command.view_id, ImageAnnotated(command.view_id, (), False))
    # "No concept in the other crops" is about the current crops: recording it again is a change.
    is_about_crops = view.crops and command.without_concept
    return [] if annotated == before and not is_about_crops else [annotated]


def annotate_blindly(command: AnnotateImage, image: Image | None, view: View) -> list[Event]:
    """Annotate an image beside the annotations that it has in a view.

    Raises as `annotate` does, and `Conflict` where there is no annotation to compare with.
    """
    current = require(image)
    if current.project_id != view.project_id:
        raise Invalid("the image and the view belong to different projects", field="image_id")
    refuse_archived(view)
    _require_annotated(current, view, command.view_id)
    check_fits(command, view)
    annotated = _annotated(command, current, view)
    return [
        ImageAnnotatedBlindly(
            command.view_id,
            annotated.annotations,
            annotated.without_concept,
            current.annotated_at[command.view_id],
        )
    ]


def _annotated(command: AnnotateImage, image: Image, view: View) -> ImageAnnotated:
    annotations = _canonical(command.annotations)
    if view.crops:
        _check_crops(annotations, image, view)
    return ImageAnnotated(command.view_id, annotations, command.without_concept)


def _require_annotated(image: Image, view: View, view_id: str) -> None:
    annotated = image.annotations.get(view_id)
    if annotated is None or not (annotated.annotations or annotated.without_concept):
        raise Conflict(
            f"the image is not annotated in view {view.name!r}; annotate it first", field="view_id"
        )


def review(command: ReviewImage | WithdrawReview, image: Image | None, view: View) -> list[Event]:
    """Mark the image's annotations in a view as reviewed, or as not.

    Raises `Conflict` where there is no annotation to review.
    """
    current = require(image)
    if current.project_id != view.project_id:
        raise Invalid("the image and the view belong to different projects", field="image_id")
    refuse_archived(view)
    if isinstance(command, WithdrawReview):
        withdrawn = current.is_reviewed(command.view_id)
        return [ImageReviewWithdrawn(command.view_id)] if withdrawn else []
    _require_annotated(current, view, command.view_id)
    if current.is_reviewed(command.view_id):
        return []
    return [ImageReviewed(command.view_id, current.annotated_at[command.view_id])]


def check_fits(command: AnnotateImage, view: View) -> None:
    """Raises `Invalid` where annotations do not fit the view's kind or name a concept it lacks."""
    annotations = command.annotations
    for annotation in annotations:
        removed = view.removed.get(annotation.concept_id)
        if removed is not None:
            raise Invalid(
                f"the concept {removed!r} was removed from view {view.name!r}; choose another",
                field="concept_id",
            )
        if annotation.concept_id not in view.concepts:
            raise Invalid(
                f"view {view.name!r} has no concept {annotation.concept_id!r}", field="concept_id"
            )
        if (annotation.box is not None) != view.boxed:
            need = "needs a box" if view.boxed else "takes no box"
            of_crops = " of crops" if view.crops else ""
            raise Invalid(f"an annotation of a {view.kind} view{of_crops} {need}", field="box")
        if annotation.box is not None:
            _check_box(annotation.box)
    complete = view.crops and view.kind == TAGGING
    if command.without_concept and annotations and not complete:
        raise Invalid(
            "an image marked as without concept cannot have annotations", field="without_concept"
        )
    if view.kind == CLASSIFICATION:
        if command.without_concept:
            raise Invalid(
                "in a classification view every image must have a concept", field="without_concept"
            )
        if len(annotations) > 1 and not view.crops:
            raise Invalid(
                f"an image of a classification view must have one concept, got {len(annotations)}",
                field="annotations",
            )
    if view.kind != DETECTION and len(set(annotations)) < len(annotations):
        raise Invalid("a concept is listed twice", field="annotations")


def _canonical(annotations: tuple[Annotation, ...]) -> tuple[Annotation, ...]:
    """The annotations in canonical form: rounded and sorted."""
    rounded = [
        annotation
        if annotation.box is None
        else Annotation(
            annotation.concept_id,
            Box(*(round(side, PRECISION) for side in msgspec.structs.astuple(annotation.box))),
        )
        for annotation in annotations
    ]
    return tuple(sorted(rounded, key=_order))


def _order(annotation: Annotation) -> tuple[str, tuple[float, ...]]:
    box = annotation.box
    return annotation.concept_id, () if box is None else msgspec.structs.astuple(box)


def _check_crops(annotations: tuple[Annotation, ...], image: Image, view: View) -> None:
    """Raises `Invalid` for a box that the image does not have in the parent view, and for a crop of
    a classification view with more than one concept."""
    parent = image.annotations.get(view.parent_id or "")
    boxes = {annotation.box for annotation in parent.annotations} if parent else set()
    for annotation in annotations:
        if annotation.box not in boxes:
            assert annotation.box is not None
            raise Invalid(
                f"box {msgspec.structs.astuple(annotation.box)} is not one of the image's boxes"
                " in the parent view; annotate it there first",
                field="box",
            )
    given = Counter(annotation.box for annotation in annotations)
    if view.kind == CLASSIFICATION and max(given.values(), default=0) > 1:
        raise Invalid(
            "a crop of a classification view must have exactly one concept", field="annotations"
        )


def _check_box(box: Box) -> None:
    edge = 1 + _ROUNDING
    inside = 0 <= box.x <= box.x + box.width <= edge and 0 <= box.y <= box.y + box.height <= edge
    if not inside or min(box.width, box.height) < 10**-PRECISION:
        raise Invalid(
            f"box {msgspec.structs.astuple(box)} is not inside the image (x, y, width and height"
            " are shares of the image, from 0 to 1)",
            field="box",
        )


def _erase(command: EraseImage, image: Image | None) -> list[Event]:
    """Erase an image, also a removed one. Erasing it again is no event."""
    reason = clean_name(command.reason, "reason", MAX_REASON)
    if image is None:
        raise NotFound("image not found", field="image_id")
    return [ImageErased(image.blob, reason)] if image.erased is None else []


def require(image: Image | None) -> Image:
    """Raises `NotFound`, or `Gone` with the reason for an image that was erased."""
    if image is not None and image.erased is not None:
        raise Gone(f"the image was erased (reason: {image.erased})", field="image_id")
    if image is None or image.removed:
        raise NotFound("image not found", field="image_id")
    return image
