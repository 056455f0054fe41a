"""A project: images, shared by all its views, with one validation and one test set for all."""

from typing import ClassVar

import msgspec

from domain.dataset.pixels import grey_depth
from domain.errors import Conflict, Invalid, NotFound
from domain.event import Event
from domain.text import clean_name


class ProjectCreated(Event, frozen=True, tag="project.created"):
    """A project began."""

    name: str


class ProjectRenamed(Event, frozen=True, tag="project.renamed"):
    """The project has another name."""

    name: str


class ValidationSplitDrawn(Event, frozen=True, tag="project.validation_split_drawn"):
    """A new validation set was drawn at random, from the images there were at `log_position`, apart
    from the test set.

    `size` above 1 is a count of images, in (0, 1) a share of them. `stratified_by` is the
    view whose concepts it was stratified by, if any. `group_key` is the metadata key by which whole
    groups were drawn, if any. Versions trained before and after it can no longer be compared.
    """

    schema_version: ClassVar[int] = 3

    size: float
    seed: int
    images: int
    validation_images: int
    log_position: int
    stratified_by: str | None = None
    group_key: str | None = None


class TestSetDrawn(Event, frozen=True, tag="project.test_set_drawn"):
    """A new test set was drawn at random, from the images at `log_position` that do not validate.

    `size`, `seed`, `stratified_by` and `group_key` are as for the validation set. Images of the
    test set before it that were not drawn again train. `images` is the number of images that it was
    drawn from.
    """

    schema_version: ClassVar[int] = 2

    __test__: ClassVar[bool] = False  # for pytest, which takes the name for a test's

    size: float
    seed: int
    images: int
    test_images: int
    log_position: int
    stratified_by: str | None = None
    group_key: str | None = None


class GroupKeySet(Event, frozen=True, tag="project.group_key_set"):
    """Images with the same value of this metadata key belong together: no split tears them.

    `key` is None where each image is a group of its own again. `torn` groups were spread over
    several splits at `log_position`; `mended` says how they were made whole: `majority` moved each
    to the split that held most of it, `draw` drew the sets again.
    """

    key: str | None
    log_position: int
    groups: int
    torn: int
    mended: str | None = None


class GreyDepthChosen(Event, frozen=True, tag="project.grey_depth_chosen"):
    """The 16-bit grey values of the project's images use this many bits.

    The upper eight of them are what is shown, trained on and predicted from.
    """

    bits: int


class SnapshotNamed(Event, frozen=True, tag="project.snapshot_named"):
    """The project's dataset as it was at a position of the log has a name."""

    name: str
    log_position: int


class SnapshotRemoved(Event, frozen=True, tag="project.snapshot_removed"):
    """The name of a snapshot is free again; the dataset of that position stays in the log."""

    name: str


class Project(msgspec.Struct, frozen=True):
    """`grey_bits` is None until an image with 16-bit grey values joins. `snapshots` are positions
    of the log by name. Images with the same value of the metadata key `group_key` are a group."""

    name: str
    splits_drawn: int = 0
    grey_bits: int | None = None
    snapshots: dict[str, int] = {}
    group_key: str | None = None


class CreateProject(msgspec.Struct, frozen=True):
    name: str


class RenameProject(msgspec.Struct, frozen=True):
    name: str


class NameSnapshot(msgspec.Struct, frozen=True):
    name: str
    log_position: int


class RemoveSnapshot(msgspec.Struct, frozen=True):
    name: str


class CoverGreyValues(msgspec.Struct, frozen=True):
    """Choose a depth that holds 16-bit grey values up to the highest; never a lower one."""

    highest: int


def evolve(project: Project | None, event: Event) -> Project | None:
    match event, project:
        case ProjectCreated(), _:
            return Project(event.name)
        case ProjectRenamed(), Project():
            return msgspec.structs.replace(project, name=event.name)
        case ValidationSplitDrawn(), Project():
            return msgspec.structs.replace(project, splits_drawn=project.splits_drawn + 1)
        case GroupKeySet(key=key), Project():
            return msgspec.structs.replace(project, group_key=key)
        case GreyDepthChosen(), Project():
            return msgspec.structs.replace(project, grey_bits=event.bits)
        case SnapshotNamed(name=name, log_position=position), Project():
            return msgspec.structs.replace(project, snapshots=project.snapshots | {name: position})
        case SnapshotRemoved(name=name), Project():
            kept = {key: at for key, at in project.snapshots.items() if key != name}
            return msgspec.structs.replace(project, snapshots=kept)
    return project


def decide(
    command: CreateProject | RenameProject | CoverGreyValues | NameSnapshot | RemoveSnapshot,
    project: Project | None,
) -> list[Event]:
    if isinstance(command, CoverGreyValues):
        bits = grey_depth(command.highest)
        return [GreyDepthChosen(bits)] if bits > (require(project).grey_bits or 0) else []
    if isinstance(command, RemoveSnapshot):
        if command.name not in require(project).snapshots:
            raise NotFound(f"the project has no snapshot {command.name!r}", field="name")
        return [SnapshotRemoved(command.name)]
    name = clean_name(command.name)
    if isinstance(command, NameSnapshot):
        return _name_snapshot(name, command.log_position, require(project))
    if isinstance(command, CreateProject):
        if project is not None:
            raise Conflict("this project already exists")
        return [ProjectCreated(name)]
    if require(project).name == name:
        return []
    return [ProjectRenamed(name)]


def _name_snapshot(name: str, position: int, project: Project) -> list[Event]:
    if name.isdecimal():
        raise Invalid(
            f"{name!r} could be a position of the log; choose a name with a letter",
            field="name",
        )
    if project.snapshots.get(name, position) != position:
        raise Conflict(
            f"snapshot {name!r} is position {project.snapshots[name]}; choose another name, or"
            " remove that one first",
            field="name",
        )
    return [] if name in project.snapshots else [SnapshotNamed(name, position)]


def require(project: Project | None) -> Project:
    if project is None:
        raise NotFound("project not found")
    return project
