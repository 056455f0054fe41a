"""Commands about views, their concepts and their models."""

from collections.abc import Sequence

from application.handle import Decided, Session
from domain.aggregates import MODEL, PROJECT, VIEW
from domain.dataset import project as projects
from domain.library import model as models
from domain.library import view as views
from domain.library.model import Model
from domain.library.model_rule import ForkModel, ModelChange, decide_model_change, fork
from domain.library.view import AddConcepts, ConceptCommand, CreateView, NewConcept, View


def create_view(session: Session, project_id: str, name: str, kind: str) -> Decided[View]:
    projects.require(session.get(PROJECT, project_id))
    return session.decide(VIEW, session.begin(VIEW), CreateView(project_id, name, kind))


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
