"""JSON Schema of the events in a bundle, in the versions in which they were stored."""

from typing import Any

from adapters.subscriptions.contract.payloads import DRAFT, Form, Schema, json_schema, published
from domain.event import Metadata, registry
from domain.personal import erased_values

_PUBLISHED = frozenset({"$id", "examples"})


class Envelope(Metadata, frozen=True, kw_only=True):
    """The stored JSON of every event; `data` is the payload, with its own schema.

    `sealed` are the payload's personal fields, encrypted.
    """

    schema_version: int
    data: dict[str, Any]
    sealed: str | None = None


def schema_of(form: Form) -> Schema:
    """The schema of the stored payload: the published one, with personal fields optional."""
    if form not in published():
        title = f"{form[0]}, version {form[1]}"
        return {
            "title": title,
            "description": "The program that made the bundle does not know it.",
            "type": "object",
        }
    schema = {name: value for name, value in published()[form].items() if name not in _PUBLISHED}
    personal = erased_values(registry()[form[0]])
    schema["properties"] = {
        name: field | {"description": "Sealed in the envelope if it is absent here."}
        if name in personal
        else field
        for name, field in schema["properties"].items()
    }
    schema["required"] = [name for name in schema["required"] if name not in personal]
    return schema


def envelope() -> Schema:
    return {"$schema": DRAFT} | json_schema(Envelope)
