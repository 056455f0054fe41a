"""Scopes of streams: the project, view and model they belong to; and the index terms of events."""

from collections.abc import Iterator

import msgspec

from domain import aggregates
from domain.access.account import RoleChange
from domain.dataset.image import (
    ImageAdded,
    ImageAnnotated,
    ImageAnnotatedBlindly,
    ImageReviewed,
    ImageReviewWithdrawn,
    SuggestionAccepted,
    SuggestionRejected,
    SuspectCorrected,
    SuspectLeftUnsure,
    SuspectUpheld,
)
from domain.dataset.imports import ImportRequested
from domain.dataset.project import ProjectCreated
from domain.event import Event, Recorded, StreamName
from domain.experiments.experiment import ExperimentStarted
from domain.library.model import ModelCreated, ModelForked, VersionNumbered
from domain.library.view import ModelRegistered, ViewCreated
from domain.training.version import VersionCreated

ACTOR, EVENT = "actor", "event"
PROJECT, VIEW, MODEL, VERSION = (
    aggregate.kind
    for aggregate in (aggregates.PROJECT, aggregates.VIEW, aggregates.MODEL, aggregates.VERSION)
)


class StreamScope(msgspec.Struct, frozen=True):
    """The project, view and model that a stream and its events belong to, as far as known."""

    project_id: str | None = None
    view_id: str | None = None
    model_id: str | None = None

    @property
    def terms(self) -> Iterator[str]:
        owners = ((PROJECT, self.project_id), (VIEW, self.view_id), (MODEL, self.model_id))
        return (f"{kind}:{key}" for kind, key in owners if key is not None)


def stream_scope(stream: str, first: Event) -> StreamScope | None:
    """The scope of a stream, from its first event. A model's project is that of its view: it is
    left out here."""
    key = StreamName.parse(stream).entity_id
    match first:
        case ProjectCreated():
            return StreamScope(key)
        case ImageAdded() | ImportRequested():
            return StreamScope(first.project_id)
        case ViewCreated():
            return StreamScope(first.project_id, key)
        case ModelCreated() | ModelForked():
            return StreamScope(None, first.view_id, key)
        case VersionCreated() | ExperimentStarted():
            return StreamScope(first.project_id, first.view_id, first.model_id)
    return None


def own_terms(recorded: Recorded) -> Iterator[str]:
    """The index terms that follow from an event alone, without the scope of its stream."""
    event = recorded.event
    yield f"{ACTOR}:{recorded.metadata.actor}"
    yield f"{EVENT}:{event.event_name}"
    kind, key = StreamName.parse(recorded.stream)
    if kind in {PROJECT, VERSION}:
        yield f"{kind}:{key}"
    match event:
        case ImageAnnotated() | ImageAnnotatedBlindly() | ImageReviewed() | ImageReviewWithdrawn():
            yield f"{VIEW}:{event.view_id}"
        case (
            SuspectUpheld()
            | SuspectLeftUnsure()
            | SuspectCorrected()
            | SuggestionAccepted()
            | SuggestionRejected()
        ):
            yield f"{VIEW}:{event.view_id}"
            yield f"{VERSION}:{event.version_id}"
        case ModelRegistered(model_id=model_id):
            yield f"{MODEL}:{model_id}"
        case VersionNumbered(version_id=version_id):
            yield f"{VERSION}:{version_id}"
        case _ if isinstance(event, RoleChange) and event.project_id is not None:
            yield f"{PROJECT}:{event.project_id}"
