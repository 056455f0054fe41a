"""What AsyncAPI says of each way to the events: servers, channels, operations, credentials."""

from typing import Any

Part = dict[str, Any]


def _several(description: str) -> Part:
    text = f"{description} Repeat the parameter for several values: one of them must match."
    return {"type": "array", "items": {"type": "string"}, "description": text}


def ref(*path: str) -> dict[str, str]:
    return {"$ref": "#/" + "/".join(path)}


_HOST = {"default": "localhost", "description": "Where your operator runs it."}

SERVERS: Part = {
    "nats": {
        "host": "{host}:{port}",
        "protocol": "nats",
        "description": "NATS with JetStream.",
        "variables": {"host": _HOST, "port": {"default": "4222"}},
        "security": [ref("components", "securitySchemes", "nkey")],
    },
    "http": {
        "host": "{host}:{port}",
        "protocol": "http",
        "description": "The API.",
        "variables": {"host": _HOST, "port": {"default": "8300"}},
        "security": [ref("components", "securitySchemes", "key")],
    },
}

SCHEMES: Part = {
    "nkey": {
        "type": "asymmetricEncryption",
        "description": "An nkey (Ed25519) of a subscriber: its seed signs the server's nonce.",
    },
    "key": {"type": "http", "scheme": "bearer", "description": "An API key."},
}

CHANNELS: Part = {
    "feed": {
        "address": "/api/v1/events",
        "title": "Pages of events",
        "description": (
            "All events after a position. With `wait`, an empty answer is sent only"
            " after this many seconds without a new event that matches the filters. Answers other"
            " than 200 are problems (RFC 9457): 401 without a key, 403 and 404 for what your key"
            " may not see, 422 for a wrong parameter, 429 and 503 with `Retry-After`."
        ),
        "servers": [ref("servers", "http")],
        "messages": {
            "request": ref("components", "messages", "request"),
            "page": ref("components", "messages", "page"),
        },
    },
    "live": {
        "address": "/api/v1/events/stream",
        "title": "Server-sent events",
        "description": (
            "Each event as it comes. `id` is its position, `event` its name. An `id`"
            " alone shows how far the log was read, and a comment is sent every 15 seconds to"
            " keep the connection alive. Reconnect with the last `id` in the header"
            " `Last-Event-ID`, which takes precedence over `after`. Errors are those of `feed`."
        ),
        "servers": [ref("servers", "http")],
        "messages": {"cloudEvent": ref("components", "messages", "cloudEvent")},
    },
    "webhook": {
        "address": None,
        "title": "Webhooks",
        "description": (
            "Each event as a POST to the address that was registered, in order, signed"
            " as in Standard Webhooks. It is repeated until you answer 2xx."
        ),
        "messages": {"delivery": ref("components", "messages", "delivery")},
    },
}

_HTTP = "0.3.0"
_QUERY: Part = {
    "after": {"type": "integer", "minimum": 0, "description": "Only events after this position."},
    "name": _several("Events of these names. `version.*` are all names that begin with it."),
    "subject": _several("Events about these things, such as `version-…`."),
    "project": _several("All of these projects, by their ids."),
    "view": _several("All of these views, by their ids."),
    "model": _several("All of these models, by their ids."),
    "version": _several("All of these versions, by their ids."),
}
_PAGED: Part = {
    "limit": {
        "type": "integer",
        "minimum": 1,
        "maximum": 1000,
        "default": 100,
        "description": "The maximum number of events.",
    },
    "wait": {
        "type": "number",
        "minimum": 0,
        "maximum": 30,
        "default": 0,
        "description": "Seconds to wait if there is no event yet.",
    },
}

OPERATIONS: Part = {
    "publishEvents": {
        "action": "send",
        "channel": ref("channels", "events"),
        "summary": "Each event of the log goes to the stream EVENTS.",
        "bindings": {"nats": {"bindingVersion": "0.1.0"}},
    },
    "answerWithPage": {
        "action": "receive",
        "channel": ref("channels", "feed"),
        "summary": "Request a page of events.",
        "messages": [ref("channels", "feed", "messages", "request")],
        "reply": {
            "channel": ref("channels", "feed"),
            "messages": [ref("channels", "feed", "messages", "page")],
        },
        "bindings": {
            "http": {
                "method": "GET",
                "query": {"type": "object", "properties": _QUERY | _PAGED},
                "bindingVersion": _HTTP,
            }
        },
    },
    "sendLive": {
        "action": "send",
        "channel": ref("channels", "live"),
        "summary": "Events are sent as they come.",
        "bindings": {
            "http": {
                "method": "GET",
                "query": {"type": "object", "properties": _QUERY},
                "bindingVersion": _HTTP,
            }
        },
    },
    "deliver": {
        "action": "send",
        "channel": ref("channels", "webhook"),
        "summary": "Each event is posted to a registered address.",
        "bindings": {"http": {"method": "POST", "bindingVersion": _HTTP}},
    },
}

_EVENT = ref("components", "schemas", "cloudEvent")

MESSAGES: Part = {
    "cloudEvent": {
        "name": "cloudEvent",
        "title": "An event, as the data of a server-sent event",
        "contentType": "text/event-stream",
        "correlationId": {"location": "$message.payload#/correlationid"},
        "payload": _EVENT,
    },
    "request": {
        "name": "request",
        "title": "A request without a body",
    },
    "page": {
        "name": "page",
        "title": "Some events",
        "contentType": "application/json",
        "payload": {
            "type": "object",
            "properties": {
                "items": {"type": "array", "items": _EVENT},
                "next": {
                    "type": "integer",
                    "description": "What to give as `after` for the next page.",
                },
                "position": {"type": "integer", "description": "The position of the log's end."},
            },
            "required": ["items", "next", "position"],
        },
    },
    "delivery": {
        "name": "delivery",
        "title": "An event for a webhook",
        "contentType": "application/cloudevents+json",
        "correlationId": {"location": "$message.payload#/correlationid"},
        "headers": {
            "type": "object",
            "properties": {
                "webhook-id": {"type": "string", "description": "The same in each retry."},
                "webhook-timestamp": {
                    "type": "string",
                    "pattern": "^[0-9]+$",
                    "description": "When it was sent: seconds since 1970.",
                },
                "webhook-signature": {
                    "type": "string",
                    "description": "Signatures by the endpoint's secret, separated by spaces:"
                    " `v1,` and HMAC-SHA256 of id, timestamp and body, joined by dots, in base64.",
                },
            },
            "required": ["webhook-id", "webhook-timestamp", "webhook-signature"],
        },
        "payload": _EVENT,
    },
}
