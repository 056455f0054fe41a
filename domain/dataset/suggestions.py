"""Decisions about annotations that a version suggests for an image without any."""

import msgspec

from domain.dataset.image import (
    AnnotateImage,
    Image,
    SuggestionAccepted,
    SuggestionRejected,
    annotate,
    require,
)
from domain.errors import Conflict
from domain.event import Event
from domain.library.view import View, refuse_archived


class AcceptSuggestion(msgspec.Struct, frozen=True):
    """`annotate` is what is accepted of the version's `suggested` annotations, or made of them."""

    version_id: str
    annotate: AnnotateImage
    suggested: AnnotateImage


class RejectSuggestion(msgspec.Struct, frozen=True):
    view_id: str
    version_id: str


def accept(command: AcceptSuggestion, image: Image | None, view: View) -> list[Event]:
    """Annotate an image as suggested, or otherwise. Raises `Conflict` if it is annotated."""
    _check_unannotated(require(image), command.annotate.view_id, view)
    events = annotate(command.annotate, image, view)
    suggested = annotate(command.suggested, image, view)
    accepted = SuggestionAccepted(
        command.annotate.view_id, command.version_id, changed=events != suggested
    )
    return [*events, accepted] if events else []


def reject(command: RejectSuggestion, image: Image | None, view: View) -> list[Event]:
    refuse_archived(view)
    _check_unannotated(require(image), command.view_id, view)
    return [SuggestionRejected(command.view_id, command.version_id)]


def _check_unannotated(image: Image, view_id: str, view: View) -> None:
    annotated = image.annotations.get(view_id)
    if annotated is not None and (annotated.annotations or annotated.without_concept):
        raise Conflict(
            f"the image is now annotated in view {view.name!r}, so its suggestion is out of date",
            field="image_id",
        )
