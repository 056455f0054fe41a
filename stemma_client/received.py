"""Received events: the attributes of the CloudEvent, and the struct of the event."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote

import msgspec

from stemma_client._generated.events import EVENT_TYPES, Event
from stemma_client._generated.upcasts import upcast


class Unknown(msgspec.Struct, frozen=True):
    """An event whose name or version this client does not know; `fields` are as received."""

    name: str
    version: int
    fields: dict[str, Any]


class Received(msgspec.Struct, frozen=True):
    """An event at its position in the log.

    `attributes` are those of the CloudEvent, by name; `payload` is the JSON of its data.
    """

    position: int
    event: Event | Unknown
    attributes: Mapping[str, Any]
    payload: bytes

    @property
    def id(self) -> str:
        """The event's unique id."""
        return str(self.attributes["id"])

    @property
    def name(self) -> str:
        return str(self.attributes["type"])

    @property
    def subject(self) -> str:
        """The subject of the event: the kind, a hyphen and the id."""
        return str(self.attributes["subject"])

    @property
    def revision(self) -> int:
        """The number of the event in the subject's history: 1, 2, 3 and so on."""
        return int(self.attributes["revision"])

    @property
    def occurred_at(self) -> datetime:
        return msgspec.convert(self.attributes["time"], datetime)

    @property
    def actor(self) -> str:
        return str(self.attributes["actor"])

    def json(self) -> bytes:
        """The CloudEvent in structured mode."""
        data = {"data": msgspec.Raw(self.payload)} if self.payload else {}
        return msgspec.json.encode({**self.attributes, **data})


def attributes_in(headers: Mapping[str, str]) -> dict[str, str]:
    """The attributes of a CloudEvent in binary mode, from its headers."""
    return {
        name.removeprefix("ce-"): unquote(value)
        for name, value in headers.items()
        if name.startswith("ce-")
    }


def received(attributes: Mapping[str, Any], payload: bytes) -> Received:
    """A received event from its attributes and payload. Numbers may be strings, as in headers."""
    values = dict(attributes)
    for number in ("revision", "schemaversion"):
        values[number] = int(values[number])
    event = _decode(values["type"], values["schemaversion"], payload)
    return Received(int(values["sequence"]), event, values, payload)


def _decode(name: str, version: int, payload: bytes) -> Event | Unknown:
    """The event, upcast to the version known here; otherwise `Unknown`."""
    try:
        fields = msgspec.json.decode(payload, type=dict[str, Any])
    except msgspec.DecodeError:
        return Unknown(name, version, {})
    try:
        event_type = EVENT_TYPES[name]
        current = upcast(name, dict(fields), version, event_type.schema_version)
        return msgspec.convert(current, event_type)
    except (LookupError, TypeError, msgspec.ValidationError):
        return Unknown(name, version, fields)
