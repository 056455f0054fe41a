"""Commands of an import: ask for one, take a part of its images in, end it."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from application.dataset.groups import GroupIndex
from application.handle import Decided, Session
from application.log.store import END, Store
from application.views import add_concepts
from domain.aggregates import BLOB, IMAGE, IMPORT, PROJECT, VIEW
from domain.dataset import image as images
from domain.dataset import imports
from domain.dataset import project as projects
from domain.dataset.blob import refuse_erased
from domain.dataset.image import AddImage, AnnotateImage, AssignSplit, Image, ImageAnnotated
from domain.dataset.imports import Import, RequestImport
from domain.dataset.project import Project
from domain.errors import Conflict, Refusal
from domain.event import StreamName
from domain.library import view as views
from domain.library.view import View


class TakenImage(msgspec.Struct, frozen=True):
    """An image whose bytes are stored, with its split and annotations in the source at `where`.

    `group_split` is the split of its group in the source, for an image without one of its own.
    """

    where: str
    addition: AddImage
    split: str | None
    answers: tuple[AnnotateImage, ...]
    group_split: str | None = None


def request_import(
    session: Session, command: RequestImport, formats: frozenset[str], import_id: str | None = None
) -> Decided[Import]:
    """Request an import. `import_id` is set if something was stored under it before."""
    projects.require(session.get(PROJECT, command.project_id))
    key = import_id or session.new_id()
    if session.get(IMPORT, key) is not None:
        return Decided(IMPORT, key)
    imports.refuse_unknown_format(command.rules, formats)
    return session.decide(IMPORT, key, command)


def add_missing_concepts(session: Session, view_id: str, labels: Sequence[str]) -> Decided[View]:
    """Add the labels that the view lacks as concepts, in their order."""
    view = views.require(session.get(VIEW, view_id))
    present = set(view.concepts.values())
    missing = [label for label in labels if label not in present]
    if not missing:
        return Decided(VIEW, view_id)
    return msgspec.structs.replace(
        add_concepts(session, view_id, missing), counts={"concepts": len(missing)}
    )


def take_images(
    session: Session,
    project_id: str,
    taken: Sequence[TakenImage],
    groups: GroupIndex | None = None,
) -> Decided[Project]:
    """Add images with their splits and annotations: all of these, or none if one is refused.

    Existing images and annotations cause no event. `groups` are the project's, by the key that it
    had as the import began: an image of one of them joins its split, and one that would tear its
    group is refused. An error names the place in the source.
    """
    project = projects.require(session.get(PROJECT, project_id))
    if project.group_key != (groups.key if groups else None):
        raise Conflict(
            "the project's group key was changed during the import; start the import again"
        )
    ids = [images.image_id(project_id, image.addition.blob) for image in taken]
    session.get_many(IMAGE, ids)
    session.get_many(BLOB, {image.addition.blob for image in taken})
    session.get_many(VIEW, {answer.view_id for image in taken for answer in image.answers})
    splits = [image.split for image in taken]
    if groups is not None:
        splits = _splits_by_group(session, ids, taken, groups)
    done: Counter[str] = Counter()
    for image_id, image, split in zip(ids, taken, splits, strict=True):
        try:
            _take(session, image_id, image, split, done)
        except Refusal as refusal:
            raise Conflict(f"{image.where}: {refusal.detail}") from refusal
    return Decided(PROJECT, project_id, counts=dict(done))


def _splits_by_group(
    session: Session, ids: Sequence[str], taken: Sequence[TakenImage], groups: GroupIndex
) -> list[str | None]:
    """The split of each image that is taken; None where it stays where it is, or trains."""
    groups.follow(session.position)
    values = [
        groups.group(image_id, image.addition.metadata)
        for image_id, image in zip(ids, taken, strict=True)
    ]
    groups.rest_on(session, {value for value in values if value is not None})
    splits = []
    for value, image in zip(values, taken, strict=True):
        existing = None if value is None else groups.split(value)
        if value is not None and existing is not None and image.split not in {None, existing}:
            raise Conflict(f"{image.where}: {torn(groups.key, value, existing)}")
        splits.append(image.split or existing or image.group_split)
    return splits


def torn(key: str, value: str, existing: str) -> str:
    """Why an image of a group cannot come into another split, and what to do."""
    return (
        f"its group, {key} {value!r}, is in the split {existing!r} of the project; assign an image"
        " of the group to the other split first, or import it without a split"
    )


def _take(
    session: Session, image_id: str, taken: TakenImage, split: str | None, done: Counter[str]
) -> None:
    refuse_erased(session.get(BLOB, taken.addition.blob))
    before = session.get(IMAGE, image_id)
    added = images.decide(taken.addition, before)
    session.record(IMAGE, image_id, added)
    done["added"] += len(added)
    image = images.require(session.get(IMAGE, image_id))
    if split is not None:
        assigned = images.decide(AssignSplit(split), image)
        session.record(IMAGE, image_id, assigned)
        done["split_assigned"] += len(assigned)
    for answer in taken.answers:
        # A crop rests on the boxes that an answer before it may have given the image.
        image = images.require(session.get(IMAGE, image_id))
        view = views.require(session.get(VIEW, answer.view_id))
        annotated = images.annotate(answer, image, view)
        session.record(IMAGE, image_id, annotated)
        done["reannotated" if _holds(image, answer.view_id) else "annotated"] += len(annotated)


def _holds(image: Image, view_id: str) -> bool:
    nothing = ImageAnnotated(view_id, (), False)
    return image.annotations.get(view_id, nothing) != nothing


def views_of(store: Store, project_id: str, *, upto: int = END) -> dict[str, View]:
    """A project's views as they were at a position of the log, now by default; by id."""
    project_views: dict[str, View] = {}
    names = store.views_of_project(project_id, upto=upto)
    for stream, events in store.streams(names, upto=upto).items():
        state = VIEW.fold(recorded.event for recorded in events)
        project_views[StreamName.parse(stream).entity_id] = views.require(state)
    return project_views
