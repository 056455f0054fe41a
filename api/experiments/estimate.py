"""About how long an experiment will take: its trainings, their images, and the workers online."""

import asyncio
from typing import Annotated

import msgspec
from litestar import Controller, get
from litestar.params import FromPath, FromQuery, QueryParameter

from api.access.rights import needs
from api.backend import Backend
from api.http.parameters import AtLeast, Served
from domain.access.roles import Right
from domain.errors import NotFound
from domain.experiments.experiment import MOST_AT_ONCE, MOST_TRIALS
from domain.experiments.presets import SIZES, Preset, concurrency_for
from domain.formatting import counted, estimate
from domain.library.view import DETECTION
from projections.dataset.catalog import CATALOG, find_view
from projections.dataset.dataset import DATASET
from projections.dataset.queries import count_views
from projections.training.models_library import MODELS_LIBRARY
from projections.training.timings import Timing, find_timing
from projections.training.version_progress import VERSION_PROGRESS

READ = (CATALOG, DATASET, MODELS_LIBRARY, VERSION_PROGRESS)


class EstimateView(msgspec.Struct, frozen=True):
    """The estimated size and duration of an experiment.

    `seconds` is an approximate upper limit, as pruning saves epochs, for the workers online, or for
    one worker if none is. It is null until a training of the view or its project is ready; `timing`
    is what it is computed from. `duration` is the same in a sentence.
    """

    trainings: int
    epochs: float
    train_images: int
    validation_images: int
    workers_online: int | None
    timing: Timing | None
    seconds: float | None
    duration: str
    position: int


class EstimateController(Controller):
    """Estimates of experiments."""

    tags = ("Experiments",)

    @get(
        "/views/{view_id:str}/experiments/estimate",
        summary="Estimate an experiment",
        opt=needs(Right.READ, of="view_id"),
    )
    async def estimate_experiment(
        self,
        backend: Served,
        view_id: FromPath[str],
        preset: FromQuery[Preset] = Preset.QUICK,
        budget: Annotated[int | None, QueryParameter(ge=1, le=MOST_TRIALS)] = None,
        epochs: Annotated[float | None, QueryParameter(ge=0.1, le=200)] = None,
        concurrency: Annotated[int | None, QueryParameter(ge=1, le=MOST_AT_ONCE)] = None,
        at_least: AtLeast = None,
    ) -> EstimateView:
        """The number of trainings and images, and about how long they take on the workers
        online."""
        size = SIZES[preset]
        online = await backend.queue_monitor.online()
        at_once = min(concurrency or concurrency_for(online), budget or size.trials)
        return await asyncio.to_thread(
            _estimate,
            backend,
            view_id,
            size.trials if budget is None else budget,
            size.epochs if epochs is None else epochs,
            online,
            at_once,
            at_least,
        )


def _estimate(
    backend: Backend,
    view_id: str,
    trainings: int,
    epochs: float,
    online: int | None,
    at_once: int,
    at_least: int | None,
) -> EstimateView:
    with backend.reading(at_least, *READ) as (connection, position):
        view = find_view(connection, view_id)
        if view is None:
            raise NotFound("view not found")
        counts = count_views(connection, view.project_id, [view_id])[view_id]
        timing = find_timing(connection, view.project_id, view_id)
    images = counts.annotated.train
    if view.kind == DETECTION:
        images -= counts.without_concept.train
    seconds = None
    if timing is not None:
        seconds = timing.seconds * images * epochs * trainings / min(online or 1, at_once)
    return EstimateView(
        trainings=trainings,
        epochs=epochs,
        train_images=images,
        validation_images=counts.annotated.validation,
        workers_online=online,
        timing=timing,
        seconds=seconds,
        duration=_in_words(seconds, timing, online),
        position=position,
    )


def _in_words(seconds: float | None, timing: Timing | None, online: int | None) -> str:
    if seconds is None or timing is None:
        return "Duration unknown: no training has completed in this project yet."
    if not online:
        on = "one worker"
    else:
        on = f"the {online:,} workers online" if online > 1 else "the worker online"
    return (
        f"At most about {estimate(seconds)} on {on}, by the last"
        f" {counted(timing.versions, 'completed training')} of this {timing.of}."
    )
