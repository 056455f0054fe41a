"""Whatever a worker with a job sends: what is recorded stays whole, and nothing stops for it."""

import copy
import json
import math
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from application.log.store import Store
from application.training import results
from application.training.ingest import Delivered, Ingest
from application.training.policies import version_of
from application.training.results import ResultRefused
from domain.aggregates import VERSION
from domain.event import Event
from domain.training.results import MOST_REFUSED, AcceptResult, VersionReportRefused
from domain.training.version import (
    ENDED,
    FAILED,
    BatchMetricsRecorded,
    EpochMetricsRecorded,
    Version,
)
from projections.engine.follow import Follower
from projections.registry import READ_MODELS
from tests.application.scenes import Scene, trainable
from tests.application.training.reports import reports, whole_run

ODD: Sequence[Any] = (
    None, True, -1, 0, 1, 7.5, 2**31, 2**63, 2**70, 1e308, -1e308, math.nan, math.inf, "",
    "x" * 300, "\0", "\u202e", "\ud800", "../../etc/passwd", [], [None], [1.0] * 3, {}, {"report": "started"},
)  # fmt: skip

WHOLE = [msgspec.json.decode(msgspec.json.encode(sent)) for sent in reports("VERSION", whole_run())]


class Change(msgspec.Struct, frozen=True):
    """One report is left out, sent twice, moved, or has another value, by places modulo lengths."""

    what: str
    place: int
    other: int
    value: int


CHANGES = st.lists(
    st.builds(
        Change,
        st.sampled_from(("drop", "double", "move", "body", "body", "envelope", "remove")),
        st.integers(0, 99),
        st.integers(0, 99),
        st.integers(0, len(ODD) - 1),
    ),
    max_size=8,
)


def changed(changes: Sequence[Change]) -> list[dict[str, Any]]:
    run = copy.deepcopy(WHOLE)
    for change in changes:
        if not run:
            break
        place = change.place % len(run)
        sent, value = run[place], ODD[change.value]
        match change.what:
            case "drop":
                del run[place]
            case "double":
                run.insert(change.other % len(run), copy.deepcopy(sent))
            case "move":
                run.insert(change.other % len(run), run.pop(place))
            case "envelope":
                names = ["attempt", "delivery", "sequence", "at", "correlation_id", "body", "token"]
                sent[names[change.other % len(names)]] = value
            case "body" | "remove" if isinstance(sent["body"], dict) and sent["body"]:
                name = list(sent["body"])[change.other % len(sent["body"])]
                if change.what == "remove":
                    del sent["body"][name]
                else:
                    sent["body"][name] = value
    return run


def refused(version: Version) -> AcceptResult:
    """Nothing is stored here, so whatever is claimed of it is refused."""
    raise ResultRefused(f"nothing is stored of version {version.name}")


@pytest.fixture(scope="module")
def feeds() -> list[int]:
    return []


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


def test_any_reports_leave_a_whole_record(store: Store, engine: Engine, feeds: list[int]) -> None:
    scene: Scene = trainable(store)
    version = scene.train()

    @settings(
        max_examples=60,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(CHANGES, st.integers(1, 20))
    def of(changes: list[Change], size: int) -> None:
        nonlocal version
        if version_of(store, version).delivery or version_of(store, version).refused:
            version = scene.train()
        feeds.append(len(feeds))
        ingest = Ingest(store, f"feed {len(feeds)}")
        messages = [
            Delivered(number, json.dumps(sent | {"version_id": version}).encode())
            for number, sent in enumerate(changed(changes), start=1)
        ]
        for start in range(0, len(messages), size):
            ingest.take(messages[start : start + size])
        assert ingest.position() == len(messages)
        for recorded in store.read_all(names=results.REACTS_TO):
            if recorded.entity_id == version:
                results.react(store, refused, recorded)
        stream = VERSION.stream(version)
        check([recorded.event for recorded in store.streams([stream])[stream]])
        state = version_of(store, version)
        assert state.status not in ENDED - {FAILED}
        assert state.reported is None

    of()
    assert Follower(engine, store, READ_MODELS).catch_up() == len(READ_MODELS)
