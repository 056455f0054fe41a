"""Groups of a project's images: the key that makes them, and assignments that move whole groups."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping

import msgspec

from application.dataset.dataset import images_at
from application.handle import Decided, Session
from application.log.store import Store
from domain.aggregates import IMAGE, PROJECT, VIEW
from domain.dataset import groups
from domain.dataset import image as images
from domain.dataset import project as projects
from domain.dataset.groups import DRAW, MENDS, group_in, group_of, groups_of, refuse_torn
from domain.dataset.image import (
    TEST,
    TRAIN,
    VALIDATION,
    AssignSplit,
    Image,
    ImageAdded,
    ImageErased,
    ImageRemoved,
    ImageSplitAssigned,
)
from domain.dataset.project import GroupKeySet, Project
from domain.dataset.splits import DrawSplit, draw_set, strata_of
from domain.errors import Conflict, Invalid
from domain.event import Recorded, name_of
from domain.library.view import require as require_view

_FOLLOWED = [
    name_of(event) for event in (ImageAdded, ImageSplitAssigned, ImageRemoved, ImageErased)
]

Members = Callable[[str, str, str], tuple[Collection[str], int]]
"""From a project, a key and a value: the ids of that group's images, and the position of the log up
to which they are all."""


class GroupIndex:
    """The groups of a project's images and their splits, followed along the log."""

    def __init__(self, store: Store, project_id: str, key: str) -> None:
        self.key = key
        self._store = store
        self._project_id = project_id
        self._position = 0
        self._images: dict[str, tuple[str | None, str]] = {}
        self._members: dict[str, set[str]] = {}

    def follow(self, position: int) -> None:
        """Read on up to a position of the log; the first time, all images of the project."""
        if not self._position:
            for image in images_at(self._store, self._project_id, position, personal=True):
                self._place(image.image_id, group_of(image.state, self.key), image.state.split)
        elif position > self._position:
            for recorded in self._store.read_all(self._position, upto=position, names=_FOLLOWED):
                self._apply(recorded)
        self._position = max(position, self._position)

    def group(self, image_id: str, metadata: Mapping[str, str]) -> str | None:
        """The group of an image of the project; or, if it is not there, of one that joins with this
        metadata. None if it is a group of its own."""
        known = self._images.get(image_id)
        return group_in(metadata, self.key) if known is None else known[0]

    def split(self, value: str) -> str | None:
        """The split of a group; None if the project has no image of it."""
        member = self._member(value)
        return None if member is None else self._images[member][1]

    def rest_on(self, session: Session, values: Collection[str]) -> None:
        """Let what a session decides rest on the splits of these groups, and on their images."""
        members = {self._member(value) for value in values} - {None}
        session.get_many(IMAGE, [member for member in members if member is not None])
        if values:
            session.rest_on_images(self._project_id)

    def _member(self, value: str) -> str | None:
        return next(iter(self._members.get(value, ())), None)

    def _apply(self, recorded: Recorded) -> None:
        image_id = recorded.entity_id
        match recorded.event:
            case ImageAdded(project_id=self._project_id, metadata=metadata):
                self._place(image_id, group_in(metadata, self.key), TRAIN)
            case ImageSplitAssigned(split=split) if image_id in self._images:
                self._place(image_id, self._images[image_id][0], split)
            case ImageRemoved() | ImageErased():
                value, _ = self._images.pop(image_id, (None, TRAIN))
                if value is not None:
                    self._members[value].discard(image_id)

    def _place(self, image_id: str, value: str | None, split: str) -> None:
        self._images[image_id] = value, split
        if value is not None:
            self._members.setdefault(value, set()).add(image_id)


def splits_joined(
    session: Session, project_id: str, key: str | None, values: Collection[str]
) -> dict[str, str]:
    """The splits of those of the groups that the project has, for images that join them."""
    if key is None or not values:
        return {}
    index = GroupIndex(session.store, project_id, key)
    index.follow(session.position)
    index.rest_on(session, values)
    splits = {value: index.split(value) for value in values}
    return {value: split for value, split in splits.items() if split is not None}


