"""JSON Schema of the events in a bundle, each in the version that it was stored in."""

from typing import Any

import msgspec

import application.mapper  # noqa: F401  (it registers every event)
from domain.event import Metadata, registry
from domain.upcasts import UPCASTS

Form = tuple[str, int]
"""An event's name and the version of its payload."""


class Envelope(Metadata, frozen=True, kw_only=True):
    """The stored JSON of every event; `data` is the payload, with its own schema."""

    schema_version: int
    data: dict[str, Any]


def schema_of(form: Form) -> dict[str, Any]:
    """The payload's schema; of a version from before, what is known of how it was read.

    Raises `LookupError` for a name that this program does not know.
    """
    name, version = form
    event_type = registry()[name]
    if version == event_type.schema_version:
        return _schema(event_type) | {"title": f"{name}, version {version}"}
    return {
        "title": f"{name}, version {version}",
        "description": UPCASTS[form].__doc__,
        "type": "object",
        "properties": {"event": {"const": name}},
        "required": ["event"],
    }


def envelope() -> dict[str, Any]:
    return _schema(Envelope)


def _schema(struct: type[msgspec.Struct]) -> dict[str, Any]:
    draft = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return draft | msgspec.json.schema(struct)
