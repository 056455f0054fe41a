"""The base of all events, the envelope and streams they are in, the registry of their names."""

from datetime import datetime
from typing import ClassVar, NamedTuple, Self

import msgspec


class Event(msgspec.Struct, frozen=True, tag_field="event"):
    """One business fact. The tag is its stored name: frozen, and independent of Python paths."""

    schema_version: ClassVar[int] = 1

    @property
    def event_name(self) -> str:
        """The stored name, such as `view.concept_added`."""
        return name_of(type(self))


class Metadata(msgspec.Struct, frozen=True):
    """Who caused an event, when, and in answer to what."""

    event_id: str
    occurred_at: datetime
    actor: str
    command_id: str
    correlation_id: str
    causation_id: str | None = None


class StreamName(NamedTuple):
    """The kind of an aggregate and an entity's id, joined by a hyphen as text."""

    kind: str
    entity_id: str

    def __str__(self) -> str:
        return f"{self.kind}-{self.entity_id}"

    @classmethod
    def parse(cls, stream: str) -> Self:
        """Ids have hyphens too: the first one ends the kind. Without one, the id is empty."""
        kind, _, entity_id = stream.partition("-")
        return cls(kind, entity_id)


class Recorded(msgspec.Struct, frozen=True):
    """An event at its place in a stream, and in the log once `position` is known.

    The two `originator_*` names are the event-sourcing library's words for stream and revision.
    """

    originator_id: str
    originator_version: int
    event: Event
    metadata: Metadata
    position: int = 0

    @property
    def stream(self) -> str:
        return self.originator_id

    @property
    def entity_id(self) -> str:
        """The id that commands and queries use."""
        return StreamName.parse(self.originator_id).entity_id

    @property
    def kind(self) -> str:
        """The kind of the aggregate."""
        return StreamName.parse(self.originator_id).kind


def name_of(event_type: type[Event]) -> str:
    """The frozen name under which events of this type are stored."""
    return str(event_type.__struct_config__.tag)


def registry() -> dict[str, type[Event]]:
    """Every event type by its frozen name."""
    types: dict[str, type[Event]] = {}
    for event_type in Event.__subclasses__():
        name = name_of(event_type)
        if name in types:
            raise TypeError(f"two event types are named {name!r}")
        types[name] = event_type
    return types
