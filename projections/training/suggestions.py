"""Suggestions: the requests of each view, and what became of what was suggested."""

from collections.abc import Iterator
from datetime import datetime

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    bindparam,
    func,
    insert,
    select,
    update,
)

from domain.dataset.image import SuggestionAccepted, SuggestionRejected
from domain.event import Recorded
from domain.training.predictions import (
    VersionSuggestionsFailed,
    VersionSuggestionsMade,
    VersionSuggestionsRequested,
    VersionSuggestionsStarted,
)
from projections.engine.read_model import SCHEMA, ReadModel, Write, event_by_event

QUEUED, RUNNING, DONE, FAILED = "queued", "running", "done", "failed"
ACCEPTED, CHANGED, REJECTED = "accepted", "changed", "rejected"

metadata = MetaData(schema=SCHEMA)

requests = Table(
    "suggestions_v1_requests",
    metadata,
    Column("version_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("view_id", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("images", Integer, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("predictions", Text),
    Column("failure", Text),
    Column("position", BigInteger, nullable=False),
    Index("suggestions_v1_requests_by_view", "view_id", "position"),
)
decisions = Table(
    "suggestions_v1_decisions",
    metadata,
    Column("position", BigInteger, primary_key=True),
    Column("image_id", Text, nullable=False),
    Column("view_id", Text, nullable=False),
    Column("version_id", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Index("suggestions_v1_decisions_by_view", "view_id", "version_id"),
)
"""Rows are only added."""

_own = (requests.c.version_id == bindparam("key")) & (requests.c.number == bindparam("which"))
_request, _decide = insert(requests), insert(decisions)
_start = update(requests).where(_own).values(status=RUNNING)
_make = update(requests).where(_own).values(status=DONE, predictions=bindparam("digest"))
_fail = update(requests).where(_own).values(status=FAILED, failure=bindparam("why"))


def project(recorded: Recorded) -> Iterator[Write]:
    key = recorded.entity_id
    match recorded.event:
        case VersionSuggestionsRequested() as event:
            row = {
                "version_id": key,
                "number": event.number,
                "view_id": event.view_id,
                "status": QUEUED,
                "images": event.images,
                "requested_by": recorded.metadata.actor,
                "requested_at": recorded.metadata.occurred_at,
                "predictions": None,
                "failure": None,
                "position": recorded.position,
            }
            yield Write(_request, row)
        case VersionSuggestionsStarted(number=number):
            yield Write(_start, {"key": key, "which": number})
        case VersionSuggestionsMade() as event:
            own = {"key": key, "which": event.number}
            yield Write(_make, own | {"digest": event.predictions})
        case VersionSuggestionsFailed() as event:
            yield Write(_fail, {"key": key, "which": event.number, "why": event.reason})
        case SuggestionAccepted() as event:
            yield from _decided(recorded, event, CHANGED if event.changed else ACCEPTED)
        case SuggestionRejected() as event:
            yield from _decided(recorded, event, REJECTED)


def _decided(
    recorded: Recorded, event: SuggestionAccepted | SuggestionRejected, outcome: str
) -> Iterator[Write]:
    row = {
        "position": recorded.position,
        "image_id": recorded.entity_id,
        "view_id": event.view_id,
        "version_id": event.version_id,
        "outcome": outcome,
    }
    yield Write(_decide, row)


SUGGESTIONS = ReadModel(
    "suggestions_v1",
    metadata,
    event_by_event(project),
    ("version.suggestions_", "image.suggestion_"),
)


class SuggestionsRequest(msgspec.Struct, frozen=True):
    """A request for suggestions; `status` is queued, running, done or failed.

    `predictions` is the sha256 of their Parquet file, null until it is done.
    """

    version_id: str
    number: int
    view_id: str
    status: str
    images: int
    requested_by: str
    requested_at: datetime
    predictions: str | None
    failure: str | None


class Outcomes(msgspec.Struct, frozen=True):
    """What became of a version's suggestions in a view.

    `accepted_unchanged` is the share of the accepted and changed ones that were accepted as they
    were, null without any. A share near 1 is good suggestions, or people who look no more.
    """

    accepted: int
    changed: int
    rejected: int
    accepted_unchanged: float | None


def newest_request(
    connection: Connection, view_id: str, version_id: str | None = None
) -> SuggestionsRequest | None:
    """The newest request of a view, or of one of its versions."""
    query = select(requests).where(requests.c.view_id == view_id)
    if version_id is not None:
        query = query.where(requests.c.version_id == version_id)
    row = connection.execute(query.order_by(requests.c.position.desc()).limit(1)).first()
    if row is None:
        return None
    names = SuggestionsRequest.__struct_fields__
    return SuggestionsRequest(**{name: getattr(row, name) for name in names})


def outcomes_of(connection: Connection, view_id: str, version_id: str) -> Outcomes:
    query = (
        select(decisions.c.outcome, func.count())
        .where(decisions.c.view_id == view_id, decisions.c.version_id == version_id)
        .group_by(decisions.c.outcome)
    )
    counts: dict[str, int] = {row[0]: row[1] for row in connection.execute(query)}
    accepted, changed = counts.get(ACCEPTED, 0), counts.get(CHANGED, 0)
    share = accepted / (accepted + changed) if accepted + changed else None
    return Outcomes(accepted, changed, counts.get(REJECTED, 0), share)


def rejected_images(connection: Connection, view_id: str, version_id: str) -> set[str]:
    query = select(decisions.c.image_id).where(
        decisions.c.view_id == view_id,
        decisions.c.version_id == version_id,
        decisions.c.outcome == REJECTED,
    )
    return set(connection.scalars(query))
