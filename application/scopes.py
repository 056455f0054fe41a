"""The scope of a stream (its project and view), read from its first event: it never changes."""

import threading
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from application.log.store import Store
from domain.aggregates import VIEW
from domain.audit.places import StreamScope, stream_scope
from domain.event import Recorded

CACHED = 100_000
"""The default number of cached scopes; the oldest are evicted first."""

READ_AT_ONCE = 5000

_NOWHERE = StreamScope()


class Scopes:
    """Scopes of streams, with a cache. Safe to use from many threads."""

    def __init__(self, store: Store, *, cached: int | None = None) -> None:
        self._store = store
        self._cached = CACHED if cached is None else cached
        self._cache: dict[str, StreamScope] = {}
        self._lock = threading.Lock()

    def project_of(self, stream: str) -> str | None:
        """The id of a stream's project; None if it does not exist or has none."""
        return self.projects_of([stream])[stream]

    def is_known(self, stream: str) -> bool:
        """Whether `project_of` answers without a query."""
        return stream in self._cache

    def note(self, events: Iterable[Recorded]) -> None:
        """Keep the scopes of streams that begin with these events."""
        begun = {
            recorded.stream: scope
            for recorded in events
            if recorded.originator_version == 1
            and (scope := stream_scope(recorded.stream, recorded.event)) is not None
            and scope.project_id is not None
        }
        self._keep(begun)

    def projects_of(self, streams: Iterable[str]) -> dict[str, str | None]:
        """The project ids of several streams."""
        return {name: scope.project_id for name, scope in self.scopes_of(streams).items()}

    def scopes_of(self, streams: Iterable[str]) -> dict[str, StreamScope]:
        """The scopes of streams, in two queries for every few thousand that are not cached."""
        scopes = {name: self._cache.get(name) for name in streams}
        missing = [name for name, scope in scopes.items() if scope is None]
        for start in range(0, len(missing), READ_AT_ONCE):
            scopes |= self._read(missing[start : start + READ_AT_ONCE])
        return {name: scope or _NOWHERE for name, scope in scopes.items()}

    def _read(self, streams: Sequence[str]) -> dict[str, StreamScope]:
        begun = self._store.first_events(streams).items()
        scopes = {name: scope for name, event in begun if (scope := stream_scope(name, event))}
        views = {
            name: VIEW.stream(scope.view_id)
            for name, scope in scopes.items()
            if scope.view_id is not None and scope.project_id is None
        }
        of_views = self.projects_of(views.values()) if views else {}
        for name, view in views.items():
            scopes[name] = msgspec.structs.replace(scopes[name], project_id=of_views[view])
        self._keep(scopes)
        return scopes

    def _keep(self, scopes: Mapping[str, StreamScope]) -> None:
        with self._lock:
            self._cache.update(scopes)
            while len(self._cache) > self._cached:
                del self._cache[next(iter(self._cache))]
