"""Routes of what waits for people, and of how many trainings have not ended."""

from datetime import UTC, datetime

import msgspec
from litestar import Controller, get
from sqlalchemy import Connection

from api.access.rights import needs
from api.http.parameters import AtLeast, HttpRequest, Served
from application.access.access import Caller
from domain.access.roles import Right
from projections.dataset.catalog import CATALOG
from projections.dataset.dataset import DATASET
from projections.flip_book.flip_book import FLIP_BOOK
from projections.flip_book.suspects import SUSPECTS
from projections.overview.tasks import (
    LISTED,
    FailedVersion,
    VersionToCheck,
    ViewToAnnotate,
    count_unfinished,
    failed_versions,
    versions_to_check,
    views_to_annotate,
)
from projections.training.models_library import MODELS_LIBRARY

READ = (CATALOG, DATASET, MODELS_LIBRARY, FLIP_BOOK, SUSPECTS)
"""The read models that tasks follow from."""


class Tasks(msgspec.Struct, frozen=True):
    """What waits for the caller: failed versions for those who may train, and for those who may
    annotate images, annotations to review, and suspects. Each list is of the newest views."""

    failed: list[FailedVersion]
    annotate: list[ViewToAnnotate]
    check: list[VersionToCheck]

    @property
    def count(self) -> int:
        return len(self.failed) + len(self.annotate) + len(self.check)


class TasksView(msgspec.Struct, frozen=True):
    tasks: Tasks
    position: int


class TrainingCount(msgspec.Struct, frozen=True):
    """The number of versions that are queued or in work."""

    unfinished: int
    position: int


class TaskController(Controller):
    """Tasks."""

    tags = ("Tasks",)

    @get(
        "/tasks",
        summary="What waits for you",
        sync_to_thread=True,
        opt=needs(Right.READ, anywhere=True),
    )
    def list_tasks(
        self, backend: Served, request: HttpRequest, at_least: AtLeast = None
    ) -> TasksView:
        """Failed versions without a newer one in their view, for a week; images to annotate and
        annotations to review in the newest 50 views; the newest version of each view whose suspects
        nobody has decided on. Only in projects in which you have the right to do it."""
        with backend.reading(at_least, *READ) as (connection, position):
            return TasksView(tasks_for(connection, request.user), position)

    @get(
        "/trainings/count",
        summary="The number of unfinished trainings",
        sync_to_thread=True,
        opt=needs(Right.READ, anywhere=True),
    )
    def get_training_count(
        self, backend: Served, request: HttpRequest, at_least: AtLeast = None
    ) -> TrainingCount:
        """Of the projects in which the caller has a role."""
        among = request.user.grants.projects(Right.READ)
        with backend.reading(at_least, MODELS_LIBRARY) as (connection, position):
            return TrainingCount(count_unfinished(connection, among), position)


def tasks_for(connection: Connection, caller: Caller) -> Tasks:
    trains = caller.grants.projects(Right.TRAIN)
    annotates = caller.grants.projects(Right.ANNOTATE)
    return Tasks(
        failed_versions(connection, trains, datetime.now(UTC)),
        views_to_annotate(connection, annotates)[:LISTED],
        versions_to_check(connection, annotates),
    )
