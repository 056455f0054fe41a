"""About how long a training will take: its images, the workers online, and the queue."""

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import Controller, get
from litestar.params import FromPath, FromQuery, QueryParameter

from api.access.rights import needs
from api.backend import Backend
from api.http.parameters import AtLeast, Served
from api.training.waiting import trainer_queue
from domain.access.roles import Right
from domain.errors import Invalid, NotFound
from domain.formatting import estimate
from domain.library.view import DETECTION
from domain.training.architectures import ARCHITECTURES
from domain.training.options import TrainingOptions, resolve_options
from domain.training.presets import with_preset
from projections.dataset.catalog import CATALOG, find_view
from projections.dataset.dataset import DATASET
from projections.dataset.queries import ViewCounts, count_views
from projections.training.models_library import MODELS_LIBRARY
from projections.training.timings import Timing, count_unfinished, find_timing
from projections.training.version_progress import VERSION_PROGRESS

READ = (CATALOG, DATASET, MODELS_LIBRARY, VERSION_PROGRESS)


class TrainingEstimate(msgspec.Struct, frozen=True):
    """What a training would be, were it started now.

    `trainings_before` are queued or run in the same queue. With a trainer, `workers_online` are
    those of its queue, who alone can take the job. `seconds` are those of the training alone,
    without the wait. They are measured ones of earlier trainings, `timing`, with the same
    architecture and size of images; both are null where there are none, and for trainers.
    `duration` says it in a sentence.
    """

    train_images: int
    validation_images: int
    workers_online: int | None
    trainings_before: int
    timing: Timing | None
    seconds: float | None
    duration: str
    position: int


class TrainingEstimateController(Controller):
    """Estimates of trainings."""

    tags = ("Versions",)

    @get(
        "/views/{view_id:str}/versions/estimate",
        summary="Estimate a training",
        opt=needs(Right.READ, of="view_id"),
    )
    async def estimate_training(
        self,
        backend: Served,
        view_id: FromPath[str],
        preset: FromQuery[str | None] = None,
        options: Annotated[
            str, QueryParameter(description="As JSON, by the keys of the training form")
        ] = "{}",
        trainer: FromQuery[str | None] = None,
        at_least: AtLeast = None,
    ) -> TrainingEstimate:
        """Its images, what is queued before it, and about how long it takes, if that is known."""
        chosen = _options_in(options)
        found, queue = await asyncio.to_thread(
            _estimate, backend, view_id, preset, chosen, trainer, at_least
        )
        online = await backend.queue_monitor.online(queue)
        return msgspec.structs.replace(found, workers_online=online)


def _options_in(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise Invalid(f"options is not a JSON object: {error}", field="options") from error


def _estimate(
    backend: Backend,
    view_id: str,
    preset: str | None,
    chosen: dict[str, Any],
    trainer: str | None,
    at_least: int | None,
) -> tuple[TrainingEstimate, str | None]:
    """Without the workers online, and the queue of the trainer whose workers count."""
    timing: Timing | None = None
    options: TrainingOptions | None = None
    with backend.reading(at_least, *READ) as (connection, position):
        view = find_view(connection, view_id)
        if view is None:
            raise NotFound("view not found")
        if trainer is None:
            given = with_preset(view.kind, preset, chosen)
            at_hand = backend.weights.at_hand()
            options = resolve_options(view.kind, given, at_hand, crops=view.crops)
            timing = find_timing(connection, view.project_id, view_id, options)
        counts = count_views(connection, view.project_id, [view_id])[view_id]
        before = count_unfinished(connection, trainer)
    images = _train_images(view.kind, counts, options)
    seconds = _seconds(timing, options, images)
    queue = None if trainer is None else trainer_queue(backend, trainer, view.project_id)
    found = TrainingEstimate(
        train_images=images,
        validation_images=counts.annotated.validation,
        workers_online=None,
        trainings_before=before,
        timing=timing,
        seconds=seconds,
        duration=_in_words(seconds, timing, options),
        position=position,
    )
    return found, queue


def _train_images(kind: str, counts: ViewCounts, options: TrainingOptions | None) -> int:
    if options is not None and options.reviewed_only:
        return counts.reviewed.train
    without = counts.without_concept.train if kind == DETECTION else 0
    return counts.annotated.train - without


def _seconds(timing: Timing | None, options: TrainingOptions | None, images: int) -> float | None:
    if timing is None or options is None or not images:
        return None
    if options.iterations is not None:
        return timing.seconds * options.iterations * options.batch_size
    assert options.epochs is not None
    return timing.seconds * images * options.epochs


def _in_words(seconds: float | None, timing: Timing | None, options: TrainingOptions | None) -> str:
    if options is None:
        return "Stemma does not know how long a trainer takes."
    label = ARCHITECTURES[options.architecture].label
    size = "{} by {} px".format(*options.input_size)
    if seconds is None or timing is None:
        return f"Duration unknown: no training of {label} at {size} has completed here yet."
    trainings = f"{timing.versions} training{'' if timing.versions == 1 else 's'}"
    at_most = "at most " if options.patience else ""
    return (
        f"Takes {at_most}about {estimate(seconds)}, by the {trainings} of {label} at {size} that"
        f" completed last in this {timing.of}."
    )
