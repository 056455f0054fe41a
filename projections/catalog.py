"""The catalog: projects, their views, and the views' concepts."""

from collections.abc import Iterator
from datetime import datetime

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Integer,
    MetaData,
    Table,
    Text,
    bindparam,
    insert,
    select,
    update,
)

from domain.event import Recorded
from domain.project import ProjectCreated, ProjectRenamed, ValidationSplitDrawn
from domain.view import ConceptAdded, ConceptRemoved, ConceptRenamed, ModelRegistered, ViewCreated
from projections.read_model import SCHEMA, ReadModel, Write, event_by_event

metadata = MetaData(schema=SCHEMA)

projects = Table(
    "catalog_v1_projects",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("created_position", BigInteger, nullable=False, unique=True),
    Column("splits_drawn", Integer, nullable=False),
    Column("revision", BigInteger, nullable=False),
)
views = Table(
    "catalog_v1_views",
    metadata,
    Column("view_id", Text, primary_key=True),
    Column("project_id", Text, nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("created_position", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
)
concepts = Table(
    "catalog_v1_concepts",
    metadata,
    Column("view_id", Text, primary_key=True),
    Column("concept_id", Text, primary_key=True),
    Column("label", Text, nullable=False),
    Column("removed", Boolean, nullable=False),
    Column("added_position", BigInteger, nullable=False),
)

_project = projects.c.project_id == bindparam("key")
_view = views.c.view_id == bindparam("key")
_concept = (concepts.c.view_id == bindparam("key")) & (
    concepts.c.concept_id == bindparam("concept")
)

_add_project = insert(projects)
_rename_project = update(projects).where(_project).values(name=bindparam("new_name"))
_count_split = update(projects).where(_project).values(splits_drawn=projects.c.splits_drawn + 1)
_revise_project = update(projects).where(_project).values(revision=bindparam("to"))
_add_view = insert(views)
_revise_view = update(views).where(_view).values(revision=bindparam("to"))
_forget_concept = concepts.delete().where(_concept)
_add_concept = insert(concepts)
_rename_concept = update(concepts).where(_concept).values(label=bindparam("new_label"))
_remove_concept = update(concepts).where(_concept).values(removed=True)


def project(recorded: Recorded) -> Iterator[Write]:
    key = recorded.entity_id
    match recorded.event:
        case ProjectCreated(name=name):
            yield Write(
                _add_project,
                {
                    "project_id": key,
                    "name": name,
                    "created_at": recorded.metadata.occurred_at,
                    "created_position": recorded.position,
                    "splits_drawn": 0,
                    "revision": recorded.originator_version,
                },
            )
        case ProjectRenamed(name=name):
            yield Write(_rename_project, {"key": key, "new_name": name})
        case ValidationSplitDrawn():
            yield Write(_count_split, {"key": key})
        case ViewCreated() as created:
            yield Write(
                _add_view,
                {
                    "view_id": key,
                    "project_id": created.project_id,
                    "name": created.name,
                    "kind": created.kind,
                    "created_at": recorded.metadata.occurred_at,
                    "created_position": recorded.position,
                    "revision": recorded.originator_version,
                },
            )
        case ConceptAdded() as added:
            # It may come back after it was removed.
            yield Write(_forget_concept, {"key": key, "concept": added.concept_id})
            yield Write(
                _add_concept,
                {
                    "view_id": key,
                    "concept_id": added.concept_id,
                    "label": added.label,
                    "removed": False,
                    "added_position": recorded.position,
                },
            )
        case ConceptRenamed() as renamed:
            yield Write(
                _rename_concept,
                {"key": key, "concept": renamed.concept_id, "new_label": renamed.label},
            )
        case ConceptRemoved() as removed:
            yield Write(_remove_concept, {"key": key, "concept": removed.concept_id})
    match recorded.event:
        case ProjectRenamed() | ValidationSplitDrawn():
            yield Write(_revise_project, {"key": key, "to": recorded.originator_version})
        case ConceptAdded() | ConceptRenamed() | ConceptRemoved() | ModelRegistered():
            yield Write(_revise_view, {"key": key, "to": recorded.originator_version})


CATALOG = ReadModel("catalog_v1", metadata, event_by_event(project), ("project.", "view."))


class ProjectRow(msgspec.Struct, frozen=True):
    project_id: str
    name: str
    created_at: datetime
    created_position: int
    splits_drawn: int
    revision: int


class ConceptRow(msgspec.Struct, frozen=True):
    concept_id: str
    label: str


class ViewRow(msgspec.Struct, frozen=True):
    view_id: str
    project_id: str
    name: str
    kind: str
    created_at: datetime
    revision: int
    concepts: list[ConceptRow]


def list_projects(
    connection: Connection, *, before: int | None = None, limit: int = 50, name: str | None = None
) -> list[ProjectRow]:
    """Projects, newest first; `before` is the `created_position` of the last one seen."""
    query = select(projects).order_by(projects.c.created_position.desc()).limit(limit)
    if before is not None:
        query = query.where(projects.c.created_position < before)
    if name:
        query = query.where(projects.c.name.icontains(name, autoescape=True))
    return [ProjectRow(**row._mapping) for row in connection.execute(query)]


def find_project(connection: Connection, project_id: str) -> ProjectRow | None:
    row = connection.execute(select(projects).where(projects.c.project_id == project_id)).first()
    return None if row is None else ProjectRow(**row._mapping)


def list_views(connection: Connection, project_id: str) -> list[ViewRow]:
    """A project's views, oldest first, with their concepts."""
    query = select(views).where(views.c.project_id == project_id).order_by(views.c.created_position)
    rows = connection.execute(query).all()
    labels = _concepts(connection, [row.view_id for row in rows])
    return [_view_row(row._mapping, labels[row.view_id]) for row in rows]


def find_view(connection: Connection, view_id: str) -> ViewRow | None:
    row = connection.execute(select(views).where(views.c.view_id == view_id)).first()
    if row is None:
        return None
    return _view_row(row._mapping, _concepts(connection, [view_id])[view_id])


def labels_of(connection: Connection, view_id: str) -> dict[str, str]:
    """Labels by concept id, those of removed concepts included."""
    query = select(concepts.c.concept_id, concepts.c.label).where(concepts.c.view_id == view_id)
    return {row.concept_id: row.label for row in connection.execute(query)}


def _view_row(row: object, labels: list[ConceptRow]) -> ViewRow:
    values = {name: row[name] for name in ViewRow.__struct_fields__ if name != "concepts"}  # type: ignore[index]
    return ViewRow(**values, concepts=labels)


def _concepts(connection: Connection, view_ids: list[str]) -> dict[str, list[ConceptRow]]:
    found: dict[str, list[ConceptRow]] = {view_id: [] for view_id in view_ids}
    query = (
        select(concepts)
        .where(concepts.c.view_id.in_(view_ids), ~concepts.c.removed)
        .order_by(concepts.c.added_position)
    )
    for row in connection.execute(query):
        found[row.view_id].append(ConceptRow(row.concept_id, row.label))
    return found
