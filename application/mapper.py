"""Events to and from the rows of the event table: a frozen name and readable JSON."""

from typing import Any

import msgspec
from eventsourcing.persistence import Mapper, Notification, StoredEvent

import domain.blob
import domain.image
import domain.imports
import domain.model
import domain.project
import domain.version
import domain.view  # noqa: F401  (importing an aggregate registers its events)
from domain.event import Event, Metadata, Recorded, registry
from domain.upcasts import upcast


class Stored(msgspec.Struct, frozen=True):
    """The JSON of a stored event: the envelope, and the payload under `data`."""

    event_id: str
    occurred_at: Any
    actor: str
    command_id: str
    correlation_id: str
    causation_id: str | None
    schema_version: int
    data: msgspec.Raw


class EventMapper(Mapper[str]):
    """The event-sourcing library's mapper, for msgspec structs instead of its own classes."""

    def __init__(self) -> None:
        self._types = registry()
        self._stored = msgspec.json.Decoder(Stored)
        self._events: dict[str, msgspec.json.Decoder[Any]] = {
            name: msgspec.json.Decoder(event_type) for name, event_type in self._types.items()
        }
        self._metadata = msgspec.json.Decoder(Metadata)
        self._encode = msgspec.json.Encoder().encode

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        recorded: Recorded = domain_event
        metadata = recorded.metadata
        state = Stored(
            metadata.event_id,
            metadata.occurred_at,
            metadata.actor,
            metadata.command_id,
            metadata.correlation_id,
            metadata.causation_id,
            recorded.event.schema_version,
            msgspec.Raw(self._encode(recorded.event)),
        )
        return StoredEvent(
            originator_id=recorded.originator_id,
            originator_version=recorded.originator_version,
            topic=recorded.event.event_name,
            state=self._encode(state),
        )

    def to_domain_event(self, stored_event: StoredEvent) -> Any:
        """The recorded event. Raises `LookupError` for a name or version this program lacks."""
        return Recorded(
            str(stored_event.originator_id),
            stored_event.originator_version,
            self.to_event(stored_event),
            self._metadata.decode(stored_event.state),
            stored_event.id if isinstance(stored_event, Notification) else 0,
        )

    def to_event(self, stored_event: StoredEvent) -> Event:
        """The event without its envelope, for folds of very many. Raises `LookupError`."""
        name = stored_event.topic
        if name not in self._types:
            raise LookupError(f"event {name!r} is unknown to this program: run a newer Stemma")
        stored = self._stored.decode(stored_event.state)
        event_type = self._types[name]
        if stored.schema_version == event_type.schema_version:
            event: Event = self._events[name].decode(stored.data)
            return event
        payload = msgspec.json.decode(stored.data, type=dict[str, Any])
        current = upcast(name, payload, stored.schema_version, event_type.schema_version)
        return msgspec.convert(current, event_type)
