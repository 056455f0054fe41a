"""What a stream belongs to, read from the log's own first events: it never changes."""

import threading
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from application.log.store import Store
from domain.aggregates import VIEW
from domain.audit.places import StreamScope, stream_scope

CACHED = 100_000
"""Streams whose places are kept in memory, where no other number is given; the first go first."""

READ_AT_ONCE = 5000

_NOWHERE = StreamScope()


class Scopes:
    """Places of streams, so many of them cached. Safe to use from many threads."""

    def __init__(self, store: Store, *, cached: int | None = None) -> None:
        self._store = store
        self._cached = CACHED if cached is None else cached
        self._known: dict[str, StreamScope] = {}
        self._changing = threading.Lock()

    def project_of(self, stream: str) -> str | None:
        """The id of a stream's project; None for one that is not there, or that is in none."""
        return self.projects_of([stream])[stream]

    def projects_of(self, streams: Iterable[str]) -> dict[str, str | None]:
        """The same for several."""
        return {name: place.project_id for name, place in self.places_of(streams).items()}

    def places_of(self, streams: Iterable[str]) -> dict[str, StreamScope]:
        """What streams belong to, in two queries for each few thousand that are not cached."""
        found = {name: self._known.get(name) for name in streams}
        missing = [name for name, place in found.items() if place is None]
        for start in range(0, len(missing), READ_AT_ONCE):
            found |= self._look_up(missing[start : start + READ_AT_ONCE])
        return {name: place or _NOWHERE for name, place in found.items()}

    def _look_up(self, streams: Sequence[str]) -> dict[str, StreamScope]:
        begun = self._store.first_events(streams).items()
        known = {name: place for name, event in begun if (place := stream_scope(name, event))}
        views = {
            name: VIEW.stream(one.view_id)
            for name, one in known.items()
            if one.view_id is not None and one.project_id is None
        }
        of_views = self.projects_of(views.values()) if views else {}
        for name, view in views.items():
            known[name] = msgspec.structs.replace(known[name], project_id=of_views[view])
        self._keep(known)
        return known

    def _keep(self, found: Mapping[str, StreamScope]) -> None:
        with self._changing:
            self._known.update(found)
            while len(self._known) > self._cached:
                del self._known[next(iter(self._known))]
