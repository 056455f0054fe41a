"""Routes of groups: images that belong together by a metadata key, so that no split tears them."""

from typing import Annotated, Literal

import msgspec
from litestar import Controller, Response, delete, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta

from api.access.rights import needs
from api.backend import Backend
from api.http.commands import envelope
from api.http.parameters import AsOf, AtLeast, Cursor, HttpRequest, Limit, Served
from api.http.schemas import Strict
from application.dataset.groups import Members, set_group_key
from application.handle import Outcome, handle
from domain.access.roles import Right
from domain.dataset.groups import MOST_KEY
from domain.dataset.splits import DrawSplit
from domain.errors import NotFound
from projections.dataset.catalog import CATALOG, find_project
from projections.dataset.dataset import DATASET
from projections.dataset.groups import (
    GroupCounts,
    GroupRow,
    count_groups,
    group_members,
    list_groups,
)


class NewGroupKey(Strict, frozen=True, kw_only=True):
    """The metadata key that groups images.

    `mend` is what to do with groups that are in several splits: `majority` moves each to the split
    that has most of its images, `draw` draws the test and the validation set again in their current
    sizes, with `seed` and `stratify_by`. Without it, such groups are refused by name, and nothing
    changes.
    """

    key: Annotated[str, Meta(min_length=1, max_length=MOST_KEY, examples=["patient"])]
    mend: Literal["majority", "draw"] | None = None
    seed: Annotated[int, Meta(ge=0, le=2**53)] = 0
    stratify_by: Annotated[str | None, Meta(description="The id of a view")] = None


class GroupKeyResult(msgspec.Struct, frozen=True):
    """The number of groups, of groups that were in several splits, and of images that were
    moved."""

    id: str
    revision: int
    position: int
    groups: int
    torn: int
    moved: int


class GroupsView(msgspec.Struct, frozen=True):
    """Groups by a key. `group_key` is that of the project, which draws and imports respect."""

    group_key: str | None
    key: str | None
    counts: GroupCounts
    items: list[GroupRow]
    next: str | None
    position: int


class GroupController(Controller):
    """Groups of images."""

    path = "/projects/{project_id:str}"
    tags = ("Projects",)

    @post(
        "/group-key",
        summary="Set the key that groups images",
        status_code=200,
        sync_to_thread=True,
        opt=needs(Right.TRAIN, of="project_id"),
    )
    def set_group_key(
        self,
        backend: Served,
        request: HttpRequest,
        project_id: FromPath[str],
        data: JSONBody[NewGroupKey],
    ) -> Response[GroupKeyResult]:
        """Images with the same value of the key then stay in one split: draws take whole groups,
        imports that would divide a group are refused, and moving an image moves its group."""
        draw = DrawSplit(0.5, data.seed, data.stratify_by)
        return _respond(
            handle(
                backend.store,
                envelope(request, data),
                lambda session: set_group_key(session, project_id, data.key, data.mend, draw),
            )
        )

    @delete(
        "/group-key",
        summary="Remove the key that groups images",
        status_code=200,
        sync_to_thread=True,
        opt=needs(Right.TRAIN, of="project_id"),
    )
    def remove_group_key(
        self, backend: Served, request: HttpRequest, project_id: FromPath[str]
    ) -> Response[GroupKeyResult]:
        """Each image is a group of its own again. No image moves."""
        return _respond(
            handle(
                backend.store,
                envelope(request, None),
                lambda session: set_group_key(session, project_id, None),
            )
        )

    @get(
        "/groups",
        summary="List groups",
        sync_to_thread=True,
        opt=needs(Right.READ, of="project_id"),
    )
    def list_groups(
        self,
        backend: Served,
        project_id: FromPath[str],
        key: Annotated[
            str | None,
            QueryParameter(
                min_length=1,
                max_length=MOST_KEY,
                description="A metadata key; by default the project's group key",
            ),
        ] = None,
        torn: FromQuery[bool] = False,
        cursor: Cursor = None,
        limit: Limit = 50,
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> GroupsView:
        """Groups in the order of their values; with `torn`, those that are in several splits."""
        return groups_view(backend, project_id, key, torn, cursor, limit, at_least, as_of)


def _respond(outcome: Outcome) -> Response[GroupKeyResult]:
    counts = {name: outcome.counts.get(name, 0) for name in ("groups", "torn", "moved")}
    return Response(
        GroupKeyResult(outcome.id, outcome.revision, outcome.position, **counts),
        headers={"ETag": f'"{outcome.revision}"'},
    )


def groups_view(
    backend: Backend,
    project_id: str,
    key: str | None,
    torn: bool,
    after: str | None,
    limit: int,
    at_least: int | None,
    as_of: str | None,
) -> GroupsView:
    """A page of the groups by a key, by default the project's own."""
    with backend.reading_as_of(as_of, at_least, CATALOG, DATASET) as (connection, position, at):
        project = find_project(connection, project_id, as_of=at)
        if project is None:
            raise NotFound("project not found")
        by = key or project.group_key
        if by is None:
            return GroupsView(None, None, GroupCounts(0, 0, 0, 0), [], None, position)
        items = list_groups(
            connection, project_id, by, torn=torn, after=after, limit=limit, as_of=at
        )
        counts = count_groups(connection, project_id, by, as_of=at)
    following = items[-1].value if len(items) == limit else None
    return GroupsView(project.group_key, by, counts, items, following, position)


def members_in(backend: Backend) -> Members:
    """A look-up of a group's images in the read model, which is as far as the log is by now."""
    at_least = backend.store.head()

    def members(project_id: str, key: str, value: str) -> tuple[list[str], int]:
        with backend.reading(at_least, DATASET) as (connection, position):
            return group_members(connection, project_id, key, value), position

    return members