def set_group_key(
    session: Session,
    project_id: str,
    key: str | None,
    mend: str | None = None,
    draw: DrawSplit | None = None,
) -> Decided[Project]:
    """Set the metadata key by which images belong together, or none.

    Raises `Conflict`, naming them, where the splits tear groups, unless `mend` says how to make
    these whole: by `majority`, or by a `draw` of sets as large as those that there are, with the
    seed and the view of the command.
    """
    project = projects.require(session.get(PROJECT, project_id))
    session.check_revision(PROJECT, project_id)
    if mend is not None and mend not in MENDS:
        raise Invalid(f"mend must be majority or draw, got {mend!r}", field="mend")
    if key is not None:
        groups.check_key(key)
    if key == project.group_key:
        return Decided(PROJECT, project_id)
    if key is None:
        session.record(PROJECT, project_id, [GroupKeySet(None, session.position, 0, 0)])
        return Decided(PROJECT, project_id)
    placed = {
        image.image_id: (group_of(image.state, key), image.state.split)
        for image in images_at(session.store, project_id, session.position, personal=True)
    }
    found = groups_of((value, split) for value, split in placed.values() if value is not None)
    torn = {group.value: group.majority for group in found if group.is_torn}
    if mend is None:
        refuse_torn(key, found)
    new: dict[str, str] = {}
    if torn and mend == DRAW:
        new = _drawn_again(session, project_id, placed, draw or DrawSplit(0.2, 0))
    elif torn:
        new = {
            image_id: split if value is None else torn.get(value, split)
            for image_id, (value, split) in placed.items()
        }
        _refuse_empty({split for _, split in placed.values()}, set(new.values()))
    mended = mend if torn else None
    event = GroupKeySet(key, session.position, len(found), len(torn), mended)
    session.record(PROJECT, project_id, [event])
    moved = move_images(
        session, project_id, {key: split for key, split in new.items() if placed[key][1] != split}
    )
    session.rest_on_images(project_id)
    counts = {"groups": len(found), "torn": len(torn), "moved": moved}
    return Decided(PROJECT, project_id, counts=counts)


def _refuse_empty(before: set[str], after: set[str]) -> None:
    for split in sorted(before - after):
        raise Conflict(
            f"no {split} image would be left, as no group has most of its images there; draw the"
            " sets again instead (mend 'draw')",
            field="mend",
        )


def _drawn_again(
    session: Session,
    project_id: str,
    placed: Mapping[str, tuple[str | None, str]],
    command: DrawSplit,
) -> dict[str, str]:
    """The split by image id: a test set and a validation set drawn by whole groups, as large as
    those before them."""
    refuse_foreign_view(session, project_id, command.stratify_by)
    sizes = Counter(split for _, split in placed.values())
    strata = {
        image.image_id: strata_of(image.state, command.stratify_by)
        for image in images_at(session.store, project_id, session.position)
    }
    values = {image_id: value for image_id, (value, _) in placed.items() if value is not None}
    new = dict.fromkeys(placed, TRAIN)
    for split in (TEST, VALIDATION):
        if not sizes[split]:
            continue
        among = {image_id: strata[image_id] for image_id in new if new[image_id] == TRAIN}
        size = sizes[split] if sizes[split] > 1 else 1 / len(among)
        drawn = draw_set(msgspec.structs.replace(command, size=size), among, values)
        new |= dict.fromkeys(drawn, split)
    return new


def refuse_foreign_view(session: Session, project_id: str, view_id: str | None) -> None:
    if view_id is not None:
        view = session.get(VIEW, view_id)
        if view is None or require_view(view).project_id != project_id:
            raise Invalid("view not found in the project", field="stratify_by")


def move_images(session: Session, project_id: str, splits: Mapping[str, str]) -> int:
    """Assign images of the project to splits, by id. Returns how many were not there before.

    They are read once more, since the states of very many images would take too much memory.
    """
    moved = 0
    for image in images_at(session.store, project_id, session.position) if splits else ():
        if image.image_id not in splits:
            continue
        assigned = images.decide(AssignSplit(splits[image.image_id]), image.state)
        if assigned:
            session.remember(IMAGE.stream(image.image_id), image.state, image.revision)
            session.record(IMAGE, image.image_id, assigned)
            moved += 1
    return moved


def assign_split(
    session: Session, image_id: str, command: AssignSplit, members: Members
) -> Decided[Image]:
    """Assign an image to a split, and with it all of its group. `ids` are those that moved."""
    image = images.require(session.get(IMAGE, image_id))
    session.check_revision(IMAGE, image_id)
    whole = with_groups(session, image.project_id, {image_id}, members)
    return Decided(IMAGE, image_id, assign_all(session, whole, command))


def with_groups(
    session: Session, project_id: str, image_ids: Collection[str], members: Members
) -> dict[str, Image]:
    """These images of a project and all of their groups, by id, less those that were removed.

    What is decided rests on their being all.
    """
    key = projects.require(session.get(PROJECT, project_id)).group_key
    whole = _present(session, image_ids)
    since = session.position
    for value in {group_of(image, key) for image in whole.values()} - {None}:
        assert key is not None
        assert value is not None
        found, position = members(project_id, key, value)
        whole |= _present(session, found)
        since = min(since, position)
    if key is not None:
        session.rest_on_images(project_id, since)
    return whole


def _present(session: Session, image_ids: Collection[str]) -> dict[str, Image]:
    states = session.get_many(IMAGE, sorted(image_ids))
    return {key: image for key, image in states.items() if image and not image.removed}


def assign_all(
    session: Session, whole: Mapping[str, Image], command: AssignSplit
) -> tuple[str, ...]:
    """Assign images to a split. Returns the ids of those that were not there."""
    moved = []
    for image_id, image in sorted(whole.items()):
        assigned = images.decide(command, image)
        session.record(IMAGE, image_id, assigned)
        moved += [image_id] * len(assigned)
    return tuple(moved)
