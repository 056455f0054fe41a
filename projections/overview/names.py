"""A search of projects, views, concepts and versions by name, in one statement."""

from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    case,
    func,
    literal,
    null,
    select,
    union_all,
)

from projections.dataset.catalog import concepts, projects, views
from projections.training.models_library import versions

PROJECT, VIEW, CONCEPT, VERSION = "project", "view", "concept", "version"
_RANKS = {kind: literal(rank) for rank, kind in enumerate((PROJECT, VIEW, CONCEPT, VERSION))}


class NamedRow(msgspec.Struct, frozen=True):
    """A project, view, concept or version.

    `project` and `view` are the names of what it is in, null for a project itself, and for a view.
    """

    kind: str
    id: str
    name: str
    project_id: str
    project: str | None
    view_id: str | None
    view: str | None


def find_by_name(
    connection: Connection, text: str, *, among: Collection[str] | None = None, limit: int = 20
) -> list[NamedRow]:
    """The first `limit` whose name contains a text, whatever its case, or whose id it is.

    The same name comes first, then a name that begins with it; then projects before views,
    concepts and versions, each newest first. Archived views and versions, and removed concepts, are
    left out. `among` are the ids of the projects that are searched, None for all.
    """
    text = text.strip()
    if not text:
        return []
    in_view = concepts.join(views, views.c.view_id == concepts.c.view_id).join(
        projects, projects.c.project_id == views.c.project_id
    )
    of_versions = versions.join(views, views.c.view_id == versions.c.view_id).join(
        projects, projects.c.project_id == versions.c.project_id
    )
    found = [
        select(
            literal(PROJECT).label("kind"),
            projects.c.project_id.label("id"),
            projects.c.name,
            projects.c.project_id,
            null().label("project"),
            null().label("view_id"),
            null().label("view"),
            projects.c.created_position.label("position"),
            _rank(text, projects.c.name, projects.c.project_id),
        ).where(_matches(text, projects.c.name, projects.c.project_id)),
        select(
            literal(VIEW),
            views.c.view_id,
            views.c.name,
            views.c.project_id,
            projects.c.name,
            views.c.view_id,
            null(),
            views.c.created_position,
            _rank(text, views.c.name, views.c.view_id),
        )
        .select_from(views.join(projects, projects.c.project_id == views.c.project_id))
        .where(~views.c.archived, _matches(text, views.c.name, views.c.view_id)),
        select(
            literal(CONCEPT),
            concepts.c.concept_id,
            concepts.c.label,
            views.c.project_id,
            projects.c.name,
            views.c.view_id,
            views.c.name,
            concepts.c.added_position,
            _rank(text, concepts.c.label, concepts.c.concept_id),
        )
        .select_from(in_view)
        .where(
            ~concepts.c.removed,
            ~views.c.archived,
            _matches(text, concepts.c.label, concepts.c.concept_id),
        ),
        select(
            literal(VERSION),
            versions.c.version_id,
            versions.c.name,
            versions.c.project_id,
            projects.c.name,
            versions.c.view_id,
            views.c.name,
            versions.c.created_position,
            _rank(text, versions.c.name, versions.c.version_id),
        )
        .select_from(of_versions)
        .where(~versions.c.archived, _matches(text, versions.c.name, versions.c.version_id)),
    ]
    owners = (projects.c.project_id, views.c.project_id, views.c.project_id, versions.c.project_id)
    of_kind = [
        _first(query if among is None else query.where(owner.in_(among)), limit)
        for query, owner in zip(found, owners, strict=True)
    ]
    rows = union_all(*of_kind).subquery()
    kind = case(_RANKS, value=rows.c.kind)
    query = select(rows).order_by(rows.c.rank, kind, rows.c.position.desc()).limit(limit)
    columns = [rows.c[field] for field in NamedRow.__struct_fields__]
    return [NamedRow(*row) for row in connection.execute(query.with_only_columns(*columns))]


def _matches(text: str, name: ColumnElement[str], key: ColumnElement[str]) -> ColumnElement[bool]:
    return name.icontains(text, autoescape=True) | (key == text)


def _rank(text: str, name: ColumnElement[str], key: ColumnElement[str]) -> ColumnElement[int]:
    same = (func.lower(name) == func.lower(text)) | (key == text)
    begins = name.istartswith(text, autoescape=True)
    return case((same, 0), (begins, 1), else_=2).label("rank")


def _first(query: Select[Any], limit: int) -> Select[Any]:
    """The first rows of one kind, so that few are sorted with those of others."""
    rows = query.subquery()
    columns = list(rows.c)
    ordered = select(rows).order_by(columns[-1], columns[-2].desc()).limit(limit).subquery()
    return select(ordered)
