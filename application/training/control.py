"""What users want of trainings, told to the workers: the wish that stands, at whichever event."""

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
"""Makes a wish about the version of an id known, unless a newer one already is."""


def react(store: Store, tell: PublishDesiredState, recorded: Recorded) -> None:
    """Tell what is wanted of the version now: an old event brings no old wish back."""
    wish = desired_state_of(version_of(store, recorded.entity_id))
    if wish is not None:
        tell(recorded.entity_id, wish)


def desired_state_of(version: Version) -> DesiredState | None:
    if version.status == CANCELLED:
        return DesiredState(version.attempt, Desired.CANCEL)
    if version.stop_requested and version.status not in ENDED:
        return DesiredState(version.attempt, Desired.STOP)
    return None
