"""An event as others see it: a CloudEvent 1.0, without what may tell of a person.

On NATS the attributes are headers (binary mode); on HTTP and in webhooks they stand beside the
data in one JSON object (structured mode). Both are made here, so that they say the same.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from domain.contract import schema_path
from domain.event import Event, Recorded
from domain.personal import without_personal
from domain.trace_context import traceparent

Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
SequenceText = Annotated[str, Meta(extra_json_schema={"pattern": "^[0-9]{19}$"})]


class Attributes(msgspec.Struct, frozen=True, kw_only=True):
    """The context attributes. Those from `sequence` on are extensions."""

    specversion: Annotated[str, Meta(description="Always `1.0`.")]
    id: Annotated[str, Meta(description="The event's own id, a UUID: unique for ever.")]
    source: Annotated[str, Meta(description="Always `/stemma`.")]
    type: Annotated[str, Meta(description="The event's name, such as `version.created`.")]
    subject: Annotated[str, Meta(description="What it is about: the kind, a hyphen and the id.")]
    time: Annotated[Moment, Meta(description="When it happened (RFC 3339).")]
    datacontenttype: Annotated[str, Meta(description="Always `application/json`.")]
    dataschema: Annotated[
        str, Meta(description="Path, at the server, of the JSON Schema of `data`.")
    ]
    sequence: Annotated[
        SequenceText,
        Meta(description="Position in the log, in 19 digits: orders as text and as a number."),
    ]
    revision: Annotated[
        int, Meta(ge=1, description="Number in the history of the subject: from 1, without a hole.")
    ]
    schemaversion: Annotated[int, Meta(ge=1, description="Version of the form of `data`.")]
    actor: Annotated[str, Meta(description="Who caused it.")]
    correlationid: Annotated[str, Meta(description="Shared by all that one request led to.")]
    causationid: Annotated[
        str | msgspec.UnsetType,
        Meta(description="The id of the event or message that led to it, where one did."),
    ] = msgspec.UNSET
    traceparent: Annotated[
        str, Meta(description="W3C Trace Context: the trace, and the span of this event.")
    ]


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
    """The attributes in binary mode, where every value is a text."""
    values = ((name, getattr(event, name)) for name in Attributes.__struct_fields__)
    return {f"ce-{name}": str(value) for name, value in values if value is not msgspec.UNSET}
