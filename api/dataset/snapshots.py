"""Routes of snapshots, and of the difference of a project's dataset between two positions."""

from typing import Annotated

import msgspec
from litestar import Controller, Response, delete, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta
from sqlalchemy import Connection

from api.access.rights import needs
from api.backend import Backend
from api.http.commands import CommandResult, Named, carry_out, named
from api.http.parameters import AsOf, AtLeast, Cursor, HttpRequest, Limit, Served, position_in
from api.http.schemas import Listing, Name, Strict
from application.dataset.projects import name_snapshot
from domain.access.roles import Right
from domain.aggregates import PROJECT
from domain.dataset.project import RemoveSnapshot
from domain.errors import Invalid, NotFound
from projections.dataset.catalog import CATALOG, find_project, find_view
from projections.dataset.dataset import DATASET
from projections.dataset.difference import (
    Change,
    DifferenceCounts,
    ImageDifference,
    count_differences,
    list_differences,
)
from projections.dataset.snapshots import SNAPSHOTS, SnapshotRow, find_snapshot, list_snapshots

COMPARED = (CATALOG, DATASET, SNAPSHOTS)

First = Annotated[
    str,
    QueryParameter(
        name="from",
        min_length=1,
        description="The name of a snapshot, a position of the log, or a time (RFC 3339)",
    ),
]
Second = Annotated[
    str | None,
    QueryParameter(
        name="to",
        min_length=1,
        description="The second moment, in the same form; by default the current state",
    ),
]


class NewSnapshot(Strict, frozen=True, kw_only=True):
    name: Name
    position: Annotated[int, Meta(ge=1, le=2**62)] | None = None
    """A position of the log; by default now."""


class DifferenceView(msgspec.Struct, frozen=True):
    """The difference between the positions `first` and `second` of the log, in either order;
    `items` is a page of the images."""

    first: int
    second: int
    counts: DifferenceCounts
    items: list[ImageDifference]
    next: str | None
    position: int


class SnapshotController(Controller):
    """Snapshots of datasets."""

    path = "/projects/{project_id:str}"
    tags = ("Projects",)
    dependencies = named(PROJECT)

    @post(
        "/snapshots",
        summary="Name a snapshot",
        sync_to_thread=True,
        opt=needs(Right.ANNOTATE, of="project_id"),
    )
    def name_snapshot(self, project: Named, data: JSONBody[NewSnapshot]) -> Response[CommandResult]:
        """Name the dataset as it is now, or as it was at a position of the log."""
        return project.carry_out(
            lambda session: name_snapshot(session, project.id, data.name, data.position),
            data,
            status_code=201,
        )

    @get(
        "/snapshots",
        summary="List snapshots",
        sync_to_thread=True,
        opt=needs(Right.READ, of="project_id"),
    )
    def list_snapshots(
        self,
        backend: Served,
        project_id: FromPath[str],
        cursor: Cursor = None,
        limit: Limit = 50,
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> Listing[SnapshotRow]:
        """A project's snapshots, newest first."""
        before = position_in(cursor)
        with backend.reading_as_of(as_of, at_least, SNAPSHOTS) as (connection, position, at):
            items = list_snapshots(connection, project_id, before=before, limit=limit, as_of=at)
        following = str(items[-1].named_position) if len(items) == limit else None
        return Listing(items, following, position)

    @delete(
        "/snapshots",
        summary="Remove a snapshot",
        status_code=200,
        sync_to_thread=True,
        opt=needs(Right.ANNOTATE, of="project_id"),
    )
    def remove_snapshot(
        self, backend: Served, request: HttpRequest, project_id: FromPath[str], name: FromQuery[str]
    ) -> Response[CommandResult]:
        """Only the name is removed: the dataset of that position stays in the log."""
        command = RemoveSnapshot(name)
        return carry_out(
            backend, request, None, lambda session: session.change(PROJECT, project_id, command)
        )

    @get(
        "/difference",
        summary="Compare the dataset of two positions",
        sync_to_thread=True,
        opt=needs(Right.READ, of="project_id"),
    )
    def get_difference(
        self,
        backend: Served,
        project_id: FromPath[str],
        first: First,
        second: Second = None,
        change: FromQuery[Change | None] = None,
        view_id: FromQuery[str | None] = None,
        cursor: Cursor = None,
        limit: Limit = 50,
        at_least: AtLeast = None,
    ) -> DifferenceView:
        """The images that were added, removed, relabelled, or moved to another split.

        With `view_id`, images count as relabelled by their annotations in this view only. The
        annotations before and after are of the same views.
        """
        return difference(
            backend, project_id, first, second, change, view_id, cursor, limit, at_least
        )


def difference(
    backend: Backend,
    project_id: str,
    first: str,
    second: str | None,
    change: Change | None,
    view_id: str | None,
    cursor: str | None,
    limit: int,
    at_least: int | None,
) -> DifferenceView:
    """The difference of two moments. Raises `Invalid` and `NotFound`."""
    after = position_in(cursor)
    one = _position(backend, project_id, first, "from", at_least)
    other = backend.store.head()
    if second is not None:
        other = _position(backend, project_id, second, "to", at_least)
    with backend.reading(max(one, other), *COMPARED) as (connection, position):
        _check(connection, project_id, view_id)
        items = list_differences(
            connection,
            project_id,
            one,
            other,
            change=change,
            view_id=view_id,
            after=after,
            limit=limit,
        )
        counts = count_differences(connection, project_id, one, other, view_id)
    following = str(items[-1].place) if len(items) == limit else None
    return DifferenceView(one, other, counts, items, following, position)


def _check(connection: Connection, project_id: str, view_id: str | None) -> None:
    if find_project(connection, project_id) is None:
        raise NotFound("project not found")
    if view_id is not None:
        view = find_view(connection, view_id)
        if view is None or view.project_id != project_id:
            raise Invalid("view not found in the project", field="view_id")


def _position(
    backend: Backend, project_id: str, text: str, field: str, at_least: int | None
) -> int:
    """The position of a snapshot, or of a moment."""
    with backend.reading(at_least, SNAPSHOTS) as (connection, _):
        row = find_snapshot(connection, project_id, text)
    if row is not None:
        return row.log_position
    try:
        with backend.reading_as_of(text, at_least) as (_, position, _at):
            return position
    except Invalid as refusal:
        raise Invalid(
            f"the project has no snapshot {text!r}, and it is not a position or a time:"
            f" {refusal.detail}",
            field=field,
        ) from refusal
