"""The AsyncAPI 3.0 document: where events go, on NATS, on HTTP and to webhooks, and their forms;
and the contract with trainers."""

import json
from collections.abc import Mapping
from typing import Any

import yaml

from adapters.subscriptions.contract import training
from adapters.subscriptions.contract.payloads import Form, Schema, current, json_schema
from adapters.subscriptions.contract.transports import (
    CHANNELS,
    MESSAGES,
    OPERATIONS,
    SCHEMES,
    SERVERS,
    ref,
)
from domain.subscriptions.cloud_events import Attributes

Document = dict[str, Any]

VERSION = "1.0.0"
INFO = {
    "title": "Stemma's events",
    "version": VERSION,
    "description": (
        "Every event of the log, once and in the order of the log, on NATS, over HTTP and to"
        " webhooks. The schema of a published version never changes, except that optional fields"
        " may be added: ignore names and fields that you do not know. Actions are those of the"
        " server: what it sends, you receive. The guide for subscribers describes the order of a"
        " training's events, and what to store so that none is lost."
    ),
}
TEXTS_ON_NATS = {
    "ce-sequence": {
        "pattern": "^[0-9]+$",
        "description": "Position in the log, in 19 digits. Compare it as a number: messages that an"
        " older program published have fewer digits.",
    },
    "ce-revision": {"pattern": "^[1-9][0-9]*$"},
    "ce-schemaversion": {"pattern": "^[1-9][0-9]*$"},
}
BESIDE = {
    "ce-dataref": (
        "The path at the server of the data of an event that is too large for a"
        " message. Only with this header is the body empty, and without a schema."
    ),
    "traceparent": "The same as `ce-traceparent`, for tracers.",
    "Nats-Msg-Id": "The same as `ce-id`, by which the stream detects duplicates.",
}
"""Headers that are not of every message."""

NOT_ALWAYS = frozenset({"ce-causationid", "ce-dataschema", "ce-traceparent"})
"""Messages that an older program published lack the latter two."""


def document(schemas: Mapping[Form, Schema]) -> Document:
    """The whole document, from the schemas of all payloads."""
    today = current()
    kinds = sorted({name.split(".")[0] for name in today})
    names = sorted({name.split(".")[1] for name in today})
    events = {
        "address": "stemma.events.{aggregate}.{event}.{id}.{project}.{view}",
        "title": "Stream EVENTS",
        "description": "A JetStream stream with one message for each event of the log, in its"
        " order. JetStream is at the domain `stemma`. Read the stream with a durable pull"
        " consumer that has your own name, explicit acknowledgements and `max_ack_pending` 1:"
        " with more, a redelivery can come after later events. Other consumers and core"
        " subscriptions are not allowed, and get no answer.",
        "servers": [ref("servers", "nats")],
        "parameters": {
            "aggregate": {"description": "The kind of the thing.", "enum": kinds},
            "event": {"description": "What happened to it.", "enum": names},
            "id": {"description": "The id of the thing."},
            "project": {"description": "The id of the project that it is in, or a hyphen."},
            "view": {"description": "The id of the view that it is about, or a hyphen."},
        },
        "messages": {key(form): ref("components", "messages", key(form)) for form in schemas},
    }
    return {
        "asyncapi": "3.0.0",
        "info": INFO,
        "defaultContentType": "application/json",
        "servers": SERVERS,
        "channels": {"events": events} | CHANNELS | training.CHANNELS,
        "operations": OPERATIONS | training.OPERATIONS,
        "components": {
            "messages": {key(form): _message(form, schemas[form]) for form in schemas}
            | MESSAGES
            | training.MESSAGES,
            "schemas": {
                "attributes": _attributes(),
                "headers": _headers(),
                "cloudEvent": _cloud_event(
                    [form for form in schemas if today.get(form[0]) == form[1]]
                ),
            }
            | {key(form): _without_head(schemas[form]) for form in schemas},
            "securitySchemes": SCHEMES,
        },
    }


def key(form: Form) -> str:
    return f"{form[0]}.v{form[1]}"


def as_yaml(made: Document) -> str:
    """The document as a file; the same document gives the same text."""
    # By way of JSON, so that nothing is shared and YAML needs no anchors.
    return yaml.safe_dump(
        json.loads(json.dumps(made)), sort_keys=False, allow_unicode=True, width=100
    )


def _message(form: Form, schema: Schema) -> dict[str, Any]:
    name, version = form
    own = {"ce-type": {"const": name}, "ce-schemaversion": {"const": str(version)}}
    return {
        "name": name,
        "title": schema["title"],
        "summary": schema["description"],
        "contentType": "application/json",
        "correlationId": {"location": "$message.header#/ce-correlationid"},
        "headers": {"allOf": [ref("components", "schemas", "headers")], "properties": own},
        "payload": ref("components", "schemas", key(form)),
        "examples": [{"payload": example} for example in schema["examples"]],
    }


def _without_head(schema: Schema) -> Schema:
    """The schema without what only a file of its own needs. No identity: references are ours."""
    return {
        name: value for name, value in schema.items() if name not in {"$schema", "$id", "examples"}
    }


def _attributes() -> Schema:
    return json_schema(Attributes)


def _headers() -> Schema:
    """The attributes in binary mode: texts."""
    properties = {
        f"ce-{name}": {"type": "string", "description": schema["description"]}
        for name, schema in _attributes()["properties"].items()
    }
    for name, own in TEXTS_ON_NATS.items():
        properties[name] |= own
    properties |= {name: {"type": "string", "description": text} for name, text in BESIDE.items()}
    return {
        "type": "object",
        "description": "CloudEvents 1.0 in binary mode. Values are percent-encoded UTF-8.",
        "properties": properties,
        "required": [name for name in properties if name not in NOT_ALWAYS | BESIDE.keys()],
    }


def _cloud_event(forms: list[Form]) -> Schema:
    """What is known is described, and what is not is allowed: a newer server may send it."""
    data = {
        "type": "object",
        "description": "The event's fields. `event` is its name, as `type` is.",
        "properties": {"event": {"type": "string"}},
        "required": ["event"],
    }
    return {
        "description": "CloudEvents 1.0 in structured mode.",
        "allOf": [ref("components", "schemas", "attributes"), *map(_data_of, forms)],
        "type": "object",
        "properties": {"data": data},
        "required": ["data"],
    }


def _data_of(form: Form) -> Schema:
    name, version = form
    return {
        "if": {"properties": {"type": {"const": name}, "schemaversion": {"const": version}}},
        "then": {"properties": {"data": ref("components", "schemas", key(form))}},
    }
