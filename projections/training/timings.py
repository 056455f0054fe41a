"""How long trainings took, from which it is estimated how long others will take."""

import statistics

import msgspec
from sqlalchemy import Connection, func, select

from domain.training.version import QUEUED, READY, STEPS
from projections.training.models_library import versions
from projections.training.version_progress import progress, steps

NEWEST = 50
VIEW, PROJECT = "view", "project"


class Timing(msgspec.Struct, frozen=True):
    """Seconds that a worker took for a training image in an epoch, with all that belongs to it.

    It is the median of the newest `versions` that were trained to their end, in the place `of`, a
    view or a project. Those that were stopped, as pruned trials are, spent most of their time on
    what comes before and after the epochs.
    """

    seconds: float
    versions: int
    of: str


def find_timing(connection: Connection, project_id: str, view_id: str) -> Timing | None:
    """The timing of a view's trainings, or of its project's if none of its own has ended."""
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
            )
            .order_by(versions.c.created_position.desc())
            .limit(NEWEST)
        )
        took = [
            float(row.seconds) / (row.train_images * row.iterations_done / row.iterations_per_epoch)
            for row in connection.execute(query)
        ]
        if took:
            return Timing(statistics.median(took), len(took), of)
    return None
