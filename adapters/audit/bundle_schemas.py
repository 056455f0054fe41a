"""JSON Schema of the events in a bundle, each in the version that it was stored in."""

from typing import Any

import msgspec

import application.mapper  # noqa: F401  (it registers every event)
from domain.event import Event, Metadata, registry
from domain.personal import erased_values
from domain.upcasts import UPCASTS

Form = tuple[str, int]
"""An event's name and the version of its payload."""


class Envelope(Metadata, frozen=True, kw_only=True):
    """The stored JSON of every event; `data` is the payload, with its own schema.

    `sealed` are the payload's personal fields, encrypted.
    """

    schema_version: int
    data: dict[str, Any]
    sealed: str | None = None


def schema_of(form: Form) -> dict[str, Any]:
    """The payload's schema; of a version from before, what is known of how it was read."""
    name, version = form
    title = {"title": f"{name}, version {version}"}
    event_type = registry().get(name)
    if event_type is not None and version == event_type.schema_version:
        return _as_stored(event_type) | title
    known = UPCASTS[form].__doc__ if form in UPCASTS else "Not known to the bundle's maker."
    return title | {"description": known, "type": "object"}


def _as_stored(event_type: type[Event]) -> dict[str, Any]:
    """Personal fields are not in the payload: the envelope has them, sealed."""
    schema = _schema(event_type)
    own = schema["$defs"][event_type.__name__]
    for name in erased_values(event_type):
        del own["properties"][name]
        own["required"].remove(name)
    return schema


def envelope() -> dict[str, Any]:
    return _schema(Envelope)


def _schema(struct: type[msgspec.Struct]) -> dict[str, Any]:
    draft = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return draft | msgspec.json.schema(struct)
