"""A view: one question about a project's images, its concepts, and the sets that are models."""

from collections.abc import Iterable, Mapping
from typing import ClassVar

import msgspec

from domain.errors import Conflict, Invalid, NotFound
from domain.event import Event
from domain.library.conditions import Conditions, ParentConcepts
from domain.library.conditions import check as check_conditions
from domain.text import clean_name

CLASSIFICATION, TAGGING, DETECTION = "classification", "tagging", "detection"
KINDS = (CLASSIFICATION, TAGGING, DETECTION)

ConceptSet = frozenset[str]


class ViewCreated(Event, frozen=True, tag="view.created"):
    """A view was created: of the project's images, or of items of a parent view.

    Then these meet `conditions`: groups of the parent's concepts, of one of which an item has all.
    They are images, or `crops`: the boxes of the nearest detection view above.
    """

    schema_version: ClassVar[int] = 2

    project_id: str
    name: str
    kind: str
    parent_id: str | None = None
    conditions: Conditions = ()
    crops: bool = False


class ChildViewAdded(Event, frozen=True, tag="view.child_added"):
    """A view was created that has this one as its parent."""

    view_id: str


class ConditionsChanged(Event, frozen=True, tag="view.conditions_changed"):
    """The view chooses items of its parent by other conditions."""

    conditions: Conditions


class ViewRenamed(Event, frozen=True, tag="view.renamed"):
    """The view has another name."""

    name: str


class ViewArchived(Event, frozen=True, tag="view.archived"):
    """The view is no longer worked on: nothing is annotated, changed or trained in it."""


class ViewRestored(Event, frozen=True, tag="view.restored"):
    """The archived view is worked on again."""


class ConceptAdded(Event, frozen=True, tag="view.concept_added"):
    """A concept joined the view, or came back to it under the id it had."""

    concept_id: str
    label: str


class ConceptRenamed(Event, frozen=True, tag="view.concept_renamed"):
    """A concept has another label; it is still the same concept."""

    concept_id: str
    label: str


class ConceptRemoved(Event, frozen=True, tag="view.concept_removed"):
    """A concept left the view; what was annotated with it stays in the history."""

    concept_id: str


class ModelRegistered(Event, frozen=True, tag="view.model_registered"):
    """In this view this set of concepts is this model, and this model is no other set."""

    model_id: str
    concepts: tuple[str, ...]


class View(msgspec.Struct, frozen=True):
    """`concepts` and `removed` map ids to labels; `models` maps sets of concepts to models.

    `current_model` is the last model whose set was the view's whole set of concepts. `children` are
    the ids of the views that have this one as their parent.
    """

    project_id: str
    name: str
    kind: str
    concepts: dict[str, str] = msgspec.field(default_factory=dict)
    removed: dict[str, str] = msgspec.field(default_factory=dict)
    models: dict[ConceptSet, str] = msgspec.field(default_factory=dict)
    current_model: str | None = None
    archived: bool = False
    parent_id: str | None = None
    conditions: Conditions = ()
    crops: bool = False
    children: tuple[str, ...] = ()

    @property
    def gives_crops(self) -> bool:
        """Whether the items of its children are crops."""
        return self.crops or self.kind == DETECTION

    @property
    def boxed(self) -> bool:
        """Whether its annotations have boxes."""
        return self.gives_crops


class CreateView(msgspec.Struct, frozen=True):
    project_id: str
    name: str
    kind: str
    parent_id: str | None = None
    conditions: Conditions = ()


class ChangeConditions(msgspec.Struct, frozen=True):
    conditions: Conditions


class RenameView(msgspec.Struct, frozen=True):
    name: str


class ArchiveView(msgspec.Struct, frozen=True):
    pass


class RestoreView(msgspec.Struct, frozen=True):
    pass


class NewConcept(msgspec.Struct, frozen=True):
    concept_id: str
    label: str


class AddConcepts(msgspec.Struct, frozen=True):
    concepts: tuple[NewConcept, ...]


class RenameConcept(msgspec.Struct, frozen=True):
    concept_id: str
    label: str


class RemoveConcept(msgspec.Struct, frozen=True):
    concept_id: str


ConceptCommand = AddConcepts | RenameConcept | RemoveConcept
Command = CreateView | RenameView | ArchiveView | RestoreView | ConceptCommand


def evolve(view: View | None, event: Event) -> View | None:
    match event, view:
        case ViewCreated(), _:
            return View(
                event.project_id,
                event.name,
                event.kind,
                parent_id=event.parent_id,
                conditions=event.conditions,
                crops=event.crops,
            )
        case ChildViewAdded(), View():
            return msgspec.structs.replace(view, children=(*view.children, event.view_id))
        case ConditionsChanged(), View():
            return msgspec.structs.replace(view, conditions=event.conditions)
        case ViewRenamed(), View():
            return msgspec.structs.replace(view, name=event.name)
        case ViewArchived(), View():
            return msgspec.structs.replace(view, archived=True)
        case ViewRestored(), View():
            return msgspec.structs.replace(view, archived=False)
        case ConceptAdded(), View():
            removed = {k: v for k, v in view.removed.items() if k != event.concept_id}
            return _with_concepts(view, view.concepts | {event.concept_id: event.label}, removed)
        case ConceptRenamed(), View():
            concepts = view.concepts | {event.concept_id: event.label}
            return _with_concepts(view, concepts, view.removed)
        case ConceptRemoved(), View():
            concepts = dict(view.concepts)
            removed = view.removed | {event.concept_id: concepts.pop(event.concept_id)}
            return _with_concepts(view, concepts, removed)
        case ModelRegistered(), View():
            models = {s: m for s, m in view.models.items() if m != event.model_id}
            models[frozenset(event.concepts)] = event.model_id
            return _with_current(msgspec.structs.replace(view, models=models))
    return view


