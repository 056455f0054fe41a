"""Request and response bodies of versions."""

from typing import Annotated, Any

import msgspec
from litestar.params import QueryParameter
from msgspec import Meta

from api.http.schemas import Listing, Strict, published_as
from application.training.trainers import TrainerChoice
from domain.errors import Invalid
from domain.training.waiting import Waiting
from projections.training.library_queries import VersionRow
from projections.training.metric_history import Series
from projections.training.sampled_metrics import FEWEST_POINTS, MOST_POINTS
from projections.training.version_progress import ProgressRow

Points = Annotated[
    int | None,
    QueryParameter(
        ge=FEWEST_POINTS,
        le=MOST_POINTS,
        description="The maximum number of values of each metric, for charts",
    ),
]


class NewVersion(Strict, frozen=True, kw_only=True):
    """A training to start. Omitted options have their defaults."""

    name: Annotated[str | None, Meta(examples=["first try"])] = None
    options: Annotated[
        dict[str, Any],
        Meta(
            description="By the keys of the training form, GET /forms/{kind}",
            examples=[{"architecture": "resnet18", "epochs": 3}],
        ),
    ] = msgspec.field(default_factory=dict)
    preset: Annotated[
        str | None,
        Meta(
            description="The key of a preset of the form, for the options that are omitted",
            examples=["quick"],
        ),
    ] = None
    trainer: Annotated[
        str | None,
        Meta(description="The name of a trainer of your own, GET /trainers", examples=[None]),
    ] = None
    settings: Annotated[
        dict[str, Any],
        Meta(description="By the keys of the trainer's form", examples=[{}]),
    ] = msgspec.field(default_factory=dict)

    @property
    def with_trainer(self) -> TrainerChoice | None:
        """Raises `Invalid` for options or a preset beside a trainer, or settings without one."""
        if self.trainer is None:
            if self.settings:
                raise Invalid("settings need a trainer; give its name", field="settings")
            return None
        if self.options:
            raise Invalid(
                "options apply only to the built-in training; give the trainer's settings",
                field="options",
            )
        if self.preset is not None:
            raise Invalid(
                "presets apply only to the built-in training; omit preset", field="preset"
            )
        return TrainerChoice(self.trainer, self.settings)


class CorrectedSince(msgspec.Struct, frozen=True):
    """The number of images of this version's dataset whose labels were corrected, from a list of
    suspects, since the dataset of the previous version of the view that has a checkpoint."""

    version_id: str
    number: int
    name: str
    images: int


class VersionView(msgspec.Struct, frozen=True):
    """A version; `waiting` is null unless it is queued, and in the past.

    `warnings` list what may keep it from learning well, as far as known, and where the server
    measured other metrics than its worker reported. `corrected` is null for the first version of a
    view.
    """

    version: VersionRow
    position: int
    waiting: Waiting | None
    warnings: list[str]
    corrected: CorrectedSince | None


class ProgressView(msgspec.Struct, frozen=True):
    progress: ProgressRow
    position: int


class MetricsView(msgspec.Struct, frozen=True):
    """All metric series of a version; `after=<position>` returns only newer values."""

    series: list[Series]
    position: int


class SeriesOfVersion(msgspec.Struct, frozen=True):
    """A metric's values in a version, each with the number of iterations done when it was
    measured."""

    version_id: str
    metric: str
    iterations: list[int]
    values: list[float]


class ManyMetricsView(msgspec.Struct, frozen=True):
    """The metric series of several versions."""

    items: list[SeriesOfVersion]
    position: int


Versions = Annotated[Listing[VersionRow], published_as("library_queries.VersionRow")]
