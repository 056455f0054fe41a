"""Pages of the past: the moment that a page shows, and the range of its history slider."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from api.backend import Backend, reached
from projections.engine.read_model import ReadModel


class Moment(msgspec.Struct, frozen=True):
    """The present, or a position of the log up to `latest`; `at` is its event's time of record.

    At position 0 nothing had been recorded yet.
    """

    latest: int
    as_of: int | None = None
    at: datetime | None = None

    @property
    def past(self) -> bool:
        return self.as_of is not None

    def of(self, address: str) -> str:
        """An address at the same moment."""
        if self.as_of is None:
            return address
        address = address.removesuffix("?")
        return f"{address}{'&' if '?' in address else '?'}as_of={self.as_of}"


def moment_of(
    backend: Backend, connection: Connection, as_of: int | None, read_models: Sequence[ReadModel]
) -> Moment:
    latest = reached(connection, read_models)
    if not as_of:
        return Moment(latest, as_of)
    [event] = backend.store.read(as_of - 1, limit=1)
    return Moment(latest, as_of, event.metadata.occurred_at)


def at_position(as_of: int | None) -> str:
    """The end of a sentence about the state at a position."""
    return "" if as_of is None else f" at position {as_of}"
