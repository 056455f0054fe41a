"""The limit of queued and running trainings of one account."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from application.handle import Decided, Outcome, Request, Session, handle
from application.log.store import Store
from domain.errors import TooMany
from domain.event import Recorded, name_of
from domain.experiments.experiment import ExperimentConcluded, ExperimentStarted
from domain.training.version import (
    VersionCreated,
    VersionRetried,
    VersionTrainingCancelled,
    VersionTrainingCompleted,
    VersionTrainingFailed,
)

_FINAL = VersionTrainingCompleted | VersionTrainingCancelled
_NAMES = [
    name_of(event)
    for event in (
        ExperimentStarted,
        ExperimentConcluded,
        VersionCreated,
        VersionRetried,
        VersionTrainingCancelled,
        VersionTrainingCompleted,
        VersionTrainingFailed,
    )
]
RETRY_SECONDS = 60


class TrainingLimit:
    """Counts trainings by the creator of the version, from the log: each count reads new events.
    A running experiment counts as the trials that it may have at once.

    `alone` is a lock by name across processes, so that concurrent decisions are counted.
    A `limit` of 0 means no limit. Safe to use from many threads.
    """

    def __init__(
        self, store: Store, limit: int, alone: Callable[[str], AbstractContextManager[None]]
    ) -> None:
        self._store, self._limit, self._alone = store, limit, alone
        self._position = 0
        self._running: dict[str, str] = {}
        self._experiments: dict[str, tuple[str, int]] = {}
        self._failed: dict[str, str] = {}
        self._counting = threading.Lock()

    def handle(
        self, request: Request, decide: Callable[[Session], Decided[Any]], more: int = 1
    ) -> Outcome:
        """Run a command that gives the actor so many more trainings. Raises `TooMany`.

        A repeated command is not refused.
        """
        if not self._limit:
            return handle(self._store, request, decide)

        def decide_within(session: Session) -> Decided[Any]:
            self._refuse_more(request.actor, session.position, more)
            return decide(session)

        with self._alone(request.actor):
            return handle(self._store, request, decide_within)

    def _refuse_more(self, actor: str, position: int, more: int) -> None:
        running = self._count(actor, position)
        if running + more > self._limit:
            wanted = f", and {more} more were requested" if more > 1 else ""
            raise TooMany(
                f"{running} of your trainings are queued or running{wanted}; the limit is"
                f" {self._limit}: stop or cancel one, or wait until one has ended",
                retry_after=RETRY_SECONDS,
            )

    def _count(self, actor: str, upto: int) -> int:
        with self._counting:
            for recorded in self._store.read_all(self._position, upto=upto, names=_NAMES):
                self._take(recorded)
            self._position = max(self._position, upto)
            trials = sum(n for creator, n in self._experiments.values() if creator == actor)
            return trials + sum(creator == actor for creator in self._running.values())

    def _take(self, recorded: Recorded) -> None:
        key, event = recorded.entity_id, recorded.event
        if isinstance(event, ExperimentStarted):
            self._experiments[key] = recorded.metadata.actor, event.concurrency
        elif isinstance(event, ExperimentConcluded):
            self._experiments.pop(key, None)
        elif isinstance(event, VersionCreated):
            if event.experiment_id is None and event.adopted is None:
                self._running[key] = recorded.metadata.actor
        elif isinstance(event, _FINAL):
            self._running.pop(key, None)
            self._failed.pop(key, None)
        elif isinstance(event, VersionTrainingFailed) and key in self._running:
            self._failed[key] = self._running.pop(key)
        elif isinstance(event, VersionRetried) and key in self._failed:
            self._running[key] = self._failed.pop(key)
