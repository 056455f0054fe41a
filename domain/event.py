"""The base of all events, the envelope they travel in, and the registry of their frozen names."""

from datetime import datetime
from typing import ClassVar

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
        """The stream's name less its kind: the id that commands and queries use."""
        return self.originator_id.split("-", 1)[1]


def name_of(event_type: type[Event]) -> str:
    """The frozen name under which events of this type are stored."""
    return str(event_type.__struct_config__.tag)


def registry() -> dict[str, type[Event]]:
    """Every event type by its frozen name."""
    found: dict[str, type[Event]] = {}
    for event_type in Event.__subclasses__():
        name = name_of(event_type)
        if name in found:
            raise TypeError(f"two event types are named {name!r}")
        found[name] = event_type
    return found
