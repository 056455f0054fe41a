"""How long trainings took, from which it is estimated how long others will take."""

import statistics

import msgspec
from sqlalchemy import ColumnElement, Connection, func, select

from domain.training.architectures import KEEP_ASPECT_RATIO
from domain.training.options import TrainingOptions
from domain.training.version import ENDED, QUEUED, READY, STEPS
from projections.training.models_library import versions
from projections.training.version_progress import progress, steps

NEWEST = 50
VIEW, PROJECT = "view", "project"


class Timing(msgspec.Struct, frozen=True):
    """Seconds that a worker took for a training image in an epoch, with all that belongs to it.

    It is the median of the newest `versions` that were trained to their end, in the place `of`, a
    view or a project, whose median number of epochs is `epochs`. Those that were stopped, as pruned
    trials are, spent most of their time on what comes before and after the epochs.
    """

    seconds: float
    versions: int
    of: str
    epochs: float


def find_timing(
    connection: Connection,
    project_id: str,
    view_id: str,
    options: TrainingOptions | None = None,
    trainer: str | None = None,
) -> Timing | None:
    """The timing of a view's trainings, or of its project's if none of its own has ended.

    With `options`, only of those with the same architecture and size of images; with `trainer`,
    only of those of that trainer.
    """
    alike = [] if options is None else _alike(options)
    if trainer is not None:
        alike.append(versions.c.architecture == trainer)
    for of, column, key in (
        (VIEW, versions.c.view_id, view_id),
        (PROJECT, versions.c.project_id, project_id),
    ):
        began = steps.c.ended_at
        query = (
            select(
                func.extract("epoch", versions.c.ended_at - began).label("seconds"),
                versions.c.train_images,
                progress.c.iterations_done,
                progress.c.iterations_per_epoch,
            )
            .join(progress, progress.c.version_id == versions.c.version_id)
            .join(steps, steps.c.version_id == versions.c.version_id)
            .where(
                column == key,
                versions.c.status == READY,
                versions.c.train_images > 0,
                progress.c.iterations_per_epoch > 0,
                progress.c.iterations_done > 0,
                # One that was taken up again did not do all its iterations since it began.
                progress.c.delivery == 1,
                steps.c.place == STEPS.index(QUEUED),
                began < versions.c.ended_at,
                *alike,
            )
            .order_by(versions.c.created_position.desc())
            .limit(NEWEST)
        )
        rows = connection.execute(query).all()
        if rows:
            epochs = [row.iterations_done / row.iterations_per_epoch for row in rows]
            took = [
                float(row.seconds) / (row.train_images * done)
                for row, done in zip(rows, epochs, strict=True)
            ]
            return Timing(statistics.median(took), len(rows), of, statistics.median(epochs))
    return None


def _alike(options: TrainingOptions) -> list[ColumnElement[bool]]:
    """Conditions of versions whose images take as long: the same network and the same sizes."""
    sizes = ("max_dimension",) if options.resizer == KEEP_ASPECT_RATIO else ("width", "height")
    return [
        versions.c.architecture == options.architecture,
        versions.c.options["resizer"].astext == options.resizer,
        *(versions.c.options[side].astext == str(getattr(options, side)) for side in sizes),
    ]


def count_unfinished(connection: Connection, trainer: str | None = None) -> int:
    """How many trainings of all projects are queued or run: the built-in ones, or a trainer's."""
    query = select(func.count()).where(
        versions.c.status.not_in(ENDED),
        ~versions.c.architecture.contains("/", autoescape=True)
        if trainer is None
        else versions.c.architecture == trainer,
    )
    return connection.scalar(query) or 0
