"""The log followed by whoever reacts to events: each once, from a position that is kept."""

from collections.abc import Callable, Sequence

from adapters.observability.event_spans import reacting
from application.log.store import AppendRefused, Store
from domain.event import Recorded

React = Callable[[Recorded], None]


def react_to_all(store: Store, feed: str, names: Sequence[str], react: React) -> None:
    """React to every event since the feed's position, which moves once a reaction is complete."""
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
        return False  # another process reacts too; begin again at its position
    return True
