"""Seeds of trainers' workers: issued, revoked, and the queues that follow."""

import pytest

from domain.errors import Conflict, Invalid, NotFound
from domain.event import Event
from domain.trainers.seed import IssueSeed, RevokeSeed, SeedIssued, SeedRevoked
from domain.trainers.trainer import (
    OPAQUE,
    Trainer,
    TrainerRegistered,
    decide,
    evolve,
    queue_of,
    require,
)

KEY, OTHER = "U" + "A" * 55, "U" + "B" * 55
REGISTERED = TrainerRegistered("acme/logreg", ("classification",), (), OPAQUE)


def after(*events: Event) -> Trainer:
    trainer = None
    for event in (REGISTERED, *events):
        trainer = evolve(trainer, event)
    return require(trainer)


def test_a_worker_has_one_seed_until_it_is_revoked() -> None:
    issued = SeedIssued("gpu7", KEY, None)
    assert decide(IssueSeed("gpu7", KEY, None), after()) == [issued]
    with pytest.raises(Conflict, match="gpu7 has a seed"):
        decide(IssueSeed("gpu7", OTHER, None), after(issued))
    revoked = SeedRevoked("gpu7")
    assert decide(RevokeSeed("gpu7"), after(issued)) == [revoked]
    assert decide(RevokeSeed("gpu7"), after(issued, revoked)) == []
    again = SeedIssued("gpu7", OTHER, "p1")
    assert decide(IssueSeed("gpu7", OTHER, "p1"), after(issued, revoked)) == [again]
    assert not after(issued, revoked, again).seeds["gpu7"].revoked
    with pytest.raises(NotFound):
        decide(RevokeSeed("gpu8"), after(issued))


def test_a_project_with_workers_of_its_own_has_a_queue_of_its_own() -> None:
    general, own = queue_of("acme/logreg"), "trainer--acme--logreg--p1"
    everyone, bound = SeedIssued("a", KEY, None), SeedIssued("b", OTHER, "p1")
    assert after(everyone).queue("p1") == general
    assert after(everyone, bound).queue("p1") == own
    assert after(everyone, bound).queue("p2") == general
    assert after(everyone, bound, SeedRevoked("b")).queue("p1") == general


@pytest.mark.parametrize(
    ("worker", "key", "field"),
    [
        ("", KEY, "worker"),
        ("a.b", KEY, "worker"),
        ("a>", KEY, "worker"),
        ("a b", KEY, "worker"),
        ("a\n", KEY, "worker"),
        ("a" * 65, KEY, "worker"),
        ("gpu7", "S" + "A" * 57, "key"),
    ],
)
def test_what_cannot_be_a_worker_is_refused(worker: str, key: str, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        decide(IssueSeed(worker, key, None), after())
    assert refused.value.field == field
