"""The contract for those who build on the events: a page, AsyncAPI, and a schema for each form."""

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
from domain.errors import NotFound
from domain.subscriptions.contract import schema_path

_WORDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "null": "null",
    "object": "object",
}


class Field(msgspec.Struct, frozen=True):
    """A field of a payload: `a.b` is a field of the object `a`, `a[].b` of each object in it."""

    path: str
    kind: str
    required: bool
    words: str


class EventForm(msgspec.Struct, frozen=True):
    """An event as it is published today, and where the schemas of its older versions are."""

    name: str
    version: int
    words: str
    fields: list[Field]
    example: str
    schema: str
    older: list[tuple[int, str]]


class ContractPage(Page, frozen=True, kw_only=True):
    """Every event by the kind of thing that it is about."""

    kinds: dict[str, list[EventForm]]


class ContractPages(Controller):
    """The contract. It is open to all: it tells nothing of what is in the log."""

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
        """`file` is the version with `.json` after it."""
        version = re.fullmatch(r"([1-9]\d{0,8})\.json", file)
        form = name, int(version[1]) if version else 0
        if form not in published():
            raise NotFound(
                f"no event {name!r} has a schema {file!r}; /asyncapi lists all that there are"
            )
        return Response(published()[form], media_type="application/schema+json")


@cache
def _yaml() -> bytes:
    return as_yaml(document(published())).encode()


@cache
def _kinds() -> dict[str, list[EventForm]]:
    found: dict[str, list[EventForm]] = {}
    for form in current().items():
        found.setdefault(form[0].split(".")[0], []).append(_event_form(form))
    return found


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
        [(one, schema_path(name, one)) for one in range(1, version)],
    )


def fields(schema: Schema, place: str = "") -> Iterator[Field]:
    """Every field, those inside objects after the object, but for the event's own name."""
    for name, field in schema.get("properties", {}).items():
        if not place and name == "event":
            continue
        path = f"{place}{name}"
        needed = name in schema.get("required", ())
        yield Field(path, kind(field), needed, field.get("description", ""))
        for inside, at in _objects(field, path):
            yield from fields(inside, at)


def kind(schema: Schema) -> str:
    """A type in words."""
    if "anyOf" in schema:
        return " or ".join(kind(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(repr(one) for one in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {kind(schema['items'])}" if "items" in schema else "list"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"object whose values are {kind(schema['additionalProperties'])}"
    return _WORDS[schema["type"]]


def _objects(schema: Schema, place: str) -> Iterator[tuple[Schema, str]]:
    """The objects with fields of their own that a field holds, and where they are."""
    if "properties" in schema:
        yield schema, f"{place}."
    if "items" in schema:
        yield from _objects(schema["items"], f"{place}[]")
    for one in schema.get("anyOf", ()):
        yield from _objects(one, place)
