"""The route that lists a project's images, as JSON or as a table."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any

import msgspec
from litestar import Controller, Response, get
from litestar.params import FromPath, FromQuery, QueryParameter
from sqlalchemy import Connection

from api.access.rights import needs
from api.dataset.images_table import HoldsSeparator, images_table, table_of_columns
from api.dataset.schemas import Images
from api.http.arrow import arrow_answer, wants_arrow
from api.http.parameters import PAGE, AsOf, AtLeast, Cursor, HttpRequest, Served, position_in
from api.http.schemas import AnySplit, Order
from domain.access.roles import Right
from domain.errors import Invalid
from projections.dataset.catalog import CATALOG
from projections.dataset.child_items import parents_of
from projections.dataset.dataset import DATASET
from projections.dataset.image_columns import (
    AnnotationColumns,
    ReviewColumns,
    annotation_columns,
    image_columns,
    review_columns,
)
from projections.dataset.index_scans import ImageFilter
from projections.dataset.queries import list_images

TABLE = 10_000
"""The most images of a table; its columns are not made row by row."""

FileNames = Annotated[
    list[str] | None,
    QueryParameter(
        name="file_name",
        max_items=500,
        description="Only images with one of these names; several may have the same",
    ),
]
ImageLimit = Annotated[
    int,
    QueryParameter(
        name="limit",
        ge=1,
        le=TABLE,
        description=f"Items per page: at most {PAGE}, or {TABLE:,} as a table",
    ),
]


class ImageListController(Controller):
    """The images of a project."""

    tags = ("Images",)

    @get(
        "/projects/{project_id:str}/images",
        summary="List images",
        sync_to_thread=True,
        opt=needs(Right.READ, of="project_id"),
    )
    def list_images(
        self,
        backend: Served,
        request: HttpRequest,
        project_id: FromPath[str],
        view_id: FromQuery[str | None] = None,
        split: FromQuery[AnySplit | None] = None,
        concept_id: FromQuery[str | None] = None,
        annotated: FromQuery[bool | None] = None,
        without_concept: FromQuery[bool] = False,
        reviewed: FromQuery[bool | None] = None,
        file_name: FileNames = None,
        order: FromQuery[Order] = "oldest",
        cursor: Cursor = None,
        limit: ImageLimit = 50,
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> Response[Images]:
        """Images in the order they were added, or the newest first; with
        `Accept: application/vnd.apache.arrow.stream` as a table, whose metadata has `next`.

        `concept_id`, `annotated`, `without_concept` and `reviewed` refer to the annotations in
        `view_id`; with `reviewed=false` these are annotated images that nobody has reviewed. Any
        image's `added_position` is a cursor too: with `annotated=false` and `limit=1` it finds the
        next image that is not annotated, in either order. For a child view, only images that meet
        its conditions or have a crop in it are listed; an image counts as annotated if all its
        crops are.
        """
        image_filter = ImageFilter(
            split=split,
            view_id=view_id,
            concept_id=concept_id,
            annotated=annotated,
            without_concept=without_concept,
            reviewed=reviewed,
            file_names=tuple(file_name or ()),
        )
        if view_id is None and image_filter.uses_view:
            raise Invalid("give view_id: the filters need a view", field="view_id")
        as_table = wants_arrow(request)
        if limit > PAGE and not as_table:
            raise Invalid(f"limit must be at most {PAGE} in JSON, got {limit}", field="limit")
        page: dict[str, Any] = {
            "after": position_in(cursor),
            "newest": order == "newest",
            "limit": limit,
        }
        shown = (CATALOG, DATASET)
        with backend.reading_as_of(as_of, at_least, *shown) as (connection, position, at):
            if view_id is not None:
                parents = parents_of(connection, [view_id], as_of=at)[view_id]
                image_filter = msgspec.structs.replace(image_filter, parents=parents)
            if as_table:
                table = page_as_table(connection, project_id, image_filter, **page, as_of=at)
            else:
                items = list_images(connection, project_id, image_filter, as_of=at, **page)
        if as_table:
            positions = table.column("added_position")
            following = str(positions[-1]) if len(positions) == limit else None
            return arrow_answer(table, position, following)
        following = str(items[-1].added_position) if len(items) == limit else None
        return Response(Images(items, following, position))


def page_as_table(
    connection: Connection,
    project_id: str,
    filters: ImageFilter,
    *,
    as_of: int | None,
    **page: Any,
) -> Any:
    def annotated(ids: Sequence[str]) -> tuple[AnnotationColumns, ReviewColumns]:
        view_id = filters.view_id or ""
        return (
            annotation_columns(connection, view_id, ids, as_of),
            review_columns(connection, view_id, ids, as_of),
        )

    if not filters.parents:  # with them, crops follow from annotations in several views
        found = image_columns(connection, project_id, filters, as_of=as_of, **page)
        with suppress(HoldsSeparator):  # older logs may hold such a name
            return table_of_columns(found, annotated if filters.view_id else None)
    return images_table(list_images(connection, project_id, filters, as_of=as_of, **page))
