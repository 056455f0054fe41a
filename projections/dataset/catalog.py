"""The catalog: projects, their views, and the views' concepts."""

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    BindParameter,
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
)
from sqlalchemy.dialects.postgresql import JSONB

from domain.dataset.project import (
    GreyDepthChosen,
    GroupKeySet,
    ProjectCreated,
    ProjectRenamed,
    SnapshotNamed,
    SnapshotRemoved,
    ValidationSplitDrawn,
)
from domain.event import Recorded
from domain.library.view import (
    ChildViewAdded,
    ConceptAdded,
    ConceptRemoved,
    ConceptRenamed,
    ConditionsChanged,
    ModelRegistered,
    ViewArchived,
    ViewCreated,
    ViewRenamed,
    ViewRestored,
)
from projections.engine.history import History, execute_at, valid_from_column
from projections.engine.read_model import SCHEMA, ReadModel, Write, event_by_event

metadata = MetaData(schema=SCHEMA)

projects = Table(
    "catalog_v4_projects",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("created_position", BigInteger, nullable=False, unique=True),
    Column("splits_drawn", Integer, nullable=False),
    Column("group_key", Text, nullable=True),
    Column("revision", BigInteger, nullable=False),
    valid_from_column(),
)
views = Table(
    "catalog_v4_views",
    metadata,
    Column("view_id", Text, primary_key=True),
    Column("project_id", Text, nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("created_position", BigInteger, nullable=False),
    Column("archived", Boolean, nullable=False),
    Column("parent_id", Text),
    Column("conditions", JSONB, nullable=False),
    Column("crops", Boolean, nullable=False),
    Column("revision", BigInteger, nullable=False),
    valid_from_column(),
)
concepts = Table(
    "catalog_v4_concepts",
    metadata,
    Column("view_id", Text, primary_key=True),
    Column("concept_id", Text, primary_key=True),
    Column("label", Text, nullable=False),
    Column("removed", Boolean, nullable=False),
    Column("added_position", BigInteger, nullable=False),
    valid_from_column(),
)

PROJECTS = History(
    projects, "name", "splits_drawn", "group_key", "revision", born="created_position"
)
VIEWS = History(views, "name", "archived", "conditions", "revision", born="created_position")
CONCEPTS = History(concepts, "label", "removed", "added_position")

_project = projects.c.project_id == bindparam("key")
_view = views.c.view_id == bindparam("key")
_concept = (concepts.c.view_id == bindparam("key")) & (
    concepts.c.concept_id == bindparam("concept")
)
_to: BindParameter[int] = bindparam("to", type_=BigInteger)

_add_project = insert(projects)
_rename_project = PROJECTS.change(_project, name=bindparam("new_name"), revision=_to)
_count_split = PROJECTS.change(_project, splits_drawn=projects.c.splits_drawn + 1, revision=_to)
_group = PROJECTS.change(_project, group_key=bindparam("new_key", type_=Text), revision=_to)
_revise_project = PROJECTS.change(_project, revision=_to)
_add_view = insert(views)
_rename_view = VIEWS.change(_view, name=bindparam("new_name"), revision=_to)
_archive_view = VIEWS.change(_view, archived=bindparam("is_archived"), revision=_to)
_change_conditions = VIEWS.change(
    _view, conditions=bindparam("new_conditions", type_=JSONB), revision=_to
)
_revise_view = VIEWS.change(_view, revision=_to)
_keep_concept = CONCEPTS.keep(_concept)
_delete_concept = concepts.delete().where(_concept)
_add_concept = insert(concepts)
_rename_concept = CONCEPTS.change(_concept, label=bindparam("new_label"))
_remove_concept = CONCEPTS.change(_concept, removed=True)


def project(recorded: Recorded) -> Iterator[Write]:
    own = {"key": recorded.entity_id, "since": recorded.position}
    revised = own | {"to": recorded.originator_version}
    match recorded.event:
        case ProjectCreated(name=name):
            yield Write(
                _add_project,
                {
                    "project_id": recorded.entity_id,
                    "name": name,
                    "created_at": recorded.metadata.occurred_at,
                    "created_position": recorded.position,
                    "splits_drawn": 0,
                    "group_key": None,
                    "revision": recorded.originator_version,
                    "valid_from": recorded.position,
                },
            )
        case ProjectRenamed(name=name):
            yield Write(_rename_project, revised | {"new_name": name})
        case ValidationSplitDrawn():
            yield Write(_count_split, revised)
        case GroupKeySet(key=group_key):
            yield Write(_group, {**revised, "new_key": group_key})
        case GreyDepthChosen() | SnapshotNamed() | SnapshotRemoved():
            yield Write(_revise_project, revised)
        case ViewCreated() as created:
            yield Write(
                _add_view,
                {
                    "view_id": recorded.entity_id,
                    "project_id": created.project_id,
                    "name": created.name,
                    "kind": created.kind,
                    "archived": False,
                    "parent_id": created.parent_id,
                    "conditions": [list(group) for group in created.conditions],
                    "crops": created.crops,
                    "created_at": recorded.metadata.occurred_at,
                    "created_position": recorded.position,
                    "revision": recorded.originator_version,
                    "valid_from": recorded.position,
                },
            )
        case ViewRenamed(name=name):
            yield Write(_rename_view, revised | {"new_name": name})
        case ViewArchived():
            yield Write(_archive_view, revised | {"is_archived": True})
        case ViewRestored():
            yield Write(_archive_view, revised | {"is_archived": False})
        case ConditionsChanged(conditions=conditions):
            groups = [list(group) for group in conditions]
            yield Write(_change_conditions, {**revised, "new_conditions": groups})
        case ConceptAdded() as added:
            # A concept may be added again after its removal.
            key = {"key": recorded.entity_id, "concept": added.concept_id}
            yield Write(_keep_concept, own | key)
            yield Write(_delete_concept, key)
            yield Write(
                _add_concept,
                {
                    "view_id": recorded.entity_id,
                    "concept_id": added.concept_id,
                    "label": added.label,
                    "removed": False,
                    "added_position": recorded.position,
                    "valid_from": recorded.position,
                },
            )
        case ConceptRenamed() as renamed:
            changed = {"concept": renamed.concept_id, "new_label": renamed.label}
            yield Write(_rename_concept, own | changed)
        case ConceptRemoved() as removed:
            yield Write(_remove_concept, own | {"concept": removed.concept_id})
    match recorded.event:
        case (
            ConceptAdded()
            | ConceptRenamed()
            | ConceptRemoved()
            | ModelRegistered()
            | ChildViewAdded()
        ):
            yield Write(_revise_view, revised)


CATALOG = ReadModel("catalog_v4", metadata, event_by_event(project), ("project.", "view."))


class ProjectRow(msgspec.Struct, frozen=True):
    project_id: str
    name: str
    created_at: datetime
    created_position: int
    splits_drawn: int
    revision: int
    group_key: str | None


class ConceptRow(msgspec.Struct, frozen=True):
    concept_id: str
    label: str


class ViewRow(msgspec.Struct, frozen=True):
    """A view. Its items are images, or `crops`; of a child view they meet `conditions`: groups of
    concept ids of the parent, of one of which an item has all.
    """

    view_id: str
    project_id: str
    name: str
    kind: str
    created_at: datetime
    revision: int
    concepts: list[ConceptRow]
    archived: bool
    parent_id: str | None = None
    conditions: list[list[str]] = []
    crops: bool = False


def list_projects(
    connection: Connection,
    *,
    before: int | None = None,
    limit: int = 50,
    name: str | None = None,
    among: Collection[str] | None = None,
    as_of: int | None = None,
) -> list[ProjectRow]:
    """Projects, newest first; `before` is the `created_position` of the last one seen.

    `among` are the ids of the projects that may be listed, None for all. In all queries, `as_of` is
    a past position of the log.
    """
    projects = PROJECTS.at(as_of)
    query = select(projects).order_by(projects.c.created_position.desc()).limit(limit)
    if before is not None:
        query = query.where(projects.c.created_position < before)
    if name:
        query = query.where(projects.c.name.icontains(name, autoescape=True))
    if among is not None:
        query = query.where(projects.c.project_id.in_(among))
    return [_project_row(row._mapping) for row in execute_at(connection, query, as_of)]


def find_project(
    connection: Connection, project_id: str, *, as_of: int | None = None
) -> ProjectRow | None:
    projects = PROJECTS.at(as_of)
    query = select(projects).where(projects.c.project_id == project_id)
    row = execute_at(connection, query, as_of).first()
    return None if row is None else _project_row(row._mapping)


def list_views(
    connection: Connection, project_id: str, *, archived: bool = False, as_of: int | None = None
) -> list[ViewRow]:
    """A project's views, oldest first, with their concepts; archived ones only on request."""
    views = VIEWS.at(as_of)
    query = select(views).where(views.c.project_id == project_id).order_by(views.c.created_position)
    if not archived:
        query = query.where(~views.c.archived)
    rows = execute_at(connection, query, as_of).all()
    labels = _concepts(connection, [row.view_id for row in rows], as_of)
    return [_view_row(row._mapping, labels[row.view_id]) for row in rows]


def find_view(connection: Connection, view_id: str, *, as_of: int | None = None) -> ViewRow | None:
    views = VIEWS.at(as_of)
    row = execute_at(connection, select(views).where(views.c.view_id == view_id), as_of).first()
    if row is None:
        return None
    return _view_row(row._mapping, _concepts(connection, [view_id], as_of)[view_id])


def labels_of(connection: Connection, view_id: str, *, as_of: int | None = None) -> dict[str, str]:
    """Labels by concept id, including those of removed concepts."""
    concepts = CONCEPTS.at(as_of)
    query = select(concepts.c.concept_id, concepts.c.label).where(concepts.c.view_id == view_id)
    return {row.concept_id: row.label for row in execute_at(connection, query, as_of)}


def _project_row(row: Any) -> ProjectRow:
    return ProjectRow(**{name: row[name] for name in ProjectRow.__struct_fields__})


def _view_row(row: Any, labels: list[ConceptRow]) -> ViewRow:
    values = {name: row[name] for name in ViewRow.__struct_fields__ if name != "concepts"}
    return ViewRow(**values, concepts=labels)


def _concepts(
    connection: Connection, view_ids: list[str], as_of: int | None
) -> dict[str, list[ConceptRow]]:
    by_view: dict[str, list[ConceptRow]] = {view_id: [] for view_id in view_ids}
    concepts = CONCEPTS.at(as_of)
    query = (
        select(concepts)
        .where(concepts.c.view_id.in_(view_ids), ~concepts.c.removed)
        .order_by(concepts.c.added_position)
    )
    for row in execute_at(connection, query, as_of):
        by_view[row.view_id].append(ConceptRow(row.concept_id, row.label))
    return by_view
