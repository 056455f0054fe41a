"""Follow Stemma's events from another service, over HTTP or NATS.

    for received in follow_http("http://localhost:8300", after=position, key=key):
        match received.event:
            case VersionTrainingCompleted(checkpoint=checkpoint): ...
        store(received.position)

Events are delivered once and in the order of the log. Store `received.position` with your own data,
in the transaction of the effect, and pass it as `after` when you restart.
"""

from stemma_client.order import Gap
from stemma_client.over_http import Refused, follow_http
from stemma_client.over_nats import follow_nats
from stemma_client.received import Received, Unknown

__all__ = ["Gap", "Received", "Refused", "Unknown", "follow_http", "follow_nats"]
