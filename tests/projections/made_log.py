"""A log made of given events, and read models kept up with it by the real loop."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from domain.event import Event, Metadata, Recorded
from projections.engine.follow import Follower
from projections.engine.read_model import ReadModel
from projections.registry import READ_MODELS

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


def at(position: int) -> datetime:
    """When the event at a position happened: one a second."""
    return BEGINNING + timedelta(seconds=position)


class MadeLog:
    """Events in the order they were added, at positions from 1."""

    def __init__(self) -> None:
        self.events: list[Recorded] = []
        self._revisions: dict[str, int] = {}

    def add(self, stream: str, *events: Event) -> int:
        """Append to a stream; return the position of the last event."""
        for event in events:
            revision = self._revisions.get(stream, 0) + 1
            position = len(self.events) + 1
            metadata = Metadata(f"e{position}", at(position), "test", "command", "correlation")
            self._revisions[stream] = revision
            self.events.append(Recorded(stream, revision, event, metadata, position))
        return len(self.events)

    def read(
        self, after: int, *, limit: int = 1000, upto: int | None = None, skip: Sequence[str] = ()
    ) -> list[Recorded]:
        kept = [one for one in self.events[after:upto] if one.event.event_name not in skip]
        return kept[:limit]

    def head(self) -> int:
        return len(self.events)

    def follow(self, engine: Engine, read_models: Sequence[ReadModel] = READ_MODELS) -> None:
        Follower(engine, self, read_models).catch_up()
