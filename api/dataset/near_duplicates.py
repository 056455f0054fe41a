"""Routes of near-duplicates: images that look alike and leak from training into other splits."""

from collections.abc import Collection
from typing import Annotated

import msgspec
from litestar import Controller, Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta

from api.access.rights import needs
from api.backend import Backend
from api.dataset.groups import members_in
from api.http.commands import envelope
from api.http.parameters import AtLeast, Cursor, HttpRequest, Limit, Served
from api.http.schemas import AnySplit, Strict
from application.dataset.near_duplicates import Cluster, unite_near_duplicates
from application.handle import handle
from domain.access.roles import Right
from domain.errors import Invalid, NotFound
from projections.dataset.catalog import CATALOG, find_project
from projections.dataset.dataset import DATASET
from projections.dataset.near_duplicates import (
    FARTHEST,
    FEED,
    NEAR,
    NearCounts,
    NearPair,
    count_near_pairs,
    list_near_pairs,
    near_cluster,
)

Distance = Annotated[
    int,
    QueryParameter(
        ge=0,
        le=FARTHEST,
        description="The maximum number of the 64 bits in which the perceptual hashes differ",
    ),
]


class NearDuplicates(Strict, frozen=True, kw_only=True):
    """An image whose near-duplicates go to one split, with it and with their groups.

    Without `split` they go to test if one of them is there, else to validation.
    """

    image_id: str
    split: AnySplit | None = None
    distance: Annotated[int, Meta(ge=0, le=FARTHEST)] = NEAR


class UnitedImages(msgspec.Struct, frozen=True):
    """The split to which the images went; `ids` are those that moved."""

    id: str
    revision: int
    position: int
    split: str
    ids: tuple[str, ...]


class NearDuplicatesView(msgspec.Struct, frozen=True):
    """Pairs of images. Images added after `hashed_position` are not compared yet."""

    counts: NearCounts
    items: list[NearPair]
    hashed_position: int
    next: str | None
    position: int


class NearDuplicateController(Controller):
    """Near-duplicates of images."""

    path = "/projects/{project_id:str}/near-duplicates"
    tags = ("Projects",)

    @get(
        summary="List near-duplicates across splits",
        sync_to_thread=True,
        opt=needs(Right.READ, of="project_id"),
    )
    def list_near_duplicates(
        self,
        backend: Served,
        project_id: FromPath[str],
        distance: Distance = NEAR,
        cursor: Cursor = None,
        limit: Limit = 50,
        at_least: AtLeast = None,
    ) -> NearDuplicatesView:
        """Pairs of a training image and a validation or test image that look alike, nearest first:
        copies that were resized, saved again, brightened or slightly cropped."""
        return near_duplicates(backend, project_id, distance, cursor, limit, at_least)

    @post(
        "/assign",
        summary="Assign near-duplicates to one split",
        status_code=200,
        sync_to_thread=True,
        opt=needs(Right.ANNOTATE, of="project_id"),
    )
    def assign_near_duplicates(
        self,
        backend: Served,
        request: HttpRequest,
        project_id: FromPath[str],
        data: JSONBody[NearDuplicates],
    ) -> Response[UnitedImages]:
        """All images that are connected with this one by near-duplicates move, in one command."""
        members, cluster = members_in(backend), _cluster_in(backend, data.distance)
        outcome = handle(
            backend.store,
            envelope(request, data),
            lambda session: unite_near_duplicates(
                session, project_id, data.image_id, data.split, cluster, members
            ),
        )
        [split] = outcome.counts
        return Response(
            UnitedImages(outcome.id, outcome.revision, outcome.position, split, outcome.ids)
        )


def near_duplicates(
    backend: Backend,
    project_id: str,
    distance: int,
    cursor: str | None,
    limit: int,
    at_least: int | None,
) -> NearDuplicatesView:
    """A page of the pairs of a project that leak from training."""
    after = _pair_in(cursor)
    # Before the snapshot: what is compared meanwhile is not claimed.
    hashed = backend.store.tracked(FEED)
    with backend.reading(at_least, CATALOG, DATASET) as (connection, position):
        if find_project(connection, project_id) is None:
            raise NotFound("project not found")
        items = list_near_pairs(connection, project_id, distance, after=after, limit=limit)
        counts = count_near_pairs(connection, project_id, distance)
    following = items[-1].cursor if len(items) == limit else None
    return NearDuplicatesView(counts, items, hashed, following, position)


def _pair_in(cursor: str | None) -> tuple[int, str, str] | None:
    if cursor is None:
        return None
    distance, *ids = cursor.split("/")
    if len(ids) != 2 or not distance.isdecimal() or len(distance) > 2:
        raise Invalid(
            f"cursor must be the `next` of the previous page, got {cursor!r}", field="cursor"
        )
    return int(distance), ids[0], ids[1]


def _cluster_in(backend: Backend, distance: int) -> Cluster:
    at_least = backend.store.head()

    def cluster(project_id: str, blobs: Collection[str]) -> set[str]:
        with backend.reading(at_least, DATASET) as (connection, _):
            return near_cluster(connection, project_id, blobs, distance)

    return cluster
