"""About how long a training will take: its images, the workers online, and the queue."""

import asyncio
from typing import Annotated, Any, NamedTuple

import msgspec
from litestar import Controller, get
from litestar.params import FromPath, FromQuery, QueryParameter
from sqlalchemy import Connection

from api.access.rights import needs
from api.backend import Backend
from api.http.parameters import AtLeast, Served
from api.training.waiting import trainer_queue
from application.training.trainers import TrainerChoice
from domain.access.roles import Right
from domain.errors import Invalid, NotFound
from domain.experiments.trainer_space import EPOCHS, has_length
from domain.formatting import counted, estimate
from domain.library.view import DETECTION
from domain.trainers.form import resolve_settings
from domain.trainers.trainer import NOT_FOUND, trainer_id
from domain.training.architectures import ARCHITECTURES
from domain.training.options import TrainingOptions, resolve_options
from domain.training.presets import with_preset
from projections.dataset.catalog import CATALOG, find_view
from projections.dataset.dataset import DATASET
from projections.dataset.queries import count_views
from projections.training.models_library import MODELS_LIBRARY
from projections.training.timings import Timing, count_unfinished, find_timing
from projections.training.trainers import TRAINERS, find_trainer
from projections.training.version_progress import VERSION_PROGRESS

READ = (CATALOG, DATASET, MODELS_LIBRARY, TRAINERS, VERSION_PROGRESS)


class TrainingEstimate(msgspec.Struct, frozen=True):
    """What a training would be, were it started now.

    `trainings_before` are queued or run in the same queue. With a trainer, `workers_online` are
    those of its queue, who alone can take the job. `seconds` are those of the training alone,
    without the wait. They are derived from the `timing` of earlier trainings with the same
    architecture and size of images, or of the same trainer; both are null if there are none.
    `duration` is the same in words.
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
        settings: Annotated[
            str, QueryParameter(description="Those of the trainer, as JSON by their keys")
        ] = "{}",
        at_least: AtLeast = None,
    ) -> TrainingEstimate:
        """Its images, what is queued before it, and about how long it takes, if that is known."""
        choice: BuiltIn | TrainerChoice
        if trainer is None:
            choice = BuiltIn(preset, _object_in(options, "options"))
        else:
            choice = TrainerChoice(trainer, _object_in(settings, "settings"))
        found, queue = await asyncio.to_thread(_estimate, backend, view_id, choice, at_least)
        online = await backend.queue_monitor.online(queue)
        return msgspec.structs.replace(found, workers_online=online)


class BuiltIn(NamedTuple):
    """Stemma's own training: a preset, and the options that are chosen besides."""

    preset: str | None
    options: dict[str, Any]


class Planned(NamedTuple):
    """A training, as far as its duration depends on it.

    `epochs` is how many it runs, or `shown` how many images it shows; with neither it is assumed to
    run as many epochs as earlier ones. With `patience` it can end earlier.
    """

    description: str
    epochs: float | None = None
    shown: int | None = None
    patience: int = 0


def _object_in(text: str, field: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise Invalid(f"{field} is not a JSON object: {error}", field=field) from error


def _estimate(
    backend: Backend, view_id: str, choice: BuiltIn | TrainerChoice, at_least: int | None
) -> tuple[TrainingEstimate, str | None]:
    """Without the workers online, and the queue of the trainer whose workers count."""
    with backend.reading(at_least, *READ) as (connection, position):
        view = find_view(connection, view_id)
        if view is None:
            raise NotFound("view not found")
        counts = count_views(connection, view.project_id, [view_id])[view_id]
        images = counts.annotated.train
        if view.kind == DETECTION:
            images -= counts.without_concept.train
        if isinstance(choice, TrainerChoice):
            trainer: str | None = choice.name
            queue: str | None = trainer_queue(backend, choice.name, view.project_id)
            planned = _planned_by(connection, choice)
            timing = find_timing(connection, view.project_id, view_id, trainer=trainer)
        else:
            trainer = queue = None
            given = with_preset(view.kind, choice.preset, choice.options)
            at_hand = backend.weights.at_hand()
            options = resolve_options(view.kind, given, at_hand, crops=view.crops)
            if options.reviewed_only:
                images = counts.reviewed.train
            planned = _planned(options)
            timing = find_timing(connection, view.project_id, view_id, options)
        before = count_unfinished(connection, trainer)
    seconds = _seconds(timing, planned, images)
    found = TrainingEstimate(
        train_images=images,
        validation_images=counts.annotated.validation,
        workers_online=None,
        trainings_before=before,
        timing=timing,
        seconds=seconds,
        duration=_in_words(seconds, timing, planned),
        position=position,
    )
    return found, queue


def _planned(options: TrainingOptions) -> Planned:
    label = ARCHITECTURES[options.architecture].label
    description = "{} at {} by {} px".format(label, *options.input_size)
    if options.iterations is not None:
        return Planned(description, shown=options.iterations * options.batch_size)
    return Planned(description, options.epochs, patience=options.patience)


def _planned_by(connection: Connection, choice: TrainerChoice) -> Planned:
    """A whole number `epochs` of a trainer's form is its length. Raises `NotFound`, or `Invalid`
    naming a setting."""
    row = find_trainer(connection, trainer_id(choice.name))
    if row is None:
        raise NotFound(NOT_FOUND, field="trainer")
    settings = resolve_settings(row.settings, choice.settings)
    return Planned(choice.name, float(settings[EPOCHS]) if has_length(row.settings) else None)


def _seconds(timing: Timing | None, planned: Planned, images: int) -> float | None:
    if timing is None or not images:
        return None
    if planned.shown is not None:
        return timing.seconds * planned.shown
    epochs = timing.epochs if planned.epochs is None else planned.epochs
    return timing.seconds * images * epochs


def _in_words(seconds: float | None, timing: Timing | None, planned: Planned) -> str:
    if seconds is None or timing is None:
        return f"Duration unknown: no training of {planned.description} has completed here yet."
    at_most = "at most " if planned.patience else ""
    return (
        f"Takes {at_most}about {estimate(seconds)}, by the {counted(timing.versions, 'training')}"
        f" of {planned.description} that completed last in this {timing.of}."
    )
