"""What waits for people: failed versions, images to annotate, annotations to review, suspects.

Each query is bounded: it looks at the newest views only, and returns few rows.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import ColumnElement, Connection, exists, func, select, true

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
    """The newest trained version of a view, whose suspects nobody has decided on yet."""

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
    """Versions that failed within a week, newest first, trials of experiments left out."""
    newer = versions.alias("newer")
    query = (
        select(
            versions.c.version_id,
            versions.c.name,
            versions.c.view_id,
            views.c.name.label("view"),
            versions.c.project_id,
            projects.c.name.label("project"),
            versions.c.reason,
            versions.c.ended_at,
        )
        .join(views, views.c.view_id == versions.c.view_id)
        .join(projects, projects.c.project_id == versions.c.project_id)
        .where(
            versions.c.status == FAILED,
            ~versions.c.archived,
            ~views.c.archived,
            versions.c.experiment_id.is_(None),
            versions.c.ended_at > now - FAILED_FOR,
            _within(versions.c.project_id, among),
            ~exists().where(
                newer.c.view_id == versions.c.view_id,
                newer.c.created_position > versions.c.created_position,
            ),
        )
        .order_by(versions.c.ended_at.desc())
        .limit(LISTED)
    )
    return [FailedVersion(**row._mapping) for row in connection.execute(query)]


def views_to_annotate(
    connection: Connection, among: Collection[str] | None
) -> list[ViewToAnnotate]:
    """The newest views with something to annotate or review, but for child views.

    Annotations are to review where somebody reviews: in views with a review.
    """
    query = (
        select(views.c.view_id, views.c.name, views.c.project_id, projects.c.name.label("project"))
        .join(projects, projects.c.project_id == views.c.project_id)
        .where(
            ~views.c.archived,
            views.c.parent_id.is_(None),
            _within(views.c.project_id, among),
        )
        .order_by(views.c.created_position.desc())
        .limit(VIEWS_LOOKED_AT)
    )
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
                row.name,
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
    """Of each view the newest trained version, if its items are recorded and none is decided on."""
    newest = (
        select(versions)
        .where(
            versions.c.status.in_([READY, STOPPED]),
            ~versions.c.archived,
            _within(versions.c.project_id, among),
        )
        .distinct(versions.c.view_id)
        .order_by(versions.c.view_id, versions.c.created_position.desc())
        .subquery()
    )
    key = newest.c.version_id
    query = (
        select(
            key,
            newest.c.name,
            newest.c.view_id,
            views.c.name.label("view"),
            newest.c.project_id,
            projects.c.name.label("project"),
        )
        .join(views, views.c.view_id == newest.c.view_id)
        .join(projects, projects.c.project_id == newest.c.project_id)
        .where(
            ~views.c.archived,
            exists().where(epochs.c.version_id == key),
            ~exists().where(discarded.c.version_id == key),
            ~exists().where(decisions.c.view_id == newest.c.view_id, decisions.c.version_id == key),
        )
        .order_by(newest.c.created_position.desc())
        .limit(LISTED)
    )
    return [VersionToCheck(**row._mapping) for row in connection.execute(query)]


def _within(column: ColumnElement[str], among: Collection[str] | None) -> ColumnElement[bool]:
    return true() if among is None else column.in_(among)
