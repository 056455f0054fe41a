"""A model: a specific set of a view's concepts, and the numbers of its versions."""

import msgspec

from domain.errors import Conflict, NotFound
from domain.event import Event
from domain.text import clean_name


class ModelCreated(Event, frozen=True, tag="model.created"):
    """The view's first model began with this set of concepts."""

    view_id: str
    name: str
    concepts: tuple[str, ...]


class ModelForked(Event, frozen=True, tag="model.forked"):
    """A model with another set of concepts descends from a parent, for the reason given."""

    view_id: str
    name: str
    parent_model_id: str
    concepts: tuple[str, ...]
    why: str


class ConceptSetAmended(Event, frozen=True, tag="model.concept_set_amended"):
    """A model that has no version yet answers another set of concepts."""

    concepts: tuple[str, ...]


class ModelReopened(Event, frozen=True, tag="model.reopened"):
    """The view came back to this model's set of concepts."""


class ModelRenamed(Event, frozen=True, tag="model.renamed"):
    """The model has another name."""

    name: str


class ModelArchived(Event, frozen=True, tag="model.archived"):
    """The model is no longer offered for training."""


class VersionNumbered(Event, frozen=True, tag="model.version_numbered"):
    """A version took the model's next number; from the first one on the set is frozen."""

    version_id: str
    number: int


class Model(msgspec.Struct, frozen=True):
    view_id: str
    name: str
    concepts: tuple[str, ...]
    parent: str | None = None
    versions: int = 0
    archived: bool = False


class RenameModel(msgspec.Struct, frozen=True):
    name: str


class ArchiveModel(msgspec.Struct, frozen=True):
    pass


class NumberVersion(msgspec.Struct, frozen=True):
    """`archived` allows it in an archived model: for the trials of an experiment that runs."""

    version_id: str
    archived: bool = False


def evolve(model: Model | None, event: Event) -> Model | None:
    match event, model:
        case ModelCreated(), _:
            return Model(event.view_id, event.name, event.concepts)
        case ModelForked(), _:
            return Model(event.view_id, event.name, event.concepts, event.parent_model_id)
        case ConceptSetAmended(), Model():
            return msgspec.structs.replace(model, concepts=event.concepts)
        case ModelReopened(), Model():
            return msgspec.structs.replace(model, archived=False)
        case ModelRenamed(), Model():
            return msgspec.structs.replace(model, name=event.name)
        case ModelArchived(), Model():
            return msgspec.structs.replace(model, archived=True)
        case VersionNumbered(), Model():
            return msgspec.structs.replace(model, versions=event.number)
    return model


def decide(command: RenameModel | ArchiveModel | NumberVersion, model: Model | None) -> list[Event]:
    current = require(model)
    match command:
        case RenameModel():
            name = clean_name(command.name)
            return [] if name == current.name else [ModelRenamed(name)]
        case ArchiveModel():
            return [] if current.archived else [ModelArchived()]
        case NumberVersion():
            if current.archived and not command.archived:
                raise Conflict(f"model {current.name!r} is archived and can no longer be trained")
            return [VersionNumbered(command.version_id, current.versions + 1)]


def require(model: Model | None) -> Model:
    if model is None:
        raise NotFound("model not found")
    return model
