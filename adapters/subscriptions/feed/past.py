"""Events of the feed that are older than its tail, read from the log a step at a time."""

from collections.abc import Mapping, Sequence

import msgspec

from adapters.subscriptions.feed.feed_event import FeedEvent, encoded
from adapters.subscriptions.feed.wanted import Wanted, terms_of
from application.log.store import PAGE, Store
from application.scopes import Scopes
from domain.audit.places import StreamScope
from domain.event import Recorded

STEP_BYTES = 1 << 20
"""What is found in one step ends with the event by which it comes to so much."""

_ANYWHERE = StreamScope()


class Step(msgspec.Struct, frozen=True):
    """What was found up to the position `reached`; unless `more`, that is all there is."""

    events: list[FeedEvent]
    reached: int
    more: bool


def step(store: Store, scopes: Scopes, wanted: Wanted, after: int, limit: int) -> Step:
    """Look through the next events after a position, until `limit` are found, or `STEP_BYTES`."""
    page, reached = _page(store, wanted, after, limit)
    places = _places(scopes, wanted, page)
    matching: list[FeedEvent] = []
    size = 0
    for recorded in page:
        terms = terms_of(recorded, places.get(recorded.stream, _ANYWHERE))
        if not wanted.covers(terms):
            continue
        matching.append(encoded(recorded, terms))
        size += len(matching[-1].frame)
        if len(matching) == limit or size >= STEP_BYTES:
            return Step(matching, recorded.position, more=True)
    return Step(matching, reached, more=reached > after)


def _page(store: Store, wanted: Wanted, after: int, limit: int) -> tuple[list[Recorded], int]:
    """The next events that may be wanted, and the position that they were looked for up to."""
    searched = bool(wanted.names or wanted.streams)
    size = PAGE if len(wanted.groups) > searched else limit
    if not searched:
        page = store.read(after, limit=size)
        return page, page[-1].position if page else after
    # First, so that all up to there can be seen by what comes next.
    head = store.head()
    if wanted.streams:
        page = store.read_streams(sorted(wanted.streams), after, upto=head, limit=size)
    else:
        page = store.read(after, limit=size, upto=head, names=sorted(wanted.names))
    return page, page[-1].position if len(page) == size else max(head, after)


def _places(scopes: Scopes, wanted: Wanted, page: Sequence[Recorded]) -> Mapping[str, StreamScope]:
    """Where the streams of a page belong, if that decides what is wanted."""
    return scopes.scopes_of({event.stream for event in page}) if wanted.asks_for_places else {}
