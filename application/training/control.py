"""What users want of trainings, told to the workers: the wish that stands, at whichever event."""

from collections.abc import Callable

from application.log.store import Store
from application.training.policies import version_of
from domain.event import Recorded, name_of
from domain.training.messages import Desired, Wish
from domain.training.version import (
    CANCELLED,
    ENDED,
    Version,
    VersionStopRequested,
    VersionTrainingCancelled,
)

REACTS_TO = [name_of(event) for event in (VersionStopRequested, VersionTrainingCancelled)]

TellWish = Callable[[str, Wish], None]
"""Makes a wish about the version of an id known, unless a newer one already is."""


def react(store: Store, tell: TellWish, recorded: Recorded) -> None:
    """Tell what is wanted of the version now: an old event brings no old wish back."""
    wish = wish_about(version_of(store, recorded.entity_id))
    if wish is not None:
        tell(recorded.entity_id, wish)


def wish_about(version: Version) -> Wish | None:
    if version.status == CANCELLED:
        return Wish(version.attempt, Desired.CANCEL)
    if version.stop_requested and version.status not in ENDED:
        return Wish(version.attempt, Desired.STOP)
    return None
