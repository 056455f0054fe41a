"""Commands about views, their concepts and their models."""

from collections.abc import Iterator, Sequence

from application.handle import Decided, Session
from domain.aggregates import MODEL, PROJECT, VIEW
from domain.dataset import project as projects
from domain.errors import Conflict
from domain.library import model as models
from domain.library import view as views
from domain.library.conditions import Conditions
from domain.library.model import Model
from domain.library.model_rule import ForkModel, ModelChange, decide_model_change, fork
from domain.library.view import (
    AddConcepts,
    ChangeConditions,
    ChildViewAdded,
    ConceptCommand,
    CreateView,
    NewConcept,
    RemoveConcept,
    View,
)


def create_view(
    session: Session,
    project_id: str,
    name: str,
    kind: str,
    parent_id: str | None = None,
    conditions: Conditions = (),
) -> Decided[View]:
    """Create a view; its parent, if it has one, records it as its child."""
    projects.require(session.get(PROJECT, project_id))
    parent = None if parent_id is None else session.get(VIEW, parent_id)
    view_id = session.begin(VIEW)
    command = CreateView(project_id, name, kind, parent_id, conditions)
    session.record(VIEW, view_id, views.create(command, parent))
    if parent_id is not None:
        session.record(VIEW, parent_id, [ChildViewAdded(view_id)])
    return Decided(VIEW, view_id)


def change_conditions(session: Session, view_id: str, command: ChangeConditions) -> Decided[View]:
    """Choose other items of the view's parent."""
    view = views.require(session.get(VIEW, view_id))
    session.check_revision(VIEW, view_id)
    if view.parent_id is None:
        raise Conflict(
            f"view {view.name!r} has no parent, so it has no conditions", field="conditions"
        )
    parent = views.require(session.get(VIEW, view.parent_id))
    below = list(_below(session, view))
    session.record(VIEW, view_id, views.change_conditions(command, view, parent, below))
    return Decided(VIEW, view_id)


def _below(session: Session, view: View) -> Iterator[View]:
    """All views under a view."""
    level: Sequence[str] = view.children
    while level:
        children = [child for child in session.get_many(VIEW, level).values() if child is not None]
        yield from children
        level = [grandchild for child in children for grandchild in child.children]


def add_concepts(session: Session, view_id: str, labels: Sequence[str]) -> Decided[View]:
    """Add concepts to a view, all or none. The ids of all of them are returned, in order."""
    concepts = tuple(NewConcept(session.new_id(), label) for label in labels)
    change_concepts(session, view_id, AddConcepts(concepts))
    view = views.require(session.get(VIEW, view_id))
    ids = {label: concept_id for concept_id, label in view.concepts.items()}
    return Decided(VIEW, view_id, tuple(ids[label.strip()] for label in labels))


def change_concepts(session: Session, view_id: str, command: ConceptCommand) -> Decided[View]:
    """Change a view's concepts, and its models as follows from that."""
    before = views.require(session.get(VIEW, view_id))
    if isinstance(command, RemoveConcept) and command.concept_id in before.concepts:
        children = session.get_many(VIEW, before.children)
        views.refuse_named(command.concept_id, before, children)
    session.change(VIEW, view_id, command)
    after = views.require(session.get(VIEW, view_id))
    current = session.get(MODEL, before.current_model) if before.current_model else None
    _record(
        session, view_id, decide_model_change(view_id, before, after, current, session.new_id())
    )
    return Decided(VIEW, view_id)


def _record(session: Session, view_id: str, change: ModelChange | None) -> None:
    if change is not None:
        session.record(MODEL, change.model_id, change.model_events)
        session.record(VIEW, view_id, change.view_events)


def fork_model(
    session: Session,
    parent_model_id: str,
    concepts: Sequence[str],
    why: str,
    name: str | None = None,
) -> Decided[Model]:
    """Fork a model with other concepts from its parent, at a user's request."""
    parent = models.require(session.get(MODEL, parent_model_id))
    view = views.require_active(session.get(VIEW, parent.view_id))
    command = ForkModel(parent_model_id, tuple(concepts), why, name)
    change = fork(command, view, parent, session.new_id())
    _record(session, parent.view_id, change)
    return Decided(MODEL, change.model_id)
