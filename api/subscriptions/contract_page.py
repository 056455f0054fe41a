"""The contract of the events: a page, AsyncAPI, and a schema for each version of an event."""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
from litestar import Controller, Response, get
from litestar.params import FromPath
from litestar.response import Template

from adapters.subscriptions.contract.asyncapi import as_yaml, document
from adapters.subscriptions.contract.payloads import Form, Schema, current, published
from api.access.rights import OPEN
from api.pages.html import Page, render
from api.subscriptions.messages import LIST, LIST_OF, OBJECT_OF, THEN, TYPES
from domain.errors import NotFound
from domain.subscriptions.contract import schema_path


class Field(msgspec.Struct, frozen=True):
    """A field of a payload: `a.b` is a field of the object `a`, `a[].b` of each object in it."""

    path: str
    kind: str
    required: bool
    words: str


class EventForm(msgspec.Struct, frozen=True):
    """The present version of an event, and the addresses of the schemas of older versions."""

    name: str
    version: int
    words: str
    fields: list[Field]
    example: str
    schema: str
    older: list[tuple[int, str]]


class ContractPage(Page, frozen=True, kw_only=True):
    """All events by the kind of their subject."""

    kinds: dict[str, list[EventForm]]


class ContractPages(Controller):
    """The contract. Public: it contains no data of the log."""

    include_in_schema = False

    @get("/asyncapi", opt=OPEN, sync_to_thread=True)
    def page(self) -> Template:
        return render(
            "subscriptions/contract.html", ContractPage(api="/asyncapi.json", kinds=_kinds())
        )

    @get("/asyncapi.yaml", opt=OPEN, sync_to_thread=True)
    def as_yaml(self) -> Response[bytes]:
        return Response(_yaml(), media_type="application/yaml")

    @get("/asyncapi.json", opt=OPEN, sync_to_thread=True)
    def as_json(self) -> Response[dict[str, Any]]:
        return Response(document(published()), media_type="application/json")

    @get("/schemas/events/{name:str}/{file:str}", opt=OPEN, sync_to_thread=True)
    def schema(self, name: FromPath[str], file: FromPath[str]) -> Response[Schema]:
        """The schema of an event; `file` is the version followed by `.json`."""
        version = re.fullmatch(r"([1-9]\d{0,8})\.json", file)
        form = name, int(version[1]) if version else 0
        if form not in published():
            raise NotFound(f"event {name!r} has no schema {file!r}; /asyncapi lists all schemas")
        return Response(published()[form], media_type="application/schema+json")


@cache
def _yaml() -> bytes:
    return as_yaml(document(published())).encode()


@cache
def _kinds() -> dict[str, list[EventForm]]:
    kinds: dict[str, list[EventForm]] = {}
    for form in current().items():
        kinds.setdefault(form[0].split(".")[0], []).append(_event_form(form))
    return kinds


def _event_form(form: Form) -> EventForm:
    name, version = form
    schema = published()[form]
    return EventForm(
        name,
        version,
        schema["description"],
        list(fields(schema)),
        json.dumps(schema["examples"][0], indent=2, ensure_ascii=False),
        schema_path(name, version),
        [(older, schema_path(name, older)) for older in range(1, version)],
    )


def fields(schema: Schema, place: str = "") -> Iterator[Field]:
    """All fields except the event's name; fields of an object follow the object."""
    for name, field in schema.get("properties", {}).items():
        if not place and name == "event":
            continue
        path = f"{place}{name}"
        needed = name in schema.get("required", ())
        yield Field(path, kind(field), needed, field.get("description", ""))
        for inside, at in _objects(field, path):
            yield from fields(inside, at)


def kind(schema: Schema) -> str:
    """A description of a type."""
    if "anyOf" in schema:
        return " or ".join(kind(option) for option in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(repr(value) for value in schema["enum"])
    if schema.get("type") == "array":
        if "prefixItems" in schema:
            return LIST_OF.format(THEN.join(kind(item) for item in schema["prefixItems"]))
        return LIST_OF.format(kind(schema["items"])) if schema.get("items") else LIST
    if isinstance(schema.get("additionalProperties"), dict):
        return OBJECT_OF.format(kind(schema["additionalProperties"]))
    return TYPES[schema["type"]]


def _objects(schema: Schema, place: str) -> Iterator[tuple[Schema, str]]:
    """The objects with fields in a field, and their paths."""
    if "properties" in schema:
        yield schema, f"{place}."
    if schema.get("items"):
        yield from _objects(schema["items"], f"{place}[]")
    for option in schema.get("anyOf", ()):
        yield from _objects(option, place)
