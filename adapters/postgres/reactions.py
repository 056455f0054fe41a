"""Reactions to the events of the log: each event once, from a stored position."""

from collections.abc import Callable, Sequence

from adapters.observability.event_spans import reacting
from application.log.store import AppendRefused, Store
from domain.event import Recorded

React = Callable[[Recorded], None]


def react_to_all(store: Store, feed: str, names: Sequence[str], react: React) -> None:
    """React to every event after the feed's position, which advances after each reaction."""
    position = store.tracked(feed)
    while True:
        head = store.head()
        page = store.read(position, upto=head, names=names)
        for recorded in page:
            with reacting(feed, recorded):
                react(recorded)
            if not _move(store, feed, recorded.position):
                return
            position = recorded.position
        if not page:
            if head > position:
                _move(store, feed, head)
            return


def _move(store: Store, feed: str, position: int) -> bool:
    try:
        store.append([], tracking=(feed, position))
    except AppendRefused:
        return False  # another process reacts too; the caller restarts from its position
    return True
