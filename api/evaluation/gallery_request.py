"""The query parameters of a gallery, which its list, its page and an image's page share."""

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
from litestar.openapi.spec import Operation, Parameter, Schema
from litestar.params import FromQuery, QueryParameter

from api.http.parameters import provided
from api.http.schemas import Split

Show = Literal["all", "errors", "false_positives", "false_negatives", "misclassified"]
Sort = Literal["image", "highest", "lowest"]


class GalleryRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A query of images in the terms of a request; concepts are ids.

    `actual` and `predicted` are a cell of the confusion matrix.
    """

    split: str = "validation"
    show: str = "all"
    concept: str | None = None
    actual: str | None = None
    predicted: str | None = None
    sort: str = "image"
    from_score: float | None = None


def _deprecated(replacement: str) -> QueryParameter:
    return QueryParameter(
        description=f"The former name of `{replacement}`", schema_extra={"deprecated": True}
    )


@dataclass
class GalleryOperation(Operation):
    """Marks the parameters whose schema is deprecated, which Litestar does not."""

    def __post_init__(self) -> None:
        for parameter in self.parameters or ():
            if isinstance(parameter, Parameter) and isinstance(parameter.schema, Schema):
                parameter.deprecated = bool(parameter.schema.deprecated)


def gallery_request(
    split: FromQuery[Split] = "validation",
    show: FromQuery[Show] = "all",
    concept: FromQuery[str | None] = None,
    actual: FromQuery[str | None] = None,
    predicted: FromQuery[str | None] = None,
    true: Annotated[str | None, _deprecated("actual")] = None,
    said: Annotated[str | None, _deprecated("predicted")] = None,
    sort: FromQuery[Sort] = "image",
    from_score: Annotated[float | None, QueryParameter(ge=0, le=1)] = None,
) -> GalleryRequest:
    return GalleryRequest(
        split=split,
        show=show,
        concept=concept or None,
        actual=actual or true or None,
        predicted=predicted or said or None,
        sort=sort,
        from_score=from_score,
    )


GALLERY_REQUEST = provided(shown=gallery_request)
