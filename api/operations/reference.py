"""The operations of an OpenAPI document, as a reference lists them."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

METHODS = ("get", "post", "put", "patch", "delete")

Json = dict[str, Any]


class Field(msgspec.Struct, frozen=True):
    """A query parameter, or a field of a body. `kind` is its type in a few words."""

    name: str
    kind: str
    required: bool
    note: str


class Operation(msgspec.Struct, frozen=True):
    """`name` is its operation id; `answer` the type that it returns, empty for none or a file."""

    method: str
    path: str
    name: str
    summary: str
    description: str
    parameters: list[Field]
    body: list[Field]
    answer: str


def by_tag(document: Json) -> dict[str, list[Operation]]:
    """The operations in the order of their paths, by tag in the order of the alphabet."""
    found: dict[str, list[Operation]] = {}
    for path, methods in document["paths"].items():
        for method in METHODS:
            if entry := methods.get(method):
                operation = _operation(document, method, path, entry)
                found.setdefault(entry["tags"][0], []).append(operation)
    return dict(sorted(found.items()))


def kind_of(schema: Json) -> str:
    """A schema's type in a few words."""
    if "$ref" in schema:
        return _name(schema)
    for several in ("oneOf", "anyOf"):
        if several in schema:
            return _joined(kind_of(each) for each in schema[several])
    if "enum" in schema:
        return ", ".join(str(value) for value in schema["enum"])
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {kind_of(schema.get('items', {}))}"
    if kind == "object" and "title" in schema:
        return str(schema["title"])
    return _joined(kind) if isinstance(kind, list) else str(kind)


def first_paragraph(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split())


def _operation(document: Json, method: str, path: str, entry: Json) -> Operation:
    return Operation(
        method.upper(),
        path,
        entry["operationId"],
        entry.get("summary", ""),
        entry.get("description", ""),
        list(_parameters(entry)),
        list(_body(document, entry)),
        _answer(entry),
    )


def _parameters(entry: Json) -> Iterator[Field]:
    for parameter in entry.get("parameters", ()):
        if parameter["in"] == "query":
            note = first_paragraph(parameter.get("description", ""))
            required = parameter.get("required", False)
            yield Field(parameter["name"], kind_of(parameter["schema"]), required, note)


def _body(document: Json, entry: Json) -> Iterator[Field]:
    name = _name(_schema(entry.get("requestBody", {})))
    schema: Json = document["components"]["schemas"].get(name, {})
    required = schema.get("required", ())
    for key, field in schema.get("properties", {}).items():
        note = first_paragraph(field.get("description", ""))
        yield Field(key, kind_of(field), key in required, note)


def _answer(entry: Json) -> str:
    done = (answer for status, answer in entry["responses"].items() if status.startswith("2"))
    return _name(_schema(next(done, {})))


def _schema(holder: Json) -> Json:
    """The schema of a body or an answer as JSON, empty if it is none."""
    content: Json = holder.get("content", {})
    schema: Json = content.get("application/json", {}).get("schema", {})
    return schema


def _name(schema: Json) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _joined(kinds: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(kinds))
