"""Messages for the EVENTS stream: of many events as atomic batches (NATS ADR-50), as bytes of the
NATS protocol, and of a few as messages that follow each other.

A batch is refused as a whole, as each of the few is, unless the stream's last message is the one
that it is to follow.
"""

import logging
import uuid
from collections.abc import Iterator, Mapping, Sequence

import msgspec
from nats.protocol.command import hpub_cmd

from adapters.nats.jetstream import event_subject
from application.scopes import Scopes
from domain.dataset.image import ImageAnnotated
from domain.event import Recorded
from domain.subscriptions.cloud_events import binary_headers, cloud_event

PAGE = 500
"""Events read at once, and in a batch at most. JetStream takes 1,000 messages in one."""

BATCH_BYTES = 4 << 20

CHAIN = 4
"""So few events are published one by one: the server syncs each to the disk, and that takes it as
long as one atomic batch."""

log = logging.getLogger(__name__)

_BATCH_HEADERS = 500
"""More bytes than the headers that make a message part of a batch."""


class Reached(msgspec.Struct, frozen=True):
    """How far a stream is: its last message, and the position and id of the event in it.

    Zero and empty for what is not there. `surplus` is by how much the next sequence exceeds the
    next position.
    """

    sequence: int
    subject: str
    position: int
    event_id: str
    surplus: int

    @property
    def last_sequence(self) -> int:
        """The last that the stream gave out, be that message there or not."""
        return self.position + self.surplus


class Message(msgspec.Struct, frozen=True):
    """`lines` are its headers as they are sent, those of its batch not yet among them."""

    subject: str
    headers: dict[str, str]
    lines: bytes
    payload: bytes

    @property
    def size(self) -> int:
        """What the server counts against its `max_payload`, with room for a batch's headers."""
        return len(self.lines) + len(self.payload) + _BATCH_HEADERS


class Batch(msgspec.Struct, frozen=True):
    """Messages that follow each other: those that are sent unanswered, as bytes, and those behind
    them, which are answered; the events in all, and what is then reached."""

    opening: bytes
    answered: Sequence[Message]
    events: Sequence[Recorded]
    reached: Reached


def batches(
    page: Sequence[Recorded], scopes: Scopes, reached: Reached, max_payload: int
) -> Iterator[Batch]:
    """A page that follows what was reached, as batches that follow each other."""
    messages: list[Message] = []
    events: list[Recorded] = []
    size = 0
    for recorded, subject in zip(page, _subjects(page, scopes), strict=True):
        message = _message(recorded, subject, reached.surplus, max_payload)
        if events and size + message.size > BATCH_BYTES:
            yield (batch := _batch(messages, events, reached))
            messages, events, size, reached = [], [], 0, batch.reached
        messages.append(message)
        events.append(recorded)
        size += message.size
    if events:
        yield _batch(messages, events, reached)


def _subjects(page: Sequence[Recorded], scopes: Scopes) -> Iterator[str]:
    """Those of events: each a function of the log up to it, whoever asks and when."""
    places = scopes.scopes_of({one.stream for one in page})
    for one in page:
        event, place = one.event, places[one.stream]
        view = event.view_id if isinstance(event, ImageAnnotated) else place.view_id
        yield event_subject(event.event_name, one.entity_id, place.project_id, view)


def _message(recorded: Recorded, subject: str, surplus: int, max_payload: int) -> Message:
    event = cloud_event(recorded)
    headers = binary_headers(event) | {"traceparent": event.traceparent}
    if not surplus:
        # Where messages are gone the stream remembers their ids, and would refuse them for a while.
        headers["Nats-Msg-Id"] = event.id
    message = _with_lines(subject, headers, msgspec.json.encode(event.data))
    if message.size <= max_payload:
        return message
    log.warning(
        "%s at position %d is larger than the %d bytes that NATS accepts: its data can be read"
        " over HTTP",
        event.type,
        recorded.position,
        max_payload,
    )
    where = f"/api/v1/events/{recorded.position}/data"
    return _with_lines(subject, headers | {"ce-dataref": where}, b"")


def _with_lines(subject: str, headers: dict[str, str], payload: bytes) -> Message:
    return Message(subject, headers, _lines(headers), payload)


def _lines(headers: Mapping[str, str]) -> bytes:
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()]).encode()


def _batch(messages: Sequence[Message], events: Sequence[Recorded], after: Reached) -> Batch:
    return (_chain if len(messages) <= CHAIN else _atomic)(messages, events, after)


def _chain(messages: Sequence[Message], events: Sequence[Recorded], after: Reached) -> Batch:
    """Each message by itself, refused unless it follows the one before it: so what the stream takes
    of them is always their beginning."""
    fenced = []
    for message, event in zip(messages, events, strict=True):
        headers = message.headers | _fence(after)
        fenced.append(msgspec.structs.replace(message, headers=headers))
        after = _behind(after, message, event)
    return Batch(b"", fenced, events, after)


def _atomic(messages: Sequence[Message], events: Sequence[Recorded], after: Reached) -> Batch:
    batch, count = uuid.uuid4().hex, len(messages)
    added = [
        {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(place)} for place in range(1, count + 1)
    ]
    added[0] |= _fence(after)
    added[-1]["Nats-Batch-Commit"] = "1"
    *opening, commit = zip(messages, added, strict=True)
    message, in_batch = commit
    return Batch(
        b"".join([_command(*one) for one in opening]),
        [msgspec.structs.replace(message, headers=message.headers | in_batch)],
        events,
        _behind(after, message, events[-1]),
    )


def _fence(after: Reached) -> dict[str, str]:
    """What follows is refused after another's message by the first, and after a purge, which leaves
    the stream's last sequence as it is, by the others. Both are looked up in constant time."""
    fence = {"Nats-Expected-Last-Sequence": str(after.last_sequence)}
    if after.subject:
        fence |= {
            "Nats-Expected-Last-Subject-Sequence": str(after.sequence),
            "Nats-Expected-Last-Subject-Sequence-Subject": after.subject,
        }
    return fence


def _behind(after: Reached, message: Message, last: Recorded) -> Reached:
    """What is reached with a message."""
    surplus = after.surplus
    sequence = last.position + surplus
    return Reached(sequence, message.subject, last.position, last.metadata.event_id, surplus)


def _command(message: Message, in_batch: Mapping[str, str]) -> bytes:
    headers = b"NATS/1.0\r\n%b%b\r\n" % (message.lines, _lines(in_batch))
    return bytes(hpub_cmd(message.subject, "", headers, message.payload))
