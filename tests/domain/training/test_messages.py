"""What a wish means for a job, and which of two wishes counts."""

import msgspec
import pytest

from domain.training.messages import Desired, DesiredState, TrainJob
from tests.domain.training.version_samples import CONCEPTS, OPTIONS

JOB = TrainJob("v", 2, "classification", CONCEPTS, OPTIONS, "manifest", "correlation")
CANCEL, STOP = Desired.CANCEL, Desired.STOP


@pytest.mark.parametrize(
    ("wish", "meant"),
    [
        (DesiredState(2, STOP), STOP),
        (DesiredState(1, STOP), None),
        (DesiredState(3, STOP), None),
        (DesiredState(2, CANCEL), CANCEL),
        (DesiredState(1, CANCEL), None),
        (DesiredState(3, CANCEL), CANCEL),
    ],
)
def test_a_wish_is_meant_for_its_attempt_and_a_cancel_for_those_before(
    wish: DesiredState, meant: Desired | None
) -> None:
    assert wish.applies_to(JOB) == meant


def test_the_newer_attempt_counts_and_within_one_the_cancel() -> None:
    rising = [
        DesiredState(1, STOP),
        DesiredState(1, CANCEL),
        DesiredState(2, STOP),
        DesiredState(2, CANCEL),
    ]
    for place, wish in enumerate(rising):
        assert [wish.supersedes(other) for other in rising] == [
            position < place for position in range(len(rising))
        ]


def test_a_wish_is_written_in_words() -> None:
    assert msgspec.json.encode(DesiredState(1, STOP)) == b'{"attempt":1,"desired":"stop"}'
