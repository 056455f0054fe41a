"""Whatever a worker with a job sends: what is recorded stays whole, and nothing stops for it."""

import copy
import json
import math
import random
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Engine

from application.log.store import Store
from application.training import results
from application.training.ingest import Delivered, Ingest
from application.training.policies import version_of
from application.training.results import Claim, ResultRefused
from domain.aggregates import VERSION
from domain.event import Event
from domain.training.predictions import AcceptPredictions, VersionPredictionsReported
from domain.training.results import MOST_REFUSED, AcceptResult, VersionReportRefused
from domain.training.version import (
    ENDED,
    FAILED,
    BatchMetricsRecorded,
    EpochMetricsRecorded,
    Version,
)
from projections.engine.follow import Follower, positions_of
from projections.registry import READ_MODELS
from tests.application.scenes import Scene, trainable
from tests.application.training.reports import reports, whole_run

ODD: Sequence[Any] = (
    None, True, -1, 0, 1, 7.5, 2**31, 2**63, 2**70, 1e308, -1e308, math.nan, math.inf, "",
    "x" * 300, "\0", "\u202e", "\ud800", "../../etc/passwd", [], [None], [1.0] * 3, {},
    {"report": "started"},
)  # fmt: skip

WHOLE = [msgspec.json.decode(msgspec.json.encode(sent)) for sent in reports("VERSION", whole_run())]


def spoilt(chance: random.Random) -> list[dict[str, Any]]:
    """A run of which reports are left out, sent twice, moved, or have another value."""
    run = copy.deepcopy(WHOLE)
    for _ in range(chance.randrange(6)):
        place = chance.randrange(len(run))
        sent, value = run[place], chance.choice(ODD)
        match chance.choice(("drop", "double", "move", "body", "body", "envelope", "remove")):
            case "drop":
                del run[place]
            case "double":
                run.insert(chance.randrange(len(run)), copy.deepcopy(sent))
            case "move":
                run.insert(chance.randrange(len(run)), run.pop(place))
            case "envelope":
                sent[chance.choice(("attempt", "delivery", "sequence", "at", "token"))] = value
            case what if isinstance(sent["body"], dict) and sent["body"]:
                name = chance.choice(list(sent["body"]))
                if what == "remove":
                    del sent["body"][name]
                else:
                    sent["body"][name] = value
    return run


class Refusing:
    """Nothing is stored here, so whatever is claimed of it is refused."""

    def measure(self, version: Version, claim: Claim) -> AcceptResult:
        raise ResultRefused(f"nothing is stored of version {version.name}: {claim.checkpoint}")

    def measure_predictions(
        self, version: Version, reported: VersionPredictionsReported
    ) -> AcceptPredictions:
        raise ResultRefused(f"nothing is stored of {version.name}: {reported.predictions}")


def check(events: list[Event]) -> None:
    """Iterations and epochs are there once and in order; refusals are bounded."""
    iterations = epochs = 0
    for event in events:
        if isinstance(event, BatchMetricsRecorded):
            assert event.first_iteration == iterations
            iterations += len(event.loss)
            assert all(map(math.isfinite, (*event.loss, *event.learning_rate)))
        if isinstance(event, EpochMetricsRecorded):
            epochs += 1
            assert event.epoch == epochs
            assert event.validation_accuracy is None or 0 <= event.validation_accuracy <= 1
    assert sum(isinstance(event, VersionReportRefused) for event in events) <= MOST_REFUSED


def test_any_reports_leave_a_whole_record(store: Store, engine: Engine) -> None:
    scene: Scene = trainable(store)
    seen: set[str] = set()
    for seed in range(60):
        chance, version = random.Random(seed), scene.train()
        ingest = Ingest(store, f"feed {seed}")
        messages = [
            Delivered(number, json.dumps(sent | {"version_id": version}).encode())
            for number, sent in enumerate(spoilt(chance), start=1)
        ]
        size = chance.randrange(1, 20)
        for start in range(0, len(messages), size):
            ingest.take(messages[start : start + size])
        assert ingest.position() == len(messages)
        for recorded in store.read_all(names=results.REACTS_TO):
            results.react(store, Refusing(), recorded)
        stream = VERSION.stream(version)
        events = [recorded.event for recorded in store.streams([stream])[stream]]
        check(events)
        seen |= {event.event_name for event in events}
        state = version_of(store, version)
        assert state.status not in ENDED - {FAILED}, seed
        assert state.reported is None
    assert "version.report_refused" in seen
    Follower(engine, store, READ_MODELS).catch_up()
    with engine.connect() as connection:
        assert {at for _, at in positions_of(connection, READ_MODELS)} == {store.head()}
