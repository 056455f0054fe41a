"""A page of events as lines of the trail: what was before is read for the whole page at once."""

from collections.abc import Iterable, Sequence
from typing import Any

from application.log.store import Store
from domain.aggregates import AGGREGATES, MODEL
from domain.audit.trail import Line, line_of, mentions
from domain.event import Recorded, name_of
from domain.library.model import VersionNumbered
from domain.library.view import ModelRegistered
from domain.training.version import (
    BatchMetricsRecorded,
    BestCheckpointSaved,
    EpochMetricsRecorded,
    TrainingStepAdvanced,
    VersionRetried,
    VersionTrainingCancelled,
    VersionTrainingCompleted,
    VersionTrainingFailed,
    VersionTrainingStarted,
)

# There may be very many of these in a stream, and no line needs what they change, but for the
# last status of a version, which is looked up.
_PASSED_OVER = [
    name_of(one)
    for one in (
        BatchMetricsRecorded,
        BestCheckpointSaved,
        EpochMetricsRecorded,
        ModelRegistered,
        TrainingStepAdvanced,
        VersionNumbered,
    )
]
_TURNS = (
    TrainingStepAdvanced,
    VersionRetried,
    VersionTrainingCancelled,
    VersionTrainingCompleted,
    VersionTrainingFailed,
    VersionTrainingStarted,
)


def lines_of(store: Store, page: Sequence[Recorded]) -> list[Line]:
    """The lines of some events, in the order given.

    It takes three queries, however many the events are. All that is kept in memory are the
    histories of the streams that they touch, less figures and steps.
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
    """What happened to the streams that the lines speak of, up to the last of them, in order."""
    last = ordered[-1].position
    streams = {recorded.stream for recorded in ordered}
    streams |= {stream for recorded in ordered for stream in mentions(recorded.event)}
    found = _histories(store, streams, last)
    asked = {
        stream
        for recorded in [*found, *ordered]
        if recorded.kind == MODEL.kind
        for stream in mentions(recorded.event)
    }
    found += _histories(store, asked - streams, last)
    turns = [(one.stream, one.position) for one in ordered if isinstance(one.event, _TURNS)]
    found += store.status_steps(turns) if turns else []
    return sorted(found, key=lambda recorded: recorded.position)


def _histories(store: Store, streams: Iterable[str], upto: int) -> list[Recorded]:
    names = sorted(streams)
    return store.histories(names, upto=upto, without=_PASSED_OVER) if names else []
