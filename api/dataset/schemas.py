"""What requests about projects, images and imports carry, and responses hold."""

from typing import Annotated

import msgspec
from msgspec import Meta

from adapters.dataset.imports.progress import ImportProgress
from api.http.schemas import Kind, Listing, Name, Split, Strict, published_as
from domain.dataset.image import Annotation
from projections.dataset.catalog import ProjectRow
from projections.dataset.erasures import ErasureRow
from projections.dataset.imports import ImportRow
from projections.dataset.queries import DatasetCounts, ImageRow, ViewCounts


class NewProject(Strict, frozen=True, kw_only=True):
    name: Name


class NewSplit(Strict, frozen=True, kw_only=True):
    """Above 1, `size` is a number of images; below 1, a share of them."""

    size: Annotated[float, Meta(gt=0, examples=[0.2])]
    seed: Annotated[int, Meta(ge=0, le=2**53)] = 0


class Said(Strict, frozen=True, kw_only=True):
    """All that is said of an image in a view; it replaces what was said before."""

    annotations: list[Annotation] = msgspec.field(default_factory=list)
    without_concept: bool = False


class ImageAnnotations(Said, frozen=True, kw_only=True):
    """The same, with the image it is said of."""

    image_id: str


class NewAnnotations(Strict, frozen=True, kw_only=True):
    """Annotations of several images of one view: all are taken, or none."""

    images: Annotated[list[ImageAnnotations], Meta(min_length=1, max_length=10_000)]


class ImageSplit(Strict, frozen=True, kw_only=True):
    split: Split


class NewErasure(Strict, frozen=True, kw_only=True):
    """Why an image is erased; `everywhere` says that it may be erased in other projects, too."""

    reason: Annotated[
        str,
        Meta(
            description="1 to 1,000 printable characters; it stays in the log",
            examples=["consent was withdrawn"],
        ),
    ]
    everywhere: bool = False


class NewImport(Strict, frozen=True, kw_only=True):
    """A folder or archive on the server to import, and how.

    `view` names the view, by name or id, of a format that holds just one; `kind` is that view's
    where the format leaves it open. `new_concepts` allows views and concepts that do not exist
    yet, `skip_bad` takes the good lines of a source with bad ones, `clip` cuts boxes that reach
    beyond their image, and `dry_run` changes nothing and says what would happen.
    """

    source: Annotated[str, Meta(examples=["/data/pets"])]
    view: str | None = None
    format: str = "auto"
    kind: Kind | None = None
    new_concepts: bool = True
    skip_bad: bool = False
    clip: bool = False
    dry_run: bool = False


class ProjectView(msgspec.Struct, frozen=True):
    project: ProjectRow
    counts: DatasetCounts
    position: int


class DatasetView(msgspec.Struct, frozen=True):
    """How many images a project has, and what each of its views says of them."""

    counts: DatasetCounts
    views: list[ViewCounts]
    position: int


class ImageView(msgspec.Struct, frozen=True):
    image: ImageRow
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
