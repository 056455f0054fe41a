"""An event as it is sent to those who follow the log, over HTTP or by a webhook."""

import msgspec

from domain.event import Recorded
from domain.subscriptions.cloud_events import cloud_event


class FeedEvent(msgspec.Struct, frozen=True):
    """An event as it is sent: `frame` is what stands for it in a stream of server-sent events.

    It holds nothing personal, which might be erased while it is kept.
    """

    position: int
    event_id: str
    terms: frozenset[str]
    frame: bytes
    starts: int

    @property
    def cloud_event(self) -> bytes:
        """The CloudEvent alone, as JSON."""
        return self.frame[self.starts : -2]


def encoded(recorded: Recorded, terms: frozenset[str]) -> FeedEvent:
    name, position = recorded.event.event_name, recorded.position
    before = f"id: {position}\nevent: {name}\ndata: ".encode()
    frame = before + msgspec.json.encode(cloud_event(recorded)) + b"\n\n"
    return FeedEvent(position, recorded.metadata.event_id, terms, frame, len(before))
