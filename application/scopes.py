"""Which project a stream belongs to, read from the log's own first events: it never changes."""

import threading
from collections.abc import Iterable, Mapping, Sequence

from application.handle import VIEW
from application.store import Store
from domain.event import Event
from domain.image import ImageAdded
from domain.imports import ImportRequested
from domain.model import ModelCreated, ModelForked
from domain.project import ProjectCreated
from domain.version import VersionCreated
from domain.view import ViewCreated

CACHED = 100_000
"""Streams whose projects are kept in memory; those that came first go first."""

READ_AT_ONCE = 5000


class Scopes:
    """Projects of streams, cached. Safe to use from many threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, str] = {}
        self._changing = threading.Lock()

    def project_of(self, stream: str) -> str | None:
        """The id of a stream's project; None for one that is not there, or that is in none."""
        return self.projects_of([stream])[stream]

    def projects_of(self, streams: Iterable[str]) -> dict[str, str | None]:
        """The same for several, in two queries for each few thousand that are not cached."""
        found: dict[str, str | None] = {name: self._known.get(name) for name in streams}
        missing = [name for name, project in found.items() if project is None]
        for start in range(0, len(missing), READ_AT_ONCE):
            found |= self._look_up(missing[start : start + READ_AT_ONCE])
        return found

    def _look_up(self, streams: Sequence[str]) -> dict[str, str]:
        begun = self._store.first_events(streams)
        views = {name: view for name, event in begun.items() if (view := _view_of(event))}
        of_views = self.projects_of(views.values()) if views else {}
        found = {name: _project_of(name, event) for name, event in begun.items()}
        found |= {name: of_views[view] for name, view in views.items()}
        known = {name: project for name, project in found.items() if project is not None}
        self._keep(known)
        return known

    def _keep(self, found: Mapping[str, str]) -> None:
        with self._changing:
            self._known.update(found)
            while len(self._known) > CACHED:
                del self._known[next(iter(self._known))]


def _project_of(stream: str, first: Event) -> str | None:
    match first:
        case ProjectCreated():
            return stream.removeprefix("project-")
        case ViewCreated() | VersionCreated() | ImageAdded() | ImportRequested():
            return first.project_id
    return None


def _view_of(first: Event) -> str | None:
    match first:
        case ModelCreated() | ModelForked():
            return VIEW.stream(first.view_id)
    return None
