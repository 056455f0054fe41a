"""The project and the view that an event belongs to: a pure function of the log up to it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from application.handle import VIEW
from application.store import Store
from domain.event import Event, Recorded
from domain.image import ImageAdded, ImageAnnotated
from domain.imports import ImportRequested
from domain.model import ModelCreated, ModelForked
from domain.project import ProjectCreated
from domain.version import VersionCreated
from domain.view import ViewCreated

CACHED = 20_000
"""Streams whose places are kept in memory; those that came first go first."""


class Place(NamedTuple):
    """Ids; None where there is none."""

    project: str | None = None
    view: str | None = None


class Places:
    """Where streams belong, told by their first events and cached."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, Place] = {}

    def of(self, page: Sequence[Recorded]) -> list[Place]:
        """The places of events, in two queries at most for all streams that are not cached."""
        begun = {one.stream: one.event for one in page if one.originator_version == 1}
        self._learn(begun)
        self._look_up({one.stream for one in page})
        places = [self._place(one) for one in page]
        while len(self._known) > CACHED:
            del self._known[next(iter(self._known))]
        return places

    def _place(self, recorded: Recorded) -> Place:
        place = self._known.get(recorded.stream, Place())
        match recorded.event:
            case ImageAnnotated(view_id=view_id):
                return place._replace(view=view_id)
        return place

    def _look_up(self, streams: Iterable[str]) -> None:
        missing = [stream for stream in streams if stream not in self._known]
        if missing:
            self._learn(self._store.first_events(missing))

    def _learn(self, begun: Mapping[str, Event]) -> None:
        inside = {stream: view for stream, event in begun.items() if (view := _view_of(event))}
        for stream, event in begun.items():
            if stream not in inside:
                self._known[stream] = _place_of(stream.split("-", 1)[1], event)
        if inside:
            self._look_up(set(inside.values()))
            self._known |= {
                stream: self._known.get(view, Place()) for stream, view in inside.items()
            }


def _place_of(entity_id: str, first: Event) -> Place:
    match first:
        case ProjectCreated():
            return Place(entity_id)
        case ViewCreated(project_id=project_id):
            return Place(project_id, entity_id)
        case VersionCreated(project_id=project_id, view_id=view_id):
            return Place(project_id, view_id)
        case ImageAdded(project_id=project_id) | ImportRequested(project_id=project_id):
            return Place(project_id)
    return Place()


def _view_of(first: Event) -> str | None:
    match first:
        case ModelCreated() | ModelForked():
            return VIEW.stream(first.view_id)
    return None
