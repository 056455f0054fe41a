"""A project: images, shared by all its views, and one validation set for all of them."""

import random
from collections.abc import Sequence

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
    """A new validation set was drawn at random, from the images there were at `log_position`.

    `size` above 1 is a count of images, in (0, 1) a share of them. Versions trained before and
    after it can no longer be compared.
    """

    size: float
    seed: int
    images: int
    validation_images: int
    log_position: int


class GreyDepthChosen(Event, frozen=True, tag="project.grey_depth_chosen"):
    """The 16-bit grey values of the project's images use this many bits.

    The upper eight of them are what is shown, trained on and predicted from.
    """

    bits: int


class Project(msgspec.Struct, frozen=True):
    """`grey_bits` is None until an image with 16-bit grey values joins."""

    name: str
    splits_drawn: int = 0
    grey_bits: int | None = None


class CreateProject(msgspec.Struct, frozen=True):
    name: str


class RenameProject(msgspec.Struct, frozen=True):
    name: str


class DrawValidationSplit(msgspec.Struct, frozen=True):
    size: float
    seed: int


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
        case GreyDepthChosen(), Project():
            return msgspec.structs.replace(project, grey_bits=event.bits)
    return project


def decide(
    command: CreateProject | RenameProject | CoverGreyValues, project: Project | None
) -> list[Event]:
    if isinstance(command, CoverGreyValues):
        bits = grey_depth(command.highest)
        return [GreyDepthChosen(bits)] if bits > (require(project).grey_bits or 0) else []
    name = clean_name(command.name)
    if isinstance(command, CreateProject):
        if project is not None:
            raise Conflict("this project exists already")
        return [ProjectCreated(name)]
    if require(project).name == name:
        return []
    return [ProjectRenamed(name)]


def require(project: Project | None) -> Project:
    if project is None:
        raise NotFound("there is no such project")
    return project


def draw_validation_set(command: DrawValidationSplit, image_ids: Sequence[str]) -> frozenset[str]:
    """The ids drawn for validation: a pure function of the size, the seed and the set of ids.

    Raises `Invalid` where the size asks for no image, or leaves none to train on, or the seed is
    out of range.
    """
    size = command.size
    if not 0 < size < float("inf") or size == 1 or (size > 1 and size != int(size)):
        raise Invalid(
            f"size is {size}; give a share between 0 and 1, or a whole number of images above 1",
            field="size",
        )
    if not 0 <= command.seed <= 2**53:
        raise Invalid(f"seed is {command.seed}; it must be from 0 to 2^53", field="seed")
    count = round(size * len(image_ids)) if size < 1 else int(size)
    if count < 1:
        raise Invalid(
            f"{size} of {len(image_ids)} images is no image; add images or ask for more",
            field="size",
        )
    if count >= len(image_ids):
        raise Invalid(
            f"{count} of {len(image_ids)} images would leave none to train on; ask for fewer",
            field="size",
        )
    return frozenset(random.Random(command.seed).sample(sorted(image_ids), count))
