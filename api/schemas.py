"""What requests carry and responses hold, beyond the read models' own rows."""

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta

from adapters.heartbeats import Sign
from adapters.imports.progress import ImportProgress
from domain.image import Annotation
from domain.waiting import Waiting
from projections.catalog import ProjectRow, ViewRow
from projections.dataset_queries import ConceptCount, DatasetCounts, ImageRow, ViewCounts
from projections.erasures import ErasureRow
from projections.imports import ImportRow
from projections.library_queries import LibraryRow, ModelRow, VersionRow
from projections.metric_history import Series
from projections.version_progress import ProgressRow

Item = TypeVar("Item")

Name = Annotated[str, Meta(description="1 to 200 printable characters", examples=["Digits"])]
Kind = Literal["classification", "tagging", "detection"]
Split = Literal["train", "validation"]
Order = Literal["oldest", "newest"]


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request body: an unknown field is an error, not a silent nothing."""


class NewProject(Strict, frozen=True, kw_only=True):
    name: Name


class NewName(Strict, frozen=True, kw_only=True):
    name: Name


class NewView(Strict, frozen=True, kw_only=True):
    name: Name
    kind: Kind


class NewConcepts(Strict, frozen=True, kw_only=True):
    labels: Annotated[list[str], Meta(min_length=1, max_length=10_000, examples=[["cat", "dog"]])]


class NewLabel(Strict, frozen=True, kw_only=True):
    label: Annotated[str, Meta(examples=["cat"])]


class Said(Strict, frozen=True, kw_only=True):
    """All that is said of an image in a view; it replaces what was said before."""

    annotations: list[Annotation] = []
    without_concept: bool = False


class ImageAnnotations(Said, frozen=True, kw_only=True):
    """The same, with the image it is said of."""

    image_id: str


class NewAnnotations(Strict, frozen=True, kw_only=True):
    """Annotations of several images of one view: all are taken, or none."""

    images: Annotated[list[ImageAnnotations], Meta(min_length=1, max_length=10_000)]


class NewSplit(Strict, frozen=True, kw_only=True):
    """Above 1, `size` is a number of images; below 1, a share of them."""

    size: Annotated[float, Meta(gt=0, examples=[0.2])]
    seed: Annotated[int, Meta(ge=0, le=2**53)] = 0


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


class NewFork(Strict, frozen=True, kw_only=True):
    concepts: Annotated[list[str], Meta(description="concept ids", min_length=1)]
    why: Annotated[str, Meta(examples=["without the rare breeds"])]
    name: str | None = None


class NewVersion(Strict, frozen=True, kw_only=True):
    """A training to start. What is left out takes its default."""

    name: Annotated[str | None, Meta(examples=["first try"])] = None
    options: Annotated[
        dict[str, Any],
        Meta(
            description="By the keys of the training form, GET /forms/{kind}",
            examples=[{"architecture": "resnet18", "epochs": 3}],
        ),
    ] = {}


class Listing(msgspec.Struct, Generic[Item], frozen=True):
    """A page of a list. Pass `next` as `cursor` for what follows; None at the end."""

    items: list[Item]
    next: str | None
    position: int


class ProjectView(msgspec.Struct, frozen=True):
    project: ProjectRow
    counts: DatasetCounts
    position: int


class DatasetView(msgspec.Struct, frozen=True):
    """How many images a project has, and what each of its views says of them."""

    counts: DatasetCounts
    views: list[ViewCounts]
    position: int


class ViewView(msgspec.Struct, frozen=True):
    """A view; `counts` are the images that hold each concept, `images` all its counts."""

    view: ViewRow
    counts: list[ConceptCount]
    images: ViewCounts
    position: int


class Views(msgspec.Struct, frozen=True):
    items: list[ViewRow]
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


class ModelView(msgspec.Struct, frozen=True):
    model: ModelRow
    position: int


class VersionView(msgspec.Struct, frozen=True):
    """A version; `waiting` is null unless it is queued, and in the past."""

    version: VersionRow
    position: int
    waiting: Waiting | None


class ProgressView(msgspec.Struct, frozen=True):
    progress: ProgressRow
    position: int


class MetricsView(msgspec.Struct, frozen=True):
    """Every series of a version; ask with `after=<position>` for what is new since."""

    series: list[Series]
    position: int


class ReadModelStatus(msgspec.Struct, frozen=True):
    name: str
    position: int
    lag: int


class Status(msgspec.Struct, frozen=True):
    """How far the log and its read models are. `lag` counts positions.

    `building` are read models that are built beside the live ones now, to replace or to compare.
    `parts` are the signs of life of the backend's parts, the latest of each process.
    """

    head: int
    read_models: list[ReadModelStatus]
    building: list[ReadModelStatus]
    parts: list[Sign]
    now: datetime
    events: int | None


Projects = Listing[ProjectRow]
Images = Listing[ImageRow]
Imports = Listing[ImportRow]
Library = Listing[LibraryRow]
Versions = Listing[VersionRow]
