"""The audit trail: each event as a line with time, actor, description, scope, cause, and the values
before and after."""

from datetime import UTC, datetime

import msgspec

from domain.access.account import Account, RoleChange
from domain.access.key import InvitationIssued, KeyIssued
from domain.aggregates import ACCOUNT, MODEL, PROJECT, VERSION, VIEW
from domain.audit.trail_descriptions import States
from domain.audit.trail_words import describe
from domain.dataset.image import (
    Image,
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
from domain.dataset.imports import Import, ImportRequested
from domain.dataset.project import Project, TestSetDrawn, ValidationSplitDrawn
from domain.event import Event, Recorded
from domain.experiments.experiment import Experiment, ExperimentStarted
from domain.library.model import Model, ModelCreated, ModelForked, VersionNumbered
from domain.library.view import ChildViewAdded, ModelRegistered, View, ViewCreated
from domain.subscriptions.webhook import WebhookRegistered
from domain.text import escaped
from domain.trainers.seed import SeedIssued
from domain.training.version import Version, VersionCreated


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """An event as text.

    `before` and `after` are set if the event replaced a value. The four ids are the event's scope,
    its own or its stream's. `command_id` is the request or report that caused it, `causation_id`
    the event that a policy reacted to. `correlation_id` is the same for everything that one request
    caused.
    """

    position: int
    occurred_at: datetime
    actor: str
    what: str
    before: str | None
    after: str | None
    event: str
    stream: str
    revision: int
    project_id: str | None
    view_id: str | None
    model_id: str | None
    version_id: str | None
    command_id: str
    correlation_id: str
    causation_id: str | None
    event_id: str

    @property
    def description(self) -> str:
        """The event in words, with the values before and after."""
        if self.before is None and self.after is None:
            return self.what
        return f"{self.what}: {self.before or 'nothing'} → {self.after or 'nothing'}"

    @property
    def text(self) -> str:
        """The whole line, as it is printed; what would break or reorder it is escaped."""
        at = self.occurred_at.astimezone(UTC).isoformat(sep=" ", timespec="milliseconds")
        who = f"{self.position} {at.removesuffix('+00:00')}Z {self.actor}"
        return escaped(f"{who}: {self.description}")


class EventScope(msgspec.Struct, frozen=True):
    """The project, view, model and version that an event belongs to, as far as known."""

    project_id: str | None = None
    view_id: str | None = None
    model_id: str | None = None
    version_id: str | None = None


def line_of(recorded: Recorded, states: States, after: object) -> Line:
    """The line of an event.

    `states` are the states before it, by stream: of its own stream and of those it `mentions`, if
    they exist. `after` is the state of its own stream after it.
    """
    description = describe(recorded, states, after)
    metadata = recorded.metadata
    scope = event_scope(recorded, states, after)
    return Line(
        position=recorded.position,
        occurred_at=metadata.occurred_at,
        actor=metadata.actor,
        what=description.what,
        before=description.before,
        after=description.after,
        event=recorded.event.event_name,
        stream=recorded.stream,
        revision=recorded.originator_version,
        project_id=scope.project_id,
        view_id=scope.view_id,
        model_id=scope.model_id,
        version_id=scope.version_id,
        command_id=metadata.command_id,
        correlation_id=metadata.correlation_id,
        causation_id=metadata.causation_id,
        event_id=metadata.event_id,
    )


_InView = ImageAnnotated | ImageAnnotatedBlindly | ImageReviewed | ImageReviewWithdrawn
_OfVersion = (
    SuggestionAccepted | SuggestionRejected | SuspectCorrected | SuspectLeftUnsure | SuspectUpheld
)


def mentions(event: Event) -> list[str]:
    """The other streams whose state an event's line needs."""
    match event:
        case _ if isinstance(event, _InView):
            return [VIEW.stream(event.view_id)]
        case _ if isinstance(event, _OfVersion):
            return [VIEW.stream(event.view_id), VERSION.stream(event.version_id)]
        case ViewCreated(parent_id=str(parent_id)):
            return [PROJECT.stream(event.project_id), VIEW.stream(parent_id)]
        case ImageAdded() | ImportRequested() | ViewCreated():
            return [PROJECT.stream(event.project_id)]
        case ModelCreated() | ChildViewAdded():
            return [VIEW.stream(event.view_id)]
        case WebhookRegistered(project_id=str(project_id)) | SeedIssued(project_id=str(project_id)):
            return [PROJECT.stream(project_id)]
        case (
            ValidationSplitDrawn(stratified_by=str(view_id))
            | TestSetDrawn(stratified_by=str(view_id))
        ):
            return [VIEW.stream(view_id)]
        case ModelForked():
            return [VIEW.stream(event.view_id), MODEL.stream(event.parent_model_id)]
        case ModelRegistered() | VersionCreated() | ExperimentStarted():
            return [MODEL.stream(event.model_id)]
        case _ if isinstance(event, RoleChange) and event.project_id is not None:
            return [PROJECT.stream(event.project_id)]
        case InvitationIssued():
            return [ACCOUNT.stream(event.account_id)]
        case KeyIssued():
            projects = [PROJECT.stream(project_id) for project_id in event.scope.projects or ()]
            return [ACCOUNT.stream(event.account_id), *projects]
    return []


def event_scope(recorded: Recorded, states: States, after: object) -> EventScope:
    """The scope of an event, from itself or from its stream."""
    key, event = recorded.entity_id, recorded.event
    match after:
        case Image():
            view = event.view_id if isinstance(event, _InView | _OfVersion) else None
            return EventScope(after.project_id, view)
        case Import():
            return EventScope(after.requested.project_id)
        case View():
            model = event.model_id if isinstance(event, ModelRegistered) else None
            return EventScope(after.project_id, key, model)
        case Model():
            version = event.version_id if isinstance(event, VersionNumbered) else None
            return EventScope(_project_of_view(states, after), after.view_id, key, version)
        case Experiment(started=started):
            return EventScope(started.project_id, started.view_id, started.model_id)
        case Version(created=created):
            return EventScope(created.project_id, created.view_id, created.model_id, key)
        case Project():
            return EventScope(key)
        case Account() if isinstance(event, RoleChange):
            return EventScope(event.project_id)
    return EventScope()


def _project_of_view(states: States, model: Model) -> str | None:
    view = states.get(VIEW.stream(model.view_id))
    return view.project_id if isinstance(view, View) else None
