"""What cards of projects show: their views, how much of them is annotated, the best version."""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, FromClause, Text, bindparam, func, select, true
from sqlalchemy.dialects.postgresql import ARRAY

from projections.dataset.catalog import views
from projections.dataset.index_scans import SplitCount, count_by_term
from projections.dataset.inverted_index import ANNOTATED, PRESENT
from projections.training.models_library import versions


class BestVersion(msgspec.Struct, frozen=True):
    """A version with the highest indicator."""

    version_id: str
    name: str
    view_id: str
    view: str
    kind: str
    indicator: float


class ProjectCard(msgspec.Struct, frozen=True):
    """A project in numbers. `annotated` is the share of its images that are annotated, over all its
    views but child views; None without a view or an image."""

    images: int
    views: int
    annotated: float | None
    best: BestVersion | None


def cards_of(connection: Connection, project_ids: Collection[str]) -> dict[str, ProjectCard]:
    """The cards of projects, by id, in three statements."""
    query = select(views.c.view_id, views.c.project_id, views.c.parent_id).where(
        views.c.project_id.in_(project_ids), ~views.c.archived
    )
    rows = connection.execute(query).all()
    roots = [row for row in rows if row.parent_id is None]
    counts = count_by_term(connection, [*project_ids, *(row.view_id for row in roots)])
    best = best_of_views(connection, [row.view_id for row in rows])
    cards = {}
    for key in project_ids:
        images = counts[key].get(PRESENT, SplitCount()).all
        own = [row.view_id for row in roots if row.project_id == key]
        annotated = sum(counts[view_id].get(ANNOTATED, SplitCount()).all for view_id in own)
        found = [best[row.view_id] for row in rows if row.project_id == key if row.view_id in best]
        cards[key] = ProjectCard(
            images,
            sum(row.project_id == key for row in rows),
            annotated / (images * len(own)) if images and own else None,
            max(found, key=lambda version: version.indicator, default=None),
        )
    return cards


def best_of_views(connection: Connection, view_ids: Collection[str]) -> Mapping[str, BestVersion]:
    """The best version of each view, by view id, trials included; of equal ones the newest."""
    ids = _table_of(view_ids)
    best = (
        select(versions.c.version_id, versions.c.name, versions.c.indicator)
        .where(
            versions.c.view_id == ids.c.view_id,
            versions.c.indicator.is_not(None),
            ~versions.c.archived,
        )
        .order_by(versions.c.indicator.desc(), versions.c.created_position.desc())
        .limit(1)
        .lateral()
    )
    query = select(
        best.c.version_id,
        best.c.name,
        views.c.view_id,
        views.c.name.label("view"),
        views.c.kind,
        best.c.indicator,
    ).select_from(ids.join(views, views.c.view_id == ids.c.view_id).join(best, true()))
    rows: Any = connection.execute(query)
    return {row.view_id: BestVersion(**row._mapping) for row in rows}


def _table_of(view_ids: Collection[str]) -> FromClause:
    parameter = bindparam(None, list(view_ids), type_=ARRAY(Text))
    return func.unnest(parameter).table_valued("view_id").render_derived(name="ids")
