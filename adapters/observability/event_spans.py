"""Spans of events: their append, publication, projection, and the reactions to them.

A training reports its loss hundreds of times, and an import adds images by the thousand. So metrics
and steps have no span, and only the first few events of one command have one.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice

from adapters.observability import logs, tracing
from application.log.recorder import CommandRow, NoAdditions
from application.log.store import Store
from domain.event import Recorded, name_of
from domain.trace_context import span_id_of
from domain.training.version import (
    BatchMetricsRecorded,
    EpochItemsRecorded,
    TrainingStepAdvanced,
)

MAX_SPANS = 20
"""The maximum number of spans for one command's events, and for one page of the log."""

_UNTRACED = frozenset(
    name_of(event) for event in (BatchMetricsRecorded, EpochItemsRecorded, TrainingStepAdvanced)
)


class TracedStore(Store):
    """The event log with a span for each event; its parent is the request, reaction or report that
    caused it."""

    def append(
        self,
        events: Sequence[Recorded],
        *,
        command: CommandRow | None = None,
        unchanged: Mapping[str, int] | None = None,
        tracking: tuple[str, int] | None = None,
        tracked_first: int | None = None,
        no_additions: NoAdditions | None = None,
    ) -> int:
        began = time.time_ns()
        position = super().append(
            events,
            command=command,
            unchanged=unchanged,
            tracking=tracking,
            tracked_first=tracked_first,
            no_additions=no_additions,
        )
        if tracing.on():
            _record_each(events, began)
        return position


def _record_each(events: Sequence[Recorded], began: int) -> None:
    ended = time.time_ns()
    for recorded in _traced(events):
        tracing.record(
            recorded.event.event_name,
            recorded.metadata.correlation_id,
            began,
            ended,
            parent=span_id_of(recorded.metadata.causation_id or recorded.metadata.command_id),
            own=span_id_of(recorded.metadata.event_id),
            kind="producer",
            attributes=_attributes(recorded),
        )


def passed_on(what: str, page: Sequence[Recorded], began: int) -> None:
    """Record that a page of the log was published or projected: one span for each trace in the
    page, whose parent is the span of the trace's last event in the page."""
    if not tracing.on():
        return
    ended = time.time_ns()
    last = {recorded.metadata.correlation_id: recorded for recorded in _traced(page)}
    for correlation_id, recorded in islice(last.items(), MAX_SPANS):
        tracing.record(
            what,
            correlation_id,
            began,
            ended,
            parent=span_id_of(recorded.metadata.event_id),
            kind="consumer",
            attributes=_attributes(recorded),
        )


@contextmanager
def reacting(feed: str, recorded: Recorded) -> Iterator[None]:
    """A span for a feed's reaction to an event; the event's ids are bound to log lines within."""
    correlation_id = recorded.metadata.correlation_id
    with (
        logs.about(correlation_id, stream=recorded.stream, position=recorded.position),
        tracing.span(
            f"{feed.partition(' ')[0]}: {recorded.event.event_name}",
            correlation_id,
            parent=span_id_of(recorded.metadata.event_id),
            kind="consumer",
            attributes=_attributes(recorded),
        ),
    ):
        yield


def _traced(events: Sequence[Recorded]) -> Iterator[Recorded]:
    """The events that have spans."""
    of_command: Counter[str] = Counter()
    for recorded in events:
        command = recorded.metadata.command_id
        if recorded.event.event_name not in _UNTRACED and of_command[command] < MAX_SPANS:
            of_command[command] += 1
            yield recorded


def _attributes(recorded: Recorded) -> dict[str, str | int | float]:
    return {
        "stemma.event": recorded.event.event_name,
        "stemma.stream": recorded.stream,
        "stemma.correlation_id": recorded.metadata.correlation_id,
    }
