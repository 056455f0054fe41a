"""What a worker may have the log hold: reports on the jobs that it was given, that can be kept."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine

from application.log.store import Store
from application.training import versions
from application.training.ingest import Delivered, Ingest
from application.training.job_tokens import JobTokens
from domain.training.messages import AnyReport, Completed, Failed, Report, Started
from projections.engine.follow import Follower
from projections.registry import READ_MODELS
from tests.application.scenes import do, trainable
from tests.application.training.reports import WHOLE, delivered, reports, sha, whole_run
from tests.application.training.test_ingest import names

KEY = b"k" * 32
THEFTS: list[AnyReport] = [
    Started("thief", "cpu", {}, 0),
    Completed(sha(1), sha(2), 3),
    Failed("I say so"),
]


@pytest.fixture
def version(store: Store) -> str:
    return trainable(store).train()


def with_tokens(tokens: JobTokens, run: list[Report]) -> list[Report]:
    """As the worker sends them that was given the job."""
    return [
        msgspec.structs.replace(
            one, token=tokens.of(one.version_id, one.attempt, one.correlation_id)
        )
        for one in run
    ]


def test_the_worker_that_was_given_the_job_reports_on_it(store: Store, version: str) -> None:
    tokens = JobTokens(KEY, since=0)
    run = with_tokens(tokens, reports(version, whole_run()))
    Ingest(store, "feed", tokens).take(delivered(run))
    assert names(store, version) == WHOLE


def test_a_worker_that_was_not_given_the_job_says_nothing_of_it(store: Store) -> None:
    scene = trainable(store)
    version, other = scene.train(), scene.train()
    tokens = JobTokens(KEY, since=0)
    run = with_tokens(tokens, reports(version, whole_run()))
    ingest = Ingest(store, "feed", tokens)
    ingest.take(delivered(run[:3]))
    before = names(store, version)
    own = tokens.of(other, 1, run[0].correlation_id)
    thefts = [
        msgspec.structs.replace(forged, worker="thief", token=token)
        for delivery in (1, 2, 1_000_000)
        for forged in reports(version, THEFTS, delivery=delivery)
        for token in ("", own, "é")
    ]
    for place, theft in enumerate(thefts, start=4):
        ingest.take(delivered([theft], first=place))
        assert names(store, version) == before, theft
    ingest.take(delivered(run[3:], first=100))
    assert names(store, version) == WHOLE


def test_a_token_is_of_one_attempt_and_one_correlation() -> None:
    tokens = JobTokens(KEY, since=0)
    made = {
        tokens.of("v1", 1, "c"),
        tokens.of("v1", 2, "c"),
        tokens.of("v2", 1, "c"),
        tokens.of("v1", 1, "d"),
        tokens.of("v1,1", 1, "c"),
        JobTokens(b"l" * 32, since=0).of("v1", 1, "c"),
    }
    assert len(made) == 6


def test_what_was_asked_for_before_there_was_a_key_needs_no_token(
    store: Store, version: str
) -> None:
    tokens = JobTokens(KEY, since=store.head())
    ingest = Ingest(store, "feed", tokens)
    ingest.take(delivered(reports(version, whole_run(epochs=1, failure="no memory"))))
    assert names(store, version)[-1] == "training_failed"
    do(store, lambda session: versions.retry_version(session, version))
    again = reports(version, whole_run(), attempt=2)
    ingest.take(delivered(again, first=100))
    assert names(store, version)[-1] == "retried"
    ingest.take(delivered(with_tokens(tokens, again), first=200))
    assert names(store, version)[-1] == "result_reported"


def edited(change: Callable[[dict[str, Any]], object]) -> Callable[[Report], bytes]:
    def edit(report: Report) -> bytes:
        told = msgspec.json.decode(msgspec.json.encode(report))
        change(told)
        return msgspec.json.encode(told)

    return edit


HOSTILE = {
    "a version with NUL": edited(lambda told: told.update(version_id="\0")),
    "a correlation with NUL": edited(lambda told: told.update(correlation_id="a\0")),
    "a version with a line": edited(lambda told: told.update(version_id="x\nINFO all is well")),
    "a correlation with a line": edited(lambda told: told.update(correlation_id="a\nb")),
    "a long correlation": edited(lambda told: told.update(correlation_id="a" * 201)),
    "a huge delivery": edited(lambda told: told.update(delivery=2**31)),
    "a huger delivery": edited(lambda told: told.update(delivery=2**70)),
    "a delivery below 0": edited(lambda told: told.update(delivery=-1)),
    "a device with NUL": edited(lambda told: told["body"].update(device="gpu\0")),
    "an environment with NUL": edited(lambda told: told["body"].update(environment={"a": "\0"})),
    "a huge iteration": edited(lambda told: told["body"].update(resumed_from=2**40)),
}


def test_reports_that_could_not_be_kept_stop_neither_ingest_nor_read_models(
    store: Store, engine: Engine, version: str
) -> None:
    run = reports(version, whole_run())
    ingest = Ingest(store, "feed")
    for place, (what, edit) in enumerate(HOSTILE.items(), start=1):
        ingest.take([Delivered(place, edit(run[0]))])
        found = names(store, version)
        assert found == ["created", *["report_refused"] * (len(found) - 1)], what
    assert len(found) == 2  # of three, whose envelopes are valid: they have the same number
    ingest.take(delivered(run, first=100))
    assert [name for name in names(store, version) if name != "report_refused"] == WHOLE
    assert Follower(engine, store, READ_MODELS).catch_up() == len(READ_MODELS)
