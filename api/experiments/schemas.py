"""Request and response bodies of experiments."""

from typing import Annotated

import msgspec
from msgspec import Meta

from api.http.schemas import Listing, Strict, published_as
from domain.experiments.experiment import MOST_AT_ONCE, MOST_TRIALS
from domain.experiments.presets import Preset
from domain.experiments.space import SearchSpace, Value
from domain.experiments.trainer_space import Varied
from projections.experiments.queries import Curve, ExperimentRow, TrialRow

PRESETS = (
    "quick is 8 trials of 6 epochs, thorough is 24 trials of 9; `budget` and `options` change it"
)


class NewExperiment(Strict, frozen=True, kw_only=True):
    """An experiment to start; every field has a default.

    `options` are those of the training form that all trials share, such as epochs. `concurrency`
    is how many trials are queued or train at once: by default twice the workers online, at least 4.
    With a `trainer` it trains the trials: `settings` of its form are those that all share, and
    `varied` has lists of values or ranges of others, by default all its choices and flags, and the
    numbers with limits. Its form has a whole number `epochs`.
    """

    name: str | None = None
    preset: Annotated[Preset, Meta(description=PRESETS)] = Preset.QUICK
    budget: Annotated[int | None, Meta(description=f"Trials, 1 to {MOST_TRIALS}")] = None
    concurrency: Annotated[int | None, Meta(description=f"1 to {MOST_AT_ONCE}")] = None
    seed: int = 0
    pruning: bool = True
    options: Annotated[dict[str, Value], Meta(examples=[{"epochs": 9}])] = msgspec.field(
        default_factory=dict
    )
    space: SearchSpace | None = None
    trainer: Annotated[
        str | None, Meta(description="A trainer of your own, GET /trainers", examples=[None])
    ] = None
    settings: Annotated[dict[str, Value], Meta(examples=[{}])] = msgspec.field(default_factory=dict)
    varied: Annotated[Varied | None, Meta(examples=[None])] = None


class SpaceView(msgspec.Struct, frozen=True):
    """The default search space of an experiment in a view of the kind."""

    space: SearchSpace


class ExperimentView(msgspec.Struct, frozen=True):
    experiment: ExperimentRow
    position: int


class TrialsView(msgspec.Struct, frozen=True):
    items: list[TrialRow]
    position: int


class CurvesView(msgspec.Struct, frozen=True):
    """The validation metrics of all trials, epoch by epoch."""

    curves: list[Curve]
    position: int


Experiments = Annotated[Listing[ExperimentRow], published_as("queries.ExperimentRow")]