def _with_concepts(view: View, concepts: dict[str, str], removed: dict[str, str]) -> View:
    return _with_current(msgspec.structs.replace(view, concepts=concepts, removed=removed))


def _with_current(view: View) -> View:
    current = view.models.get(frozenset(view.concepts), view.current_model)
    return msgspec.structs.replace(view, current_model=current)


def decide(command: Command, view: View | None) -> list[Event]:
    """The events of the view; `library.model_rule` decides those of its models."""
    if isinstance(command, CreateView):
        return create(command, None)
    current = require(view)
    match command:
        case ArchiveView():
            return [] if current.archived else [ViewArchived()]
        case RestoreView():
            return [ViewRestored()] if current.archived else []
    refuse_archived(current)
    match command:
        case RenameView():
            name = clean_name(command.name)
            return [] if name == current.name else [ViewRenamed(name)]
        case AddConcepts():
            return _add(command, current)
        case RenameConcept():
            _require_concept(current, command.concept_id)
            label = clean_name(command.label, "label")
            if current.concepts[command.concept_id] == label:
                return []
            _refuse_taken(current, label)
            return [ConceptRenamed(command.concept_id, label)]
        case RemoveConcept():
            _require_concept(current, command.concept_id)
            return [ConceptRemoved(command.concept_id)]


def create(command: CreateView, parent: View | None) -> list[Event]:
    """Create a view, on its parent if it has one. Raises `Invalid` naming the field."""
    if command.kind not in KINDS:
        raise Invalid(
            f"kind must be one of {', '.join(KINDS)}, got {command.kind!r}",
            field="kind",
        )
    name = clean_name(command.name)
    if command.parent_id is None:
        if command.conditions:
            raise Invalid("conditions need a parent view; name one", field="parent_id")
        return [ViewCreated(command.project_id, name, command.kind)]
    if parent is None or parent.project_id != command.project_id:
        raise Invalid("view not found in the project", field="parent_id")
    if parent.archived:
        raise Conflict(f"view {parent.name!r} is archived; restore it first", field="parent_id")
    if parent.gives_crops and command.kind == DETECTION:
        raise Invalid(
            "a detection view cannot have crops as its items; choose classification or tagging,"
            " or another"
            " parent",
            field="kind",
        )
    conditions = check_conditions(command.conditions, _concepts_of(parent))
    return [
        ViewCreated(
            command.project_id,
            name,
            command.kind,
            command.parent_id,
            conditions,
            parent.gives_crops,
        )
    ]


def change_conditions(
    command: ChangeConditions, view: View, parent: View, below: Iterable[View]
) -> list[Event]:
    """Choose items of the parent by other conditions. `below` are all views under this one.

    Of tagging views of crops, an image that is marked complete says that all crops not listed hold
    no concept; so the crops of such a view must not become more.
    """
    refuse_archived(view)
    conditions = check_conditions(command.conditions, _concepts_of(parent))
    if conditions == view.conditions:
        return []
    for each in (view, *below):
        if each.crops and each.kind == TAGGING:
            raise Conflict(
                f"{each.name!r} is a tagging view of crops, whose complete images refer to the"
                " crops that they had; create another view",
                field="conditions",
            )
    return [ConditionsChanged(conditions)]


def _concepts_of(parent: View) -> ParentConcepts:
    return ParentConcepts(parent.name, parent.concepts, parent.kind != TAGGING)


def refuse_named(concept_id: str, view: View, children: Mapping[str, View | None]) -> None:
    """Raises `Conflict` if conditions of a child that is not archived name the view's concept."""
    for child in children.values():
        if child is None or child.archived:
            continue
        if any(concept_id in group for group in child.conditions):
            raise Conflict(
                f"the conditions of view {child.name!r} name {view.concepts[concept_id]!r}; change"
                " them first, or archive that view",
                field="concept_id",
            )


def _add(command: AddConcepts, view: View) -> list[Event]:
    if not command.concepts:
        raise Invalid("give at least one concept", field="labels")
    former_ids = {label: concept_id for concept_id, label in view.removed.items()}
    events: list[Event] = []
    taken = view
    for concept in command.concepts:
        label = clean_name(concept.label, "label")
        if label not in view.concepts.values() and label in taken.concepts.values():
            raise Conflict(f"the label {label!r} is given twice", field="labels")
        _refuse_taken(taken, label)
        event = ConceptAdded(former_ids.pop(label, concept.concept_id), label)
        events.append(event)
        taken = require(evolve(taken, event))
    return events


def _require_concept(view: View, concept_id: str) -> None:
    if concept_id not in view.concepts:
        raise NotFound(f"view {view.name!r} has no concept {concept_id!r}", field="concept_id")


def _refuse_taken(view: View, label: str) -> None:
    if label in view.concepts.values():
        raise Conflict(f"view {view.name!r} already has a concept {label!r}", field="label")


def require(view: View | None) -> View:
    if view is None:
        raise NotFound("view not found")
    return view


def require_active(view: View | None) -> View:
    """Raises `NotFound`, or `Conflict` for an archived view."""
    current = require(view)
    refuse_archived(current)
    return current


def refuse_archived(view: View) -> None:
    if view.archived:
        raise Conflict(f"view {view.name!r} is archived; restore it first", field="view_id")
