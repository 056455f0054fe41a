"""The desired state of trainings, published to the workers at every event that changes it."""

from collections.abc import Callable

from application.log.store import Store
from application.training.policies import version_of
from domain.event import Recorded, name_of
from domain.training.messages import Desired, DesiredState
from domain.training.version import (
    CANCELLED,
    ENDED,
    Version,
    VersionStopRequested,
    VersionTrainingCancelled,
)

REACTS_TO = [name_of(event) for event in (VersionStopRequested, VersionTrainingCancelled)]

PublishDesiredState = Callable[[str, DesiredState], None]
"""Publishes the desired state of a version, given by id, unless a newer one is stored."""


def react(store: Store, publish: PublishDesiredState, recorded: Recorded) -> None:
    """Publish the current desired state of the version, also for an old event."""
    desired_state = desired_state_of(version_of(store, recorded.entity_id))
    if desired_state is not None:
        publish(recorded.entity_id, desired_state)


def desired_state_of(version: Version) -> DesiredState | None:
    if version.status == CANCELLED:
        return DesiredState(version.attempt, Desired.CANCEL)
    if version.stop_requested and version.status not in ENDED:
        return DesiredState(version.attempt, Desired.STOP)
    return None
