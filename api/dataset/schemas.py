"""Request and response bodies of projects, images and imports."""

from typing import Annotated

import msgspec
from msgspec import Meta

from adapters.dataset.imports.progress import ImportProgress
from api.http.schemas import AnySplit, Kind, Listing, Name, Strict, published_as
from domain.dataset.image import Annotation
from domain.dataset.imports import NEGATIVE
from projections.dataset.catalog import ProjectRow
from projections.dataset.erasures import ErasureRow
from projections.dataset.imports import ImportRow
from projections.dataset.queries import DatasetCounts, ImageRow, ViewCounts
from projections.flip_book.suspects import DecisionRow


class NewProject(Strict, frozen=True, kw_only=True):
    name: Name


class NewSplit(Strict, frozen=True, kw_only=True):
    """Above 1, `size` is a number of images; below 1, a share of them."""

    size: Annotated[float, Meta(gt=0, examples=[0.2])]
    seed: Annotated[int, Meta(ge=0, le=2**53)] = 0
    stratify_by: Annotated[
        str | None,
        Meta(description="The id of a view. Each of its concepts gets about the same share."),
    ] = None


class NewImageAnnotations(Strict, frozen=True, kw_only=True):
    """All annotations of an image in a view; they replace the earlier ones."""

    annotations: list[Annotation] = msgspec.field(default_factory=list)
    without_concept: bool = False


class ImageAnnotations(NewImageAnnotations, frozen=True, kw_only=True):
    """All annotations of an image in a view, with the image's id."""

    image_id: str


class NewAnnotations(Strict, frozen=True, kw_only=True):
    """Annotations of several images in one view: all are accepted, or none."""

    images: Annotated[list[ImageAnnotations], Meta(min_length=1, max_length=10_000)]


class ImageSplit(Strict, frozen=True, kw_only=True):
    split: AnySplit


class NewErasure(Strict, frozen=True, kw_only=True):
    """The reason for an erasure; `everywhere` erases the image in other projects, too."""

    reason: Annotated[
        str,
        Meta(
            description="1 to 1,000 printable characters; it stays in the log",
            examples=["consent was withdrawn"],
        ),
    ]
    everywhere: bool = False


class NewImport(Strict, frozen=True, kw_only=True):
    """An import of a folder or archive on the server, and its rules.

    `view` names the view, by name or id, for a format that holds one view; `kind` is its kind, if
    the format does not define it. `new_concepts` allows views and concepts that do not exist yet,
    `skip_bad` skips bad lines and imports the others, `clip` cuts boxes at the border of their
    image, and `dry_run` changes nothing and reports what would change. `unlabelled` is how images
    are imported that COCO or VOC lists without annotations: `negative` (without concept) or
    `unannotated`. `origin` is the lowest coordinate of VOC boxes, 0 or 1, if the boxes do not show
    it.
    """

    source: Annotated[str, Meta(examples=["/data/pets"])]
    view: str | None = None
    format: str = "auto"
    kind: Kind | None = None
    new_concepts: bool = True
    skip_bad: bool = False
    clip: bool = False
    dry_run: bool = False
    unlabelled: str = NEGATIVE
    origin: int | None = None
    frame_rate: float | None = 1.0


class ProjectView(msgspec.Struct, frozen=True):
    project: ProjectRow
    counts: DatasetCounts
    position: int


class DatasetView(msgspec.Struct, frozen=True):
    """The number of a project's images, and of their annotations in each view."""

    counts: DatasetCounts
    views: list[ViewCounts]
    position: int


class ImageView(msgspec.Struct, frozen=True):
    """An image. `decisions` are all about its labels as suspects, in the view if one is given, the
    oldest first; one holds for as long as the image has had its label since."""

    image: ImageRow
    decisions: list[DecisionRow]
    position: int


class Erasure(msgspec.Struct, frozen=True):
    erasure: ErasureRow
    position: int


class ImportView(msgspec.Struct, frozen=True):
    """`progress` is None before the import has begun."""

    item: ImportRow
    progress: ImportProgress | None
    position: int


Projects = Annotated[Listing[ProjectRow], published_as("catalog.ProjectRow")]
Images = Annotated[Listing[ImageRow], published_as("dataset_queries.ImageRow")]
Imports = Annotated[Listing[ImportRow], published_as("imports.ImportRow")]
