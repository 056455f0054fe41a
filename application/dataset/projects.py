"""Commands about projects and their images."""

from collections.abc import Sequence

from application.dataset.dataset import images_at
from application.dataset.groups import move_images, refuse_foreign_view, splits_joined
from application.handle import Decided, Session
from domain.aggregates import BLOB, IMAGE, PROJECT, VIEW
from domain.dataset import image as images
from domain.dataset import project as projects
from domain.dataset.blob import refuse_erased
from domain.dataset.groups import group_in, group_of
from domain.dataset.image import (
    TEST,
    TRAIN,
    VALIDATION,
    AddImage,
    AnnotateImage,
    AssignSplit,
    Image,
    ReviewImage,
    WithdrawReview,
)
from domain.dataset.project import (
    CoverGreyValues,
    CreateProject,
    NameSnapshot,
    Project,
    TestSetDrawn,
    ValidationSplitDrawn,
)
from domain.dataset.splits import DrawSplit, draw_set, strata_of
from domain.errors import Invalid
from domain.library.view import require as require_view


def create_project(session: Session, name: str) -> Decided[Project]:
    return session.decide(PROJECT, session.begin(PROJECT), CreateProject(name))


def add_images(
    session: Session,
    project_id: str,
    additions: Sequence[AddImage],
    highest_grey: int | None = None,
) -> Decided[Project]:
    """Add images whose bytes are stored already. The ids of all of them are returned, in order.

    An image of a group that the project has joins its split. `highest_grey` is the highest 16-bit
    grey value in them, if they have any.
    """
    key = projects.require(session.get(PROJECT, project_id)).group_key
    ids = [images.image_id(project_id, addition.blob) for addition in additions]
    session.get_many(IMAGE, ids)
    for blob in session.get_many(BLOB, {addition.blob for addition in additions}).values():
        refuse_erased(blob)
    values = [group_in(addition.metadata, key) for addition in additions]
    splits = splits_joined(session, project_id, key, {value for value in values if value})
    for image_id, addition, value in zip(ids, additions, values, strict=True):
        added = images.decide(addition, session.get(IMAGE, image_id))
        session.record(IMAGE, image_id, added)
        if added and value in splits:
            session.decide(IMAGE, image_id, AssignSplit(splits[value]))
    if highest_grey is not None:
        session.decide(PROJECT, project_id, CoverGreyValues(highest_grey))
    return Decided(PROJECT, project_id, tuple(ids))


def annotate_images(
    session: Session, annotations: Sequence[tuple[str, AnnotateImage]]
) -> Decided[Image]:
    """Annotate several images at once: all of them, or none if one is refused."""
    if not annotations:
        raise Invalid("give at least one annotation", field="annotations")
    session.get_many(VIEW, {command.view_id for _, command in annotations})
    session.get_many(IMAGE, [image_id for image_id, _ in annotations])
    for index, (image_id, command) in enumerate(annotations):
        view = require_view(session.get(VIEW, command.view_id))
        try:
            events = images.annotate(command, session.get(IMAGE, image_id), view)
        except Exception as error:
            error.add_note(f"annotations[{index}]")
            raise
        session.record(IMAGE, image_id, events)
    first = annotations[0][0]
    session.check_revision(IMAGE, first)
    return Decided(IMAGE, first)


def annotate_blindly(session: Session, image_id: str, command: AnnotateImage) -> Decided[Image]:
    """Annotate an image beside the annotations that it has in a view."""
    view = require_view(session.get(VIEW, command.view_id))
    events = images.annotate_blindly(command, session.get(IMAGE, image_id), view)
    session.check_revision(IMAGE, image_id)
    session.record(IMAGE, image_id, events)
    return Decided(IMAGE, image_id)


def review_image(
    session: Session, image_id: str, command: ReviewImage | WithdrawReview
) -> Decided[Image]:
    """Mark an image's annotations in a view as reviewed, or as not."""
    view = require_view(session.get(VIEW, command.view_id))
    events = images.review(command, session.get(IMAGE, image_id), view)
    session.check_revision(IMAGE, image_id)
    session.record(IMAGE, image_id, events)
    return Decided(IMAGE, image_id)


def name_snapshot(
    session: Session, project_id: str, name: str, position: int | None
) -> Decided[Project]:
    """Name the dataset of a position of the log, by default as it is now."""
    if position is not None and not 1 <= position <= session.position:
        raise Invalid(
            f"position is {position}; the log has positions 1 to {session.position}",
            field="position",
        )
    at = session.position if position is None else position
    return session.change(PROJECT, project_id, NameSnapshot(name, at))


def draw_validation_split(
    session: Session, project_id: str, command: DrawSplit
) -> Decided[Project]:
    """Draw a new validation set from the images that are not in the test set; the others train."""
    return _draw(session, project_id, command, VALIDATION)


def draw_test_set(session: Session, project_id: str, command: DrawSplit) -> Decided[Project]:
    """Draw a new test set from the images that do not validate; the others train."""
    return _draw(session, project_id, command, TEST)


def _draw(session: Session, project_id: str, command: DrawSplit, split: str) -> Decided[Project]:
    """Draw the images of a split again, from its own and the training images, by whole groups."""
    key = projects.require(session.get(PROJECT, project_id)).group_key
    refuse_foreign_view(session, project_id, command.stratify_by)
    session.check_revision(PROJECT, project_id)
    position = session.position
    candidates: dict[str, frozenset[str]] = {}
    values: dict[str, str] = {}
    for image in images_at(session.store, project_id, position, personal=key is not None):
        if image.state.split not in {TRAIN, split}:
            continue
        candidates[image.image_id] = strata_of(image.state, command.stratify_by)
        value = group_of(image.state, key)
        if value is not None:
            values[image.image_id] = value
    drawn = draw_set(command, candidates, values)
    recorded = ValidationSplitDrawn if split == VALIDATION else TestSetDrawn
    event = recorded(
        command.size, command.seed, len(candidates), len(drawn), position, command.stratify_by, key
    )
    session.record(PROJECT, project_id, [event])
    if key is not None:
        session.rest_on_images(project_id)
    splits = {image_id: split if image_id in drawn else TRAIN for image_id in candidates}
    move_images(session, project_id, splits)
    return Decided(PROJECT, project_id)
