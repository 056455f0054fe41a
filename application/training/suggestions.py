"""Requests of suggestions, and decisions about what was suggested."""

import hashlib
from collections.abc import Iterator, Sequence

from application.dataset.dataset import images_at
from application.handle import Decided, Session
from application.log.store import Store
from application.training.trainers import is_predicted_by_trainer
from domain.aggregates import IMAGE, VERSION, VIEW
from domain.dataset import suggestions
from domain.dataset.image import TEST, Image
from domain.dataset.suggestions import AcceptSuggestion, RejectSuggestion
from domain.errors import Conflict, Invalid
from domain.library import view as views
from domain.training import manifest
from domain.training import version as versions
from domain.training.messages import ManifestLine, Purpose
from domain.training.predictions import RequestSuggestions
from domain.training.version import Version, VersionCreated


def request_suggestions(session: Session, view_id: str, version_id: str) -> Decided[Version]:
    """Ask for suggestions of a version for the images of its view that are not annotated."""
    version = versions.require(session.get(VERSION, version_id))
    if version.created.view_id != view_id:
        raise Invalid("the version belongs to another view", field="version_id")
    view = views.require_active(session.get(VIEW, view_id))
    if view.parent_id is not None:
        raise Conflict("suggestions are for views of whole images, and this one has a parent")
    versions.check_can_predict(version, Purpose.SUGGESTIONS)
    by_trainer = is_predicted_by_trainer(session, version)
    digest, images = hashlib.sha256(), 0
    for line in unannotated(session.store, version.created, session.position):
        digest.update(manifest.canonical_line(line))
        images += 1
    command = RequestSuggestions(digest.hexdigest(), images, session.position, by_trainer)
    return session.decide(VERSION, version_id, command)


def unannotated(store: Store, created: VersionCreated, log_position: int) -> Iterator[ManifestLine]:
    """The images without annotation in a version's view at a position, from the log alone.

    Those of the test set are left out: they are to be annotated by nobody's suggestion.
    """
    for image in images_at(store, created.project_id, log_position):
        annotated = image.state.annotations.get(created.view_id)
        done = annotated is not None and (annotated.annotations or annotated.without_concept)
        if not done and image.state.split != TEST:
            yield ManifestLine(image.image_id, image.state.blob, image.state.split, ())


def decide_suggestions(
    session: Session,
    view_id: str,
    commands: Sequence[tuple[str, AcceptSuggestion | RejectSuggestion]],
) -> Decided[Image]:
    """Accept or reject suggestions for several images: all of them, or none if one is refused."""
    if not commands:
        raise Invalid("give at least one image", field="images")
    view = views.require(session.get(VIEW, view_id))
    session.get_many(IMAGE, [image_id for image_id, _ in commands])
    for index, (image_id, command) in enumerate(commands):
        image = session.get(IMAGE, image_id)
        try:
            if isinstance(command, AcceptSuggestion):
                events = suggestions.accept(command, image, view)
            else:
                events = suggestions.reject(command, image, view)
        except Exception as error:
            error.add_note(f"images[{index}]")
            raise
        session.record(IMAGE, image_id, events)
    first = commands[0][0]
    session.check_revision(IMAGE, first)
    return Decided(IMAGE, first)
