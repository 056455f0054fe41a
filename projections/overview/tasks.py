"""What waits for people: failed versions, images to annotate, annotations to review, suspects.

Each query is bounded: it looks at the newest views only, and returns few rows.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, exists, func, select, true

from domain.training.version import ENDED, FAILED, READY, STOPPED
from projections.dataset.catalog import projects, views
from projections.dataset.index_scans import SplitCount, count_by_term
from projections.dataset.inverted_index import ANNOTATED, PRESENT, REVIEWED
from projections.flip_book.flip_book import discarded, epochs
from projections.flip_book.suspects import decisions
from projections.training.models_library import versions

FAILED_FOR = timedelta(days=7)
"""How long a failed version is listed."""
VIEWS_LOOKED_AT = 50
"""The newest views whose images are counted."""
LISTED = 5
"""Rows of each kind."""


class FailedVersion(msgspec.Struct, frozen=True):
    """A version that failed lately, without a newer version in its view."""

    version_id: str
    name: str
    view_id: str
    view: str
    project_id: str
    project: str
    reason: str | None
    ended_at: datetime


class ViewToAnnotate(msgspec.Struct, frozen=True):
    """A view with images to annotate or annotations to review; `images` are all of its project."""

    view_id: str
    view: str
    project_id: str
    project: str
    images: int
    annotated: int
    to_annotate: int
    to_review: int


class VersionToCheck(msgspec.Struct, frozen=True):
    """The best version of a view whose items are recorded, with no suspect decided on yet."""

    version_id: str
    name: str
    view_id: str
    view: str
    project_id: str
    project: str


def count_unfinished(connection: Connection, among: Collection[str] | None) -> int:
    query = select(func.count()).select_from(versions).where(versions.c.status.not_in(ENDED))
    return connection.scalar(query.where(_within(versions.c.project_id, among))) or 0


def failed_versions(
    connection: Connection, among: Collection[str] | None, now: datetime
) -> list[FailedVersion]:
    """The newest versions of views that failed within a week, but for trials of experiments."""
    at = _newest_views(among).subquery()
    newest = (
        select(versions)
        .where(versions.c.view_id == at.c.view_id)
        .order_by(versions.c.created_position.desc())
        .limit(1)
        .lateral()
    )
    query = (
        select(newest.c.version_id, newest.c.name, *at.c, newest.c.reason, newest.c.ended_at)
        .select_from(at.join(newest, true()))
        .where(
            newest.c.status == FAILED,
            ~newest.c.archived,
            newest.c.experiment_id.is_(None),
            newest.c.ended_at > now - FAILED_FOR,
        )
        .order_by(newest.c.ended_at.desc())
        .limit(LISTED)
    )
    return [FailedVersion(**row._mapping) for row in connection.execute(query)]


def views_to_annotate(
    connection: Connection, among: Collection[str] | None
) -> list[ViewToAnnotate]:
    """The newest views with something to annotate or review, but for child views.

    Annotations are to review where somebody reviews: in views with a review.
    """
    query = _newest_views(among).where(views.c.parent_id.is_(None))
    rows = connection.execute(query).all()
    scopes = {scope for row in rows for scope in (row.view_id, row.project_id)}
    counts = count_by_term(connection, sorted(scopes))
    found = []
    for row in rows:
        of_view = counts[row.view_id]
        images = counts[row.project_id].get(PRESENT, SplitCount()).all
        annotated = of_view.get(ANNOTATED, SplitCount()).all
        reviewed = of_view.get(REVIEWED, SplitCount()).all
        found.append(
            ViewToAnnotate(
                row.view_id,
                row.view,
                row.project_id,
                row.project,
                images,
                annotated,
                images - annotated,
                annotated - reviewed if reviewed else 0,
            )
        )
    return [view for view in found if view.to_annotate or view.to_review]


def versions_to_check(
    connection: Connection, among: Collection[str] | None
) -> list[VersionToCheck]:
    """Of each view the best trained version with recorded items, unless a suspect of it is decided
    on. The best is that of the library: the newest among equal ones."""
    at = _newest_views(among).subquery()
    best = (
        select(versions.c.version_id, versions.c.name, versions.c.created_position)
        .where(
            versions.c.view_id == at.c.view_id,
            versions.c.status.in_([READY, STOPPED]),
            ~versions.c.archived,
            exists().where(epochs.c.version_id == versions.c.version_id),
            ~exists().where(discarded.c.version_id == versions.c.version_id),
        )
        .order_by(
            versions.c.indicator.desc().nulls_last(),
            versions.c.validation_loss.asc().nulls_last(),
            versions.c.created_position.desc(),
        )
        .limit(1)
        .lateral()
    )
    decided = exists().where(
        decisions.c.view_id == at.c.view_id, decisions.c.version_id == best.c.version_id
    )
    query = (
        select(best.c.version_id, best.c.name, *at.c)
        .select_from(at.join(best, true()))
        .where(~decided)
        .order_by(best.c.created_position.desc())
        .limit(LISTED)
    )
    return [VersionToCheck(**row._mapping) for row in connection.execute(query)]


def _newest_views(among: Collection[str] | None) -> Select[Any]:
    """The newest views that are not archived, and their projects, by name."""
    return (
        select(
            views.c.view_id,
            views.c.name.label("view"),
            views.c.project_id,
            projects.c.name.label("project"),
        )
        .join(projects, projects.c.project_id == views.c.project_id)
        .where(~views.c.archived, _within(views.c.project_id, among))
        .order_by(views.c.created_position.desc())
        .limit(VIEWS_LOOKED_AT)
    )


def _within(column: ColumnElement[str], among: Collection[str] | None) -> ColumnElement[bool]:
    return true() if among is None else column.in_(among)
