"""The JSON Schema (2020-12) of each version of each event's payload, as it is published.

The files of `schemas/` are the contract: what is served, and what AsyncAPI is made from. Those of
current versions follow from the code; those of older ones stay as they were, for a payload keeps
the form in which it was once published.
"""

import json
import re
from functools import cache
from inspect import cleandoc
from pathlib import Path
from typing import Any

import msgspec

import application.log.mapper  # noqa: F401  (it registers every event)
from domain.event import Event, name_of, registry
from domain.personal import ERASED, erased_values
from domain.subscriptions.contract import schema_path

Schema = dict[str, Any]
Form = tuple[str, int]
"""An event's name and the version of its payload."""

FOLDER = Path(__file__).parent / "schemas"
DRAFT = "https://json-schema.org/draft/2020-12/schema"


def file_name(form: Form) -> str:
    return f"{form[0]}.v{form[1]}.json"


def form_of(file: str) -> Form:
    """The form that a file's name tells, be it of a schema or of a golden sample."""
    match = re.fullmatch(r"([a-z]+\.[a-z_]+)\.v(\d+)\.json", file)
    if match is None:
        raise ValueError(f"{file} is not named NAME.vVERSION.json")
    return match[1], int(match[2])


def current() -> dict[str, int]:
    """The version of each event that is published today, by name."""
    return {name: event_type.schema_version for name, event_type in sorted(registry().items())}


@cache
def published() -> dict[Form, Schema]:
    """Every schema of the contract, by form."""
    files = {form_of(path.name): path for path in FOLDER.glob("*.json")}
    return {form: json.loads(files[form].read_bytes()) for form in sorted(files)}


def payload_schema(event_type: type[Event]) -> Schema:
    """What the code publishes today: personal fields are there, and read as erased."""
    name, version = name_of(event_type), event_type.schema_version
    schema = json_schema(event_type)
    for field in erased_values(event_type):
        schema["properties"][field]["description"] = (
            f"May contain personal data. Published as if erased: `{ERASED}`, or empty; null where"
            " there is none."
        )
    identity = {"$schema": DRAFT, "$id": schema_path(name, version)}
    return identity | schema | {"title": f"{name}, version {version}"}


def json_schema(struct: type[msgspec.Struct]) -> Schema:
    """A struct's schema with all definitions where they are used: it is read by itself."""
    # By way of JSON: a default may be a tuple.
    generated = json.loads(msgspec.json.encode(msgspec.json.schema(struct)))
    schema: Schema = _whole(generated["$defs"][struct.__name__], generated["$defs"])
    return {"title": struct.__name__} | schema


def _whole(schema: Any, definitions: dict[str, Schema]) -> Any:
    if isinstance(schema, list):
        return [_whole(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        definition: Schema = _whole(
            definitions[schema["$ref"].removeprefix("#/$defs/")], definitions
        )
        return definition | rest
    whole = {key: _whole(item, definitions) for key, item in schema.items()}
    if isinstance(whole.get("description"), str):
        whole["description"] = re.sub(r"\bNone\b", "null", cleandoc(whole["description"]))
    return whole
