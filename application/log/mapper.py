"""Events to and from the rows of the event table: a frozen name and readable JSON."""

import os
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from eventsourcing.persistence import Mapper, Notification, StoredEvent

import domain.aggregates  # noqa: F401  (importing an aggregate registers its events)
from application.log.sealing import Random, seal, unseal
from domain.event import Event, Metadata, Recorded, registry
from domain.personal import erased_values
from domain.upcasts import upcast


class Stored(msgspec.Struct, frozen=True, omit_defaults=True):
    """The JSON of a stored event: the envelope, and the payload under `data`.

    `sealed` are the personal fields of the payload, encrypted; a payload without any has none.
    """

    event_id: str
    occurred_at: Any
    actor: str
    command_id: str
    correlation_id: str
    causation_id: str | None
    schema_version: int
    data: msgspec.Raw
    sealed: str | None = None


class EventMapper(Mapper[str]):
    """The event-sourcing library's mapper, for msgspec structs instead of its own classes.

    `key` is the key of the event's stream. Without it, personal fields read as erased.
    """

    def __init__(self, random: Random = os.urandom) -> None:
        self._random = random
        self._types = registry()
        self._stored = msgspec.json.Decoder(Stored)
        self._events: dict[str, msgspec.json.Decoder[Any]] = {
            name: msgspec.json.Decoder(event_type) for name, event_type in self._types.items()
        }
        self._metadata = msgspec.json.Decoder(Metadata)
        self._encode = msgspec.json.Encoder().encode
        self._erased = {
            name: self._encode(values)
            for name, event_type in self._types.items()
            if (values := erased_values(event_type))
        }
        self.personal = frozenset(self._erased)

    def to_stored_event(self, domain_event: Any, key: bytes | None = None) -> StoredEvent:
        """The row of an event. Raises `ValueError` for personal fields without a key."""
        recorded: Recorded = domain_event
        metadata = recorded.metadata
        data, sealed = self._data_of(recorded, key)
        state = Stored(
            metadata.event_id,
            metadata.occurred_at,
            metadata.actor,
            metadata.command_id,
            metadata.correlation_id,
            metadata.causation_id,
            recorded.event.schema_version,
            msgspec.Raw(data),
            sealed,
        )
        return StoredEvent(
            originator_id=recorded.originator_id,
            originator_version=recorded.originator_version,
            topic=recorded.event.event_name,
            state=self._encode(state),
        )

    def _data_of(self, recorded: Recorded, key: bytes | None) -> tuple[bytes, str | None]:
        event = recorded.event
        personal = erased_values(type(event))
        if not personal:
            return self._encode(event), None
        if key is None:
            raise ValueError(f"{event.event_name} has personal fields, and its stream no key")
        payload = msgspec.to_builtins(event)
        personal_json = self._encode({name: payload.pop(name) for name in personal})
        place = _place(recorded.stream, recorded.originator_version, event.event_name)
        return self._encode(payload), seal(personal_json, key, place, self._random)

    def to_domain_event(self, stored_event: StoredEvent, key: bytes | None = None) -> Any:
        """The recorded event. Raises `LookupError` for a name or version this program lacks."""
        return Recorded(
            str(stored_event.originator_id),
            stored_event.originator_version,
            self.to_event(stored_event, key),
            self._metadata.decode(stored_event.state),
            stored_event.id if isinstance(stored_event, Notification) else 0,
        )

    def to_event(self, stored_event: StoredEvent, key: bytes | None = None) -> Event:
        """The event without its envelope, for folds of very many. Raises `LookupError`."""
        name = stored_event.topic
        if name not in self._types:
            raise LookupError(
                f"this version of Stemma does not know the event {name!r}: run a newer version"
            )
        stored = self._stored.decode(stored_event.state)
        event_type = self._types[name]
        data = bytes(stored.data)
        if stored.sealed is not None:
            data = data[:-1] + b"," + self._opened(stored_event, stored.sealed, key)[1:]
        if stored.schema_version == event_type.schema_version:
            event: Event = self._events[name].decode(data)
            return event
        payload = msgspec.json.decode(data, type=dict[str, Any])
        current = upcast(name, payload, stored.schema_version, event_type.schema_version)
        return msgspec.convert(current, event_type)

    def _opened(self, stored_event: StoredEvent, sealed: str, key: bytes | None) -> bytes:
        """The personal fields as a JSON object. Raises `ValueError` if they were tampered with."""
        name = stored_event.topic
        if key is None:
            return self._erased[name]
        stream, revision = str(stored_event.originator_id), stored_event.originator_version
        try:
            return unseal(sealed, key, _place(stream, revision, name))
        except InvalidTag as error:
            raise ValueError(
                f"{name}, revision {revision} of {stream}, cannot be opened: it, or the key of its"
                " stream, is not what was stored"
            ) from error


def _place(stream: str, revision: int, name: str) -> bytes:
    return f"{stream} {revision} {name}".encode()
