"""Lines of the trail for a page of events; earlier events are read for the whole page at once."""

from collections.abc import Iterable, Sequence
from typing import Any

from application.log.store import Store
from domain.aggregates import AGGREGATES, MODEL
from domain.audit.trail import Line, line_of, mentions
from domain.event import Recorded, name_of
from domain.library.model import VersionNumbered
from domain.library.view import ModelRegistered, ViewCreated
from domain.training.adoption import VersionAdopted
from domain.training.version import (
    BatchMetricsRecorded,
    BestCheckpointSaved,
    EpochItemsRecorded,
    EpochMetricsRecorded,
    TrainingStepAdvanced,
    VersionRetried,
    VersionTrainingCancelled,
    VersionTrainingCompleted,
    VersionTrainingFailed,
    VersionTrainingStarted,
)

# A stream may hold very many of these, and no line needs what they change, except for the last
# status of a version, which is read separately.
_SKIPPED = [
    name_of(event)
    for event in (
        BatchMetricsRecorded,
        BestCheckpointSaved,
        EpochItemsRecorded,
        EpochMetricsRecorded,
        ModelRegistered,
        TrainingStepAdvanced,
        VersionNumbered,
    )
]
_STATUS_CHANGES = (
    VersionAdopted,
    TrainingStepAdvanced,
    VersionRetried,
    VersionTrainingCancelled,
    VersionTrainingCompleted,
    VersionTrainingFailed,
    VersionTrainingStarted,
)


def lines_of(store: Store, page: Sequence[Recorded]) -> list[Line]:
    """The lines of some events, in the order given.

    It takes three queries for any number of events. Only the histories of the mentioned streams
    are kept in memory, without metrics and steps.
    """
    if not page:
        return []
    ordered = sorted(page, key=lambda recorded: recorded.position)
    earlier = iter(_earlier(store, ordered))
    upcoming = next(earlier, None)
    states: dict[str, Any] = {}
    lines: dict[int, Line] = {}
    for recorded in ordered:
        while upcoming is not None and upcoming.position < recorded.position:
            states[upcoming.stream] = _after(states, upcoming)
            upcoming = next(earlier, None)
        lines[recorded.position] = line_of(recorded, states, _after(states, recorded))
    return [lines[recorded.position] for recorded in page]


def _after(states: dict[str, Any], recorded: Recorded) -> Any:
    return AGGREGATES[recorded.kind].evolve(states.get(recorded.stream), recorded.event)


def _earlier(store: Store, ordered: Sequence[Recorded]) -> list[Recorded]:
    """The events of the streams that the lines mention, up to the last line, in order."""
    last = ordered[-1].position
    streams = {recorded.stream for recorded in ordered}
    streams |= {stream for recorded in ordered for stream in mentions(recorded.event)}
    events = _histories(store, streams, last)
    further = {
        stream
        for recorded in [*events, *ordered]
        if recorded.kind == MODEL.kind or isinstance(recorded.event, ViewCreated)
        for stream in mentions(recorded.event)
    }
    events += _histories(store, further - streams, last)
    changes = [
        (recorded.stream, recorded.position)
        for recorded in ordered
        if isinstance(recorded.event, _STATUS_CHANGES)
    ]
    events += store.status_steps(changes) if changes else []
    return sorted(events, key=lambda recorded: recorded.position)


def _histories(store: Store, streams: Iterable[str], upto: int) -> list[Recorded]:
    names = sorted(streams)
    return store.histories(names, upto=upto, without=_SKIPPED) if names else []
