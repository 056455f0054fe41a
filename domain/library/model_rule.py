"""The model rule: within a view a model *is* a set of concepts, one to one.

While the current model has no version, a change of the concepts amends it. Once it has one its
set is frozen and the change forks a child; so does an archived one, which would otherwise keep the
view from training. Returning to a set that has a model reopens that model.
A view without concepts changes no model.
"""

from collections.abc import Iterable, Sequence

import msgspec

from domain.errors import Conflict, Invalid
from domain.event import Event
from domain.library.model import ConceptSetAmended, Model, ModelCreated, ModelForked, ModelReopened
from domain.library.view import ModelRegistered, View
from domain.text import clean_name


class ModelChange(msgspec.Struct, frozen=True):
    """The events of one model, and those of the view that registers it."""

    model_id: str
    model_events: Sequence[Event]
    view_events: Sequence[Event]


class ForkModel(msgspec.Struct, frozen=True):
    parent_model_id: str
    concepts: tuple[str, ...]
    why: str
    name: str | None = None


def decide_model_change(
    view_id: str, before: View, after: View, current: Model | None, new_model_id: str
) -> ModelChange | None:
    """Decide how a change of the view's concepts, `before` to `after`, changes its models.

    `current` is the state of the model that `before.current_model` names.
    """
    concepts = frozenset(after.concepts)
    if not concepts or concepts == frozenset(before.concepts):
        return None
    model_id = after.models.get(concepts)
    if model_id is not None:
        if model_id == before.current_model and not (current and current.archived):
            return None
        return ModelChange(model_id, [ModelReopened()], [])
    ordered = _ordered(concepts)
    if before.current_model is None or current is None:
        return _registered(new_model_id, ModelCreated(view_id, _name(after), ordered))
    if current.versions == 0 and not current.archived:
        return _registered(before.current_model, ConceptSetAmended(ordered))
    forked = ModelForked(
        view_id, _name(after), before.current_model, ordered, _difference(before, after)
    )
    return _registered(new_model_id, forked)


def fork(command: ForkModel, view: View, parent: Model, new_model_id: str) -> ModelChange:
    """A fork that a user asks for, with concepts of the view or of the parent.

    Raises `Conflict` if that set already is a model, `Invalid` for an unknown concept.
    """
    if not command.concepts:
        raise Invalid("a model needs at least one concept", field="concepts")
    unknown = set(command.concepts) - set(view.concepts) - set(parent.concepts)
    if unknown:
        raise Invalid(
            f"view {view.name!r} has no concept {', '.join(sorted(unknown))}", field="concepts"
        )
    twin = view.models.get(frozenset(command.concepts))
    if twin is not None:
        raise Conflict(f"model {twin} already has this set of concepts; train that model")
    name = _name(view) if command.name is None else clean_name(command.name)
    forked = ModelForked(
        parent.view_id,
        name,
        command.parent_model_id,
        _ordered(command.concepts),
        clean_name(command.why, "why"),
    )
    return _registered(new_model_id, forked)


def _registered(
    model_id: str, event: ModelCreated | ModelForked | ConceptSetAmended
) -> ModelChange:
    return ModelChange(model_id, [event], [ModelRegistered(model_id, event.concepts)])


def _ordered(concepts: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(concepts)))


def _name(view: View) -> str:
    return f"Model {len(set(view.models.values())) + 1}"


def _difference(before: View, after: View) -> str:
    def labels(gained: View, lost: View) -> list[str]:
        return [repr(label) for key, label in gained.concepts.items() if key not in lost.concepts]

    added, removed = labels(after, before), labels(before, after)
    parts = [f"added {', '.join(added)}"] * bool(added)
    parts += [f"removed {', '.join(removed)}"] * bool(removed)
    return " and ".join(parts)
