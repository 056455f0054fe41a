"""Decisions about suspects: labels that a version's list doubts."""

from collections.abc import Iterable, Sequence

import msgspec

from domain.dataset.annotation import Annotation, Box, DoubtedLabel
from domain.dataset.image import (
    AnnotateImage,
    Decision,
    Image,
    ImageAnnotated,
    SuspectCorrected,
    SuspectLeftUnsure,
    SuspectUpheld,
    annotate,
    require,
)
from domain.errors import Conflict, Invalid
from domain.event import Event
from domain.library.view import TAGGING, View, refuse_archived

UPHELD, UNSURE, CORRECTED = "upheld", "unsure", "corrected"
DECISIONS = (UPHELD, UNSURE, CORRECTED)

RELABEL, ADD, REMOVE, MOVE = "relabel", "add", "remove", "move"

_EVENTS: dict[str, type[Decision]] = {UPHELD: SuspectUpheld, UNSURE: SuspectLeftUnsure}
DECISION_NAMES: dict[type[Decision], str] = {event: name for name, event in _EVENTS.items()}


class DecideSuspect(msgspec.Struct, frozen=True):
    """`decision` is upheld or unsure."""

    view_id: str
    version_id: str
    label: DoubtedLabel
    decision: str


class Suggestion(msgspec.Struct, frozen=True):
    """What the model would have instead of a label: another concept, the concept too or not at
    all, or the box elsewhere.

    `concept_id` and `box` are what the image would then have, or what it would lose.
    """

    action: str
    concept_id: str
    box: Box | None = None

    def corrected(
        self, annotations: Iterable[Annotation], label: DoubtedLabel
    ) -> tuple[Annotation, ...]:
        """The annotations of an image that takes it; those of other labels stay as they are."""
        suggested = Annotation(self.concept_id, self.box)
        if self.action == ADD:
            return (*annotations, suggested)
        others = tuple(
            annotation
            for annotation in annotations
            if not label.is_about(DoubtedLabel(annotation.concept_id, True, annotation.box))
        )
        return others if self.action == REMOVE else (*others, suggested)


class TakeSuggestion(msgspec.Struct, frozen=True):
    """Replace a label by what the model would have."""

    view_id: str
    version_id: str
    label: DoubtedLabel
    suggestion: Suggestion


class CorrectSuspect(msgspec.Struct, frozen=True):
    """All annotations that the image is to have, which replace the label.

    Unless it `must_replace` the label, annotations that leave it as it is are saved, too; then
    nothing is corrected.
    """

    version_id: str
    label: DoubtedLabel
    annotate: AnnotateImage
    must_replace: bool = True


def decide_suspect(command: DecideSuspect, image: Image | None, view: View) -> list[Event]:
    """Uphold a label or leave it unsure; deciding the same again is no event.

    Raises `Conflict` where the image does not have the label any more.
    """
    current = require(image)
    if current.project_id != view.project_id:
        raise Invalid("the image and the version belong to different projects", field="item")
    refuse_archived(view)
    label = _require_label(command.label, current, command.view_id)
    event = _EVENTS[command.decision](command.view_id, command.version_id, label)
    for standing in current.decisions.get(command.view_id, ()):
        if type(standing) is type(event) and standing.label.is_about(label):
            return []
    return [event]


def take_suggestion(command: TakeSuggestion, image: Image | None, view: View) -> list[Event]:
    """Replace a label by what the model would have. Raises `Conflict` where it has changed."""
    view_id, label = command.view_id, command.label
    current = require(image)
    _require_label(label, current, view_id)
    if view.crops and view.kind == TAGGING:
        # Whether the image's other crops were looked at is not for a suggestion to say.
        raise Conflict(
            "the tags of a crop are corrected in its image; annotate that instead", field="item"
        )
    annotations = command.suggestion.corrected(_annotations(current, view_id) or (), label)
    annotate = AnnotateImage(view_id, annotations, without_concept=not annotations)
    return correct_suspect(CorrectSuspect(command.version_id, label, annotate), current, view)


def correct_suspect(command: CorrectSuspect, image: Image | None, view: View) -> list[Event]:
    """Replace the image's annotations, and record that this corrects a label.

    Raises `Conflict` where the image does not have the label any more, and `Invalid` where the
    annotations leave it as it is.
    """
    view_id = command.annotate.view_id
    events = annotate(command.annotate, image, view)
    current = require(image)
    after = next((e.annotations for e in events if isinstance(e, ImageAnnotated)), None)
    if command.must_replace:
        _require_label(command.label, current, view_id)
        if after is None or command.label.holds(after):
            raise Invalid(
                "these annotations do not change the doubted label; uphold it instead",
                field="annotations",
            )
    if after is None or command.label.holds(after):
        return events
    label = _label_in(command.label, _annotations(current, view_id))
    return (
        events if label is None else [*events, SuspectCorrected(view_id, command.version_id, label)]
    )


def _require_label(label: DoubtedLabel, image: Image, view_id: str) -> DoubtedLabel:
    exact = _label_in(label, _annotations(image, view_id))
    if exact is None:
        raise Conflict(
            "the image's annotations have changed, and it no longer has the doubted label; load"
            " the list again",
            field="item",
        )
    return exact


def _annotations(image: Image, view_id: str) -> Sequence[Annotation] | None:
    """None where the image is not annotated in the view."""
    annotated = image.annotations.get(view_id)
    if annotated is None or not (annotated.annotations or annotated.without_concept):
        return None
    return annotated.annotations


def _label_in(label: DoubtedLabel, annotations: Sequence[Annotation] | None) -> DoubtedLabel | None:
    """The label as the annotations have it, whose boxes are exact; None where they do not."""
    if annotations is None or not label.holds(annotations):
        return None
    if not label.present or label.box is None:
        return label
    for annotation in annotations:
        if label.is_about(DoubtedLabel(annotation.concept_id, True, annotation.box)):
            return DoubtedLabel(annotation.concept_id, True, annotation.box)
    raise AssertionError("a label that is upheld must be among the annotations")
