"""An event as others see it: a CloudEvent 1.0, without what may tell of a person.

On NATS the attributes are headers (binary mode); on HTTP and in webhooks they stand beside the
data in one JSON object (structured mode). Both are made here, so that they say the same.
"""

import re
import string
from typing import Annotated
from urllib.parse import quote

import msgspec
from msgspec import Meta

from domain.event import Event, Recorded
from domain.personal import without_personal
from domain.subscriptions.contract import schema_path
from domain.trace_context import traceparent

_PRINTABLE = string.punctuation.replace('"', "").replace("%", "")
_IS_PLAIN = re.compile("[!#$&-~]*").fullmatch

Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
SequenceText = Annotated[str, Meta(extra_json_schema={"pattern": "^[0-9]{19}$"})]


class Attributes(msgspec.Struct, frozen=True, kw_only=True):
    """The context attributes. Those from `sequence` on are extensions."""

    specversion: Annotated[
        str, Meta(description="Always `1.0`.", extra_json_schema={"const": "1.0"})
    ]
    id: Annotated[str, Meta(description="The unique id of the event, a UUID.")]
    source: Annotated[
        str, Meta(description="Always `/stemma`.", extra_json_schema={"const": "/stemma"})
    ]
    type: Annotated[str, Meta(description="The event's name, such as `version.created`.")]
    subject: Annotated[str, Meta(description="What it is about: the kind, a hyphen and the id.")]
    time: Annotated[Moment, Meta(description="When it happened (RFC 3339).")]
    datacontenttype: Annotated[str, Meta(description="Always `application/json`.")]
    dataschema: Annotated[
        str, Meta(description="Path, at the server, of the JSON Schema of `data`.")
    ]
    sequence: Annotated[
        SequenceText,
        Meta(
            description="Position in the log, in 19 digits: sorts the same as text and as a number."
        ),
    ]
    revision: Annotated[
        int, Meta(ge=1, description="Number in the history of the subject: from 1, without gaps.")
    ]
    schemaversion: Annotated[int, Meta(ge=1, description="Version of the schema of `data`.")]
    actor: Annotated[
        str,
        Meta(
            description="Who caused it: the name of an account, `worker:` and the name of a"
            " worker, or a service, such as `policy`."
        ),
    ]
    correlationid: Annotated[str, Meta(description="Shared by all events that one request caused.")]
    causationid: Annotated[
        str | msgspec.UnsetType,
        Meta(description="The id of the event or message that caused it, if there is one."),
    ] = msgspec.UNSET
    traceparent: Annotated[
        str, Meta(description="W3C Trace Context: the trace, and the span of this event.")
    ]


_HEADERS = [(name, f"ce-{name}") for name in Attributes.__struct_fields__]


class CloudEvent(Attributes, frozen=True, kw_only=True):
    """The structured mode: the attributes, and the event's fields under `data`."""

    data: Event

    @property
    def position(self) -> int:
        """The place in the log, from 1 without a gap."""
        return int(self.sequence)


def cloud_event(recorded: Recorded) -> CloudEvent:
    """What is published of an event of the log."""
    metadata, event = recorded.metadata, recorded.event
    name, version = event.event_name, event.schema_version
    return CloudEvent(
        specversion="1.0",
        id=metadata.event_id,
        source="/stemma",
        type=name,
        subject=recorded.stream,
        time=metadata.occurred_at.isoformat(),
        datacontenttype="application/json",
        dataschema=schema_path(name, version),
        sequence=f"{recorded.position:019}",
        revision=recorded.originator_version,
        schemaversion=version,
        actor=metadata.actor,
        correlationid=metadata.correlation_id,
        causationid=metadata.causation_id or msgspec.UNSET,
        traceparent=traceparent(metadata.correlation_id, metadata.event_id),
        data=without_personal(event),
    )


def binary_headers(event: CloudEvent) -> dict[str, str]:
    """The attributes in binary mode: texts, percent-encoded as the NATS binding says (3.1.3.2)."""
    values = {
        header: value if type(value) is str else str(value)
        for name, header in _HEADERS
        if (value := getattr(event, name)) is not msgspec.UNSET
    }
    if _IS_PLAIN("".join(values.values())):
        return values
    return {header: quote(value, safe=_PRINTABLE) for header, value in values.items()}
